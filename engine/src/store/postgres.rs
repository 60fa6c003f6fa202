//! PostgreSQL only: row-level security, under roles that own no tables.
//!
//! The user of the store's address connects and migrates. Statements run as the role
//! `passerelle_app` or `passerelle_system`, each on its own connections: if the role changed
//! between transactions, the server would have to plan every prepared statement again. The
//! organisation is set together with `BEGIN` and ends with the transaction, so the next user of the
//! connection does not see it.

mod connect;
pub(super) mod lending;
pub(super) mod migrate;
pub(super) mod pooler;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use sqlx::{
    Any, AnyPool, AssertSqlSafe, Connection as _, Executor as _, Transaction, any::AnyPoolOptions,
    pool::PoolConnection,
};
use tokio::time::Instant;

use self::lending::{Lending, Whose};
use super::{
    QUERY_MAX,
    address::{Address, Schema},
};
use crate::ids::OrgId;

/// A connection that was idle for longer is tested before it is used.
const IDLE: Duration = Duration::from_secs(1);
/// Maximum time to open one. A pooler that lends no more may let us wait for minutes.
const OPENING: Duration = Duration::from_secs(2);

/// Returns what runs on every new connection. If a process hangs or is cut off from the network, the
/// server releases its locks after five seconds, because a takeover of its sessions waits for them.
/// Without a schema of our own, the search path is resolved before the role changes, because
/// `"$user"` in it means the current role. Commits are always flushed to the disk, whatever the
/// server's default is.
fn session(role: &str, schema: Option<&Schema>) -> String {
    let path = schema.map_or_else(
        || {
            "SELECT set_config('search_path', string_agg(quote_ident(place), ', '), false) \
             FROM unnest(current_schemas(false)) AS place"
                .to_owned()
        },
        |schema| format!("SET search_path TO {}", schema.quoted()),
    );
    format!(
        "SET idle_in_transaction_session_timeout = 5000; SET synchronous_commit = on; \
         {path}; SET ROLE {role}"
    )
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

/// The server, with a pool of connections for each role.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// For transactions that each name an organisation.
    pub(super) tenants: AnyPool,
    /// Sees the rows of all organisations.
    pub(super) system: AnyPool,
    pub(super) schema: Option<Schema>,
    pub(super) doubt: Doubt,
    lending: Arc<Lending>,
}

impl Server {
    /// Prepares the pools. Nothing is connected yet.
    pub(super) fn new(address: &Address, connections: u32) -> Result<Self, sqlx::Error> {
        // Most work is done for one organisation, so most connections are for that.
        let for_system = (connections / 4).max(1);
        let for_tenants = connections.saturating_sub(for_system).max(1);
        let doubt = Doubt::default();
        let open = |role, connections| {
            let session = session(role, address.schema.as_ref());
            pool(connections, session, &doubt).connect_lazy(&address.url)
        };
        let tenants = open("passerelle_app", for_tenants)?;
        let system = open("passerelle_system", for_system)?;
        Ok(Self {
            lending: Lending::new(&tenants, &system),
            tenants,
            system,
            schema: address.schema.clone(),
            doubt,
        })
    }

    /// Returns a connection without a transaction.
    pub(super) async fn acquire(&self, whose: Whose) -> Result<PoolConnection<Any>, sqlx::Error> {
        let pool = self.pool(whose);
        self.lending.take(whose, || pool.acquire()).await
    }

    /// Opens one connection of each role, which stay open.
    pub(super) async fn warm_up(&self) -> Result<(), sqlx::Error> {
        for whose in [Whose::System, Whose::Tenants] {
            drop(self.acquire(whose).await?);
        }
        Ok(())
    }

    fn pool(&self, whose: Whose) -> &AnyPool {
        match whose {
            Whose::Tenants => &self.tenants,
            Whose::System => &self.system,
        }
    }
}

fn pool(connections: u32, session: String, doubt: &Doubt) -> AnyPoolOptions {
    let doubt = doubt.clone();
    let session: Arc<str> = Arc::from(session);
    AnyPoolOptions::new()
        .max_connections(connections)
        // One stays open, so that neither pool takes from the other everything that is lent.
        .min_connections(1)
        .acquire_timeout(OPENING)
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
            let session = Arc::clone(&session);
            Box::pin(async move {
                conn.execute(AssertSqlSafe(session)).await?;
                Ok(())
            })
        })
}

/// Whether a transaction may change rows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    /// It may only read.
    Read,
    /// It may read and write, and each statement may take as long as one that reads.
    WriteInTime,
    /// It may read and write.
    Write,
}

/// Begins a transaction on the rows of one organisation. The organisation is sent in the same
/// message as `BEGIN`, because a separate round trip would slow down every transaction. A cancelled
/// caller may have left an open transaction on the connection; this `BEGIN` then continues it, so
/// access mode, organisation and the longest time of a statement are always set.
pub(super) async fn begin_for(
    server: &Server,
    access: Access,
    org: OrgId,
) -> Result<Transaction<'static, Any>, sqlx::Error> {
    let (access, longest) = match access {
        Access::Read => ("READ ONLY", QUERY_MAX.as_millis().to_string()),
        Access::WriteInTime => ("READ WRITE", QUERY_MAX.as_millis().to_string()),
        Access::Write => ("READ WRITE", "DEFAULT".to_owned()),
    };
    // The text of an id has only letters, digits and an underscore.
    let text = format!(
        "BEGIN {access}; SET LOCAL passerelle.org = '{org}'; SET LOCAL statement_timeout = {longest}"
    );
    begin(server, Whose::Tenants, &text).await
}

/// Begins a transaction on the rows of all organisations.
pub(super) async fn begin_for_all(
    server: &Server,
) -> Result<Transaction<'static, Any>, sqlx::Error> {
    begin(server, Whose::System, "BEGIN").await
}

/// Begins a transaction. If the connection died while idle, this first statement fails without any
/// effect. Then the connection leaves the pool, the others are tested before use, and the
/// transaction begins on another one.
async fn begin(
    server: &Server,
    whose: Whose,
    text: &str,
) -> Result<Transaction<'static, Any>, sqlx::Error> {
    let pool = server.pool(whose);
    let begin = || pool.begin_with(AssertSqlSafe(text));
    match server.lending.take(whose, begin).await {
        Err(error) if was_dead(&error) => {
            server.doubt.cast();
            server.lending.take(whose, begin).await
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
