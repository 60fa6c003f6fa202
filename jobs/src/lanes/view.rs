//! How full a queue is, what limits it, and what goes next.

use passerelle_engine::{
    clock::Millis,
    ids::{OrgId, SessionId},
};

use super::outlook::Outlook;
use crate::{
    error::Fault,
    model::Class,
    queries::{ListRead, bounded},
    safety::{hold::Hold, level::Level, number::Number, window::Window},
    services::Services,
    store::{self, queues::Waiting},
};

/// The queue of a session.
#[derive(Debug, Clone)]
pub struct QueueView {
    /// How many messages are queued or being sent.
    pub depth: i64,
    /// Whether one is being sent.
    pub is_sending: bool,
    /// When the oldest queued message was accepted.
    pub oldest_at: Option<Millis>,
    /// Since when it is paused.
    pub paused_at: Option<Millis>,
    /// When the next message is sent at the earliest; `None` if none waits or that cannot be foreseen.
    pub next_at: Option<Millis>,
    /// What holds it until then.
    pub hold: Option<Hold>,
    /// Since when.
    pub hold_since: Option<Millis>,
    /// What waits, by class.
    pub classes: Vec<OfClass>,
    /// Why messages wait.
    pub holds: Vec<Held>,
    /// The limits that count messages of the number. None in a sandbox.
    pub caps: Vec<Cap>,
    /// The health of the number.
    pub level: Level,
    /// When its health is looked at again.
    pub level_until: Option<Millis>,
}

/// What waits of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfClass {
    /// The class.
    pub class: Class,
    /// How many wait.
    pub waiting: i64,
    /// How many of them something holds.
    pub held: i64,
}

/// Messages that something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What.
    pub hold: Hold,
    /// How many.
    pub messages: i64,
    /// When the first of them goes on, if that can be foreseen.
    pub until: Option<Millis>,
}

/// A limit that counts messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// What is counted.
    pub name: &'static str,
    /// How many are allowed.
    pub limit: u32,
    /// How many were sent.
    pub used: u32,
    /// When one more is allowed than now; `None` if none was sent, or none ever is allowed.
    pub resets_at: Option<Millis>,
}

/// Returns the queue of a session; `None` if there is no such session.
pub async fn read(
    services: &Services,
    org: OrgId,
    session: SessionId,
) -> Result<Option<QueueView>, Fault> {
    let Some(outlook) = Outlook::read(services, org, session).await? else {
        return Ok(None);
    };
    let mut read = ListRead::begin(services, org).await?;
    let waiting = store::queues::waiting(read.conn(), org, session, outlook.now);
    let waiting = bounded(waiting).await;
    let waiting = read.end(waiting)?;
    Ok(Some(view(&outlook, &waiting)))
}

fn view(outlook: &Outlook, waiting: &[Waiting]) -> QueueView {
    let (lane, now) = (&outlook.lane, outlook.now);
    let of_lane = outlook.hold();
    let count = |which: &dyn Fn(&Waiting) -> bool| -> i64 {
        let some = waiting.iter().filter(|some| which(some));
        some.map(|some| some.messages).sum()
    };
    let of_class = |class| OfClass {
        class,
        waiting: count(&|some| some.class == class),
        held: count(&|some| {
            let of_lane = outlook.hold_of_class(class);
            some.class == class && (some.hold.is_some() || of_lane.is_some())
        }),
    };
    let is_empty = waiting.is_empty();
    let number = outlook.number();
    let standing = outlook.known.health.at(now);
    // A lane may wait for its gap without anything to send.
    let gap = Some(Hold::Gap).filter(|_| lane.next_at > now);
    let first = waiting.iter().map(|some| some.first_at).min();
    let is_scheduled = first.is_some_and(|first| first > now);
    let own = waiting.iter().min_by_key(|some| some.first_at);
    let own = own.and_then(|own| own.hold.as_deref()?.parse().ok());
    let hold = of_lane.or(own.filter(|_| is_scheduled)).or(gap);
    let is_stopped = matches!(hold, Some(Hold::Paused | Hold::Disconnected));
    let next_at = lane.next_at.max(first.unwrap_or(now)).max(now);
    QueueView {
        depth: lane.pending,
        is_sending: lane.is_sending,
        oldest_at: waiting.iter().map(|some| some.oldest_at).min(),
        paused_at: lane.paused_at,
        next_at: Some(next_at).filter(|at| !is_empty && !is_stopped && *at < Millis::MAX),
        hold: hold.filter(|_| !is_empty),
        hold_since: since(outlook, hold).filter(|_| !is_empty),
        classes: vec![
            of_class(Class::Reply),
            of_class(Class::Warm),
            of_class(Class::Cold),
        ],
        holds: holds(outlook, waiting),
        caps: caps(&number, now),
        level: standing.level,
        level_until: standing.until,
    }
}

fn since(outlook: &Outlook, hold: Option<Hold>) -> Option<Millis> {
    match hold? {
        Hold::Paused => outlook.lane.paused_at,
        hold if outlook.lane.hold.as_deref() == Some(hold.into()) => outlook.lane.hold_since,
        _ => None,
    }
}

/// Counts the messages by what holds them: a limit of their recipient, or else what holds the lane.
fn holds(outlook: &Outlook, waiting: &[Waiting]) -> Vec<Held> {
    let mut holds: Vec<Held> = Vec::new();
    for some in waiting {
        let own = some.hold.as_deref().and_then(|hold| hold.parse().ok());
        let of_lane = outlook.hold_of_class(some.class);
        let (hold, until) = match (own, of_lane) {
            (Some(own), _) => (own, Some(some.first_at)),
            (None, Some(of_lane)) => {
                let is_foreseen = !matches!(of_lane, Hold::Paused | Hold::Disconnected);
                (of_lane, Some(outlook.lane.next_at).filter(|_| is_foreseen))
            }
            (None, None) => continue,
        };
        let until = until.filter(|at| *at < Millis::MAX);
        match holds.iter_mut().find(|held| held.hold == hold) {
            Some(held) => {
                held.messages += some.messages;
                held.until = held.until.into_iter().chain(until).min();
            }
            None => holds.push(Held {
                hold,
                messages: some.messages,
                until,
            }),
        }
    }
    holds.sort_by_key(|held| -held.messages);
    holds
}

/// Returns each limit that counts messages of the number.
fn caps(number: &Number<'_>, now: Millis) -> Vec<Cap> {
    let state = number.state;
    let all = [
        cap("replies_an_hour", &state.replies, number.replies_cap(), now),
        cap(
            "messages_an_hour",
            &state.hour,
            number.hour_cap(now, now),
            now,
        ),
        cap("messages_a_day", &state.day, number.day_cap(now, now), now),
        cap(
            "new_conversations_a_day",
            &state.new,
            number.new_cap(now, now),
            now,
        ),
        cap(
            "unanswered_in_30_days",
            &state.unanswered,
            number.unanswered_cap(),
            now,
        ),
    ];
    all.into_iter().flatten().collect()
}

fn cap<const BUCKET: Millis, const LENGTH: Millis>(
    name: &'static str,
    window: &Window<BUCKET, LENGTH>,
    limit: Option<u32>,
    now: Millis,
) -> Option<Cap> {
    let (limit, used) = (limit?, window.count(now));
    // With this many, one more fits when it is one less.
    let full = limit.min(used);
    let resets_at = (used > 0).then(|| window.free_at(full, now));
    Some(Cap {
        name,
        limit,
        used,
        resets_at: resets_at.filter(|at| *at < Millis::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::window::LastHour;

    const MINUTE: Millis = 60_000;

    #[test]
    fn queue_a_cap_says_when_one_more_is_allowed_than_now() {
        let mut hour = LastHour::default();
        let shown = |hour: &LastHour, limit| {
            let cap = cap("x", hour, Some(limit), 40 * MINUTE).unwrap();
            (cap.used, cap.resets_at.map(|at| at / MINUTE))
        };
        assert_eq!(shown(&hour, 3), (0, None));
        hour.add(0);
        hour.add(20 * MINUTE);
        hour.add(30 * MINUTE);
        // The first leaves after an hour and its bucket of five minutes.
        assert_eq!(shown(&hour, 10), (3, Some(65)));
        assert_eq!(shown(&hour, 3), (3, Some(65)));
        // The limit became smaller than what was sent.
        assert_eq!(shown(&hour, 1), (3, Some(95)));
        assert_eq!(shown(&hour, 0), (3, None));
        assert_eq!(cap("x", &hour, None, 0), None);
    }
}
