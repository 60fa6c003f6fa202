//! One attempt of a delivery: load, sign, post, record.
//!
//! The outcome — the attempt, where the delivery stands, how the endpoint does — is one
//! transaction. A crash between the POST and that commit leaves the row claimed; its claim lapses
//! and the same event goes out again under the same id.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use parking_lot::Mutex;
use passerelle_engine::{
    clock::{Clock, Millis},
    ids::{AttemptId, DeliveryId, OrgId},
    store::{Store, Tx},
    vault::{DataKey, Vault, VaultError},
};
use rand::{RngExt as _, rngs::StdRng};
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    client::{self, Deadline, NoReply, Reply},
    guard::{Egress, UrlNotAllowed},
    inline,
    schedule::Schedule,
    sign,
};
use crate::{
    crash,
    error::Fault,
    events::emit::{NewEvent, emit},
    media::objects::Objects,
    model::{
        delivery::{Attempt, DeliveryStatus},
        endpoint::Disabled,
        event::EventType,
    },
    store::{
        deliveries::{self, Load},
        endpoints,
    },
};

/// An endpoint that fails for so long without one success is disabled.
const FAILING_MAX: Duration = Duration::from_hours(5 * 24);

/// The job: ids only, the rest is looked up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliverWebhook {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Whose.
    pub org: OrgId,
}

/// Makes attempts. One per process.
pub struct Deliverer {
    pub(super) store: Store,
    vault: Vault,
    pub(super) clock: Clock,
    egress: Egress,
    objects: Objects,
    client: Client,
    schedule: Schedule,
    chance: Mutex<StdRng>,
}

/// What an attempt says about its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Delivered,
    Failed(Option<Duration>),
    Gone,
}

impl Deliverer {
    /// Over an open store and vault. Fails when the system's TLS roots cannot be read.
    pub fn new(
        store: Store,
        vault: Vault,
        clock: Clock,
        egress: Egress,
        objects: Objects,
        schedule: Schedule,
        chance: StdRng,
    ) -> anyhow::Result<Self> {
        let client = client::client(&egress, Deadline::default()).context("the webhook client")?;
        Ok(Self {
            store,
            vault,
            clock,
            egress,
            objects,
            client,
            schedule,
            chance: Mutex::new(chance),
        })
    }

    /// The same with other deadlines, for tests that must not wait.
    #[cfg(test)]
    pub(crate) fn with_deadline(mut self, deadline: Deadline) -> Self {
        self.client = client::client(&self.egress, deadline).unwrap();
        self
    }

    /// Makes one attempt of a claimed delivery and records it. An error means that nothing was
    /// recorded: the claim lapses and the delivery is tried again.
    pub async fn deliver(&self, job: DeliverWebhook) -> anyhow::Result<()> {
        crash::point("delivery.claimed");
        let key = match self.vault.org_key(job.org).await {
            Ok(key) => key,
            Err(VaultError::NoKey(_)) => return Ok(()),
            Err(error) => return Err(error).context("the organisation's key"),
        };
        let Some(load) = self.load(&key, &job).await.context("loading a delivery")? else {
            tracing::debug!(delivery.id = %job.delivery, "nothing to deliver any more");
            return Ok(());
        };
        let (started_at, began) = (self.clock.now(), self.clock.monotonic());
        let reply = self.post(&key, &job, &load, started_at).await?;
        crash::point("delivery.posted");
        let took = began.elapsed();
        let (verdict, attempt) = self.judge(reply, &load, started_at, took);
        tracing::debug!(
            delivery.id = %job.delivery,
            attempt = attempt.number,
            http.status = attempt.http_status,
            error = attempt.error,
            took_ms = attempt.took_ms,
            "a webhook attempt ended"
        );
        self.record(job, key, &load, attempt, verdict)
            .await
            .context("recording an attempt")
    }

    async fn load(&self, key: &DataKey, job: &DeliverWebhook) -> Result<Option<Load>, Fault> {
        let mut conn = self.store.read(job.org).await?;
        let load = deliveries::load(&mut conn, key, job.org, job.delivery).await?;
        drop(conn);
        let Some(mut load) = load else {
            return Ok(None);
        };
        if load.inline_media {
            let (store, objects) = (&self.store, &self.objects);
            load.body = inline::filled(store, objects, key, job.org, load.body).await?;
        }
        Ok(Some(load))
    }

    async fn post(
        &self,
        key: &DataKey,
        job: &DeliverWebhook,
        load: &Load,
        now: Millis,
    ) -> anyhow::Result<Result<Reply, NoReply>> {
        let secrets = {
            let mut conn = self.store.read(job.org).await?;
            endpoints::secrets(&mut conn, key, job.org, load.endpoint).await?
        };
        let secrets = secrets
            .context("the endpoint was deleted meanwhile")?
            .at(now);
        let headers = sign::headers(&secrets, load.event, now, &load.body)?;
        // Judged again: what the operator opens may have changed since the endpoint was made.
        let Ok(url) = self.egress.check_url(&load.url) else {
            return Ok(Err(NoReply::from(UrlNotAllowed)));
        };
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap_or(0));
        Ok(client::post(&self.client, url, headers, load.body.clone(), wall).await)
    }

    fn judge(
        &self,
        reply: Result<Reply, NoReply>,
        load: &Load,
        started_at: Millis,
        took: Duration,
    ) -> (Verdict, Attempt) {
        let (verdict, error) = match &reply {
            Ok(reply) if reply.status.is_success() => (Verdict::Delivered, None),
            Ok(reply) if reply.status == StatusCode::GONE => {
                (Verdict::Gone, Some("http_status".to_owned()))
            }
            Ok(reply) => (
                Verdict::Failed(reply.retry_after),
                Some("http_status".to_owned()),
            ),
            Err(why) => (Verdict::Failed(None), Some(why.to_string())),
        };
        let attempt = Attempt {
            id: AttemptId::new(&self.clock),
            number: load.attempts + 1,
            started_at,
            took_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            http_status: reply
                .as_ref()
                .ok()
                .map(|reply| reply.status.as_u16().into()),
            error,
            reply: reply.ok().map(|reply| reply.body),
        };
        (verdict, attempt)
    }

    async fn record(
        &self,
        job: DeliverWebhook,
        key: Arc<DataKey>,
        load: &Load,
        attempt: Attempt,
        verdict: Verdict,
    ) -> Result<(), Fault> {
        let clock = self.clock.clone();
        let now = clock.now();
        let (status, due_at) = self.stand(verdict, attempt.number, now);
        let (org, endpoint) = (job.org, load.endpoint);
        let work = async move |tx: &mut Tx| {
            // The endpoint's row before the delivery's, as everywhere: the order of locks.
            let disabled = judge_endpoint(tx, &job, endpoint, verdict, now).await?;
            if deliveries::settle(tx, job.org, job.delivery, attempt.number, status, due_at).await?
            {
                deliveries::record(tx, &key, job.org, job.delivery, &attempt).await?;
            }
            if let Some(why) = disabled {
                endpoints::disable(tx, job.org, endpoint, why, now).await?;
                deliveries::bury(tx, job.org, endpoint).await?;
                let told = NewEvent {
                    org: job.org,
                    session: None,
                    kind: EventType::EndpointDisabled,
                    data: json!({ "endpoint": { "id": endpoint, "disabled_reason": why.as_str() } }),
                };
                emit(tx, &key, told, &clock).await?;
                tracing::warn!(endpoint.id = %endpoint, why = why.as_str(), "an endpoint was disabled");
            }
            crash::point("delivery.before_commit");
            Ok::<_, Fault>(())
        };
        self.store
            .write(org, move |tx| Box::pin(async move { work(tx).await }))
            .await?;
        crash::point("delivery.after_commit");
        Ok(())
    }

    /// Where the delivery stands after this attempt, and when it is due.
    fn stand(&self, verdict: Verdict, made: i64, now: Millis) -> (DeliveryStatus, Millis) {
        let chance = {
            let mut chance = self.chance.lock();
            chance.random_range(0.0..1.0)
        };
        let retry_after = match verdict {
            Verdict::Delivered => return (DeliveryStatus::Delivered, now),
            Verdict::Gone => return (DeliveryStatus::Dead, now),
            Verdict::Failed(retry_after) => retry_after,
        };
        match self.schedule.next_attempt(made, retry_after, chance) {
            Some(wait) => {
                let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                (DeliveryStatus::Due, now.saturating_add(wait))
            }
            None => (DeliveryStatus::Dead, now),
        }
    }
}

/// Keeps how the endpoint does; why it is to be disabled, if it is.
async fn judge_endpoint(
    tx: &mut Tx,
    job: &DeliverWebhook,
    endpoint: passerelle_engine::ids::EndpointId,
    verdict: Verdict,
    now: Millis,
) -> Result<Option<Disabled>, Fault> {
    if verdict == Verdict::Delivered {
        endpoints::succeeded(tx, job.org, endpoint).await?;
        return Ok(None);
    }
    let Some(since) = endpoints::failed(tx, job.org, endpoint, now).await? else {
        return Ok(None);
    };
    if verdict == Verdict::Gone {
        return Ok(Some(Disabled::Gone));
    }
    let failing = Duration::from_millis(u64::try_from(now - since).unwrap_or(0));
    Ok((failing >= FAILING_MAX).then_some(Disabled::Failing))
}
