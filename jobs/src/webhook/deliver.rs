//! One attempt of a delivery: load, sign, post, record.
//!
//! One transaction records the outcome: the attempt, the delivery's new status and the endpoint's
//! health. A crash between the POST and that commit leaves the row claimed. The claim lapses, and the
//! same event is sent again with the same id.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow};
use parking_lot::Mutex;
use passerelle_engine::{
    clock::{Clock, Millis},
    ids::{AttemptId, DeliveryId, EndpointId, OrgId},
    store::{Store, Tx},
    vault::{DataKey, Vault},
};
use rand::{RngExt as _, rngs::StdRng};
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    client::{self, Deadline, NoReply, Reply},
    guard::{Egress, UrlNotAllowed},
    inline, links, raw,
    schedule::Schedule,
    sign,
};
use crate::{
    crash,
    error::Fault,
    events,
    model::{
        INTERNAL,
        delivery::{Attempt, DeliveryStatus},
        endpoint::Disabled,
        report_unreadable, until,
    },
    queue::job_result::{Doing as _, Done, Failure, JobResult, NotDone, OrNotDone as _},
    settings::MediaSettings,
    store::{
        deliveries::{self, Load},
        endpoints::{self, Secrets},
    },
};

/// An endpoint that fails this long without a success is disabled.
const FAILING_MAX: Duration = Duration::from_hours(5 * 24);

/// The job: ids only, the rest is looked up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliverWebhook {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its organisation.
    pub org: OrgId,
}

/// Makes attempts; one per process.
pub struct Deliverer {
    pub(super) store: Store,
    vault: Vault,
    pub(super) clock: Clock,
    egress: Egress,
    media: MediaSettings,
    client: Client,
    schedule: Schedule,
    chance: Mutex<StdRng>,
}

/// What the outcome of an attempt means for its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Delivered,
    Failed(Option<Duration>),
    Gone,
}

/// What a delivery becomes, and when it is due.
type Next = (DeliveryStatus, Millis);

/// What an attempt means for its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// It counts as a success or a failure.
    Counted,
    /// The endpoint must be disabled.
    Disabled(Disabled),
    /// It says nothing: the endpoint was changed, disabled or deleted since it began.
    Changed,
}

impl Deliverer {
    /// Takes an open store and vault. Fails if the system's TLS roots cannot be read.
    pub fn new(
        store: Store,
        vault: Vault,
        clock: Clock,
        egress: Egress,
        media: MediaSettings,
        schedule: Schedule,
        chance: StdRng,
    ) -> anyhow::Result<Self> {
        let client = client::client(&egress, Deadline::default()).context("the webhook client")?;
        Ok(Self {
            store,
            vault,
            clock,
            egress,
            media,
            client,
            schedule,
            chance: Mutex::new(chance),
        })
    }

    /// Sets other deadlines, so that tests need not wait.
    #[cfg(test)]
    pub(crate) fn with_deadline(mut self, deadline: Deadline) -> Self {
        self.client = client::client(&self.egress, deadline).unwrap();
        self
    }

    /// Makes one attempt of a claimed delivery and records it.
    pub async fn deliver(&self, job: DeliverWebhook) -> JobResult {
        crash::point("delivery.claimed");
        let key = self.vault.org_key(job.org).await;
        let key = key.doing("opening the organisation's key")?;
        let Some(load) = self.load(&key, &job).await.doing("loading a delivery")? else {
            tracing::debug!(delivery.id = %job.delivery, "nothing to deliver now");
            self.put_back(&job).await.doing("putting a delivery back")?;
            return Ok(Done);
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
        let (now, code) = (self.clock.now(), attempt.error.clone());
        let next = self.next(verdict, attempt.number, now);
        // What the endpoint said before a change does not end the delivery.
        let of_changed = match verdict {
            Verdict::Gone => self.next(Verdict::Failed(None), attempt.number, now),
            _ => next,
        };
        let recorded = self.record(job, key, &load, attempt, verdict, (now, next, of_changed));
        match recorded.await.doing("recording an attempt")? {
            Some((DeliveryStatus::Due, due_at)) => Err(NotDone::Snooze(until(due_at, now))),
            Some((DeliveryStatus::Dead, _)) => Err(NotDone::failed(code.unwrap_or_default())),
            _ => Ok(Done),
        }
    }

    async fn load(&self, key: &DataKey, job: &DeliverWebhook) -> Result<Option<Load>, Fault> {
        let mut conn = self.store.read(job.org).await?;
        let load = deliveries::load(&mut conn, key, job.org, job.delivery).await?;
        drop(conn);
        let Some(mut load) = load else {
            return Ok(None);
        };
        let (url, now) = (&self.media.public_url, self.clock.now());
        if !load.raw {
            load.body = raw::without(load.body)?;
        }
        load.body = links::signed(key, url, job.org, load.body, now)?;
        if load.inline_media {
            let (store, objects) = (&self.store, &self.media.objects);
            load.body = inline::filled(store, objects, key, job.org, load.body).await?;
        }
        Ok(Some(load))
    }

    async fn put_back(&self, job: &DeliverWebhook) -> Result<(), Fault> {
        let (org, id) = (job.org, job.delivery);
        let write = self.store.write(org, move |tx| {
            Box::pin(async move { Ok::<_, Fault>(deliveries::put_back(tx, org, id).await?) })
        });
        write.await
    }

    async fn post(
        &self,
        key: &DataKey,
        job: &DeliverWebhook,
        load: &Load,
        now: Millis,
    ) -> Result<Result<Reply, NoReply>, NotDone> {
        let secrets = self.secrets(key, job.org, load.endpoint).await;
        // An endpoint that was deleted since took its deliveries with it: the next look finds none.
        let secrets = secrets
            .doing("reading the endpoint's secrets")?
            .ok_or_else(|| NotDone::Retry(anyhow!("the endpoint was deleted")))?
            .at(now);
        let headers = sign::headers(&secrets, load.event, now, &load.body);
        // Ours replace others of the same name.
        let mut all = load.headers.to_map().or_fail("adding headers")?;
        all.extend(headers.or_fail("signing a webhook")?);
        // Judged again: what the operator opens may have changed since the endpoint was made.
        let Ok(url) = self.egress.check_url(&load.url) else {
            return Ok(Err(NoReply::from(UrlNotAllowed)));
        };
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap_or(0));
        Ok(client::post(&self.client, url, all, load.body.clone(), wall).await)
    }

    async fn secrets(
        &self,
        key: &DataKey,
        org: OrgId,
        endpoint: EndpointId,
    ) -> Result<Option<Secrets>, Fault> {
        let mut conn = self.store.read(org).await?;
        Ok(endpoints::secrets(&mut conn, key, org, endpoint).await?)
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
            unreadable: false,
        };
        (verdict, attempt)
    }

    /// Records the attempt. Returns what the delivery became and when it is due; `None` if another attempt
    /// settled it before.
    async fn record(
        &self,
        job: DeliverWebhook,
        key: Arc<DataKey>,
        load: &Load,
        attempt: Attempt,
        verdict: Verdict,
        (now, next, of_changed): (Millis, Next, Next),
    ) -> Result<Option<Next>, Fault> {
        let (clock, org, endpoint) = (self.clock.clone(), job.org, load.endpoint);
        let revision = load.revision;
        let work = async move |tx: &mut Tx| {
            // The endpoint's row before the delivery's, as everywhere: the order of locks.
            let health = judge_endpoint(tx, &job, (endpoint, revision), verdict, now).await?;
            let disabled = match health {
                Health::Disabled(why) => Some(why),
                Health::Counted | Health::Changed => None,
            };
            let (status, due_at) = match health {
                Health::Changed => of_changed,
                Health::Counted | Health::Disabled(_) => next,
            };
            let (org, id) = (job.org, job.delivery);
            let settled = deliveries::settle(tx, org, id, attempt.number, status, due_at).await?;
            if settled {
                deliveries::record(tx, Some(&key), org, id, &attempt).await?;
            }
            if let Some(why) = disabled {
                endpoints::disable(tx, job.org, endpoint, why, now).await?;
                deliveries::bury(tx, job.org, endpoint).await?;
                let told = events::of_endpoint(job.org, endpoint, why);
                events::emit::emit(tx, &key, told, &clock).await?;
                tracing::warn!(endpoint.id = %endpoint, why = why.as_str(), "an endpoint was disabled");
            }
            crash::point("delivery.before_commit");
            let status = disabled.map_or(status, |_| DeliveryStatus::Dead);
            Ok::<_, Fault>(settled.then_some((status, due_at)))
        };
        let recorded = self
            .store
            .write(org, move |tx| Box::pin(async move { work(tx).await }))
            .await?;
        crash::point("delivery.after_commit");
        Ok(recorded)
    }

    /// Records an attempt that ended before anything was posted or could be recorded. It reads only the
    /// delivery's own row and nothing sealed, and says nothing about the endpoint's health.
    pub(super) async fn give_up(&self, job: DeliverWebhook, failure: Failure) -> Result<(), Fault> {
        let (org, id, now) = (job.org, job.delivery, self.clock.now());
        let begun = {
            let mut conn = self.store.read(org).await?;
            deliveries::attempts_made(&mut conn, org, id).await?
        };
        let Some(number) = begun.map(|made| made + 1) else {
            return Ok(());
        };
        let (code, (status, due_at)) = match failure {
            Failure::Final(code) => {
                report_unreadable("delivery", &id, &code);
                (code, (DeliveryStatus::Dead, now))
            }
            Failure::Counted => (
                INTERNAL.into(),
                self.next(Verdict::Failed(None), number, now),
            ),
        };
        let attempt = Attempt {
            id: AttemptId::new(&self.clock),
            number,
            started_at: now,
            took_ms: 0,
            http_status: None,
            error: Some(code.into_owned()),
            reply: None,
            unreadable: false,
        };
        let write = self.store.write(org, move |tx| {
            Box::pin(async move {
                if deliveries::settle(tx, org, id, number, status, due_at).await? {
                    deliveries::record(tx, None, org, id, &attempt).await?;
                }
                Ok::<_, Fault>(())
            })
        });
        write.await
    }

    /// Returns the delivery's status after this attempt, and when it is due.
    fn next(&self, verdict: Verdict, made: i64, now: Millis) -> Next {
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

/// Updates the endpoint's health.
async fn judge_endpoint(
    tx: &mut Tx,
    job: &DeliverWebhook,
    endpoint: (EndpointId, i64),
    verdict: Verdict,
    now: Millis,
) -> Result<Health, Fault> {
    if verdict == Verdict::Delivered {
        endpoints::succeeded(tx, job.org, endpoint).await?;
        return Ok(Health::Counted);
    }
    let Some(since) = endpoints::failed(tx, job.org, endpoint, now).await? else {
        return Ok(Health::Changed);
    };
    if verdict == Verdict::Gone {
        return Ok(Health::Disabled(Disabled::Gone));
    }
    let failing = Duration::from_millis(u64::try_from(now - since).unwrap_or(0));
    Ok(if failing >= FAILING_MAX {
        Health::Disabled(Disabled::Failing)
    } else {
        Health::Counted
    })
}
