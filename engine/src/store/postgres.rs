//! What only PostgreSQL has: row-level security, under roles that own nothing.
//!
//! The user of the store's address connects and migrates. Statements run as `passerelle_app` or as
//! `passerelle_system`, each on connections of its own: a role that changed from one transaction to the
//! next would have the server plan every prepared statement anew. The organisation is set with the
//! `BEGIN` and ends with the transaction, so the connection's next user does not have it.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use parking_lot::Mutex;
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor as _, Transaction,
    any::AnyPoolOptions,
    migrate::{Migrate as _, Migrator},
};

use tokio::time::Instant;

use super::MIGRATIONS;
use crate::ids::OrgId;

/// A connection that lay idle for longer may have died since.
const IDLE: Duration = Duration::from_secs(1);
/// How long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// As every connection begins. A process that stands still, or that the network cut off, keeps its
/// locks no longer than five seconds: a takeover of its sessions waits for them. Where the tables
/// are is settled before the role changes, for `"$user"` in the search path means the role. What is
/// committed is on the disk, whatever the server's default says.
macro_rules! session {
    ($role:literal) => {
        concat!(
            "SET idle_in_transaction_session_timeout = 5000; SET synchronous_commit = on; \
             SELECT set_config('search_path', string_agg(quote_ident(place), ', '), false) \
             FROM unnest(current_schemas(false)) AS place; \
             SET ROLE ",
            $role
        )
    };
}

/// When a connection was last seen dead: those that lay idle since before then may be dead as well.
/// After a restart of the server most of a pool is.
#[derive(Debug, Clone, Default)]
pub(super) struct Doubt(Arc<Mutex<Option<Instant>>>);

impl Doubt {
    /// A connection was dead.
    pub(super) fn cast(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    /// Whether one that has lain idle for so long is to be tested before it is used.
    fn falls_on(&self, idle_for: Duration) -> bool {
        let cast = *self.0.lock();
        idle_for > IDLE || cast.is_some_and(|at| at.elapsed() <= idle_for)
    }
}

/// Connections whose transactions each name an organisation.
pub(super) fn tenants(url: &str, connections: u32, doubt: &Doubt) -> Result<AnyPool, sqlx::Error> {
    pool(connections, session!("passerelle_app"), doubt).connect_lazy(url)
}

/// Connections that see every organisation's rows.
pub(super) fn system(url: &str, connections: u32, doubt: &Doubt) -> Result<AnyPool, sqlx::Error> {
    pool(connections, session!("passerelle_system"), doubt).connect_lazy(url)
}

fn pool(connections: u32, session: &'static str, doubt: &Doubt) -> AnyPoolOptions {
    let doubt = doubt.clone();
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        // Every release is tested; only a connection that lay idle may have died since.
        .test_before_acquire(false)
        .before_acquire(move |conn, lain| {
            let doubted = doubt.falls_on(lain.idle_for);
            Box::pin(async move {
                if doubted {
                    conn.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |conn, _| {
            Box::pin(async move {
                conn.execute(session).await?;
                Ok(())
            })
        })
}

/// What a transaction may do with the rows it sees.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    /// Read them.
    Read,
    /// Change them.
    Write,
}

/// Begins a transaction over the rows of one organisation. The organisation goes with the `BEGIN`, in
/// one message: a round trip of its own would be paid by every transaction. Whoever began one before
/// may have gone away without an answer, and left it open: it becomes this one, so all of it is said.
pub(super) async fn begin_for(
    pool: &AnyPool,
    doubt: &Doubt,
    access: Access,
    org: OrgId,
) -> Result<Transaction<'static, Any>, sqlx::Error> {
    let access = match access {
        Access::Read => "READ ONLY",
        Access::Write => "READ WRITE",
    };
    // An id's text is letters, digits and an underscore.
    let text = format!("BEGIN {access}; SET LOCAL passerelle.org = '{org}'");
    begin(pool, doubt, &text).await
}

/// Begins a transaction over every organisation's rows.
pub(super) async fn begin_for_all(
    pool: &AnyPool,
    doubt: &Doubt,
) -> Result<Transaction<'static, Any>, sqlx::Error> {
    begin(pool, doubt, "BEGIN").await
}

/// A connection that died since its last use shows it at its first statement, which has done nothing
/// then. It leaves the pool, those beside it are doubted, and another one begins.
async fn begin(
    pool: &AnyPool,
    doubt: &Doubt,
    text: &str,
) -> Result<Transaction<'static, Any>, sqlx::Error> {
    match pool.begin_with(AssertSqlSafe(text)).await {
        Err(error) if was_dead(&error) => {
            doubt.cast();
            pool.begin_with(AssertSqlSafe(text)).await
        }
        begun => begun,
    }
}

/// Whether the connection was at fault: it broke, or the server had said farewell on it.
fn was_dead(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// The same migration text serves both engines: what SQLite calls blob, PostgreSQL calls bytea.
pub(super) const BLOB: &str = "DO $$ BEGIN CREATE DOMAIN blob AS bytea; \
     EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// One process at a time. It ends with the connection.
const ALONE: &str = "DO $$ BEGIN PERFORM pg_advisory_lock(hashtext('passerelle')); END $$";

/// Row-level security binds the owner, too, so a migration that changes rows would find none, and say
/// nothing. What this opens, `secure_tables` closes again.
pub(super) const LET_THE_OWNER_IN: &str = "DO $$ DECLARE t regclass; BEGIN \
     FOR t IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') \
     AND relnamespace = current_schema()::regnamespace AND row_security_active(oid) LOOP \
     EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', t); COMMIT; END LOOP; END $$";

/// A connection of the store's user, who may not act as anybody yet.
async fn connect(pool: &AnyPool) -> Result<AnyConnection, sqlx::Error> {
    let options = pool.connect_options();
    let connect = AnyConnection::connect_with(&options);
    let connected = tokio::time::timeout(PATIENCE, connect).await;
    connected.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Whether the store's tables can be read as [`system`] reads them.
const MADE: &str = "SELECT count(*) FROM pg_roles WHERE rolname = 'passerelle_system' \
     AND pg_has_role(session_user, oid, 'MEMBER') \
     AND has_table_privilege(oid, to_regclass('vault_check'), 'SELECT') \
     AND has_table_privilege(oid, to_regclass('data_key'), 'SELECT')";

/// Whether the store was made before. Not while another process is making it, nor after one that was
/// killed at it: then there are tables, and nobody may read them yet.
pub(super) async fn is_made(pool: &AnyPool) -> Result<bool, sqlx::Error> {
    let mut conn = connect(pool).await?;
    let made: i64 = sqlx::query_scalar(MADE).fetch_one(&mut conn).await?;
    conn.close().await?;
    Ok(made == 1)
}

/// Brings the schema, the roles and the policies up to date, on a connection of the store's user.
pub(super) async fn migrate(pool: &AnyPool) -> anyhow::Result<()> {
    let mut conn = connect(pool).await?;
    conn.execute(ALONE).await?;
    conn.execute(BLOB).await?;
    make_roles(&mut conn).await?;
    if is_behind(&mut conn).await? {
        conn.execute(LET_THE_OWNER_IN).await?;
    }
    MIGRATIONS.run(&mut conn).await?;
    let mut own: Migrator = sqlx::migrate!("../migrations/postgres");
    own.dangerous_set_table_name("_sqlx_migrations_postgres");
    own.run(&mut conn).await?;
    let secured = conn.execute("CALL secure_tables()").await;
    secured.context("putting the tables behind row-level security")?;
    Ok(conn.close().await?)
}

/// Whether a migration that both engines have is still to be run.
async fn is_behind(conn: &mut AnyConnection) -> anyhow::Result<bool> {
    const TABLE: &str = "_sqlx_migrations";
    conn.ensure_migrations_table(TABLE).await?;
    let applied = conn.list_applied_migrations(TABLE).await?;
    let is_new = |version| applied.iter().all(|done| done.version != version);
    Ok(MIGRATIONS.iter().any(|migration| is_new(migration.version)))
}

/// `passerelle_roles` passes nothing on by itself: without it, the store's user would be subject to
/// the policies of both roles, and see every row.
const ROLES: [&str; 5] = [
    "CREATE ROLE passerelle_app NOLOGIN",
    "CREATE ROLE passerelle_system NOLOGIN",
    "CREATE ROLE passerelle_roles NOLOGIN NOINHERIT",
    "GRANT passerelle_app, passerelle_system TO passerelle_roles",
    "GRANT passerelle_roles TO SESSION_USER",
];

/// Makes the roles, and this user one who may act as them, unless that is so already. Roles belong
/// to the server: processes of other stores may be making them at this moment.
async fn make_roles(conn: &mut AnyConnection) -> anyhow::Result<()> {
    if may_act(conn).await.is_ok() {
        return Ok(());
    }
    for statement in ROLES {
        if let Err(error) = conn.execute(statement).await {
            // Made before, or just now by another: what counts is the look below.
            tracing::debug!(%error, statement, "a role was not made");
        }
    }
    let Err(error) = may_act(conn).await else {
        return Ok(());
    };
    let user: String = sqlx::query_scalar("SELECT quote_ident(session_user)")
        .fetch_one(conn)
        .await?;
    let all = ROLES.join("; ").replace("SESSION_USER", &user);
    Err(anyhow::Error::from(error)).with_context(|| {
        format!("the store's user may not make the roles that keep organisations apart; have an administrator of the server run, once: {all};")
    })
}

async fn may_act(conn: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let act = "SET ROLE passerelle_app; SET ROLE passerelle_system; RESET ROLE";
    conn.execute(act).await.map(drop)
}
