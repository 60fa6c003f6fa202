//! The queue of deliveries: a due row is claimed with a token or without one. Due times are wall time: a
//! step of the clock moves retries, nothing else.

use std::time::Duration;

use passerelle_engine::{clock::Millis, ids::DeliveryId};

use super::deliver::{DeliverWebhook, Deliverer};
use crate::{
    crash,
    error::Fault,
    model::{token::RowToken, until},
    queue::{
        JobSource,
        job_result::{Failure, JobResult},
        tokens::Travels,
    },
    store::system::{
        delivery_claims,
        dispatches::{DELIVERIES, Rows},
    },
};

/// The most attempts that a worker makes at once.
pub const ATTEMPTS_AT_ONCE: usize = 64;
/// A claim lapses after this time. It is longer than any attempt can take, so its worker must be dead.
const LAPSE_MS: Millis = 25_000;

impl JobSource for Deliverer {
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

    async fn record(&self, job: DeliverWebhook, failure: Failure) -> anyhow::Result<()> {
        Ok(self.give_up(job, failure).await?)
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        let now = self.clock.now();
        let mut conn = self.store.read_system().await?;
        let next = delivery_claims::next_at(&mut conn, now).await?;
        Ok(next.map(|at| until(at, now)))
    }
}

impl Travels for Deliverer {
    const KIND: &'static str = "deliver_webhook";
    const CONCURRENCY: usize = ATTEMPTS_AT_ONCE;
    const TIMEOUT: Duration = Duration::from_secs(20);
    const LOOK: Duration = Duration::from_millis(250);
    const ROWS: Rows = DELIVERIES;

    type Id = DeliveryId;

    async fn claim_by_token(
        &self,
        token: RowToken<DeliveryId>,
    ) -> Result<Option<DeliverWebhook>, Fault> {
        let now = self.clock.now();
        let claim = self.store.write_system(move |tx| {
            Box::pin(async move {
                let org = DELIVERIES.claim(tx, token, (now, now + LAPSE_MS)).await?;
                crash::point("delivery.token.before_commit");
                Ok::<_, Fault>(org)
            })
        });
        let org = claim.await?;
        Ok(org.map(|org| DeliverWebhook {
            delivery: token.id,
            org,
        }))
    }

    async fn perform(&self, job: DeliverWebhook) -> JobResult {
        self.deliver(job).await
    }
}
