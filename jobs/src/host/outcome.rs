//! What became of a claimed message: its status, its event, its deliveries and the lane's release
//! are one transaction.

use std::{sync::Arc, time::Duration};

use passerelle_engine::{
    clock::{Clock, Millis},
    lease::Lease,
    store::Tx,
    vault::DataKey,
    whatsapp::{NOT_IN_GROUP, event::ReceiptKind},
};
use tokio::time::Instant;

use crate::{
    crash,
    error::Fault,
    events,
    host::{job::SendMessage, settle},
    messages::{self, target},
    model::{Message, Status, Uncertain, millis},
    outage,
    services::Services,
    state::{
        gathering::{Settled, Taken},
        in_flight::ServerVerdict,
    },
    store,
};

/// What became of a claimed message.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// Certainly not written: it stays the head of its lane.
    PutBack,
    /// Its file is not here or not with WhatsApp yet: it stays the head of its lane, and is tried again
    /// after this time.
    Later(Duration),
    /// Its time was over.
    Expired,
    /// It can never be written; the stable code says why.
    Failed(String),
    /// It is not to be written again, and may have been written before.
    Unknown,
    /// Written, or perhaps written; none as WhatsApp's word means that none came in time.
    Written {
        wire_at: Instant,
        gap: Duration,
        verdict: Option<ServerVerdict>,
    },
}

/// A message that a claim made `sending`.
#[derive(Clone)]
pub(crate) struct Claimed {
    pub(crate) message: Message,
    pub(crate) resends: i64,
    /// The recipient opted out after it was accepted.
    pub(crate) opted_out: bool,
}

impl Claimed {
    /// What may be said of it: it may have been shown when it went out before and nobody knows.
    pub(crate) fn honestly(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Expired | Outcome::Failed(_) if self.resends > 0 => Outcome::Unknown,
            outcome => outcome,
        }
    }
}

/// Looks the claimed message up again, waiting for a database that does not answer; none when it is
/// gone or no longer `sending`.
pub(crate) async fn load(services: &Services, job: &SendMessage) -> Result<Option<Claimed>, Fault> {
    let log = |fault: &Fault| {
        tracing::warn!(message.id = %job.message, error = %fault, "a claimed message waits for the store");
    };
    outage::wait_out(|| try_load(services, job), || true, log).await
}

async fn try_load(services: &Services, job: &SendMessage) -> Result<Option<Claimed>, Fault> {
    let key = services.vault().org_key(job.org).await?;
    let mut conn = services.store().read(job.org).await?;
    let claimed = store::messages::claimed(&mut conn, job.org, job.message).await?;
    drop(conn);
    claimed
        .map(|(stored, opted_out)| {
            Ok(Claimed {
                resends: stored.resends,
                message: messages::sealed::open(&key, stored)?,
                opted_out,
            })
        })
        .transpose()
}

/// Commits the outcome, waiting for a database that does not answer: what WhatsApp said must not be
/// lost while this process lives. A lost lease ends it, since the new owner resolves the message.
pub(crate) async fn settle(
    services: &Services,
    job: &SendMessage,
    claimed: &Claimed,
    outcome: &Outcome,
) -> anyhow::Result<()> {
    let lease = Lease {
        org: job.org,
        session: job.session,
        host: Arc::clone(&services.settings().host),
        epoch: job.epoch,
    };
    let commit = || commit(services, &lease, claimed.clone(), outcome.clone());
    let log = |fault: &Fault| {
        tracing::warn!(message.id = %job.message, error = %fault, "the outcome waits for the store");
    };
    match outage::wait_out(commit, || true, log).await {
        Err(Fault::LeaseLost) => {
            tracing::info!(message.id = %job.message, "the lease is lost; its new owner resolves the message");
        }
        done => done?,
    }
    crash::point("complete.after_commit");
    services.lanes().notify_one();
    services.wake_deliveries();
    Ok(())
}

async fn commit(
    services: &Services,
    lease: &Lease,
    claimed: Claimed,
    outcome: Outcome,
) -> Result<(), Fault> {
    let key = services.vault().org_key(lease.org).await?;
    if let Outcome::Written {
        wire_at,
        gap,
        verdict: Some(ServerVerdict::Taken),
    } = outcome
    {
        let taken = Taken {
            lease: lease.clone(),
            key: Arc::clone(&key),
            message: claimed.message.clone(),
            wire_at,
            gap,
        };
        match services
            .taken()
            .settle(taken, |set| settle::commit(services, set))
            .await
        {
            Settled::Committed => return Ok(()),
            Settled::LeaseLost => return Err(Fault::LeaseLost),
            Settled::Alone => {}
        }
    }
    let (lease, clock) = (lease.clone(), services.clock().clone());
    services
        .store()
        .write(lease.org, move |tx| {
            Box::pin(async move {
                let ago = since(&clock, &outcome);
                let now = lease.check(tx).await?;
                let wire = now.saturating_sub(millis(ago));
                apply(tx, &key, &clock, claimed, outcome, wire).await?;
                crash::point("outcome.before_commit");
                Ok(())
            })
        })
        .await
}

/// How long ago the message was written. Taken before the database tells its time, so that the gap
/// from there on is never too short.
fn since(clock: &Clock, outcome: &Outcome) -> Duration {
    match outcome {
        Outcome::Written { wire_at, .. } => clock.monotonic().saturating_duration_since(*wire_at),
        _ => Duration::ZERO,
    }
}

/// `wire` is when the message was written, by the database's clock.
async fn apply(
    tx: &mut Tx,
    key: &DataKey,
    clock: &Clock,
    claimed: Claimed,
    outcome: Outcome,
    wire: Millis,
) -> Result<(), Fault> {
    let Claimed {
        mut message,
        resends,
        ..
    } = claimed;
    let after = |gap| wire.saturating_add(millis(gap));
    let (next, reached) = match outcome {
        Outcome::PutBack => return put_back(tx, &message, resends, 0).await,
        Outcome::Later(wait) => return put_back(tx, &message, resends, after(wait)).await,
        Outcome::Expired => (0, Reached::End(Status::Expired, None)),
        Outcome::Failed(code) => (0, Reached::End(Status::Failed, Some(code))),
        Outcome::Unknown => (0, Reached::End(Status::Unknown, None)),
        Outcome::Written { gap, verdict, .. } => match verdict {
            // The same id once more, after the new connection; then nobody knows.
            None if resends == 0 && may_resend(tx, &message).await? => {
                return put_back(tx, &message, 1, after(gap)).await;
            }
            None => (after(gap), Reached::End(Status::Unknown, None)),
            Some(ServerVerdict::Refused(code)) => {
                let code = Some(refusal(&message, code));
                (after(gap), Reached::End(Status::Failed, code))
            }
            Some(ServerVerdict::Taken) => (after(gap), Reached::At(Status::Sent, clock.now())),
            Some(ServerVerdict::Receipt(kind, at)) => {
                (after(gap), Reached::At(of_receipt(kind), at))
            }
        },
    };
    if !store::lanes::release(tx, message.org, message.session, message.id, next).await? {
        tracing::info!(message.id = %message.id, "the message was settled before");
        return Ok(());
    }
    match reached {
        Reached::End(status, error) => end(tx, key, clock, &mut message, status, error).await,
        Reached::At(status, at) => advance(tx, key, clock, &mut message, status, at).await,
    }
}

/// Where a message stands that has left its lane.
enum Reached {
    /// Not known as sent; with the code of a failure.
    End(Status, Option<String>),
    /// On its way, since when.
    At(Status, Millis),
}

/// The stable code of a refusal by WhatsApp's server. A group that this number is not in, or that is no
/// more, has a code of its own, which is also that of a group of which this is known before.
pub(crate) fn refusal(message: &Message, code: u16) -> String {
    match code {
        401 | 403 | 404 if message.group.is_some() => NOT_IN_GROUP.to_owned(),
        _ => format!("whatsapp_{code}"),
    }
}

/// The status a receipt stands for.
pub(crate) fn of_receipt(kind: ReceiptKind) -> Status {
    match kind {
        ReceiptKind::Delivered => Status::Delivered,
        ReceiptKind::Read => Status::Read,
        ReceiptKind::Played => Status::Played,
    }
}

/// The message stays the head of its lane, which takes it again not before `next`.
async fn put_back(tx: &mut Tx, message: &Message, resends: i64, next: Millis) -> Result<(), Fault> {
    store::lanes::put_back(tx, message.org, message.session, message.id, next).await?;
    store::messages::requeue(tx, message.org, message.id, resends).await?;
    Ok(())
}

async fn end(
    tx: &mut Tx,
    key: &DataKey,
    clock: &Clock,
    message: &mut Message,
    status: Status,
    error: Option<String>,
) -> Result<(), Fault> {
    store::messages::end(tx, message.org, message.id, status, error.as_deref()).await?;
    message.status = status;
    message.error = error;
    events::message(tx, key, message, clock).await
}

/// Moves the message on and tells it. A receipt stands for the acknowledgement too, which can come
/// after it or be lost: whoever waits for `sent` is told of it first.
pub(crate) async fn advance(
    tx: &mut Tx,
    key: &DataKey,
    clock: &Clock,
    message: &mut Message,
    status: Status,
    at: Millis,
) -> Result<(), Fault> {
    // A receipt's time is WhatsApp's, in whole seconds: it is never told as before what it follows.
    let before = [message.sent_at, message.delivered_at, message.read_at];
    let at = before.into_iter().flatten().fold(at, Millis::max);
    if status != Status::Sent && message.sent_at.is_none() {
        step(tx, key, clock, message, Status::Sent, at).await?;
    }
    // Receipts may overtake each other: what was read was delivered.
    if matches!(status, Status::Read | Status::Played) && message.delivered_at.is_none() {
        step(tx, key, clock, message, Status::Delivered, at).await?;
    }
    step(tx, key, clock, message, status, at).await
}

async fn step(
    tx: &mut Tx,
    key: &DataKey,
    clock: &Clock,
    message: &mut Message,
    status: Status,
    at: Millis,
) -> Result<(), Fault> {
    store::messages::advance(tx, message.org, message.id, status, at).await?;
    message.status = status;
    let stamp = match status {
        Status::Delivered => &mut message.delivered_at,
        Status::Read => &mut message.read_at,
        Status::Played => &mut message.played_at,
        _ => &mut message.sent_at,
    };
    stamp.get_or_insert(at);
    events::message(tx, key, message, clock).await?;
    if status == Status::Sent {
        target::apply_taken(tx, key, message, clock).await?;
    }
    Ok(())
}

/// How often a message may be in flight when its process dies, and go out again. It may not have
/// been written at all, so the one resend that follows a missing acknowledgement is not enough; but a
/// message that ends its process again and again must not do so for ever.
const DEATHS: i64 = 5;

/// Whether the tenant lets a message that may have been sent go out again by itself.
async fn may_resend(tx: &mut Tx, message: &Message) -> Result<bool, Fault> {
    let uncertain = store::sessions::uncertain(tx, message.org, message.session).await?;
    Ok(uncertain == Uncertain::Resend)
}

/// Resolves a message that was left in flight, under the lease: the same id again, at most
/// [`DEATHS`] times, then `unknown`; or that at once, where the tenant wants it so. It may have been written just before this moment, so the lane
/// waits a gap from now.
pub(crate) async fn resolve(
    tx: &mut Tx,
    key: &DataKey,
    clock: &Clock,
    lease: &Lease,
    gap: Duration,
) -> Result<(), Fault> {
    let Some(id) = store::lanes::running(tx, lease.org, lease.session).await? else {
        return Ok(());
    };
    let next = tx.now().await?.saturating_add(millis(gap));
    let stored = store::messages::read(tx.conn(), lease.org, id).await?;
    let Some(stored) = stored.filter(|stored| stored.status == Status::Sending) else {
        store::lanes::release(tx, lease.org, lease.session, id, next).await?;
        return Ok(());
    };
    let resends = stored.resends;
    let mut message = messages::sealed::open(key, stored)?;
    if resends < DEATHS && may_resend(tx, &message).await? {
        return put_back(tx, &message, resends + 1, next).await;
    }
    store::lanes::release(tx, lease.org, lease.session, id, next).await?;
    end(tx, key, clock, &mut message, Status::Unknown, None).await
}
