//! The outcome of a claimed message. Its status, its event, the deliveries and the release of the lane
//! are one transaction.

use std::{sync::Arc, time::Duration};

use passerelle_engine::{
    clock::{Clock, Millis},
    lease::Lease,
    store::Tx,
    vault::DataKey,
};
use tokio::time::Instant;

use crate::{
    crash,
    error::{Fault, if_readable},
    events,
    host::{
        addressee::Addressing,
        job::SendMessage,
        settle,
        verdict::{of_receipt, refusal},
    },
    messages::{
        self, target,
        unreadable::{self, Named},
    },
    model::{Message, OptOutCheck, Status, Uncertain, millis, report_unreadable, until},
    outage,
    queue::job_result::{Done, JobResult, NotDone, OrNotDone as _},
    services::Services,
    state::{
        gathering::{Settled, Taken},
        in_flight::ServerVerdict,
    },
    store,
};

/// The outcome of a claimed message.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// Certainly not written. It stays at the head of its lane.
    PutBack,
    /// Not ready to be sent, for example because its file is not uploaded yet. It stays at the head of its
    /// lane and is tried again after this time.
    Later(Duration),
    /// Its `expires_at` has passed.
    Expired,
    /// It can never be sent. Carries the stable code of the reason.
    Failed(String),
    /// It may have been written before and must not be written again.
    Unknown,
    /// Written, or perhaps written. `verdict` is `None` if WhatsApp did not answer in time. `members` is how many
    /// the group had; `None` for a person, or if that is not known.
    Written {
        wire_at: Instant,
        gap: Duration,
        verdict: Option<ServerVerdict>,
        members: Option<u32>,
    },
    /// Written, and refused by WhatsApp's server for a reason that was found out. It fails with this code, or is sent once
    /// more `again` later.
    Refused {
        wire_at: Instant,
        gap: Duration,
        code: String,
        again: Option<Duration>,
    },
}

/// A claimed message; its status is `sending`.
#[derive(Clone)]
pub(crate) struct Claimed {
    pub(crate) message: Message,
    pub(crate) resends: i64,
    /// Whether the recipient opted out after the message was accepted.
    pub(crate) opt_out: OptOutCheck,
    /// What has to be done before it can be sent.
    pub(crate) addressing: Addressing,
}

impl Claimed {
    /// Turns `Expired` and `Failed` into `Unknown` if the message was sent before: that attempt may have
    /// reached the recipient.
    pub(crate) fn unknown_if_resent(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Expired | Outcome::Failed(_) if self.resends > 0 => Outcome::Unknown,
            outcome => outcome,
        }
    }
}

/// Loads the claimed message, and retries while the database is down. Returns `None` if it was deleted or
/// is no longer `sending`.
pub(crate) async fn load(services: &Services, job: &SendMessage) -> Result<Option<Claimed>, Fault> {
    let log = |fault: &Fault| {
        tracing::warn!(message.id = %job.message, error = %fault, "the database is down; a claimed message waits");
    };
    outage::wait_out(|| try_load(services, job), || true, log).await
}

async fn try_load(services: &Services, job: &SendMessage) -> Result<Option<Claimed>, Fault> {
    let key = services.vault().org_key(job.org).await?;
    let mut conn = services.store().read(job.org).await?;
    let claimed = store::messages::claimed(&mut conn, job.org, job.message).await?;
    drop(conn);
    claimed
        .map(|(stored, known)| {
            let (resends, opt_out) = (stored.resends, known.opt_out);
            let message = messages::sealed::open(&key, stored)?;
            Ok(Claimed {
                addressing: Addressing::of(&key, &message, known)?,
                message,
                resends,
                opt_out,
            })
        })
        .transpose()
}

/// Commits the outcome, and retries while the database is down: WhatsApp's answer must not be lost while
/// this process lives. Stops if the lease is lost, because the new owner resolves the message.
pub(crate) async fn settle(
    services: &Services,
    job: &SendMessage,
    claimed: &Claimed,
    outcome: &Outcome,
) -> JobResult {
    let lease = Lease {
        org: job.org,
        session: job.session,
        host: Arc::clone(&services.settings().host),
        epoch: job.epoch,
    };
    let commit = || commit(services, &lease, claimed.clone(), outcome.clone());
    let log = |fault: &Fault| {
        tracing::warn!(message.id = %job.message, error = %fault, "the database is down; an outcome waits");
    };
    let result = match outage::wait_out(commit, || true, log).await {
        Err(Fault::LeaseLost) => {
            tracing::info!(message.id = %job.message, "the lease is lost; the new owner resolves the message");
            Ok(Done)
        }
        // The message may be on its way, so it must not fail for good here.
        done => done.or_retry("committing a message's outcome")?,
    };
    crash::point("complete.after_commit");
    services.lanes().notify_one();
    services.wake_deliveries();
    result
}

/// Ends a claimed message that could not be read, so that its lane goes on.
pub(crate) async fn give_up(services: &Services, job: SendMessage) -> Result<(), Fault> {
    let key = services.org_key_if_readable(job.org).await?;
    let clock = services.clock().clone();
    let lease = Lease {
        org: job.org,
        session: job.session,
        host: Arc::clone(&services.settings().host),
        epoch: job.epoch,
    };
    let write = services.store().write(job.org, move |tx| {
        Box::pin(async move {
            let now = lease.check(tx).await?;
            let named = Named {
                org: job.org,
                session: job.session,
                id: job.message,
            };
            unreadable::end(tx, key.as_deref(), &clock, named, (Some(now), false)).await
        })
    });
    match write.await {
        // The new owner resolves the message.
        Err(Fault::LeaseLost) => {}
        done => done?,
    }
    report_unreadable("message", &job.message, &"a claimed message");
    services.lanes().notify_one();
    services.wake_deliveries();
    Ok(())
}

async fn commit(
    services: &Services,
    lease: &Lease,
    claimed: Claimed,
    outcome: Outcome,
) -> Result<JobResult, Fault> {
    let key = services.vault().org_key(lease.org).await?;
    if let Outcome::Written {
        wire_at,
        gap,
        verdict: Some(ServerVerdict::Taken),
        members,
    } = outcome
    {
        let taken = Taken {
            lease: lease.clone(),
            key: Arc::clone(&key),
            message: claimed.message.clone(),
            wire_at,
            gap,
            members,
        };
        match services
            .taken()
            .settle(taken, |set| settle::commit(services, set))
            .await
        {
            Settled::Committed => return Ok(Ok(Done)),
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
                let result = apply(tx, &key, &clock, claimed, outcome, wire).await?;
                crash::point("outcome.before_commit");
                Ok(result)
            })
        })
        .await
}

/// Returns how long ago the message was written. Called before the database's clock is read, so that the
/// gap is never too short.
fn since(clock: &Clock, outcome: &Outcome) -> Duration {
    match outcome {
        Outcome::Written { wire_at, .. } | Outcome::Refused { wire_at, .. } => {
            clock.monotonic().saturating_duration_since(*wire_at)
        }
        _ => Duration::ZERO,
    }
}

/// Writes the outcome. `wire` is the time of the write to the socket, by the database's clock.
async fn apply(
    tx: &mut Tx,
    key: &DataKey,
    clock: &Clock,
    claimed: Claimed,
    outcome: Outcome,
    wire: Millis,
) -> Result<JobResult, Fault> {
    let Claimed {
        mut message,
        resends,
        ..
    } = claimed;
    let after = |gap| wire.saturating_add(millis(gap));
    let members = match &outcome {
        Outcome::Written { members, .. } => *members,
        _ => None,
    };
    let (next, reached) = match outcome {
        Outcome::PutBack => {
            return put_back(tx, clock, named(&message), resends, (0, false)).await;
        }
        Outcome::Later(wait) => {
            let next = (after(wait), false);
            return put_back(tx, clock, named(&message), resends, next).await;
        }
        Outcome::Refused {
            gap,
            again: Some(wait),
            ..
        } => {
            // The lane goes on: only this message waits.
            let send_at = wire.saturating_add(millis(wait));
            store::messages::put_off(tx, message.org, message.id, send_at).await?;
            return put_back(tx, clock, named(&message), 1, (after(gap), true)).await;
        }
        Outcome::Refused { gap, code, .. } => {
            (after(gap), Reached::End(Status::Failed, Some(code)))
        }
        Outcome::Expired => (0, Reached::End(Status::Expired, None)),
        Outcome::Failed(code) => (0, Reached::End(Status::Failed, Some(code))),
        Outcome::Unknown => (0, Reached::End(Status::Unknown, None)),
        Outcome::Written { gap, verdict, .. } => match verdict {
            // Without an answer it is sent once more with the same id, over a new connection. After that
            // its status is unknown.
            None if resends == 0 && may_resend(tx, named(&message)).await? => {
                return put_back(tx, clock, named(&message), 1, (after(gap), true)).await;
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
        return Ok(Ok(Done));
    }
    match reached {
        Reached::End(status, error) => {
            let failed = error
                .clone()
                .map_or(Ok(Done), |code| Err(NotDone::failed(code)));
            end(tx, key, clock, &mut message, status, error).await?;
            Ok(failed)
        }
        Reached::At(status, at) => {
            advance(tx, key, clock, &mut message, status, at).await?;
            if let Some(members) = members {
                store::receipts::count(tx, message.org, message.id, members).await?;
            }
            Ok(Ok(Done))
        }
    }
}

/// The status of a message that has left its lane.
enum Reached {
    /// A final status other than sent; with the code of a failure.
    End(Status, Option<String>),
    /// Sent or further, and since when.
    At(Status, Millis),
}

fn named(message: &Message) -> Named {
    Named {
        org: message.org,
        session: message.session,
        id: message.id,
    }
}

/// Puts the message back to the head of its lane. It is not claimed again before `next`. If it may have been
/// `written`, the number's other lanes wait as long.
async fn put_back(
    tx: &mut Tx,
    clock: &Clock,
    Named { org, session, id }: Named,
    resends: i64,
    (next, written): (Millis, bool),
) -> Result<JobResult, Fault> {
    let put = store::lanes::put_back(tx, org, session, id, next, written).await?;
    store::messages::requeue(tx, org, id, resends).await?;
    let snoozed = NotDone::Snooze(until(next, clock.now()));
    Ok(if put { Err(snoozed) } else { Ok(Done) })
}

async fn end(
    tx: &mut Tx,
    key: &DataKey,
    clock: &Clock,
    message: &mut Message,
    status: Status,
    error: Option<String>,
) -> Result<(), Fault> {
    let ended = (status, error.as_deref());
    store::messages::end(tx, message.org, message.id, ended, clock.now()).await?;
    message.status = status;
    message.error = error;
    events::message(tx, key, message, clock).await
}

/// Advances the message's status and emits its events. A receipt implies the acknowledgement, which can
/// come later or be lost, so `sent` is emitted first if it is missing.
pub(crate) async fn advance(
    tx: &mut Tx,
    key: &DataKey,
    clock: &Clock,
    message: &mut Message,
    status: Status,
    at: Millis,
) -> Result<(), Fault> {
    // A receipt carries WhatsApp's time in whole seconds; it must not lie before the earlier steps.
    let before = [message.sent_at, message.delivered_at, message.read_at];
    let at = before.into_iter().flatten().fold(at, Millis::max);
    if status != Status::Sent && message.sent_at.is_none() {
        step(tx, key, clock, message, Status::Sent, at).await?;
    }
    // Receipts may overtake each other: a message that was read was also delivered.
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

/// How often a message is sent again after its process died. One resend, as after a missing
/// acknowledgement, would not be enough, since the message may not have been written at all. But a message
/// that crashes its process each time must not do so forever.
const DEATHS: i64 = 5;

/// Returns whether the tenant wants messages that may have been sent to be sent again automatically.
async fn may_resend(tx: &mut Tx, of: Named) -> Result<bool, Fault> {
    let uncertain = store::sessions::uncertain(tx, of.org, of.session).await;
    let uncertain = if_readable("session", &of.session, uncertain.map_err(Fault::from))?;
    // A choice that this version does not know is taken as the careful one.
    Ok(uncertain == Some(Uncertain::Resend))
}

/// Resolves a message that was left in flight, under the lease. It is sent again with the same id, at most
/// [`DEATHS`] times. After that, or if the tenant does not want resends, its status becomes `unknown`. The
/// message may have been written just before this moment, so the lane waits a gap from now. A message that
/// cannot be read ends here, as it does without its organisation's key.
pub(crate) async fn resolve(
    tx: &mut Tx,
    key: Option<&DataKey>,
    clock: &Clock,
    lease: &Lease,
    gap: Duration,
) -> Result<(), Fault> {
    let Some(id) = store::lanes::running(tx, lease.org, lease.session).await? else {
        return Ok(());
    };
    let next = tx.now().await?.saturating_add(millis(gap));
    let of = Named {
        org: lease.org,
        session: lease.session,
        id,
    };
    let opened = match store::messages::read(tx.conn(), lease.org, id).await {
        Ok(Some(stored)) if stored.status == Status::Sending => {
            let resends = stored.resends;
            let open = |key| Ok((messages::sealed::open(key, stored)?, resends, key));
            key.map(open).transpose()
        }
        Ok(_) => {
            store::lanes::release(tx, lease.org, lease.session, id, next).await?;
            return Ok(());
        }
        Err(error) => Err(error.into()),
    };
    let Some((mut message, resends, key)) = if_readable("message", &id, opened)?.flatten() else {
        return unreadable::end(tx, key, clock, of, (Some(next), true)).await;
    };
    if resends < DEATHS && may_resend(tx, of).await? {
        return put_back(tx, clock, of, resends + 1, (next, true))
            .await
            .map(drop);
    }
    store::lanes::release(tx, lease.org, lease.session, id, next).await?;
    end(tx, key, clock, &mut message, Status::Unknown, None).await
}
