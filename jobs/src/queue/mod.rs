//! Queues: rows of the store as an apalis backend. Only this module names apalis.
//!
//! | page | what it holds |
//! |---|---|
//! | here | [`JobSource`], what a queue asks of its rows, and [`SqlQueue`], the backend over it |
//! | [`worker`] | runs one worker until it is stopped |
//! | [`tokens`], [`transport`] | queues whose jobs travel in a cluster, and how: as tokens through Redis |
//!
//! The row is the job. A claim is committed before the job runs, and the handler commits the outcome. So
//! apalis holds no state that matters, and a crash loses nothing. The queue looks for work when it is
//! woken, when the next row becomes due, and after one second at the latest; a lost wake-up therefore
//! costs a second. It claims only as many jobs as it has free slots: no claimed job waits in a buffer.

pub mod job_result;
pub(crate) mod tokens;
pub(crate) mod transport;
pub mod worker;

#[cfg(test)]
mod tests;

use std::{
    fmt::Debug,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use apalis_codec::json::JsonCodec;
use apalis_core::{
    backend::{
        Backend, BackendConfig,
        finalize::Ephemeral,
        persistence::{Persisted, Persistence, State, TaskEvent, TaskPersistLayer},
    },
    task::{Task, builder::TaskBuilder, task_id::TaskId},
    worker::context::WorkerContext,
};
use futures_util::FutureExt as _;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::job_result::Failure;

/// The longest rest between two looks: the cost of a lost wake-up.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// The pause after the store failed, or after due rows could not be claimed.
const BACK_OFF: Duration = Duration::from_millis(200);
/// How often apalis marks the worker as alive. Nothing of ours depends on it.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Rows of the store that are jobs.
pub trait JobSource: Send + Sync + 'static {
    /// What the handler receives: ids, never contents.
    type Job: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + Unpin + 'static;

    /// The queue's name in worker names and logs.
    const NAME: &'static str;

    /// Claims at most `k` due rows and commits the claim. Returns each job with its row's id.
    fn claim(
        &self,
        k: usize,
    ) -> impl Future<Output = anyhow::Result<Vec<(String, Self::Job)>>> + Send;

    /// Commits a failed run that the handler did not commit, so that a row that always fails comes to an end.
    /// Reads nothing that may be unreadable. Does nothing if the row was settled since.
    fn record(
        &self,
        job: Self::Job,
        failure: Failure,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Returns how long until a row can be claimed: zero if one can be now, `None` if none is known.
    /// Only reads; called before every claim.
    fn next_due(&self) -> impl Future<Output = anyhow::Result<Option<Duration>>> + Send;
}

/// A [`JobSource`] as an apalis backend. After `stop` is cancelled it ends once everything claimed has
/// run.
pub struct SqlQueue<S: JobSource> {
    claims: Persisted<Claims<S>>,
    wake: Arc<Notify>,
    /// Pending while the queue rests.
    rest: Option<Rest>,
    stopped: Rest,
}

type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<S: JobSource> SqlQueue<S> {
    /// Makes a queue that runs at most `slots` jobs at once; `wake` makes it look.
    pub fn new(source: Arc<S>, wake: Arc<Notify>, slots: usize, stop: CancellationToken) -> Self {
        let claims = Claims {
            source,
            slots,
            rest_ms: Arc::default(),
        };
        Self {
            claims: Persisted::new(claims),
            wake,
            rest: None,
            stopped: Box::pin(stop.cancelled_owned()),
        }
    }

    /// Returns whether no look is running and no claimed job is waiting.
    fn is_idle(&self) -> bool {
        matches!(self.claims.state(), State::Ready)
    }

    fn rest(&self) -> Rest {
        let woken = Arc::clone(&self.wake).notified_owned();
        let rest = Duration::from_millis(self.claims.rest_ms.load(Ordering::Relaxed));
        Box::pin(async move {
            tokio::select! {
                () = woken => {}
                () = tokio::time::sleep(rest) => {}
            }
        })
    }
}

/// The queue waits out a failing store and never reports it to apalis, which would end the worker.
#[derive(Debug, thiserror::Error)]
pub enum Never {}

impl<S: JobSource> Backend for SqlQueue<S> {
    type Task = Task<S::Job>;
    type Error = Never;

    fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Never>> {
        self.claims.poll_ready(cx, worker, HEARTBEAT)
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Never>>> {
        loop {
            if self.is_idle() {
                if self.stopped.as_mut().poll(cx).is_ready() {
                    // It stops between two claims: no claim is dropped half way, and every claimed job
                    // has been handed out.
                    drop(worker.stop());
                    return Poll::Ready(None);
                }
                if let Some(rest) = &mut self.rest {
                    ready!(rest.as_mut().poll(cx));
                    self.rest = None;
                }
            }
            match self.claims.poll_next(cx, worker) {
                Poll::Pending if self.is_idle() => self.rest = Some(self.rest()),
                polled => return polled,
            }
        }
    }

    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Never>> {
        self.claims.poll_close(cx, worker)
    }
}

impl<S: JobSource> BackendConfig for SqlQueue<S> {
    type Args = S::Job;
    type Id = String;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = TaskPersistLayer<JsonCodec<Value>, Value>;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Self::Layer {
        // Neither locks nor results: the handler's own transaction covers both.
        self.claims.layer(JsonCodec::default(), 1)
    }
}

/// Gives [`Persisted`] access to the rows.
pub struct Claims<S> {
    source: Arc<S>,
    slots: usize,
    /// How long to rest after a look that found nothing, in milliseconds.
    rest_ms: Arc<AtomicU64>,
}

impl<S> Clone for Claims<S> {
    fn clone(&self) -> Self {
        Self {
            source: Arc::clone(&self.source),
            slots: self.slots,
            rest_ms: Arc::clone(&self.rest_ms),
        }
    }
}

impl<S: JobSource> Claims<S> {
    /// Asks when work is due, and claims it if that is now. An empty result means: rest.
    async fn look(&self, running: usize) -> anyhow::Result<Vec<(String, S::Job)>> {
        let due = self.source.next_due().await?.unwrap_or(LONGEST_REST);
        if !due.is_zero() {
            self.rest_for(due.min(LONGEST_REST));
            return Ok(Vec::new());
        }
        let jobs = self
            .source
            .claim(self.slots.saturating_sub(running))
            .await?;
        if jobs.is_empty() {
            self.rest_for(BACK_OFF);
        }
        Ok(jobs)
    }

    fn rest_for(&self, rest: Duration) {
        // Rounded up, because a timer that fires early would find nothing.
        let ms = rest.as_micros().div_ceil(1000);
        self.rest_ms
            .store(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl<S: JobSource> Persistence for Claims<S> {
    type Compact = S::Job;
    type Response = Value;
    type Error = Never;

    async fn register(&mut self, _: &WorkerContext) -> Result<(), Never> {
        Ok(())
    }

    async fn heartbeat(&mut self, _: &WorkerContext) -> Result<(), Never> {
        Ok(())
    }

    async fn fetch_next(&mut self, worker: &WorkerContext) -> Result<Vec<Task<S::Job>>, Never> {
        let look = AssertUnwindSafe(self.look(worker.task_count())).catch_unwind();
        let error = match look.await {
            Ok(Ok(jobs)) => return Ok(jobs.into_iter().map(task).collect()),
            Ok(Err(error)) => error,
            Err(_) => anyhow::anyhow!("the look panicked"),
        };
        tracing::error!(
            queue = S::NAME,
            error = format!("{error:#}"),
            "looking for work failed"
        );
        // A plain sleep, which no wake-up cuts short: wake-ups continue while a store is down.
        tokio::time::sleep(BACK_OFF).await;
        self.rest_for(Duration::ZERO);
        Ok(Vec::new())
    }

    async fn reenqueue_abandoned(
        &mut self,
        tasks: Vec<Task<S::Job>>,
        _: &WorkerContext,
    ) -> Result<u64, Never> {
        // The worker stops only between claims. If a job were left here, its claim would lapse.
        Ok(tasks.len() as u64)
    }

    async fn handle_events(
        &mut self,
        _: Vec<TaskEvent<Value>>,
        _: &WorkerContext,
    ) -> Result<(), Never> {
        Ok(())
    }

    async fn push_tasks(&mut self, _: Vec<Task<S::Job>>) -> Result<(), Never> {
        // Rows are written in the transaction that creates the work, never through the queue.
        Ok(())
    }
}

fn task<J>((id, job): (String, J)) -> Task<J> {
    TaskBuilder::new(job)
        .task_id(TaskId::from_string(id))
        .build()
}
