//! Reading and writing the rows of a session's keys, each call in a task of its own.
//!
//! The library may begin a call and then wait for another one without going on with the first: its syncs of app state
//! do. What the first one holds, such as a connection to the database or its turn to write, the second one may need.

use std::{future::Future, pin::Pin, sync::Arc, task::Poll, time::Duration};

use futures_util::{future::ready, poll};
use sqlx::{FromRow, any::AnyRow};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::{JoinError, unconstrained},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument as _;
use wacore::store::error::{Result, StoreError};

use super::sql::Statement;
use crate::{
    crash,
    lease::{Lease, LeaseError},
    store::{self, Dialect, Store},
};

/// Pause between two attempts while the database does not answer.
const OUTAGE: Duration = Duration::from_millis(500);

/// A place in the queue of writes.
type Turn = Pin<Box<dyn Future<Output = OwnedMutexGuard<()>> + Send>>;

/// The rows of one session's keys.
pub(super) struct Rows {
    pub(super) lease: Lease,
    store: Store,
    lost: CancellationToken,
    stop: CancellationToken,
    /// Held by each write until it is done. The library may write the same row twice at once. On
    /// PostgreSQL each write has its own connection, so without this lock the older value could be
    /// written last.
    writing: Arc<Mutex<()>>,
}

impl Rows {
    pub(super) fn new(
        store: Store,
        lease: Lease,
        lost: CancellationToken,
        stop: CancellationToken,
    ) -> Self {
        Self {
            lease,
            store,
            lost,
            stop,
            writing: Arc::default(),
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.store.dialect()
    }

    /// Runs the statements in one transaction under the lease. Returns the number of changed rows.
    pub(super) async fn execute(self: &Arc<Self>, statements: Vec<Statement>) -> Result<u64> {
        if statements.is_empty() {
            return Ok(0);
        }
        let (rows, turn) = (Arc::clone(self), self.queue_to_write().await);
        on_its_own(async move { rows.write_all(turn, statements).await }).await
    }

    async fn write_all(&self, turn: Turn, statements: Vec<Statement>) -> Result<u64> {
        let _first_come = self.wait_for(turn).await?;
        self.patiently(|| {
            let (lease, statements) = (self.lease.clone(), statements.clone());
            self.store.write(lease.org, move |tx| {
                Box::pin(async move {
                    lease.check(tx).await?;
                    let mut changed = 0;
                    for statement in statements {
                        changed += statement.query().execute(tx.conn()).await?.rows_affected();
                    }
                    crash::point("keys.before_commit");
                    Ok(changed)
                })
            })
        })
        .await
        .inspect(|_| crash::point("keys.after_commit"))
    }

    /// Takes a place behind the earlier writes. Their tasks may run in any order.
    async fn queue_to_write(&self) -> Turn {
        let turn = Arc::clone(&self.writing).lock_owned();
        let mut turn: Turn = Box::pin(unconstrained(turn));
        // The first poll takes the place.
        match poll!(turn.as_mut()) {
            Poll::Ready(first) => Box::pin(ready(first)),
            Poll::Pending => turn,
        }
    }

    /// Waits for the earlier writes. Fails at once if the lease is lost.
    async fn wait_for(&self, turn: Turn) -> Result<OwnedMutexGuard<()>> {
        let turn = turn.await;
        if self.lost.is_cancelled() {
            return Err(StoreError::Database(Box::new(LeaseError::Lost)));
        }
        Ok(turn)
    }

    pub(super) async fn fetch<R>(self: &Arc<Self>, statement: Statement) -> Result<Vec<R>>
    where
        R: for<'r> FromRow<'r, AnyRow> + Send + 'static,
    {
        let keys = Arc::clone(self);
        let read = async move {
            keys.patiently(async || {
                let mut conn = keys.store.read(keys.lease.org).await?;
                let rows = statement.query().fetch_all(&mut *conn).await?;
                Ok(rows.iter().map(R::from_row).collect::<sqlx::Result<_>>()?)
            })
            .await
        };
        on_its_own(read).await
    }

    pub(super) async fn fetch_one<R>(self: &Arc<Self>, statement: Statement) -> Result<Option<R>>
    where
        R: for<'r> FromRow<'r, AnyRow> + Send + 'static,
    {
        let keys = Arc::clone(self);
        let read = async move {
            keys.patiently(async || {
                let mut conn = keys.store.read(keys.lease.org).await?;
                let row = statement.query().fetch_optional(&mut *conn).await?;
                Ok(row.as_ref().map(R::from_row).transpose()?)
            })
            .await
        };
        on_its_own(read).await
    }

    /// Retries `work` while the database does not answer. If it returned an error instead, the
    /// library would report to WhatsApp that the message cannot be read, and WhatsApp would stop
    /// delivering it. When waiting must end, `lost` is cancelled before the error is returned, so
    /// nothing more is written to WhatsApp.
    async fn patiently<T, W>(&self, work: impl Fn() -> W) -> Result<T>
    where
        W: Future<Output = std::result::Result<T, LeaseError>>,
    {
        loop {
            let error = match work().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let passes = matches!(&error, LeaseError::Store(error) if store::is_outage(error));
            if passes && !self.lost.is_cancelled() && !self.stop.is_cancelled() {
                tracing::warn!(session.id = %self.lease.session, %error, "the database does not answer; the session's keys wait for it");
                tokio::select! {
                    () = tokio::time::sleep(OUTAGE) => {}
                    () = self.stop.cancelled() => {}
                    () = self.lost.cancelled() => {}
                }
                continue;
            }
            self.lost.cancel();
            return Err(StoreError::Database(Box::new(error)));
        }
    }
}

/// Runs the work to its end, whether or not the caller goes on; ends it if the caller gives it up.
async fn on_its_own<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with the call that waits for it"
    )]
    let task = AbortOnDropHandle::new(tokio::spawn(work.in_current_span()));
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panicked)) => std::panic::resume_unwind(panicked),
        // The process ends.
        Err(Err(ended)) => Err(StoreError::Database(Box::new(ended))),
    }
}
