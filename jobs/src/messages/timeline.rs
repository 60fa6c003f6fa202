//! What happened to a message, step by step, and why it waited.

use passerelle_engine::{
    clock::Millis,
    ids::{ConsentId, MessageId, OrgId},
};

use crate::{
    error::Fault,
    lanes::outlook::Outlook,
    model::{Class, Decided, Direction, Message, Purpose, Status, waits_and_class},
    safety::hold::Hold,
    services::Services,
    store::{
        self,
        queues::{DecidedRow, Rank},
    },
};

/// A step of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Millis,
    /// What happened.
    pub what: What,
}

/// What happened to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It was accepted.
    Accepted {
        /// How well the number knew its recipient.
        class: Option<Class>,
        /// What it is for.
        purpose: Option<Purpose>,
        /// The consent that allowed it.
        consent: Option<ConsentId>,
        /// It was allowed as one of the first that the number sends.
        is_trial: bool,
    },
    /// It came in.
    Received,
    /// Something began to hold it.
    Waiting {
        /// What.
        hold: String,
        /// Until when it was to wait then; `None` if that could not be foreseen.
        until: Option<Millis>,
    },
    /// A host took it.
    Claimed {
        /// As what it went.
        class: Option<Class>,
        /// When it was to be written.
        send_at: Option<Millis>,
    },
    /// It reached this status.
    Reached {
        /// The status.
        status: Status,
        /// The stable code of a failure.
        error: Option<String>,
    },
    /// Its sender changed its text for the last time.
    Edited,
    /// Its sender deleted it for everyone.
    Deleted,
}

/// Returns the steps of a message, the earliest first; `None` if there is no such message.
pub async fn of(
    services: &Services,
    org: OrgId,
    id: MessageId,
) -> Result<Option<Vec<Step>>, Fault> {
    let Some(message) = super::read(services, org, id).await? else {
        return Ok(None);
    };
    let (decided, rank) = {
        let mut conn = services.store().read(org).await?;
        let decided = store::queues::decided(&mut conn, org, id).await?;
        (decided, store::queues::rank_of(&mut conn, org, id).await?)
    };
    let Some(decided) = decided else {
        return Ok(None);
    };
    let mut steps = steps(&message, &decided);
    if let Some((rank, _)) = rank
        && let Some(outlook) = Outlook::read(services, org, message.session).await?
    {
        steps.extend(now(&message, &outlook, &rank));
    }
    // A stable sort: steps of one moment stay in order.
    steps.sort_by_key(|step| step.at);
    Ok(Some(steps))
}

fn steps(message: &Message, decided: &DecidedRow) -> Vec<Step> {
    let mut steps = Vec::new();
    // WhatsApp tells whole seconds, so that a receipt may seem to come before its message was claimed.
    let mut claimed_at = Millis::MIN;
    let mut add = |at: Option<Millis>, what: What| {
        steps.extend(at.map(|at| Step { at, what }));
    };
    let (waits, was) = waits_and_class(decided.waits.as_deref());
    let first = match message.direction {
        Direction::Inbound => What::Received,
        Direction::Outbound => What::Accepted {
            class: was.or(message.class),
            purpose: message.purpose,
            consent: message.consent,
            is_trial: decided.is_trial,
        },
    };
    add(Some(message.created_at), first);
    for (hold, since, until) in waits {
        let until = Some(until).filter(|until| *until < Millis::MAX);
        add(Some(since), What::Waiting { hold, until });
    }
    if let Some(decision) = decided.decision.as_deref().and_then(Decided::read) {
        // One that was accepted later was not what its number waited with.
        let waited = decision
            .waited
            .filter(|(_, since)| *since >= message.created_at);
        if let Some((hold, since)) = waited {
            let until = decision.at;
            add(Some(since), What::Waiting { hold, until });
        }
        let claimed = What::Claimed {
            class: decision.class,
            send_at: Some(decision.send_at),
        };
        let at = decision.at.unwrap_or(decision.send_at);
        claimed_at = at;
        add(Some(at), claimed);
    }
    let after = |at: Option<Millis>| at.map(|at| at.max(claimed_at));
    let reached = |status, error| What::Reached { status, error };
    if message.direction == Direction::Outbound {
        add(after(message.sent_at), reached(Status::Sent, None));
        add(
            after(message.delivered_at),
            reached(Status::Delivered, None),
        );
    }
    add(after(message.read_at), reached(Status::Read, None));
    add(after(message.played_at), reached(Status::Played, None));
    let ended = match message.status {
        end @ (Status::Failed | Status::Expired | Status::Canceled) => end,
        _ => Status::Unknown,
    };
    add(decided.ended_at, reached(ended, message.error.clone()));
    add(message.edited_at, What::Edited);
    add(message.deleted_at, What::Deleted);
    steps
}

/// Returns what holds a queued message now, unless it is among its steps already.
fn now(message: &Message, outlook: &Outlook, rank: &Rank) -> Option<Step> {
    let waiting = |hold: Hold, since: Millis, until: Option<Millis>| Step {
        at: since.max(message.created_at),
        what: What::Waiting {
            hold: hold.to_string(),
            until: until.filter(|at| *at < Millis::MAX),
        },
    };
    let lane = &outlook.lane;
    match outlook.hold_of_class(rank.class) {
        Some(Hold::Paused) => Some(waiting(Hold::Paused, lane.paused_at?, None)),
        // What a limit of its recipient holds is noted with it.
        _ if rank.send_at > outlook.now => {
            let send_at = message.send_at.filter(|at| *at == rank.send_at)?;
            Some(waiting(Hold::Schedule, message.created_at, Some(send_at)))
        }
        Some(Hold::Disconnected) | None => None,
        Some(hold) => Some(waiting(hold, lane.hold_since?, Some(lane.next_at))),
    }
}
