//! The lanes of this host as a queue, and the sending of one message.
//!
//! A claim fixes when the message is written and when the next one may be, and commits that before
//! anything is sent. The outcome and the lane's release are one transaction.

use std::{sync::Arc, time::Duration};

use passerelle_engine::{
    clock::Millis,
    ids::{MessageId, OrgId, SessionId},
    store::SystemTx,
    whatsapp::{Attached, Link, Outgoing, SendError, Typing},
};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    crash,
    error::Fault,
    host::{
        attach, fence,
        outcome::{self, Outcome},
    },
    messages::opt_out,
    model::Message,
    preview,
    queue::Source,
    safety::pace::{Pace, millis},
    services::Services,
    state::{
        in_flight::{Flight, Word},
        registry::Running,
    },
    store::{self, system::DueLane},
};

/// How long the library may take to write one message; it may ask WhatsApp for the recipient first.
const WRITE: Duration = Duration::from_secs(30);

/// Between two tries while the store does not tell what a message carries.
const AWAY: Duration = Duration::from_secs(1);
/// Lanes claimed in one set; the look is repeated while there are more.
const CLAIMS: usize = 1024;

/// One message to send: ids, and what the claim fixed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendMessage {
    pub(crate) org: OrgId,
    pub(crate) session: SessionId,
    pub(crate) message: MessageId,
    /// The lease's epoch at the claim.
    pub(crate) epoch: i64,
    /// From the claim to the earliest wire write.
    pub(crate) wait_ms: u64,
    /// From the wire write to the next one of this lane.
    pub(crate) gap_ms: u64,
}

/// Claims from the lanes of one host.
pub(crate) struct Lanes(pub(crate) Services);

impl Source for Lanes {
    type Job = SendMessage;
    const NAME: &'static str = "send";

    async fn claim(&self, k: usize) -> anyhow::Result<Vec<(String, SendMessage)>> {
        let shared = self.0.0.clone();
        let (pace, chance) = (shared.settings.pace, self.0.chance());
        let host = Arc::clone(&shared.settings.host);
        let limit = i64::try_from(k.min(CLAIMS)).unwrap_or(i64::MAX);
        let claimed = shared
            .store
            .write_system(move |tx| {
                Box::pin(async move { claim(tx, &host, pace, chance, limit).await })
            })
            .await?;
        crash::point("claim.after_commit");
        Ok(claimed
            .into_iter()
            .map(|job| (job.message.to_string(), job))
            .collect())
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        let shared = &self.0.0;
        let mut conn = shared.store.read_system().await?;
        let Some(next_at) = store::system::next_lane_at(&mut conn, &shared.settings.host).await?
        else {
            return Ok(None);
        };
        let now = passerelle_engine::store::now(shared.store.dialect(), &mut conn).await?;
        let wait = next_at
            .saturating_sub(millis(shared.settings.pace.typing()))
            .saturating_sub(now);
        Ok(Some(Duration::from_millis(
            u64::try_from(wait).unwrap_or(0),
        )))
    }
}

/// Claims the head of each due lane. The message may be written at `send_at`, when typing has been
/// shown, and the next one of that lane not before a whole gap later.
async fn claim(
    tx: &mut SystemTx,
    host: &str,
    pace: Pace,
    mut chance: StdRng,
    limit: i64,
) -> Result<Vec<SendMessage>, Fault> {
    let now = tx.now().await?;
    let typing = millis(pace.typing());
    let lanes = store::system::due_lanes(tx, host, now.saturating_add(typing), limit).await?;
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    let drawn: Vec<Drawn> = lanes
        .into_iter()
        .map(|lane| Drawn {
            send_at: lane.next_at.max(now.saturating_add(typing)),
            gap: pace.gap(&mut chance),
            lane,
        })
        .collect();
    let next: Vec<_> = drawn.iter().map(Drawn::next).collect();
    let heads = store::system::claim_heads(tx, &next).await?;
    let mut claimed = Vec::with_capacity(drawn.len());
    for drawn in drawn {
        if let Some(message) = heads.get(&drawn.lane.session).copied().flatten() {
            claimed.push(drawn.job(message, now));
        } else {
            tracing::error!(session.id = %drawn.lane.session, "a lane counts messages that are not there");
            store::system::recount(tx, drawn.lane.session).await?;
        }
    }
    crash::point("claim.before_commit");
    Ok(claimed)
}

/// A due lane, with what its next message was given.
struct Drawn {
    lane: DueLane,
    /// When the message may be written.
    send_at: Millis,
    /// From then to the next one.
    gap: Duration,
}

impl Drawn {
    /// When the lane's next message may be written.
    fn next(&self) -> (SessionId, Millis) {
        (
            self.lane.session,
            self.send_at.saturating_add(millis(self.gap)),
        )
    }

    fn job(self, message: MessageId, now: Millis) -> SendMessage {
        SendMessage {
            org: self.lane.org,
            session: self.lane.session,
            message,
            epoch: self.lane.epoch,
            wait_ms: u64::try_from(self.send_at.saturating_sub(now)).unwrap_or(0),
            gap_ms: u64::try_from(self.gap.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Sends one claimed message and settles it.
pub(crate) async fn send(services: Services, job: SendMessage) -> anyhow::Result<()> {
    let _in_hand = services.0.in_hand.take(job.message);
    let Some(mut claimed) = outcome::load(&services, &job).await? else {
        tracing::info!(message.id = %job.message, "a claimed message is gone or settled");
        return Ok(());
    };
    let registry = &services.0.registry;
    let Some(running) = registry.running(job.session, job.epoch) else {
        return outcome::settle(&services, &job, &claimed, &Outcome::PutBack).await;
    };
    let ready = tokio::select! {
        ready = preview::wait(&services, &mut claimed.message) => ready,
        () = running.stop.cancelled() => {
            return outcome::settle(&services, &job, &claimed, &Outcome::PutBack).await;
        }
    };
    if let Err(fault) = ready {
        tracing::warn!(message.id = %job.message, error = %fault, "a message waits for the store");
        return outcome::settle(&services, &job, &claimed, &Outcome::Later(AWAY)).await;
    }
    // Until this is dropped, receipts of the message wait for its outcome to be committed.
    let (_aloft, words) = Flight::take_off(&running.flight, &claimed.message.wa_id);
    let trip = Trip {
        services: &services,
        running: &running,
        job: &job,
        message: &claimed.message,
    };
    let outcome = if claimed.opted_out {
        Outcome::Failed(opt_out::CODE.to_owned())
    } else {
        trip.fly(words).await
    };
    let outcome = claimed.honestly(outcome);
    outcome::settle(&services, &job, &claimed, &outcome).await
}

/// One message on its way.
struct Trip<'t> {
    services: &'t Services,
    running: &'t Running,
    job: &'t SendMessage,
    message: &'t Message,
}

impl Trip<'_> {
    async fn fly(&self, words: mpsc::Receiver<Word>) -> Outcome {
        let Some(link) = &self.running.link else {
            return Outcome::PutBack;
        };
        if self.is_expired() {
            return Outcome::Expired;
        }
        let attached = match self.attach(link).await {
            Ok(attached) => attached,
            Err(outcome) => return outcome,
        };
        if !self.wait_and_type(link).await {
            return Outcome::PutBack;
        }
        if self.is_expired() {
            return Outcome::Expired;
        }
        match self.write(link, attached.as_ref()).await {
            Ok(wire_at) => self.hear(link, wire_at, words).await,
            Err(outcome) => outcome,
        }
    }

    fn is_expired(&self) -> bool {
        self.message
            .expires_at
            .is_some_and(|at| at < self.services.0.clock.now())
    }

    /// Shows typing until both gates are open; false when the session is to rest first.
    async fn wait_and_type(&self, link: &Link) -> bool {
        let send_at = self.services.0.clock.monotonic() + Duration::from_millis(self.job.wait_ms);
        let open_at = self
            .running
            .flight
            .gate()
            .map_or(send_at, |gate| gate.max(send_at));
        let typing = async {
            let from = open_at.checked_sub(self.services.0.settings.pace.typing());
            tokio::time::sleep_until(from.unwrap_or(open_at)).await;
            let shown = link.typing(&self.message.recipient(), Typing::Text).await;
            if let Err(error) = shown {
                tracing::debug!(%error, "typing was not shown");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = tokio::time::sleep_until(open_at) => true,
            () = self.running.stop.cancelled() => false,
            () = typing => false,
        }
    }

    /// The message's file as WhatsApp has it, given to WhatsApp while the message waits for its turn.
    async fn attach(&self, link: &Link) -> Result<Option<Attached>, Outcome> {
        tokio::select! {
            attached = attach::attach(self.services, link, self.message) => attached,
            () = self.running.stop.cancelled() => Err(Outcome::PutBack),
        }
    }

    /// Writes the message under its fixed id: when, or what became of it instead.
    async fn write(&self, link: &Link, attached: Option<&Attached>) -> Result<Instant, Outcome> {
        if !fence::holds(self.services) {
            return Err(Outcome::PutBack);
        }
        crash::point("wire.before");
        let outgoing = Outgoing {
            content: &self.message.content,
            context: &self.message.context,
            attached,
            at: self.services.0.clock.now(),
        };
        let to = self.message.recipient();
        let writing = link.send(&to, &self.message.wa_id, outgoing);
        let written = tokio::time::timeout(WRITE, writing).await;
        let wire_at = self.services.0.clock.monotonic();
        match written.unwrap_or(Err(SendError::Unsure("write_timeout"))) {
            Ok(()) => {}
            Err(SendError::Unsure(code)) => {
                tracing::info!(message.id = %self.message.id, code, "may have been written");
            }
            Err(SendError::NotOnWire(code)) => {
                tracing::debug!(message.id = %self.message.id, code, "not written, stays in its lane");
                return Err(Outcome::PutBack);
            }
            Err(SendError::Permanent(code)) => return Err(Outcome::Failed(code.to_owned())),
        }
        self.running.flight.close_gate(wire_at + self.gap());
        crash::point("wire.after");
        Ok(wire_at)
    }

    /// Waits for WhatsApp's word on what was written.
    async fn hear(
        &self,
        link: &Link,
        wire_at: Instant,
        mut words: mpsc::Receiver<Word>,
    ) -> Outcome {
        let deadline = wire_at + self.services.0.settings.ack_timeout;
        let word = tokio::time::timeout_at(deadline, words.recv())
            .await
            .ok()
            .flatten();
        if word.is_none() && !self.running.stop.is_cancelled() {
            tracing::warn!(message.id = %self.message.id, "WhatsApp's server did not answer in time; connecting again");
            link.reconnect().await;
        }
        Outcome::Written {
            wire_at,
            gap: self.gap(),
            word,
        }
    }

    fn gap(&self) -> Duration {
        Duration::from_millis(self.job.gap_ms)
    }
}
