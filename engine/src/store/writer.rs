//! SQLite's one writer: it runs what has gathered in one transaction, each piece in its own
//! savepoint, and answers every caller after the commit.

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin};

use futures_util::FutureExt as _;
use sqlx::{AnyPool, Executor as _};
use tokio::sync::{mpsc, oneshot};

use super::{Dialect, SystemTx, Tx, Work};

/// Pieces of work the writer commits together at most.
const GATHER: usize = 64;
/// Pieces of work that may wait for the writer; further callers wait to hand theirs over.
const WAITING: usize = 1024;

/// Where pieces of work are handed over.
#[derive(Clone, Debug)]
pub(super) struct Writer(mpsc::Sender<Piece>);

impl Writer {
    /// Starts it on its one connection.
    pub(super) fn start(pool: AnyPool) -> Self {
        let (writer, gathered) = mpsc::channel(WAITING);
        spawn_writer(write_gathered(pool, gathered));
        Self(writer)
    }

    /// Has the work done, and returns when it is durable.
    pub(super) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut SystemTx) -> Work<'t, T, E> + Send + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let piece: Piece = Box::new(move |tx| Box::pin(run_piece(work, tx, answer)));
        // The piece is dropped unanswered when the store does not take writes, and when it panics.
        let unanswered = |_| E::from(sqlx::Error::WorkerCrashed);
        let handed_over = self.0.send(piece).await;
        handed_over.map_err(|_| E::from(sqlx::Error::PoolClosed))?;
        answered.await.map_err(unanswered)?
    }
}

/// What a piece leaves behind: whether its statements stay, and how to answer its caller.
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
        tracing::error!(%error, "a commit failed");
    }
    answer_all(ran, &committed.map_err(|error| error.to_string()));
}

/// Runs each piece; whether there is anything to commit.
async fn run_all(
    tx: &mut SystemTx,
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
