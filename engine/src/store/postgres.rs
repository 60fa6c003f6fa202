//! PostgreSQL only: row-level security, under roles that own no tables.
//!
//! The user of the store's address connects and migrates. Statements run as the role
//! `passerelle_app` or `passerelle_system`, each on its own connections: if the role changed
//! between transactions, the server would have to plan every prepared statement again. The
//! organisation is set together with `BEGIN` and ends with the transaction, so the next user of the
//! connection does not see it.

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

/// A connection that was idle for longer is tested before it is used.
const IDLE: Duration = Duration::from_secs(1);
/// Maximum time to wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs on every new connection. If a process hangs or is cut off from the network, the server
/// releases its locks after five seconds, because a takeover of its sessions waits for them. The
/// search path is resolved before the role changes, because `"$user"` in it means the current role.
/// Commits are always flushed to the disk, whatever the server's default is.
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

/// When a connection was last found dead. Connections that have been idle since before that time
/// may be dead too: after a restart of the server, most of a pool is.
#[derive(Debug, Clone, Default)]
pub(super) struct Doubt(Arc<Mutex<Option<Instant>>>);

impl Doubt {
    /// Records that a connection was found dead.
    pub(super) fn cast(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    /// Returns whether a connection that was idle for this long must be tested before it is used.
    fn falls_on(&self, idle_for: Duration) -> bool {
        let cast = *self.0.lock();
        idle_for > IDLE || cast.is_some_and(|at| at.elapsed() <= idle_for)
    }
}

/// Connections for transactions that each name an organisation.
pub(super) fn tenants(url: &str, connections: u32, doubt: &Doubt) -> Result<AnyPool, sqlx::Error> {
    pool(connections, session!("passerelle_app"), doubt).connect_lazy(url)
}

/// Connections that see the rows of all organisations.
pub(super) fn system(url: &str, connections: u32, doubt: &Doubt) -> Result<AnyPool, sqlx::Error> {
    pool(connections, session!("passerelle_system"), doubt).connect_lazy(url)
}

fn pool(connections: u32, session: &'static str, doubt: &Doubt) -> AnyPoolOptions {
    let doubt = doubt.clone();
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        // The pool tests a connection at every release, so only an idle one can have died since.
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

/// Whether a transaction may change rows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    /// It may only read.
    Read,
    /// It may read and write.
    Write,
}

/// Begins a transaction on the rows of one organisation. The organisation is sent in the same
/// message as `BEGIN`, because a separate round trip would slow down every transaction. A cancelled
/// caller may have left an open transaction on the connection; this `BEGIN` then continues it, so
/// access mode and organisation are always set.
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
    // The text of an id has only letters, digits and an underscore.
    let text = format!("BEGIN {access}; SET LOCAL passerelle.org = '{org}'");
    begin(pool, doubt, &text).await
}

/// Begins a transaction on the rows of all organisations.
pub(super) async fn begin_for_all(
    pool: &AnyPool,
    doubt: &Doubt,
) -> Result<Transaction<'static, Any>, sqlx::Error> {
    begin(pool, doubt, "BEGIN").await
}

/// Begins a transaction. If the connection died while idle, this first statement fails without any
/// effect. Then the connection leaves the pool, the others are tested before use, and the
/// transaction begins on another one.
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

/// Returns whether the connection was at fault: it broke, or the server had closed it.
fn was_dead(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

/// Lets both engines run the same migrations: SQLite's type blob is PostgreSQL's bytea.
pub(super) const BLOB: &str = "DO $$ BEGIN CREATE DOMAIN blob AS bytea; \
     EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// Lets one process migrate at a time. The lock is released when the connection closes.
const ALONE: &str = "DO $$ BEGIN PERFORM pg_advisory_lock(hashtext('passerelle')); END $$";

/// Row-level security applies to the owner too, so a migration that changes rows would silently
/// find none. This switches it off for the owner; `secure_tables` switches it on again.
pub(super) const LET_THE_OWNER_IN: &str = "DO $$ DECLARE t regclass; BEGIN \
     FOR t IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') \
     AND relnamespace = current_schema()::regnamespace AND row_security_active(oid) LOOP \
     EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', t); COMMIT; END LOOP; END $$";

/// Returns a connection as the store's user, without any role set.
async fn connect(pool: &AnyPool) -> Result<AnyConnection, sqlx::Error> {
    let options = pool.connect_options();
    let connect = AnyConnection::connect_with(&options);
    let connected = tokio::time::timeout(PATIENCE, connect).await;
    connected.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Counts one if `passerelle_system` exists and may read the store's tables, as [`system`] does.
const MADE: &str = "SELECT count(*) FROM pg_roles WHERE rolname = 'passerelle_system' \
     AND pg_has_role(session_user, oid, 'MEMBER') \
     AND has_table_privilege(oid, to_regclass('vault_check'), 'SELECT') \
     AND has_table_privilege(oid, to_regclass('data_key'), 'SELECT')";

/// Returns whether the store exists. Returns false while another process is creating it, and after
/// a process was killed while creating it: the tables are there, but nobody may read them yet.
pub(super) async fn is_made(pool: &AnyPool) -> Result<bool, sqlx::Error> {
    let mut conn = connect(pool).await?;
    let made: i64 = sqlx::query_scalar(MADE).fetch_one(&mut conn).await?;
    conn.close().await?;
    Ok(made == 1)
}

/// Brings schema, roles and policies up to date, on a connection of the store's user.
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

/// Returns whether a migration for both engines has not run yet.
async fn is_behind(conn: &mut AnyConnection) -> anyhow::Result<bool> {
    const TABLE: &str = "_sqlx_migrations";
    conn.ensure_migrations_table(TABLE).await?;
    let applied = conn.list_applied_migrations(TABLE).await?;
    let is_new = |version| applied.iter().all(|done| done.version != version);
    Ok(MIGRATIONS.iter().any(|migration| is_new(migration.version)))
}

/// `passerelle_roles` does not inherit. If it did, the policies of both roles would apply to the
/// store's user, who would see every row.
const ROLES: [&str; 5] = [
    "CREATE ROLE passerelle_app NOLOGIN",
    "CREATE ROLE passerelle_system NOLOGIN",
    "CREATE ROLE passerelle_roles NOLOGIN NOINHERIT",
    "GRANT passerelle_app, passerelle_system TO passerelle_roles",
    "GRANT passerelle_roles TO SESSION_USER",
];

/// Creates the roles and allows this user to switch to them, unless that is already so. Roles
/// belong to the whole server, so another process may be creating them at the same time.
async fn make_roles(conn: &mut AnyConnection) -> anyhow::Result<()> {
    if may_act(conn).await.is_ok() {
        return Ok(());
    }
    for statement in ROLES {
        if let Err(error) = conn.execute(statement).await {
            // It may exist already. The check below decides.
            tracing::debug!(%error, statement, "could not create a role");
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
        format!("the store's user may not create the roles that separate organisations; ask an administrator of the server to run this once: {all};")
    })
}

async fn may_act(conn: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let act = "SET ROLE passerelle_app; SET ROLE passerelle_system; RESET ROLE";
    conn.execute(act).await.map(drop)
}
