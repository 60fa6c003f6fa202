//! The store: SQLite or PostgreSQL, one SQL text for both.
//!
//! **Writes.** A commit costs a flush, a row does not. On SQLite each piece of work therefore goes
//! to one writer task ([`writer`]), which commits together whatever has gathered. PostgreSQL groups
//! commits by itself, so there each piece is a transaction of its own. Either way a write returns
//! only when the work is durable.
//!
//! **Tenants.** Work for one organisation is done through [`Store::read`] and [`Store::write`], which
//! name it; on PostgreSQL row-level security then shows and takes that organisation's rows alone
//! ([`postgres`]). The few statements that serve every organisation at once demand a [`SystemTx`] or
//! a [`SystemRead`], which only [`Store::write_system`] and [`Store::read_system`] give.

mod postgres;
mod writer;

use std::{
    future::Future,
    ops::{Deref, DerefMut},
    pin::Pin,
    time::Duration,
};

use sqlx::{
    Any, AnyConnection, AnyPool, Executor as _, Transaction, any::AnyPoolOptions,
    migrate::Migrator, pool::PoolConnection,
};

use self::{
    postgres::{Access, Doubt},
    writer::Writer,
};
use crate::{clock::Millis, ids::OrgId};

/// Which database answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// One file, one process.
    Sqlite,
    /// A server, many processes.
    Postgres,
}

/// PostgreSQL: the server ended a transaction in which nothing was asked for too long.
const IDLE_TOO_LONG: &str = "25P03";
/// PostgreSQL: the server is a standby for as long as a failover takes.
const READ_ONLY: &str = "25006";

/// Whether the database could not do it at this moment, so that the same statement may work later:
/// it is not reached, goes down, is full, or had to undo a transaction for another's sake.
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

/// PostgreSQL's classes of errors (five characters) and SQLite's primary result codes (a number
/// with further bits above the lowest eight) that pass.
fn passes(code: &str) -> bool {
    if code.len() == 5 && !code.starts_with("00") {
        // Connection, login, catalogue, transaction rollback, resources, operator intervention, system.
        let classes = ["08", "28", "3D", "40", "53", "57", "58"];
        return [READ_ONLY, IDLE_TOO_LONG].contains(&code) || classes.contains(&&code[..2]);
    }
    // Busy, locked, no memory, read-only, I/O error, full, cannot open.
    let primary = code.parse::<u32>().map(|code| code & 0xff);
    matches!(primary, Ok(5..=8 | 10 | 13 | 14))
}

/// A piece of work's future.
pub type Work<'t, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 't>>;

/// The open store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    dialect: Dialect,
    /// Reads of one organisation; on PostgreSQL its writes, too.
    reads: AnyPool,
    /// What serves every organisation; on SQLite its writes, and everybody's.
    system: AnyPool,
    /// On SQLite every write goes through it.
    writer: Option<Writer>,
    /// Of PostgreSQL's connections.
    doubt: Doubt,
}

/// A write transaction, or a piece's part of one.
pub struct Tx {
    transaction: Transaction<'static, Any>,
    dialect: Dialect,
}

/// A write transaction that sees every organisation's rows.
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
    /// Read only, and of one tenant. It is rolled back with the test that its release makes anyway.
    Postgres(Transaction<'static, Any>),
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

/// A connection that reads every organisation's rows.
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
    /// Which database answers.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The connection to run statements on.
    pub fn conn(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    /// The database's clock now, not the transaction's start.
    pub async fn now(&mut self) -> Result<Millis, sqlx::Error> {
        let dialect = self.dialect;
        now(dialect, self.conn()).await
    }
}

// The engines have no common text for the present moment. Macros, for `concat!` takes no constants.
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

/// The text of a statement over a list: `$1` is bound to one JSON array, and stands between the two
/// parts as a table with a column `value` for each of its elements. Neither engine takes a list
/// otherwise, and each has its own word for reading one.
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

/// The database's clock, read on any connection.
pub async fn now(dialect: Dialect, conn: &mut AnyConnection) -> Result<Millis, sqlx::Error> {
    let sql = match dialect {
        Dialect::Sqlite => concat!("SELECT ", now_on_sqlite!()),
        Dialect::Postgres => concat!("SELECT ", now_on_postgres!()),
    };
    sqlx::query_scalar(sql).fetch_one(conn).await
}

impl Store {
    /// Opens `sqlite:PATH` (made when missing) or `postgres://…`. Does not migrate.
    pub async fn open(url: &str) -> Result<Self, sqlx::Error> {
        Self::open_with(url, 32).await
    }

    /// As [`Store::open`], with at most so many connections to PostgreSQL, of which there are two at
    /// least.
    pub async fn open_with(url: &str, connections: u32) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        if url.starts_with("sqlite:") {
            Self::open_sqlite(url).await
        } else {
            Self::open_postgres(url, connections)
        }
    }

    async fn open_sqlite(url: &str) -> Result<Self, sqlx::Error> {
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{separator}mode=rwc");
        let writes = sqlite_pool(1, WRITING).connect(&url).await?;
        let reads = sqlite_pool(4, READING).connect(&url).await?;
        Ok(Self {
            dialect: Dialect::Sqlite,
            reads,
            writer: Some(Writer::start(writes.clone())),
            system: writes,
            doubt: Doubt::default(),
        })
    }

    fn open_postgres(url: &str, connections: u32) -> Result<Self, sqlx::Error> {
        // Most work is an organisation's.
        let system = (connections / 4).max(1);
        let doubt = Doubt::default();
        Ok(Self {
            dialect: Dialect::Postgres,
            reads: postgres::tenants(url, connections.saturating_sub(system).max(1), &doubt)?,
            system: postgres::system(url, system, &doubt)?,
            writer: None,
            doubt,
        })
    }

    /// Whether opening or migrating failed because the server was not reached, or takes nobody at the
    /// moment: it may be there later. A file, a user or a database that is not there is another matter.
    pub fn is_away(error: &anyhow::Error) -> bool {
        let mut causes = error.chain();
        causes.any(|cause| match cause.downcast_ref() {
            Some(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut) => true,
            Some(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
                // Connection, resources, operator intervention.
                code.len() == 5 && ["08", "53", "57"].contains(&&code[..2])
            }),
            _ => false,
        })
    }

    /// Which database answers.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the store was made before, by a first migration that came to its end.
    pub async fn is_made(&self) -> Result<bool, sqlx::Error> {
        match self.dialect {
            Dialect::Sqlite => {
                let made = "SELECT count(*) FROM sqlite_master WHERE name = 'vault_check'";
                let made: i64 = sqlx::query_scalar(made).fetch_one(&self.reads).await?;
                Ok(made == 1)
            }
            Dialect::Postgres => postgres::is_made(&self.system).await,
        }
    }

    /// Brings the schema up to date; a second run does nothing.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        match self.dialect {
            Dialect::Sqlite => Ok(MIGRATIONS.run(&self.system).await?),
            Dialect::Postgres => postgres::migrate(&self.system).await,
        }
    }

    /// A connection for reading the rows of one organisation. Never begin a transaction on it.
    pub async fn read(&self, org: OrgId) -> Result<Read, sqlx::Error> {
        Ok(Read(match self.dialect {
            Dialect::Sqlite => Reading::Sqlite(self.reads.acquire().await?),
            Dialect::Postgres => Reading::Postgres(
                postgres::begin_for(&self.reads, &self.doubt, Access::Read, org).await?,
            ),
        }))
    }

    /// A connection for reading every organisation's rows. Never begin a transaction on it.
    pub async fn read_system(&self) -> Result<SystemRead, sqlx::Error> {
        let pool = match self.dialect {
            Dialect::Sqlite => &self.reads,
            Dialect::Postgres => &self.system,
        };
        Ok(SystemRead(pool.acquire().await?))
    }

    /// Runs `work` on the rows of one organisation in a transaction and returns when it is durable.
    /// An error from `work` undoes its statements and nobody else's. `work` must not wait for
    /// anything but the database.
    pub async fn write<T, E, F>(&self, org: OrgId, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        if let Some(writer) = &self.writer {
            return writer.write(move |tx| work(&mut tx.0)).await;
        }
        let mut tx = Tx {
            transaction: postgres::begin_for(&self.reads, &self.doubt, Access::Write, org).await?,
            dialect: self.dialect,
        };
        let done = work(&mut tx).await?;
        tx.transaction.commit().await?;
        Ok(done)
    }

    /// As [`Store::write`], on every organisation's rows.
    pub async fn write_system<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut SystemTx) -> Work<'t, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        if let Some(writer) = &self.writer {
            return writer.write(work).await;
        }
        let mut tx = SystemTx(Tx {
            transaction: postgres::begin_for_all(&self.system, &self.doubt).await?,
            dialect: self.dialect,
        });
        let done = work(&mut tx).await?;
        tx.0.transaction.commit().await?;
        Ok(done)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        let asked = async {
            let mut conn = self.reads.acquire().await?;
            sqlx::query("SELECT 1").execute(&mut *conn).await
        };
        let answered = asked.await;
        if answered.is_err() {
            self.doubt.cast();
        }
        answered.map(drop)
    }

    /// Waits for the work at hand and closes every connection.
    pub async fn close(&self) {
        self.system.close().await;
        self.reads.close().await;
    }
}

/// What both engines have. What only PostgreSQL has is another set, in [`postgres`].
static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// WAL and FULL: a commit is on the disk when it returns, and readers do not wait for the writer.
const WRITING: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;";

/// As [`WRITING`], and refusing to write: only [`Store::write`] does.
const READING: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA query_only = ON;";

fn sqlite_pool(connections: u32, pragmas: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        // A connection to a file of our own does not die while it lies idle.
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
