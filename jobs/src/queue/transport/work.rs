//! Takes tokens from Redis and runs their jobs: one apalis worker under its monitor.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use apalis::prelude::{Monitor, WorkerBuilder, WorkerBuilderExt as _};
use apalis_core::backend::ext::BackendExt as _;
use apalis_redis::{ConnectionManager, RedisStorage};
use tokio::sync::Notify;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use super::{
    keys::Keys,
    pulse::Pulse,
    token::{Forgiving, Token},
};
use crate::{
    model::token::RowToken,
    queue::{
        tokens::Travels,
        worker::{self, WakeOnEnd},
    },
};

/// How often a worker is restarted on one connection. After that a new connection is made, after a
/// pause.
const RESTARTS: usize = 3;
/// The pause of a slot after the store failed.
const BACK_OFF: Duration = Duration::from_millis(200);
/// How much longer the worker's own limit is than the job's, so that the job's limit always comes first.
const BEYOND: Duration = Duration::from_secs(10);

/// The worker's side of the queue.
pub(super) struct Work<K> {
    pub(super) kind: Arc<K>,
    /// Notified when a job has ended, because a row may be due.
    pub(super) wake: Arc<Notify>,
    /// Notified after a push.
    pub(super) pushed: Arc<Notify>,
    pub(super) tasks: TaskTracker,
    /// Cancels every job.
    pub(super) cut: CancellationToken,
    pub(super) names: Names,
}

/// The names of this process's workers. A name is never reused: apalis refuses a name that it considers
/// alive, and treats two workers of one name as one.
pub(super) struct Names {
    process: String,
    started: AtomicUsize,
}

impl Names {
    /// Makes names for `queue`. `host` is this host, `boot` this start of the process.
    pub(super) fn new(queue: &str, host: &str, boot: &str) -> Self {
        Self {
            process: format!("{queue}-{host}-{boot}"),
            started: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> String {
        let start = self.started.fetch_add(1, Ordering::Relaxed);
        format!("{}-{start}", self.process)
    }

    /// Returns the worker that is running, or ran last.
    pub(super) fn current(&self) -> String {
        let started = self.started.load(Ordering::Relaxed);
        format!("{}-{}", self.process, started.saturating_sub(1))
    }
}

/// Returns the worker, not yet running. `restarted` is called at each restart.
pub(super) fn monitor<K: Travels>(
    work: &Arc<Work<K>>,
    keys: &Keys,
    conn: &ConnectionManager,
    restarted: impl Fn() + Send + Sync + 'static,
) -> Monitor {
    let (work, config, conn) = (Arc::clone(work), keys.config().clone(), conn.clone());
    Monitor::new()
        .register(move |_| {
            let storage = RedisStorage::<Token>::new(conn.clone())
                .with_config(config.clone())
                .with_codec(Forgiving)
                .poll_with_strategy(Pulse::new(K::LOOK, Arc::clone(&work.pushed)));
            let work = Arc::clone(&work);
            WorkerBuilder::new(work.names.next().as_str())
                .backend(storage)
                .catch_panic()
                .concurrency(K::CONCURRENCY)
                .timeout(K::TIMEOUT + BEYOND)
                .build(move |token: Token| Arc::clone(&work).take(token))
        })
        .should_restart(move |worker, error| {
            metrics::counter!("passerelle_token_worker_restarts_total", "queue" => K::NAME)
                .increment(1);
            tracing::error!(worker = worker.name(), %error, "a token worker ended and is restarted");
            restarted();
            worker.restarts() < RESTARTS
        })
}

impl<K: Travels> Work<K> {
    /// Takes a token and runs its job in a task of its own, which outlives the worker. An error means
    /// that the job committed nothing.
    async fn take(self: Arc<Self>, token: Token) -> anyhow::Result<()> {
        let Some(known) = token.known::<K>() else {
            metrics::counter!("passerelle_tokens_unknown_total", "queue" => K::NAME).increment(1);
            tracing::warn!(
                version = token.version(),
                queue = K::NAME,
                "a token of another version is skipped; its row is dispatched again"
            );
            return Ok(());
        };
        let tasks = self.tasks.clone();
        let done = tasks.spawn(async move {
            let _wake = WakeOnEnd(Arc::clone(&self.wake));
            tokio::select! {
                done = self.work(known, &token) => done,
                () = self.cut.cancelled() => Ok(()),
            }
        });
        match done.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let text = format!("{error:#}");
                tracing::error!(
                    queue = K::NAME,
                    error = text,
                    "a token's job committed nothing"
                );
                tokio::time::sleep(BACK_OFF).await;
                Err(error)
            }
            // The job's claim lapses, if there was one.
            Err(error) => {
                tracing::error!(queue = K::NAME, %error, "a claim with a token panicked");
                Ok(())
            }
        }
    }

    async fn work(&self, known: RowToken<K::Id>, token: &Token) -> anyhow::Result<()> {
        let claim = self.kind.claim_by_token(known);
        let Some(job) = claim.await.context("claiming a row")? else {
            metrics::counter!("passerelle_tokens_stale_total", "queue" => K::NAME).increment(1);
            tracing::debug!(
                queue = K::NAME,
                row.id = %known.id,
                generation = known.generation,
                dispatched.by = token.trace(),
                "a token claimed nothing: it is stale or repeated, or its group has no room"
            );
            return Ok(());
        };
        let running = {
            let (kind, job) = (Arc::clone(&self.kind), job.clone());
            self.tasks.spawn(async move { kind.perform(job).await })
        };
        let running = AbortOnDropHandle::new(running);
        worker::finish(&*self.kind, job, K::TIMEOUT, running).await
    }
}
