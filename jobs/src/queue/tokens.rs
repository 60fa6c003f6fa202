//! The queue of webhook deliveries over the store: the delivery row is the job. Where Redis is given it
//! rests as long as the deliveries travel as tokens ([`transport`](super::transport)).

use std::{sync::Arc, time::Duration};

use passerelle_engine::{clock::Clock, store::Store};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Source,
    transport::Link,
    worker::{self, Workload},
};
use crate::{
    crash,
    error::Fault,
    store::system::delivery_claims,
    webhook::deliver::{DeliverWebhook, Deliverer},
};

/// Attempts this process makes at once.
pub(super) const CONCURRENCY: usize = 64;
/// How long an attempt and its commit may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);
/// When a claim lapses because its worker must be dead: later than any attempt can take.
pub(super) const LAPSE_MS: i64 = 25_000;

/// Deliveries as a queue. They go by wall time: a step of the clock moves retries, nothing else.
pub struct Deliveries {
    store: Store,
    clock: Clock,
    link: Arc<Link>,
}

impl Deliveries {
    /// Every organisation's deliveries, as long as they do not travel over `link`.
    pub fn new(store: Store, clock: Clock, link: Arc<Link>) -> Self {
        Self { store, clock, link }
    }
}

impl Source for Deliveries {
    type Job = DeliverWebhook;
    const NAME: &'static str = "webhook";

    async fn claim(&self, k: usize) -> anyhow::Result<Vec<(String, DeliverWebhook)>> {
        let now = self.clock.now();
        let limit = i64::try_from(k)?;
        let claim = self.store.write_system(move |tx| {
            Box::pin(async move {
                let claimed = delivery_claims::claim(tx, now, now + LAPSE_MS, limit).await?;
                if !claimed.is_empty() {
                    crash::point("delivery.claim.before_commit");
                }
                Ok::<_, Fault>(claimed)
            })
        });
        let claimed = claim.await?.into_iter();
        Ok(claimed
            .map(|(org, delivery)| (delivery.to_string(), DeliverWebhook { delivery, org }))
            .collect())
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        if self.link.is_up() {
            return Ok(None);
        }
        let now = self.clock.now();
        let mut conn = self.store.read_system().await?;
        let next = delivery_claims::next_at(&mut conn, now).await?;
        Ok(next.map(|at| Duration::from_millis(u64::try_from(at - now).unwrap_or(0))))
    }
}

/// Delivers webhooks until `stop` is cancelled and the attempts under way have ended. `boot` is
/// unique to this start of the process; `wake` is notified after a commit that emitted an event.
pub async fn run(
    deliveries: Deliveries,
    deliverer: Arc<Deliverer>,
    wake: Arc<Notify>,
    boot: String,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let workload = Workload {
        boot,
        concurrency: CONCURRENCY,
        timeout: TIMEOUT,
    };
    let handle = move |job| {
        let deliverer = Arc::clone(&deliverer);
        async move { deliverer.deliver(job).await }
    };
    worker::run(Arc::new(deliveries), wake, workload, tasks, stop, handle).await;
}
