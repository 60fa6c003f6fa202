//! PostgreSQL's row-level security: no table is left out, and a connection that served one organisation
//! shows nothing of it to the next. (`engine/src/store` tests what each role sees.)

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, Setup, World, api::Api};
use sqlx::{Connection as _, PgConnection, Row as _};

macro_rules! on_postgres {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> ::anyhow::Result<()> {
                let _finished: ::passerelle_tests::Finished = super::$name().await?;
                Ok(())
            })+
        }
    };
}

on_postgres!(
    every_table_is_behind_it,
    no_unique_key_tells_of_another_organisations_row,
    the_roles_own_nothing_and_are_subject_to_it,
    two_organisations_share_one_connection_and_see_their_own,
);

/// Tables without an organisation, which are closed to organisations. Add a table here only with a reason.
/// Tables with a column `org_id` or `session_id` get their policies by themselves (`migrations/postgres/`).
const OF_NO_ORGANISATION: [(&str, &str); 6] = [
    ("_sqlx_migrations", "what was run here"),
    ("_sqlx_migrations_postgres", "the same, of PostgreSQL's own"),
    ("admin_key", "the operator's"),
    ("host", "a process"),
    (
        "number",
        "a phone number, by whichever organisations it is linked",
    ),
    ("vault_check", "the operator's key-encryption keys"),
];

/// The tables of these that the owner itself reads and writes.
const OF_THE_OWNER: [&str; 2] = ["_sqlx_migrations", "_sqlx_migrations_postgres"];

/// The tables of these that an organisation's statements may read.
const READ_BY_ORGANISATIONS: [&str; 1] = ["host"];

/// Columns whose values nobody can guess or choose. A unique key with one of them reveals nothing.
const UNGUESSABLE: [&str; 6] = [
    "id",
    "session_id",
    "message_id",
    "event_id",
    "public_id",
    "object",
];

async fn texts(conn: &mut PgConnection, sql: &'static str) -> Result<Vec<String>> {
    let rows = sqlx::query(sql).fetch_all(conn).await?;
    let texts = rows.iter().map(|row| row.try_get(0));
    Ok(texts.collect::<Result<_, _>>()?)
}

async fn every_table_is_behind_it() -> Result<Finished> {
    let world = World::start(Backing::Postgres).await?;
    let mut conn = PgConnection::connect(&world.gateway.database.url).await?;
    let open = texts(
        &mut conn,
        "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace \
         AND NOT relrowsecurity ORDER BY relname",
    );
    assert_eq!(open.await?, Vec::<String>::new());
    let of_the_owner = texts(
        &mut conn,
        "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace \
         AND NOT relforcerowsecurity ORDER BY relname",
    );
    assert_eq!(of_the_owner.await?, OF_THE_OWNER);
    let behind = texts(
        &mut conn,
        "SELECT tablename || ' ' || string_agg(policyname || ' ' || cmd || ' ' || roles::text, ', ' ORDER BY policyname) \
         FROM pg_policies WHERE schemaname = 'public' GROUP BY tablename",
    );
    let behind = behind.await?;
    assert!(behind.len() >= 28, "{behind:#?}");
    for policies in behind {
        let (table, policies) = policies.split_once(' ').context("a table")?;
        let of_none = OF_NO_ORGANISATION.iter().any(|(name, _why)| *name == table);
        let expected = match (of_none, READ_BY_ORGANISATIONS.contains(&table)) {
            (false, _) => "system ALL {passerelle_system}, tenant ALL {passerelle_app}",
            (true, true) => "system ALL {passerelle_system}, tenant SELECT {passerelle_app}",
            (true, false) => "system ALL {passerelle_system}",
        };
        assert_eq!(policies, expected, "{table}");
    }
    let reached = texts(
        &mut conn,
        "SELECT DISTINCT c.relname::text FROM pg_class c WHERE c.relkind IN ('r', 'p') \
         AND c.relnamespace = 'public'::regnamespace \
         AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = 'tenant' AND polcmd = '*') \
         AND has_table_privilege('passerelle_app', c.oid, 'SELECT') ORDER BY 1",
    );
    assert_eq!(reached.await?, READ_BY_ORGANISATIONS);
    let changed = texts(
        &mut conn,
        "SELECT c.relname::text FROM pg_class c WHERE c.relkind IN ('r', 'p') \
         AND c.relnamespace = 'public'::regnamespace \
         AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = 'tenant' AND polcmd = '*') \
         AND has_table_privilege('passerelle_app', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')",
    );
    assert_eq!(changed.await?, Vec::<String>::new());
    // A view reads with its owner's rights, not the reader's, unless it is declared otherwise.
    let views = texts(
        &mut conn,
        "SELECT relname::text FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace = 'public'::regnamespace \
         AND NOT coalesce(reloptions::text LIKE '%security_invoker=true%', false)",
    );
    assert_eq!(views.await?, Vec::<String>::new());
    world.finish_with_work_undone().await
}

async fn no_unique_key_tells_of_another_organisations_row() -> Result<Finished> {
    let world = World::start(Backing::Postgres).await?;
    let mut conn = PgConnection::connect(&world.gateway.database.url).await?;
    let keys = texts(
        &mut conn,
        "SELECT i.indexrelid::regclass::text || ' ' || string_agg(a.attname, ',') FROM pg_index i \
         JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
         JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'tenant' AND p.polcmd = '*' \
         WHERE i.indisunique GROUP BY i.indexrelid",
    );
    let keys = keys.await?;
    assert!(keys.len() >= 21, "{keys:#?}");
    for key in keys {
        let (_, columns) = key.split_once(' ').context("an index")?;
        let safe = |column| column == "org_id" || UNGUESSABLE.contains(&column);
        assert!(
            columns.split(',').any(safe),
            "a collision in {key} reveals one organisation's row to another"
        );
    }
    world.finish_with_work_undone().await
}

async fn the_roles_own_nothing_and_are_subject_to_it() -> Result<Finished> {
    let world = World::start(Backing::Postgres).await?;
    let mut conn = PgConnection::connect(&world.gateway.database.url).await?;
    let roles = texts(
        &mut conn,
        "SELECT rolname::text FROM pg_roles WHERE rolname IN ('passerelle_app', 'passerelle_system', 'passerelle_roles') \
         AND NOT (rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole OR rolcreatedb) ORDER BY rolname",
    );
    assert_eq!(
        roles.await?,
        ["passerelle_app", "passerelle_roles", "passerelle_system"]
    );
    let owned = texts(
        &mut conn,
        "SELECT relname::text FROM pg_class WHERE pg_get_userbyid(relowner) LIKE 'passerelle\\_%'",
    );
    assert_eq!(owned.await?, Vec::<String>::new());
    let working = texts(
        &mut conn,
        "SELECT usename::text FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'passerelle\\_%'",
    );
    // The process takes on these roles with SET ROLE and does not log in as them.
    assert_eq!(working.await?, Vec::<String>::new());
    world.finish_with_work_undone().await
}

const TURNS: usize = 10;
const CONTACT: &str = "+4915199000001";

async fn two_organisations_share_one_connection_and_see_their_own() -> Result<Finished> {
    // One connection for organisations, and one for statements across all of them.
    let setup = Setup {
        flags: ["--database-connections", "2"].map(str::to_owned).into(),
        ..Setup::quick()
    };
    let world = World::with(Backing::Postgres, setup).await?;
    world.simulator.echo(CONTACT).await?;
    let theirs = world.admin.tenant("Globex").await?;
    let one = world.linked("+4915170000001").await?.id;
    let other = world.linked_for(&theirs, "+4915170000002").await?.id;
    let (ours, others) = tokio::join!(converse(&world.api, &one), converse(&theirs, &other));
    let (ours, others) = (ours?, others?);
    for (api, id) in [(&world.api, &others[0]), (&theirs, &ours[0])] {
        let strange = api.get(&format!("/v1/messages/{id}")).await?;
        assert_eq!(strange.status.as_u16(), 404);
    }
    world.finish().await
}

/// Sends one text after the other and checks that the organisation sees only its own session and messages.
/// Returns the messages' ids.
async fn converse(api: &Api, session: &str) -> Result<Vec<String>> {
    let mut sent = Vec::new();
    for turn in 0..TURNS {
        sent.push(api.send(session, CONTACT, &format!("{turn}")).await?.id);
        let sessions = api.sessions().await?;
        let sessions: Vec<_> = sessions.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(sessions, [session]);
        let messages = api.messages("").await?;
        assert!(messages.iter().all(|message| message.session_id == session));
    }
    for id in &sent {
        api.message_at(id, "sent").await?;
    }
    Ok(sent)
}
