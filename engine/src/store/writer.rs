//! SQLite's single writer. It runs all waiting pieces of work in one transaction, each in its own
//! savepoint, and answers the callers after the commit.

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin};

use futures_util::FutureExt as _;
use sqlx::{Any, AnyPool, Executor as _, Transaction};
use tokio::sync::{mpsc, oneshot};

use super::{Dialect, SystemTx, Tx, Work};

/// Maximum number of pieces in one commit.
const GATHER: usize = 64;
/// Maximum number of pieces in the queue. When it is full, callers wait to add theirs.
const WAITING: usize = 1024;

/// The writer's queue.
#[derive(Clone, Debug)]
pub(super) struct Writer(mpsc::Sender<Piece>);

impl Writer {
    /// Starts the writer on its only connection.
    pub(super) fn start(pool: AnyPool) -> Self {
        let (writer, gathered) = mpsc::channel(WAITING);
        spawn_writer(write_gathered(pool, gathered));
        Self(writer)
    }

    /// Queues the work, and returns when it is durable.
    pub(super) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut SystemTx) -> Work<'t, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let piece: Piece = Box::new(move |tx| Box::pin(run_piece(work, tx, answer)));
        // The answer is dropped if the store accepts no writes, or if the piece panics.
        let unanswered = |_| E::from(sqlx::Error::WorkerCrashed);
        let handed_over = self.0.send(piece).await;
        handed_over.map_err(|_| E::from(sqlx::Error::PoolClosed))?;
        answered.await.map_err(unanswered)?
    }
}

/// The outcome of a piece: whether its statements are kept, and how to answer its caller.
struct Ran {
    keep: bool,
    answer: Box<dyn FnOnce(Result<(), String>) + Send>,
}

type Piece = Box<
    dyn for<'t> FnOnce(&'t mut SystemTx) -> Pin<Box<dyn Future<Output = Ran> + Send + 't>> + Send,
>;

async fn run_piece<T, E, F>(
    work: F,
    tx: &mut SystemTx,
    answer: oneshot::Sender<Result<T, E>>,
) -> Ran
where
    F: for<'t> FnOnce(&'t mut SystemTx) -> Work<'t, T, E> + Send + 'static,
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
            // The caller may be gone. The work is kept anyway.
            drop(answer.send(result));
        }),
    }
}

/// Runs waiting pieces until the last `Store` is dropped.
async fn write_gathered(pool: AnyPool, mut gathered: mpsc::Receiver<Piece>) {
    let mut batch = Vec::with_capacity(GATHER);
    while gathered.recv_many(&mut batch, GATHER).await > 0 {
        commit_together(&pool, &mut batch).await;
        // Dropping a piece that did not run answers its caller with an error.
        batch.clear();
    }
}

/// Runs the pieces in one transaction. If a piece fails or panics, only that piece is rolled back.
async fn commit_together(pool: &AnyPool, pieces: &mut Vec<Piece>) {
    let transaction = match begin(pool).await {
        Ok(transaction) => transaction,
        Err(error) => {
            return tracing::error!(%error, "could not begin a transaction; the store accepts no writes");
        }
    };
    let mut tx = SystemTx(Tx {
        transaction,
        dialect: Dialect::Sqlite,
    });
    let mut ran = Vec::with_capacity(pieces.len());
    let committed = match run_all(&mut tx, pieces, &mut ran).await {
        Ok(true) => tx.0.transaction.commit().await,
        Ok(false) => tx.0.transaction.rollback().await,
        Err(error) => Err(error),
    };
    if let Err(error) = &committed {
        tracing::error!(%error, "could not commit");
    }
    answer_all(ran, &committed.map_err(|error| error.to_string()));
}

/// Begins a transaction. SQLite rolls one back by itself when the disk is full, and sqlx goes on to count it:
/// then the connection is replaced.
async fn begin(pool: &AnyPool) -> Result<Transaction<'static, Any>, sqlx::Error> {
    const BEGIN: &str = "BEGIN IMMEDIATE";
    match pool.begin_with(BEGIN).await {
        Err(sqlx::Error::InvalidSavePointStatement) => {
            tracing::warn!("the connection that writes is replaced");
            pool.acquire().await?.close().await?;
            pool.begin_with(BEGIN).await
        }
        begun => begun,
    }
}

/// Runs each piece. Returns whether there is anything to commit.
async fn run_all(
    tx: &mut SystemTx,
    pieces: &mut Vec<Piece>,
    ran: &mut Vec<Ran>,
) -> Result<bool, sqlx::Error> {
    if pieces.len() == 1 {
        // A single piece is the whole transaction and needs no savepoint.
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

/// Runs one piece. Returns whether to keep its statements. If it panics, its caller gets an error.
async fn run_one(tx: &mut SystemTx, piece: Piece, ran: &mut Vec<Ran>) -> bool {
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
    reason = "the writer outlives every tracker, because shutdown itself writes; it ends with the last store"
)]
fn spawn_writer(writer: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(writer));
}

fn answer_all(ran: Vec<Ran>, committed: &Result<(), String>) {
    for piece in ran {
        (piece.answer)(committed.clone());
    }
}
