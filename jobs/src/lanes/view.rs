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
        level: number.level,
        level_until: number.level_until,
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
        cap(
            "codes_at_night_an_hour",
            &state.night,
            number.night_cap(),
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
    use std::time::Duration;

    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::safety::{
        pace::Pace,
        policy::Policy,
        preset::Preset,
        state::{Sent, State},
        window::{LastDay, LastHour},
    };

    const MINUTE: Millis = 60_000;
    const DAY: Millis = 24 * 60 * MINUTE;
    const NOON: Millis = 20_000 * DAY + DAY / 2;

    /// Returns what a number may have sent in the last two days.
    fn some_state(chance: &mut StdRng) -> State {
        let mut state = State::default();
        let mut at = NOON - 2 * DAY;
        let pause = [MINUTE, 20 * MINUTE][chance.random_range(0..2)];
        while at < NOON {
            let class = [Class::Reply, Class::Warm, Class::Cold][chance.random_range(0..3)];
            state.record(
                sent(class, class == Class::Cold && chance.random_bool(0.7), at),
                at,
            );
            at += chance.random_range(1..pause * 2);
        }
        state
    }

    fn sent(class: Class, is_new_conversation: bool, at: Millis) -> Sent {
        let quantile = 0.5;
        Sent {
            class,
            at,
            quantile,
            is_new_conversation,
            is_at_night: false,
            group: None,
        }
    }

    /// Asks the decision itself how many messages fit under one limit, and when the next one does.
    fn decided(number: &Number<'_>, name: &str) -> (u32, Option<Millis>) {
        let (mut policy, mut state) = (number.policy.clone(), number.state.clone());
        policy.reply_ratio = None;
        let is_of_messages = name.starts_with("messages");
        if !is_of_messages {
            policy.messages = None;
        }
        if name == "codes_at_night_an_hour" {
            return codes_at_night(number, state);
        }
        let (class, is_new, hold) = match name {
            "replies_an_hour" => (Class::Reply, false, Hold::Replies),
            "messages_an_hour" => (Class::Warm, false, Hold::Hour),
            "messages_a_day" => (Class::Warm, false, Hold::Day),
            "new_conversations_a_day" => (Class::Cold, true, Hold::NewConversations),
            _ => (Class::Cold, false, Hold::UnansweredIn30Days),
        };
        if name == "new_conversations_a_day" {
            policy.unanswered_in_30_days = None;
        }
        for fits in 0.. {
            match hold {
                Hold::Hour => state.day = LastDay::default(),
                Hold::Day => state.hour = LastHour::default(),
                _ => {}
            }
            let number = Number {
                policy: &policy,
                state: &state,
                ..*number
            };
            match number.limit(class, is_new, NOON, NOON) {
                Some((at, held)) if held == hold => return (fits, Some(at)),
                Some((_, other)) => panic!("{name} is held by {other:?}"),
                None => state.record(sent(class, is_new, NOON), NOON),
            }
        }
        unreachable!("there is a limit")
    }

    fn codes_at_night(number: &Number<'_>, mut state: State) -> (u32, Option<Millis>) {
        for fits in 0.. {
            let number = Number {
                state: &state,
                ..*number
            };
            let at = number.night(Millis::MAX, NOON);
            if at > NOON {
                return (fits, Some(at));
            }
            let code = Sent {
                is_at_night: true,
                ..sent(Class::Cold, false, NOON)
            };
            state.record(code, NOON);
        }
        unreachable!("there is a limit")
    }

    #[test]
    fn queue_caps_and_level_are_those_that_decide() {
        for seed in 0..60 {
            let mut chance = StdRng::seed_from_u64(seed);
            let preset = [Preset::Default, Preset::Strict][chance.random_range(0..2)];
            let policy = Policy::of(preset, Pace::default());
            let state = some_state(&mut chance);
            let days = [0, 3, 9, 29, 100][chance.random_range(0..5)];
            let level = [Level::Ok, Level::Slow][chance.random_range(0..2)];
            let number = Number {
                level,
                age: Duration::from_hours(24) * days,
                new_divided_by: chance.random_range(1..4),
                quota: [None, Some(100)][chance.random_range(0..2)],
                ..Number::new(&policy, &state)
            };
            let shown = caps(&number, NOON);
            assert_eq!(shown.len(), 6);
            for cap in shown {
                let (fits, next) = decided(&number, cap.name);
                let remaining = cap.limit.saturating_sub(cap.used);
                assert_eq!(remaining, fits, "{cap:?}, seed {seed}");
                // It may be sooner, if the number may do more when it is older.
                let is_full = fits == 0 && cap.used > 0;
                let (next, resets_at) = (next.unwrap(), cap.resets_at);
                assert!(
                    !is_full || resets_at.is_some_and(|at| next <= at && next > NOON),
                    "{cap:?} and {next}, seed {seed}"
                );
            }
        }
    }

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
