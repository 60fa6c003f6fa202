//! The store: one pool over SQLite or PostgreSQL, one SQL text for both, and on SQLite the one
//! writer that commits together whatever has gathered.
//!
//! A commit costs a flush, a row does not. On SQLite each piece of work therefore goes to one
//! writer task, which runs what has gathered in one transaction, each piece in its own savepoint,
//! and answers every caller after the commit. PostgreSQL groups commits by itself, so there each
//! piece is a transaction of its own. Either way `write` returns only when the work is durable.

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin, time::Duration};

use futures_util::FutureExt as _;
use sqlx::{
    Any, AnyConnection, AnyPool, Connection as _, Executor as _, Transaction, any::AnyPoolOptions,
    pool::PoolConnection,
};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Millis;

/// Pieces of work the writer commits together at most.
const GATHER: usize = 64;
/// Pieces of work that may wait for the writer; further callers wait to hand theirs over.
const WAITING: usize = 1024;

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
    reads: AnyPool,
    writer: Option<mpsc::Sender<Piece>>,
    writes: AnyPool,
}

/// A write transaction, or a piece's part of one.
pub struct Tx {
    transaction: Transaction<'static, Any>,
    dialect: Dialect,
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
    ($dialect:expr, $before:literal, $after:literal) => {
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
        sqlx::any::install_default_drivers();
        if url.starts_with("sqlite:") {
            Self::open_sqlite(url).await
        } else {
            Self::open_postgres(url)
        }
    }

    async fn open_sqlite(url: &str) -> Result<Self, sqlx::Error> {
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{separator}mode=rwc");
        let writes = sqlite_pool(1, WRITING).connect(&url).await?;
        let reads = sqlite_pool(4, READING).connect(&url).await?;
        let (writer, gathered) = mpsc::channel(WAITING);
        spawn_writer(write_gathered(writes.clone(), gathered));
        Ok(Self {
            dialect: Dialect::Sqlite,
            reads,
            writer: Some(writer),
            writes,
        })
    }

    fn open_postgres(url: &str) -> Result<Self, sqlx::Error> {
        let pool = AnyPoolOptions::new()
            .max_connections(32)
            .acquire_timeout(Duration::from_secs(5))
            // Every release is tested; only a connection that lay idle may have died since.
            .test_before_acquire(false)
            .before_acquire(|conn, lain| {
                Box::pin(async move {
                    if lain.idle_for > Duration::from_secs(1) {
                        conn.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(|conn, _| {
                Box::pin(async move {
                    conn.execute(FORSAKEN).await?;
                    Ok(())
                })
            })
            .connect_lazy(url)?;
        Ok(Self {
            dialect: Dialect::Postgres,
            reads: pool.clone(),
            writer: None,
            writes: pool,
        })
    }

    /// Which database answers.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Brings the schema up to date; a second run does nothing.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        if self.dialect == Dialect::Postgres {
            // The same migration text serves both engines: what SQLite calls blob, PostgreSQL calls bytea.
            self.writes
                .execute(
                    "DO $$ BEGIN CREATE DOMAIN blob AS bytea; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
                )
                .await?;
        }
        sqlx::migrate!("../migrations").run(&self.writes).await?;
        Ok(())
    }

    /// A connection for reading. Never begin a transaction on it.
    pub async fn read(&self) -> Result<PoolConnection<Any>, sqlx::Error> {
        self.reads.acquire().await
    }

    /// Runs `work` in a transaction and returns when it is durable. An error from `work` undoes
    /// its statements and nobody else's. `work` must not wait for anything but the database.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        let Some(writer) = &self.writer else {
            return self.write_alone(work).await;
        };
        let (answer, answered) = oneshot::channel();
        let piece: Piece = Box::new(move |tx| Box::pin(run_piece(work, tx, answer)));
        // The piece is dropped unanswered when the store does not take writes, and when it panics.
        let unanswered = |_| E::from(sqlx::Error::WorkerCrashed);
        let handed_over = writer.send(piece).await;
        handed_over.map_err(|_| E::from(sqlx::Error::PoolClosed))?;
        answered.await.map_err(unanswered)?
    }

    async fn write_alone<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T, E>,
        E: From<sqlx::Error>,
    {
        let mut tx = Tx {
            transaction: self.writes.begin().await?,
            dialect: self.dialect,
        };
        let done = work(&mut tx).await?;
        tx.transaction.commit().await?;
        Ok(done)
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        let mut conn = self.read().await?;
        sqlx::query("SELECT 1").execute(&mut *conn).await?;
        Ok(())
    }

    /// Waits for the work at hand and closes every connection.
    pub async fn close(&self) {
        self.writes.close().await;
        self.reads.close().await;
    }
}

/// A process that stands still, or that the network cut off, keeps its locks no longer than this: a
/// takeover of its sessions waits for them.
const FORSAKEN: &str = "SET idle_in_transaction_session_timeout = 5000";

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

/// What a piece leaves behind: whether its statements stay, and how to answer its caller.
struct Ran {
    keep: bool,
    answer: Box<dyn FnOnce(Result<(), String>) + Send>,
}

type Piece =
    Box<dyn for<'t> FnOnce(&'t mut Tx) -> Pin<Box<dyn Future<Output = Ran> + Send + 't>> + Send>;

async fn run_piece<T, E, F>(work: F, tx: &mut Tx, answer: oneshot::Sender<Result<T, E>>) -> Ran
where
    F: for<'t> FnOnce(&'t mut Tx) -> Work<'t, T, E> + Send + 'static,
    T: Send + 'static,
    E: From<sqlx::Error> + Send + 'static,
{
    let result = work(tx).await;
    Ran {
        keep: result.is_ok(),
        answer: Box::new(move |committed| {
            let result = match committed {
                Ok(()) => result,
                Err(why) => result.and_then(|_| Err(E::from(sqlx::Error::Protocol(why)))),
            };
            // The caller may have gone away; the work stands all the same.
            drop(answer.send(result));
        }),
    }
}

/// Runs what has gathered, until the last `Store` is dropped.
async fn write_gathered(pool: AnyPool, mut gathered: mpsc::Receiver<Piece>) {
    let mut batch = Vec::with_capacity(GATHER);
    while gathered.recv_many(&mut batch, GATHER).await > 0 {
        commit_together(&pool, &mut batch).await;
        // Whatever was not run is dropped, which answers its caller with an error.
        batch.clear();
    }
}

/// Runs the pieces in one transaction. A piece that fails or panics is undone alone.
async fn commit_together(pool: &AnyPool, pieces: &mut Vec<Piece>) {
    let transaction = match pool.begin_with("BEGIN IMMEDIATE").await {
        Ok(transaction) => transaction,
        Err(error) => return tracing::error!(%error, "the store does not take writes"),
    };
    let mut tx = Tx {
        transaction,
        dialect: Dialect::Sqlite,
    };
    let mut ran = Vec::with_capacity(pieces.len());
    let committed = match run_all(&mut tx, pieces, &mut ran).await {
        Ok(true) => tx.transaction.commit().await,
        Ok(false) => tx.transaction.rollback().await,
        Err(error) => Err(error),
    };
    if let Err(error) = &committed {
        tracing::error!(%error, "a commit failed");
    }
    answer_all(ran, &committed.map_err(|error| error.to_string()));
}

/// Runs each piece; whether there is anything to commit.
async fn run_all(
    tx: &mut Tx,
    pieces: &mut Vec<Piece>,
    ran: &mut Vec<Ran>,
) -> Result<bool, sqlx::Error> {
    if pieces.len() == 1 {
        // Alone, a piece is the transaction and needs no savepoint.
        let kept = run_one(tx, pieces.remove(0), ran).await;
        return Ok(kept);
    }
    let mut any = false;
    tx.conn().execute("SAVEPOINT piece").await?;
    for piece in pieces.drain(..) {
        let kept = run_one(tx, piece, ran).await;
        any |= kept;
        let next = if kept {
            "RELEASE piece; SAVEPOINT piece"
        } else {
            "ROLLBACK TO piece"
        };
        tx.conn().execute(next).await?;
    }
    tx.conn().execute("RELEASE piece").await?;
    Ok(any)
}

/// Runs one piece; whether its statements are to stay. One that panics drops its caller's answer.
async fn run_one(tx: &mut Tx, piece: Piece, ran: &mut Vec<Ran>) -> bool {
    let done = AssertUnwindSafe(piece(tx)).catch_unwind().await;
    let Ok(done) = done else {
        tracing::error!("a piece of work panicked");
        return false;
    };
    let kept = done.keep;
    ran.push(done);
    kept
}

#[expect(
    clippy::disallowed_methods,
    reason = "the writer outlives every tracker, for shutdown itself writes; it ends with the last store"
)]
fn spawn_writer(writer: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(writer));
}

fn answer_all(ran: Vec<Ran>, committed: &Result<(), String>) {
    for piece in ran {
        (piece.answer)(committed.clone());
    }
}

#[cfg(test)]
mod tests;
