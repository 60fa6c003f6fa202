//! Offers the lanes of this host as a job queue. From each due lane at most one message is claimed, so
//! one queue keeps order and pace for every session.
//!
//! A claim fixes when the message may be written and when the next one may be. Both times are committed
//! before anything is sent.

use std::{sync::Arc, time::Duration};

use passerelle_engine::{clock::Millis, store::SystemTx};
use rand::rngs::StdRng;

use super::{
    job::SendMessage,
    number, outcome,
    turn::{self, Turn},
};
use crate::{
    crash,
    error::Fault,
    model::millis,
    queue::{JobSource, job_result::Failure},
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
        let (using, chance) = (services.clone(), services.chance());
        let host = Arc::clone(&services.settings().host);
        let limit = i64::try_from(k.min(CLAIMS)).unwrap_or(i64::MAX);
        let claimed = services
            .store()
            .write_system(move |tx| {
                Box::pin(async move { claim(tx, &using, &host, chance, limit).await })
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
            .saturating_sub(millis(services.policy().lead()))
            .saturating_sub(now);
        Ok(Some(Duration::from_millis(
            u64::try_from(wait).unwrap_or(0),
        )))
    }
}

/// Claims the next message of each due lane whose number may send. It may be written at the turn's `send_at`, after typing
/// was shown. The next message of that number, from whichever lane, may be written a whole gap later.
async fn claim(
    tx: &mut SystemTx,
    services: &Services,
    host: &str,
    mut chance: StdRng,
    limit: i64,
) -> Result<Vec<SendMessage>, Fault> {
    let (policy, clock) = (services.policy(), services.clock());
    let asked = clock.monotonic();
    let now = tx.now().await?;
    let steps = services.clock_steps();
    steps.look((asked, clock.monotonic()), now);
    let until = now.saturating_add(millis(policy.lead()));
    let lanes = store::system::due_lanes(tx, host, until, limit).await?;
    let lanes = awake(tx, lanes, now).await?;
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    let lanes = number::admit(tx, lanes, (now, until), policy).await?;
    let turns = turn::choose(
        tx,
        lanes,
        (services.policies(), &steps.so_far()),
        &mut chance,
        now,
    )
    .await?;
    if turns.is_empty() {
        return Ok(Vec::new());
    }
    let claims: Vec<_> = turns.iter().map(Turn::claim).collect();
    let next = store::system::claim(tx, &claims, now).await?;
    store::system::numbers::claimed(tx, &claims).await?;
    let mut claimed = Vec::with_capacity(turns.len());
    for turn in turns {
        if let Some(message) = next.get(&turn.lane.session).copied().flatten() {
            claimed.push(turn.job(message, now));
        } else {
            tracing::error!(session.id = %turn.lane.session, "a lane's count of pending messages was too high; it is counted again");
            store::system::recount(tx, turn.lane.session).await?;
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
        .filter_map(|lane| Some((lane.session, rests(lane)?, None)))
        .collect();
    if !resting.is_empty() {
        store::system::rest(tx, &resting, now).await?;
    }
    Ok(due
        .into_iter()
        .filter(|lane| rests(lane).is_none())
        .collect())
}

/// The most lanes claimed in one transaction. The claim is repeated while there are more.
const CLAIMS: usize = 1024;
