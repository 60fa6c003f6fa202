//! Row-level security on a real PostgreSQL: what each role sees and may do, whatever the statement
//! is.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio_util::task::TaskTracker;

use super::{
    round_trip_tests::{Turns, between},
    *,
};
use crate::{
    ids::SessionId,
    lease::Lease,
    testing::{Fresh, run_as_user, stores},
    vault::KekRing,
};

/// Counts rows that name the organisation in a column, by id, or through a session.
const COUNTS: [&str; 4] = [
    "SELECT count(*) FROM session",
    "SELECT count(*) FROM organisation",
    "SELECT count(*) FROM data_key",
    "SELECT count(*) FROM key_record",
];
const RENAME: &str = "UPDATE session SET name = 'taken' WHERE id = $1";
const TENANT: &str = "SELECT coalesce(current_setting('passerelle.org', true), '')";
/// PostgreSQL: the role has no privilege, or the row violates a policy.
const FORBIDDEN: &str = "42501";

/// Creates two organisations with one session each. Returns `None` without a PostgreSQL.
async fn two() -> Option<(Fresh, Lease, Lease)> {
    let fresh = stores().await.pop()?;
    if fresh.store.dialect() == Dialect::Sqlite {
        return None;
    }
    let vault = fresh.vault(KekRing::generate().0).await.unwrap();
    let (ours, theirs) = (fresh.owner(&vault).await, fresh.owner(&vault).await);
    for owner in [&ours, &theirs] {
        let keys = fresh.keys(&vault, owner).await;
        wacore::store::traits::SignalStore::put_identity(&keys, "a@lid", [7; 32])
            .await
            .unwrap();
    }
    Some((fresh, ours.lease, theirs.lease))
}

async fn counts(conn: &mut AnyConnection) -> Vec<i64> {
    let mut counted = Vec::new();
    for count in COUNTS {
        let rows = sqlx::query_scalar(count).fetch_one(&mut *conn).await;
        counted.push(rows.unwrap());
    }
    counted
}

async fn seen(store: &Store, org: OrgId) -> Vec<i64> {
    counts(&mut store.read(org).await.unwrap()).await
}

async fn all(store: &Store) -> Vec<i64> {
    counts(&mut store.read_system().await.unwrap()).await
}

async fn changed(store: &Store, org: OrgId, sql: &'static str, id: SessionId) -> u64 {
    let work = store.write(org, move |tx| {
        Box::pin(async move {
            let done = sqlx::query(sql).bind(id.to_string()).execute(tx.conn());
            Ok::<_, sqlx::Error>(done.await?.rows_affected())
        })
    });
    work.await.unwrap()
}

fn code(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

#[tokio::test]
async fn a_transaction_sees_the_rows_of_its_organisation_alone() {
    let Some((fresh, ours, _)) = two().await else {
        return;
    };
    let mut nobodys = fresh.store.pools().0.acquire().await.unwrap();
    assert_eq!(counts(&mut nobodys).await, [0, 0, 0, 0]);
    drop(nobodys);
    assert_eq!(seen(&fresh.store, ours.org).await, [1, 1, 2, 1]);
    let mut read = fresh.store.read(ours.org).await.unwrap();
    let mine: String = sqlx::query_scalar("SELECT id FROM session")
        .fetch_one(&mut *read)
        .await
        .unwrap();
    drop(read);
    assert_eq!(mine, ours.session.to_string());
    assert_eq!(all(&fresh.store).await, [2, 2, 4, 2]);
    let written = fresh.store.write(ours.org, |tx| {
        Box::pin(async move { Ok::<_, sqlx::Error>(counts(tx.conn()).await) })
    });
    assert_eq!(written.await.unwrap(), [1, 1, 2, 1]);
    fresh.close().await;
}

#[tokio::test]
async fn a_row_of_another_organisation_is_neither_written_nor_deleted() {
    let Some((fresh, ours, theirs)) = two().await else {
        return;
    };
    let store = &fresh.store;
    assert_eq!(changed(store, ours.org, RENAME, theirs.session).await, 0);
    assert_eq!(changed(store, ours.org, RENAME, ours.session).await, 1);
    for delete in [
        "DELETE FROM session WHERE id = $1",
        "DELETE FROM key_record WHERE session_id = $1",
        "DELETE FROM data_key WHERE id = $1",
    ] {
        assert_eq!(changed(store, ours.org, delete, theirs.session).await, 0);
    }
    for insert in [
        "INSERT INTO session (id, org_id, name, desired, created_at) VALUES ('ses_x', $1, 'x', 'stopped', 0)",
        "INSERT INTO key_record (session_id, kind, name_mac, sealed) \
         SELECT $2, 'x', '\\x00', '\\x00' WHERE $1 <> ''",
        "UPDATE session SET org_id = $1 WHERE name = 'taken' AND $2 <> ''",
    ] {
        let (org, session) = (theirs.org.to_string(), theirs.session.to_string());
        let refused = store.write(ours.org, move |tx| {
            Box::pin(async move {
                let query = sqlx::query(insert).bind(org).bind(session);
                query.execute(tx.conn()).await.map(drop)
            })
        });
        let refused: Result<(), sqlx::Error> = refused.await;
        let error = refused.expect_err(insert);
        assert_eq!(
            code(&error).as_deref(),
            Some(FORBIDDEN),
            "{insert}: {error}"
        );
    }
    assert_eq!(all(store).await, [2, 2, 4, 2]);
    fresh.close().await;
}

#[tokio::test]
async fn the_next_user_of_a_connection_has_nothing_of_the_one_before() {
    let Some((fresh, ours, theirs)) = two().await else {
        return;
    };
    // One connection serves all organisations.
    let store = Store::open_with(&fresh.url, 2).await.unwrap();
    let fails = |org| {
        let store = store.clone();
        async move {
            let failed = store.write(org, |_| Box::pin(async { Err(sqlx::Error::RowNotFound) }));
            let failed: Result<(), sqlx::Error> = failed.await;
            assert!(failed.is_err());
        }
    };
    for round in 0..4 {
        match round {
            0 => drop(changed(&store, ours.org, RENAME, ours.session).await),
            1 => drop(store.read(ours.org).await.unwrap()),
            2 => fails(ours.org).await,
            _ => assert_eq!(changed(&store, ours.org, RENAME, theirs.session).await, 0),
        }
        let mut conn = store.pools().0.acquire().await.unwrap();
        let tenant: String = sqlx::query_scalar(TENANT)
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        assert_eq!(tenant, "", "round {round}");
        assert_eq!(counts(&mut conn).await, [0, 0, 0, 0]);
        drop(conn);
        assert_eq!(seen(&store, theirs.org).await, [1, 1, 2, 1]);
    }
    store.close().await;
    fresh.close().await;
}

#[tokio::test]
async fn a_read_writes_nothing_and_a_tenant_does_not_reach_the_stores_own_tables() {
    let Some((fresh, ours, _)) = two().await else {
        return;
    };
    for (statement, code_of_refusal) in [
        ("UPDATE session SET name = 'x'", READ_ONLY),
        ("SELECT 1 FROM admin_key", FORBIDDEN),
        ("SELECT 1 FROM vault_check", FORBIDDEN),
        ("SELECT 1 FROM _sqlx_migrations", FORBIDDEN),
    ] {
        let mut read = fresh.store.read(ours.org).await.unwrap();
        let refused = sqlx::query(statement).execute(&mut *read).await;
        let code = code(&refused.unwrap_err());
        assert_eq!(code.as_deref(), Some(code_of_refusal), "{statement}");
    }
    fresh.close().await;
}

#[tokio::test]
async fn a_transaction_whose_caller_went_away_at_its_begin_is_nobody_elses_trouble() {
    let Some((fresh, ours, theirs)) = two().await else {
        return;
    };
    // The server answers only after the proxy has forwarded the request.
    let url = between(&fresh.url, Turns::default(), TaskTracker::new()).await;
    let store = Store::open_with(&url, 2).await.unwrap();
    drop(store.read(ours.org).await.unwrap());
    while store.pools().0.num_idle() == 0 {
        tokio::task::yield_now().await;
    }
    let mut leaves = Box::pin(store.read(ours.org));
    assert!(futures_util::poll!(&mut leaves).is_pending());
    drop(leaves);
    assert_eq!(changed(&store, theirs.org, RENAME, ours.session).await, 0);
    assert_eq!(changed(&store, theirs.org, RENAME, theirs.session).await, 1);
    store.close().await;
    fresh.close().await;
}

/// Creates a user that may only log in, and a database that it owns.
async fn plain_owner(fresh: &Fresh) -> (String, String) {
    let name = SessionId::new(&fresh.clock).to_string();
    for statement in [
        format!("CREATE ROLE {name} LOGIN PASSWORD 'secret'"),
        format!("CREATE DATABASE {name} OWNER {name}"),
    ] {
        run_as_user(&fresh.url, AssertSqlSafe(statement)).await;
    }
    let (_, server) = fresh.url.rsplit_once('@').unwrap();
    let (server, _) = server.rsplit_once('/').unwrap();
    let url = format!("postgres://{name}:secret@{server}/{name}");
    (name, url)
}

async fn drop_owner(fresh: &Fresh, name: &str) {
    for statement in [
        format!("DROP DATABASE {name} WITH (FORCE)"),
        format!("DROP ROLE {name}"),
    ] {
        run_as_user(&fresh.url, AssertSqlSafe(statement)).await;
    }
}

#[tokio::test]
async fn who_may_not_make_the_roles_is_told_what_an_administrator_has_to_run() {
    let Some((fresh, ..)) = two().await else {
        return;
    };
    let (name, url) = plain_owner(&fresh).await;
    let store = Store::open(&url).await.unwrap();
    let told = format!("{:#}", store.migrate().await.unwrap_err());
    let (_, statements) = told.split_once("once: ").expect(&told);
    let (statements, _) = statements.rsplit_once(';').expect(&told);
    // Some of it may exist already. That is no error.
    for statement in statements.split(';') {
        let mut conn = PgConnection::connect(&fresh.url).await.unwrap();
        drop(conn.execute(AssertSqlSafe(statement.to_owned())).await);
    }
    store.migrate().await.unwrap();
    store.close().await;
    drop_owner(&fresh, &name).await;
    fresh.close().await;
}

#[tokio::test]
async fn the_owner_of_the_tables_is_bound_but_while_it_migrates() {
    let Some((fresh, ..)) = two().await else {
        return;
    };
    let (name, url) = plain_owner(&fresh).await;
    let grant = AssertSqlSafe(format!("GRANT passerelle_roles TO {name}"));
    run_as_user(&fresh.url, grant).await;
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let org = OrgId::new(&fresh.clock);
    let made = store.write(org, move |tx| {
        Box::pin(async move {
            let insert = "INSERT INTO organisation (id, name, created_at) VALUES ($1, 'x', 0)";
            let query = sqlx::query(insert).bind(org.to_string());
            query.execute(tx.conn()).await.map(drop)
        })
    });
    made.await.unwrap();
    let mut owner = PgConnection::connect(&url).await.unwrap();
    let insert = "INSERT INTO organisation (id, name, created_at) VALUES ('org_x', 'x', 0)";
    let refused = owner.execute(insert).await.unwrap_err();
    assert_eq!(code(&refused).as_deref(), Some(FORBIDDEN));
    let rename = "UPDATE organisation SET name = 'y'";
    assert_eq!(owner.execute(rename).await.unwrap().rows_affected(), 0);
    let let_in = AssertSqlSafe(postgres::migrate::let_the_owner_in());
    owner.execute(let_in).await.unwrap();
    assert_eq!(owner.execute(rename).await.unwrap().rows_affected(), 1);
    store.migrate().await.unwrap();
    assert_eq!(owner.execute(rename).await.unwrap().rows_affected(), 0);
    owner.close().await.unwrap();
    store.close().await;
    drop_owner(&fresh, &name).await;
    fresh.close().await;
}

#[tokio::test]
async fn a_store_from_before_goes_behind_it_with_its_rows() {
    let Some((fresh, ..)) = two().await else {
        return;
    };
    let (name, url) = plain_owner(&fresh).await;
    let grant = AssertSqlSafe(format!("GRANT passerelle_roles TO {name}"));
    run_as_user(&fresh.url, grant).await;
    sqlx::any::install_default_drivers();
    let mut owner = AnyConnection::connect(&url).await.unwrap();
    owner.execute(postgres::migrate::BLOB).await.unwrap();
    MIGRATIONS.run_to(8, &mut owner).await.unwrap();
    let org = OrgId::new(&fresh.clock);
    for id in [org, OrgId::new(&fresh.clock)] {
        sqlx::query("INSERT INTO organisation (id, name, created_at) VALUES ($1, 'x', 0)")
            .bind(id.to_string())
            .execute(&mut owner)
            .await
            .unwrap();
    }
    let store = Store::open(&url).await.unwrap();
    let (one, other) = tokio::join!(store.migrate(), store.migrate());
    one.and(other).unwrap();
    let count = "SELECT count(*) FROM organisation";
    let mut read = store.read(org).await.unwrap();
    let seen: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut *read)
        .await
        .unwrap();
    drop(read);
    let by_owner: i64 = sqlx::query_scalar(count)
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!((seen, by_owner), (1, 0));
    owner.close().await.unwrap();
    store.close().await;
    drop_owner(&fresh, &name).await;
    fresh.close().await;
}

/// Closes all other connections to the store's database. Returns when they are gone.
async fn drop_connections(fresh: &Fresh) {
    const OTHERS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let mut conn = PgConnection::connect(&fresh.url).await.unwrap();
    let gone = async {
        loop {
            let left: i64 = sqlx::query_scalar(OTHERS)
                .fetch_one(&mut conn)
                .await
                .unwrap();
            if left == 0 {
                break;
            }
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(10), gone).await;
    gone.expect("the connections end");
}

#[tokio::test]
async fn connections_that_the_server_dropped_are_passed_over() {
    let Some((fresh, ours, _)) = two().await else {
        return;
    };
    let store = Store::open_with(&fresh.url, 8).await.unwrap();
    for first in ["read", "write", "system"] {
        let (mut tenants, mut system) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            tenants.push(store.read(ours.org).await.unwrap());
        }
        for _ in 0..2 {
            system.push(store.read_system().await.unwrap());
        }
        drop((tenants, system));
        while store.pools().0.num_idle() < 4 || store.pools().1.num_idle() < 2 {
            tokio::task::yield_now().await;
        }
        drop_connections(&fresh).await;
        match first {
            "read" => assert_eq!(seen(&store, ours.org).await, [1, 1, 2, 1]),
            "write" => assert_eq!(changed(&store, ours.org, RENAME, ours.session).await, 1),
            _ => {
                let counted = store.write_system(|tx| {
                    Box::pin(async move { Ok::<_, sqlx::Error>(counts(tx.conn()).await) })
                });
                assert_eq!(counted.await.unwrap(), [2, 2, 4, 2]);
            }
        }
        // One dead connection was found, so all others are tested, in the other pool too.
        assert_eq!(all(&store).await, [2, 2, 4, 2]);
        assert_eq!(seen(&store, ours.org).await, [1, 1, 2, 1]);
    }
    store.close().await;
    fresh.close().await;
}

#[tokio::test]
async fn a_commit_is_durable_whatever_the_database_says() {
    let Some((fresh, ours, _)) = two().await else {
        return;
    };
    let (_, name) = fresh.url.rsplit_once('/').unwrap();
    let careless = AssertSqlSafe(format!(
        "ALTER DATABASE {name} SET synchronous_commit = off"
    ));
    run_as_user(&fresh.url, careless).await;
    let again = Store::open(&fresh.url).await.unwrap();
    const SHOW: &str = "SELECT current_setting('synchronous_commit')";
    let of_tenants = again.write(ours.org, |tx| {
        Box::pin(async move {
            sqlx::query_scalar::<_, String>(SHOW)
                .fetch_one(tx.conn())
                .await
        })
    });
    assert_eq!(of_tenants.await.unwrap(), "on");
    let of_system = again.write_system(|tx| {
        Box::pin(async move {
            sqlx::query_scalar::<_, String>(SHOW)
                .fetch_one(tx.conn())
                .await
        })
    });
    assert_eq!(of_system.await.unwrap(), "on");
    again.close().await;
    fresh.close().await;
}
