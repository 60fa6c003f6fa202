//! Offers the lanes of this host as a job queue. From each due lane at most one message is claimed, so
//! one queue keeps order and pace for every session.
//!
//! A claim fixes when the message may be written and when the next one may be. Both times are committed
//! before anything is sent.

use std::{sync::Arc, time::Duration};

use passerelle_engine::{
    clock::Millis,
    ids::{MessageId, SessionId},
    store::SystemTx,
};
use rand::rngs::StdRng;

use super::{job::SendMessage, number, outcome};
use crate::{
    crash,
    error::Fault,
    model::millis,
    queue::{JobSource, job_result::Failure},
    safety::pace::Pace,
    services::Services,
    store::{self, system::DueLane},
};

/// The lanes of one host, as a source of jobs.
pub(crate) struct Lanes(pub(crate) Services);

impl JobSource for Lanes {
    type Job = SendMessage;
    const NAME: &'static str = "send";

    async fn claim(&self, k: usize) -> anyhow::Result<Vec<(String, SendMessage)>> {
        let services = &self.0;
        let (pace, chance) = (services.settings().pace, self.0.chance());
        let host = Arc::clone(&services.settings().host);
        let limit = i64::try_from(k.min(CLAIMS)).unwrap_or(i64::MAX);
        let claimed = services
            .store()
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

    async fn record(&self, job: SendMessage, failure: Failure) -> anyhow::Result<()> {
        match failure {
            Failure::Final(_) => Ok(outcome::give_up(&self.0, job).await?),
            // The message stays in flight without a job. It is resolved like that of a dead process, which
            // has an end of its own (`outcome::DEATHS`).
            Failure::Counted => Ok(()),
        }
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        let services = &self.0;
        let mut conn = services.store().read_system().await?;
        let Some(next_at) =
            store::system::next_lane_at(&mut conn, &services.settings().host).await?
        else {
            return Ok(None);
        };
        let now = passerelle_engine::store::now(services.store().dialect(), &mut conn).await?;
        let wait = next_at
            .saturating_sub(millis(services.settings().pace.typing()))
            .saturating_sub(now);
        Ok(Some(Duration::from_millis(
            u64::try_from(wait).unwrap_or(0),
        )))
    }
}

/// Claims the head of each due lane whose number may send. The message may be written at `send_at`, after typing was shown. The
/// next message of that number, from whichever lane, may be written a whole gap later.
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
    let lanes = awake(tx, lanes, now).await?;
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    let lanes = number::admit(tx, lanes, now, pace).await?;
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
    let heads = store::system::claim_heads(tx, &next, now).await?;
    store::system::numbers::claimed(tx, &next).await?;
    let mut claimed = Vec::with_capacity(drawn.len());
    for drawn in drawn {
        if let Some(message) = heads.get(&drawn.lane.session).copied().flatten() {
            claimed.push(drawn.job(message, now));
        } else {
            tracing::error!(session.id = %drawn.lane.session, "a lane's count of pending messages was too high; it is counted again");
            store::system::recount(tx, drawn.lane.session).await?;
        }
    }
    crash::point("claim.before_commit");
    Ok(claimed)
}

/// Returns the lanes with a message that may go now. The others rest.
async fn awake(
    tx: &mut SystemTx,
    due: Vec<DueLane>,
    now: Millis,
) -> Result<Vec<DueLane>, sqlx::Error> {
    let rests = |lane: &DueLane| lane.head_at.filter(|at| *at > now);
    let resting: Vec<_> = due
        .iter()
        .filter_map(|lane| Some((lane.session, rests(lane)?)))
        .collect();
    if !resting.is_empty() {
        store::system::rest(tx, &resting).await?;
    }
    Ok(due
        .into_iter()
        .filter(|lane| rests(lane).is_none())
        .collect())
}

/// A due lane, with the times drawn for its next message.
struct Drawn {
    lane: DueLane,
    /// When the message may be written.
    send_at: Millis,
    /// From `send_at` to the message after it.
    gap: Duration,
}

impl Drawn {
    /// Returns when the message after this one may be written.
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

/// The most lanes claimed in one transaction. The claim is repeated while there are more.
const CLAIMS: usize = 1024;
