//! The store: SQLite or PostgreSQL. Both use the same SQL text.
//!
//! **Writes.** A commit flushes to the disk and is slow; one more row is not. So on SQLite each
//! piece of work goes to a single writer task ([`writer`]), which commits all waiting pieces
//! together. PostgreSQL groups commits by itself, so there each piece of work is its own
//! transaction. In both cases a write returns only when the work is durable.
//!
//! **Tenants.** Work for one organisation goes through [`Store::read`] and [`Store::write`], which
//! take its id. On PostgreSQL, row-level security then limits every statement to the rows of that
//! organisation ([`postgres`]). A few statements serve all organisations at once. They need a
//! [`SystemTx`] or a [`SystemRead`], which only [`Store::write_system`] and [`Store::read_system`]
//! provide.

mod address;
mod migrations;
mod postgres;
mod writer;

use std::{
    future::Future,
    ops::{Deref, DerefMut},
    pin::Pin,
    time::Duration,
};

use anyhow::Context as _;
use sqlx::{
    Any, AnyConnection, AnyPool, Connection as _, Executor as _, Transaction, any::AnyPoolOptions,
    pool::PoolConnection,
};

pub use self::{
    address::{Address, AddressError, has_certificate, is_this_machine},
    postgres::pooler::PoolerError,
};
use self::{
    migrations::MIGRATIONS,
    postgres::{
        Access, Server,
        lending::{Whose, lends_no_more},
    },
    writer::Writer,
};
use crate::{certificate, clock::Millis, ids::OrgId};

/// The database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// One file, used by one process.
    Sqlite,
    /// A server, used by any number of processes.
    Postgres,
}

/// PostgreSQL: the server ended a transaction that was idle for too long.
const IDLE_TOO_LONG: &str = "25P03";
/// PostgreSQL: the server ended a statement that took too long, or was told to.
const CANCELED: &str = "57014";
/// PostgreSQL: the server is a read-only standby, for example during a failover.
const READ_ONLY: &str = "25006";

/// Returns whether the same statement may succeed later: the database is not reachable, shuts down,
/// is full, or rolled a transaction back because of another one.
pub fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| passes(&code)),
        _ => false,
    }
}

/// The longest time that a query of one organisation may take. PostgreSQL ends it. On SQLite a query cannot be
/// ended from outside: who waits for it has to stop, and its connection then leaves the pool.
pub const QUERY_MAX: Duration = Duration::from_secs(5);

/// Returns whether PostgreSQL ended a query that took longer than [`QUERY_MAX`].
pub fn is_query_timeout(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.code().as_deref() == Some(CANCELED))
}

/// Returns whether the code means a temporary error. PostgreSQL's codes have five characters, of
/// which the first two are the class. SQLite's codes are numbers: the lowest eight bits are the
/// primary result code.
fn passes(code: &str) -> bool {
    if code.len() == 5 && !code.starts_with("00") {
        // Connection, login, catalogue, transaction rollback, resources, operator intervention,
        // system error.
        let classes = ["08", "28", "3D", "40", "53", "57", "58"];
        return [READ_ONLY, IDLE_TOO_LONG].contains(&code) || classes.contains(&&code[..2]);
    }
    // Busy, locked, out of memory, read-only, I/O error, full, cannot open.
    let primary = code.parse::<u32>().map(|code| code & 0xff);
    matches!(primary, Ok(5..=8 | 10 | 13 | 14))
}

/// The future of one piece of work.
pub type Work<'t, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 't>>;

/// The open store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store(Engine);

#[derive(Clone, Debug)]
enum Engine {
    Sqlite {
        /// For queries of one organisation.
        reads: AnyPool,
        /// For queries on the rows of all organisations. Apart from the others, so that no tenant's query
        /// holds up the look-up of a key.
        system: AnyPool,
        /// The task that makes all writes, on a connection of its own.
        writer: Writer,
        writes: AnyPool,
    },
    Postgres(Server),
}

/// A write transaction, or the part of one that belongs to a piece of work.
pub struct Tx {
    transaction: Transaction<'static, Any>,
    dialect: Dialect,
}

/// A write transaction that sees the rows of all organisations.
pub struct SystemTx(Tx);

impl Deref for SystemTx {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.0
    }
}

impl DerefMut for SystemTx {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.0
    }
}

/// A connection that reads the rows of one organisation.
pub struct Read(Reading);

enum Reading {
    Sqlite(PoolConnection<Any>),
    /// A read-only transaction for one organisation. When the connection is released, the pool
    /// tests it, and the rollback is sent together with that test.
    Postgres(Transaction<'static, Any>),
}

impl Read {
    /// Releases a connection on which a query may still run, and waits until it is over. On SQLite nobody can end it, so
    /// another connection takes the place of this one at once.
    pub async fn discard(self) {
        let over = match self.0 {
            Reading::Sqlite(conn) => conn.detach().close().await,
            Reading::Postgres(transaction) => transaction.rollback().await,
        };
        if let Err(error) = over {
            tracing::debug!(%error, "a connection whose query was given up has ended");
        }
    }
}

impl Deref for Read {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match &self.0 {
            Reading::Sqlite(conn) => conn,
            Reading::Postgres(transaction) => transaction,
        }
    }
}

impl DerefMut for Read {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match &mut self.0 {
            Reading::Sqlite(conn) => conn,
            Reading::Postgres(transaction) => transaction,
        }
    }
}

/// A connection that reads the rows of all organisations.
pub struct SystemRead(PoolConnection<Any>);

impl Deref for SystemRead {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.0
    }
}

impl DerefMut for SystemRead {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.0
    }
}

impl Tx {
    /// Returns which database engine this is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns the connection to run statements on.
    pub fn conn(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    /// Returns the database's time now, in milliseconds UTC. It is not the time at which the
    /// transaction started.
    pub async fn now(&mut self) -> Result<Millis, sqlx::Error> {
        let dialect = self.dialect;
        now(dialect, self.conn()).await
    }
}

// The two engines have no common expression for the current time. These are macros because
// `concat!` does not accept constants.
macro_rules! now_on_sqlite {
    () => {
        "CAST(unixepoch('now', 'subsec') * 1000 AS bigint)"
    };
}
macro_rules! now_on_postgres {
    () => {
        "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
    };
}
pub(crate) use {now_on_postgres, now_on_sqlite};

/// Builds a statement over a list. `$1` is bound to one JSON array; between the two parts it
/// becomes a table with one row per element, in a column `value`. Neither engine can bind a list in
/// another way, and each has its own function for reading JSON arrays.
#[macro_export]
macro_rules! over_list {
    ($dialect:expr, $before:expr, $after:expr) => {
        match $dialect {
            $crate::store::Dialect::Sqlite => concat!($before, " json_each($1) ", $after),
            $crate::store::Dialect::Postgres => {
                concat!($before, " json_array_elements(CAST($1 AS json)) ", $after)
            }
        }
    };
}

/// Returns the database's time now, in milliseconds UTC, on any connection.
pub async fn now(dialect: Dialect, conn: &mut AnyConnection) -> Result<Millis, sqlx::Error> {
    let sql = match dialect {
        Dialect::Sqlite => concat!("SELECT ", now_on_sqlite!()),
        Dialect::Postgres => concat!("SELECT ", now_on_postgres!()),
    };
    sqlx::query_scalar(sql).fetch_one(conn).await
}

impl Store {
    /// Opens `sqlite:PATH`, which is created if missing, or `postgres://…`. Does not migrate.
    pub async fn open(url: &str) -> Result<Self, sqlx::Error> {
        Self::open_with(url, 32).await
    }

    /// As [`Store::open`], with a limit on the number of connections to PostgreSQL. The minimum is
    /// two.
    pub async fn open_with(url: &str, connections: u32) -> Result<Self, sqlx::Error> {
        let address = Address::parse(url, None, false);
        let address = address.map_err(|error| sqlx::Error::Configuration(error.into()))?;
        Self::open_at(&address, connections).await
    }

    /// As [`Store::open_with`], for a checked address.
    pub async fn open_at(address: &Address, connections: u32) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        if address::is_sqlite(&address.url) {
            return Self::open_sqlite(&address.url).await;
        }
        Ok(Self(Engine::Postgres(Server::new(address, connections)?)))
    }

    async fn open_sqlite(url: &str) -> Result<Self, sqlx::Error> {
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{separator}mode=rwc");
        let writes = sqlite_pool(1, WRITING).connect(&url).await?;
        let reads = sqlite_pool(4, READING).connect(&url).await?;
        let system = sqlite_pool(4, READING).connect(&url).await?;
        Ok(Self(Engine::Sqlite {
            reads,
            system,
            writer: Writer::start(writes.clone()),
            writes,
        }))
    }

    /// Fails if a pooler in front of PostgreSQL does not leave its connections to us. Writes nothing.
    pub async fn check_pooler(&self) -> anyhow::Result<()> {
        match &self.0 {
            Engine::Sqlite { .. } => Ok(()),
            Engine::Postgres(server) => postgres::pooler::check(&server.system).await,
        }
    }

    /// Returns whether opening or migrating failed because the server could not be reached or
    /// accepts no connections now. Retrying may help. A missing file, user or database is a
    /// different error.
    pub fn is_away(error: &anyhow::Error) -> bool {
        let mut causes = error.chain();
        causes.any(|cause| match cause.downcast_ref() {
            Some(error @ sqlx::Error::Io(_)) => certificate::refusal(error).is_none(),
            Some(error) if lends_no_more(error) => true,
            Some(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                // Connection, resources, operator intervention.
                code.len() == 5 && ["08", "53", "57"].contains(&&code[..2])
            }),
            _ => false,
        })
    }

    /// Returns why TLS to the server failed, if that is why opening or migrating failed.
    pub fn tls_refusal(error: &anyhow::Error) -> Option<String> {
        let mut causes = error.chain();
        causes.find_map(|cause| match cause.downcast_ref() {
            Some(sqlx::Error::Tls(tls)) => Some(
                certificate::refusal(&**tls)
                    .unwrap_or_else(|| format!("the connection cannot be encrypted ({tls})")),
            ),
            Some(error @ sqlx::Error::Io(_)) => certificate::refusal(error),
            _ => None,
        })
    }

    /// Returns which database engine this is.
    pub fn dialect(&self) -> Dialect {
        match self.0 {
            Engine::Sqlite { .. } => Dialect::Sqlite,
            Engine::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Returns whether the store exists: a first migration has run to its end.
    pub async fn is_made(&self) -> Result<bool, sqlx::Error> {
        match &self.0 {
            Engine::Sqlite { reads, .. } => {
                let made = "SELECT count(*) FROM sqlite_master WHERE name = 'vault_check'";
                let made: i64 = sqlx::query_scalar(made).fetch_one(reads).await?;
                Ok(made == 1)
            }
            Engine::Postgres(server) => {
                postgres::migrate::is_made(&server.system, server.schema.as_ref()).await
            }
        }
    }

    /// Brings the schema up to date. Running it again changes nothing.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        match &self.0 {
            Engine::Sqlite { writes, .. } => Ok(MIGRATIONS.run(writes).await?),
            Engine::Postgres(server) => {
                postgres::migrate::run(&server.system, server.schema.as_ref()).await?;
                let warm = server.warm_up().await;
                warm.context(
                    "opening a connection for each of the two roles: at least two are needed",
                )
            }
        }
    }

    /// Returns a connection that reads the rows of one organisation. Do not begin a transaction on
    /// it.
    pub async fn read(&self, org: OrgId) -> Result<Read, sqlx::Error> {
        Ok(Read(match &self.0 {
            Engine::Sqlite { reads, .. } => Reading::Sqlite(reads.acquire().await?),
            Engine::Postgres(server) => {
                Reading::Postgres(postgres::begin_for(server, Access::Read, org).await?)
            }
        }))
    }

    /// Returns a connection that reads the rows of all organisations. Do not begin a transaction on
    /// it.
    pub async fn read_system(&self) -> Result<SystemRead, sqlx::Error> {
        Ok(SystemRead(match &self.0 {
            Engine::Sqlite { system, .. } => system.acquire().await?,
            Engine::Postgres(server) => server.acquire(Whose::System).await?,
        }))
    }

    /// Runs `work` in a transaction on the rows of one organisation, and returns when it is
    /// durable. If `work` fails, only its own statements are rolled back. `work` must not wait for
    /// anything except the database.
    pub async fn write<T, E, F>(&self, org: OrgId, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        self.write_with(Access::Write, org, work).await
    }

    /// As [`Store::write`], for a request whose caller waits. PostgreSQL ends a statement that takes longer than
    /// [`QUERY_MAX`], and nothing is changed. Not for what writes any number of rows: it would never succeed.
    pub async fn write_in_time<T, E, F>(&self, org: OrgId, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        self.write_with(Access::WriteInTime, org, work).await
    }

    async fn write_with<T, E, F>(&self, access: Access, org: OrgId, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        let server = match &self.0 {
            Engine::Sqlite { writer, .. } => return writer.write(move |tx| work(&mut tx.0)).await,
            Engine::Postgres(server) => server,
        };
        let mut tx = Tx {
            transaction: postgres::begin_for(server, access, org).await?,
            dialect: Dialect::Postgres,
        };
        let done = work(&mut tx).await?;
        tx.transaction.commit().await?;
        Ok(done)
    }

    /// As [`Store::write`], on the rows of all organisations.
    pub async fn write_system<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut SystemTx) -> Work<'t, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        let server = match &self.0 {
            Engine::Sqlite { writer, .. } => return writer.write(work).await,
            Engine::Postgres(server) => server,
        };
        let mut tx = SystemTx(Tx {
            transaction: postgres::begin_for_all(server).await?,
            dialect: Dialect::Postgres,
        });
        let done = work(&mut tx).await?;
        tx.0.transaction.commit().await?;
        Ok(done)
    }

    /// Checks that the database answers.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        let server = match &self.0 {
            Engine::Sqlite { reads, .. } => {
                return sqlx::query("SELECT 1").execute(reads).await.map(drop);
            }
            Engine::Postgres(server) => server,
        };
        let asked = async {
            let mut conn = server.acquire(Whose::Tenants).await?;
            sqlx::query("SELECT 1").execute(&mut *conn).await
        };
        let answered = asked.await;
        if answered.is_err() {
            server.doubt.cast();
        }
        answered.map(drop)
    }

    /// Waits for running work and closes all connections.
    pub async fn close(&self) {
        let (reads, writes) = self.pools();
        writes.close().await;
        if let Engine::Sqlite { system, .. } = &self.0 {
            system.close().await;
        }
        reads.close().await;
    }

    /// Returns the pool for reads of one organisation, and the one for writes of all.
    fn pools(&self) -> (&AnyPool, &AnyPool) {
        match &self.0 {
            Engine::Sqlite { reads, writes, .. } => (reads, writes),
            Engine::Postgres(server) => (&server.tenants, &server.system),
        }
    }
}

/// WAL and FULL: when a commit returns, it is on the disk; readers do not wait for the writer. What is
/// deleted is overwritten with zeros.
const WRITING: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;";

/// As [`WRITING`], but writes are refused: only [`Store::write`] may write.
const READING: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA query_only = ON;";

fn sqlite_pool(connections: u32, pragmas: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        // A connection to a local file does not die while it is idle.
        .test_before_acquire(false)
        .after_connect(move |conn, _| {
            Box::pin(async move {
                conn.execute(pragmas).await?;
                Ok(())
            })
        })
}

#[cfg(test)]
pub(crate) mod round_trip_tests;
#[cfg(test)]
mod tenant_tests;
#[cfg(test)]
mod tests;
