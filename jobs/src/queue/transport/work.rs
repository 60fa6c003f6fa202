//! Takes tokens from Redis and makes their attempts: one apalis worker under its monitor.

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
use passerelle_engine::{
    clock::{Clock, Millis},
    store::Store,
};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    keys::Keys,
    pulse::Pulse,
    token::{Forgiving, Known, Token},
};
use crate::{
    crash,
    error::Fault,
    queue::{
        tokens::{CONCURRENCY, LAPSE_MS, TIMEOUT},
        worker::WakeOnEnd,
    },
    store::system::dispatches,
    webhook::deliver::{DeliverWebhook, Deliverer},
};

/// Times a worker starts again on one connection. Then the connection is made anew, after a pause.
const RESTARTS: usize = 3;
/// The pause of a slot when the store failed.
const BACK_OFF: Duration = Duration::from_millis(200);
/// The worker's own limit. The attempt has ended before, by its own.
const SLOT: Duration = Duration::from_secs(30);

/// The worker's side of the queue.
pub(super) struct Work {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) deliverer: Arc<Deliverer>,
    /// A delivery may be due: an attempt has ended.
    pub(super) wake: Arc<Notify>,
    /// A token was pushed.
    pub(super) pushed: Arc<Notify>,
    pub(super) tasks: TaskTracker,
    /// Cuts off every attempt.
    pub(super) cut: CancellationToken,
    pub(super) names: Names,
}

/// The names of this process's workers. A name is never used twice: apalis refuses one that it
/// believes alive, and takes two workers of one name for one.
pub(super) struct Names {
    process: String,
    started: AtomicUsize,
}

impl Names {
    /// Of the process that was started as `host` and names this start of it `boot`.
    pub(super) fn new(host: &str, boot: &str) -> Self {
        Self {
            process: format!("webhook-{host}-{boot}"),
            started: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> String {
        let start = self.started.fetch_add(1, Ordering::Relaxed);
        format!("{}-{start}", self.process)
    }

    /// The worker that runs, or ran last.
    pub(super) fn current(&self) -> String {
        let started = self.started.load(Ordering::Relaxed);
        format!("{}-{}", self.process, started.saturating_sub(1))
    }
}

/// The worker, not yet running. `restarted` hears each restart.
pub(super) fn monitor(
    work: &Arc<Work>,
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
                .poll_with_strategy(Pulse::new(Arc::clone(&work.pushed)));
            let work = Arc::clone(&work);
            WorkerBuilder::new(work.names.next().as_str())
                .backend(storage)
                .catch_panic()
                .concurrency(CONCURRENCY)
                .timeout(SLOT)
                .build(move |token: Token| Arc::clone(&work).take(token))
        })
        .should_restart(move |worker, error| {
            metrics::counter!("passerelle_token_worker_restarts_total").increment(1);
            tracing::error!(worker = worker.name(), %error, "a token worker ended and starts again");
            restarted();
            worker.restarts() < RESTARTS
        })
}

impl Work {
    /// Takes a token: its attempt is made by a task of its own, which a worker that ends does not cut
    /// off. An error means that the store failed.
    async fn take(self: Arc<Self>, token: Token) -> anyhow::Result<()> {
        let Some(known) = token.known() else {
            metrics::counter!("passerelle_tokens_unknown_total").increment(1);
            tracing::warn!(
                version = token.version(),
                "a token of another version is passed over: its delivery is dispatched again"
            );
            return Ok(());
        };
        let tasks = self.tasks.clone();
        let done = tasks.spawn(async move {
            let _wake = WakeOnEnd(Arc::clone(&self.wake));
            tokio::select! {
                done = self.attempt(known, &token) => done,
                () = self.cut.cancelled() => Ok(()),
            }
        });
        match done.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "a token did not settle its delivery"
                );
                tokio::time::sleep(BACK_OFF).await;
                Err(error)
            }
            // Its claim lapses.
            Err(error) => {
                tracing::error!(%error, "an attempt panicked");
                Ok(())
            }
        }
    }

    async fn attempt(&self, known: Known, token: &Token) -> anyhow::Result<()> {
        let Some(job) = self.claim(known).await.context("claiming a delivery")? else {
            metrics::counter!("passerelle_tokens_stale_total").increment(1);
            tracing::debug!(
                delivery.id = %known.delivery,
                generation = known.generation,
                dispatched.by = token.trace(),
                "a token claimed nothing: it is not the last one, or came twice"
            );
            return Ok(());
        };
        let made = tokio::time::timeout(TIMEOUT, self.deliverer.deliver(job)).await;
        made.unwrap_or_else(|_| {
            tracing::error!(delivery.id = %known.delivery, "an attempt took too long");
            Ok(())
        })
    }

    async fn claim(&self, known: Known) -> Result<Option<DeliverWebhook>, Fault> {
        let now: Millis = self.clock.now();
        let claim = self.store.write_system(move |tx| {
            Box::pin(async move {
                let Known {
                    delivery,
                    attempts,
                    generation,
                } = known;
                let span = (now, now + LAPSE_MS);
                let org = dispatches::claim(tx, delivery, attempts, generation, span).await?;
                crash::point("delivery.token.before_commit");
                Ok::<_, Fault>(org)
            })
        });
        let org = claim.await?;
        Ok(org.map(|org| DeliverWebhook {
            delivery: known.delivery,
            org,
        }))
    }
}
