//! Which message of a number goes next, and when. Without a clock, chance or a database: the same question always has the
//! same answer.

use std::{cell::OnceCell, time::Duration};

use passerelle_engine::clock::Millis;

use super::{
    contact::Contact,
    groups::GroupKey,
    number::Bound,
    policy::{Policy, digits},
    quiet::{self, Zones},
};
pub use super::{
    hold::{Hold, Refusal},
    number::Number,
};
use crate::model::{Class, Purpose, millis, until};

/// A message that waits.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its class.
    pub class: Class,
    /// What it is for.
    pub purpose: Option<Purpose>,
    /// Who it is for.
    pub contact: Contact,
    /// The group that it is for, if it is one.
    pub group: Option<GroupKey>,
    /// Where the contact may be.
    pub zones: Zones,
    /// When it was accepted.
    pub accepted_at: Millis,
    /// The time that the sender asked for.
    pub send_at: Option<Millis>,
    /// When it is no longer worth sending.
    pub expires_at: Option<Millis>,
    /// How long its text takes to type, or its recording is shown.
    pub typing: Duration,
    /// The highest goes first.
    pub priority: i64,
    /// Whether it is one of the number's first, for trying it out: it needs no consent and keeps no quiet hours.
    pub is_trial: bool,
    /// Whether another message to the same contact must go before it.
    pub follows: bool,
    /// Whether what the number has sent counts it already: it was put back. Its contact's unanswered messages are without it.
    pub is_counted: bool,
    /// When nearly the same text went to other new recipients, in the last 24 hours, oldest first: one time for each.
    pub alike: Vec<Millis>,
}

impl Candidate {
    /// Creates a message without any wishes, for a contact of whom nothing is known.
    pub fn new(class: Class, accepted_at: Millis) -> Self {
        Self {
            class,
            purpose: None,
            contact: Contact::default(),
            group: None,
            zones: Zones::default(),
            accepted_at,
            send_at: None,
            expires_at: None,
            typing: Duration::ZERO,
            priority: 0,
            is_trial: false,
            follows: false,
            is_counted: false,
            alike: Vec::new(),
        }
    }

    /// Returns when quiet hours end if this is a code that would go in them, and count, at that time.
    pub fn morning(&self, policy: &Policy, at: Millis) -> Option<Millis> {
        if self.is_trial || self.is_counted {
            return None;
        }
        quiet::morning(&self.zones, policy, self.class, self.purpose, at)
    }
}

/// When a message may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// When it may be written to WhatsApp. [`Millis::MAX`] if that cannot be foreseen.
    pub at: Millis,
    /// When its typing begins.
    pub from: Millis,
    /// What holds it the longest; `None` if it may go now.
    pub why: Option<Hold>,
}

/// What a number does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Take this message now, show typing, and write it at that time.
    Send {
        /// Its place in the list.
        index: usize,
        /// When it is written.
        at: Millis,
    },
    /// Ask again then, or when something changes.
    WaitUntil {
        /// The message that goes next if nothing changes; `None` if there is none.
        index: Option<usize>,
        /// When. [`Millis::MAX`] if that cannot be foreseen.
        at: Millis,
        /// What holds the message.
        why: Option<Hold>,
    },
    /// This message never goes.
    Refuse {
        /// Its place in the list.
        index: usize,
        /// Why.
        code: Refusal,
    },
}

/// A message that waits so long goes with the class before its own.
const AGES_AFTER: Duration = Duration::from_mins(15);
/// Limits are looked at from when a message could have gone, but from no further back.
const LOOKS_BACK: Duration = Duration::from_hours(24);
/// The length of the window of near-duplicates.
pub const ALIKE_WITHIN: Duration = Duration::from_hours(24);

/// Decides what a number does next. The candidates stand in the order in which they were accepted.
///
/// Among the messages that could be written first, replies go before warm ones, and those before cold ones; then the
/// priority counts, then the order. A message that is held lets others pass.
pub fn decide(number: &Number<'_>, candidates: &[Candidate], now: Millis) -> Decision {
    let moment = Moment::of(number, now);
    let mut open = Vec::with_capacity(candidates.len());
    for (index, candidate) in candidates.iter().enumerate() {
        if candidate.follows {
            continue;
        }
        let due = moment.due(candidate);
        if let Some(code) = refusal(number, candidate, &due, now) {
            return Decision::Refuse { index, code };
        }
        open.push((index, candidate, due));
    }
    let first = open.iter().map(|(_, _, due)| due.at).min();
    let horizon = first.unwrap_or(Millis::MAX).max(now);
    let turn = |index: &usize, candidate: &Candidate| {
        (rank(number, candidate, now), -candidate.priority, *index)
    };
    let next = open
        .iter()
        .filter(|(_, _, due)| due.at <= horizon)
        .min_by_key(|(index, candidate, _)| turn(index, candidate));
    // A message to a group has a longer gap, and each message begins it anew. So one that has waited long is waited for, and
    // only replies go before it.
    let patient = open.iter().filter(|(_, candidate, due)| {
        candidate.group.is_some() && due.why == Hold::Gap && rank(number, candidate, now) == 0
    });
    let patient = patient.min_by_key(|(index, candidate, _)| turn(index, candidate));
    let next = match (next, patient) {
        (Some(next), Some(patient))
            if next.1.class != Class::Reply
                && turn(&patient.0, patient.1) < turn(&next.0, next.1) =>
        {
            Some(patient)
        }
        (next, _) => next,
    };
    let Some((index, candidate, due)) = next else {
        return Decision::WaitUntil {
            index: None,
            at: Millis::MAX,
            why: None,
        };
    };
    let when = due.when(number, candidate, now);
    if when.from <= now {
        Decision::Send {
            index: *index,
            at: when.at,
        }
    } else {
        Decision::WaitUntil {
            index: Some(*index),
            at: when.from,
            why: when.why,
        }
    }
}

/// Returns the decision to take the message now that goes next, if it is a reply that is written within the time in which a number
/// may type while others wait. It waits for its time after that. To look once more would cost more, and nothing but another reply
/// could go before it.
pub fn early(
    decision: &Decision,
    number: &Number<'_>,
    candidates: &[Candidate],
    now: Millis,
) -> Option<Decision> {
    let Decision::WaitUntil {
        index: Some(index), ..
    } = *decision
    else {
        return None;
    };
    let candidate = candidates.get(index)?;
    let at = earliest(number, candidate, now).at;
    let soon = now.saturating_add(millis(number.policy.lead()));
    let is_soon = candidate.class == Class::Reply && at <= soon;
    is_soon.then_some(Decision::Send { index, at })
}

/// Returns when a message may go at the earliest, if no other goes before it.
pub fn earliest(number: &Number<'_>, candidate: &Candidate, now: Millis) -> When {
    let due = Moment::of(number, now).due(candidate);
    due.when(number, candidate, now)
}

/// Returns why a message would be refused now; `None` if it may wait.
pub fn refuses(number: &Number<'_>, candidate: &Candidate, now: Millis) -> Option<Refusal> {
    let due = Moment::of(number, now).due(candidate);
    refusal(number, candidate, &due, now)
}

/// When a message is due, whatever the time is now. It does not move while nothing is sent.
struct Due {
    at: Millis,
    typing: Millis,
    why: Hold,
}

impl Due {
    fn when(&self, number: &Number<'_>, candidate: &Candidate, now: Millis) -> When {
        let at = self.at.max(soon(number, candidate, now));
        let from = at.saturating_sub(self.typing);
        When {
            at,
            from: if at == Millis::MAX { at } else { from },
            why: (self.at > now).then_some(self.why),
        }
    }
}

/// A number at one time, with what is the same for all its messages.
struct Moment<'a> {
    number: &'a Number<'a>,
    now: Millis,
    /// From when on the gaps let a reply, a warm and a cold message and one to a group go, once somebody asked.
    gaps: [OnceCell<Millis>; 4],
    think: Duration,
}

impl<'a> Moment<'a> {
    fn of(number: &'a Number<'a>, now: Millis) -> Self {
        Self {
            number,
            now,
            gaps: Default::default(),
            think: number.policy.think.at(digits(number.state.quantile())),
        }
    }

    /// Returns from when on the gaps let a message go.
    fn gap(&self, candidate: &Candidate) -> Millis {
        if candidate.group.is_some() {
            return *self.gaps[3].get_or_init(|| self.number.group_gap(self.now));
        }
        let place = candidate.class.place();
        *self.gaps[place].get_or_init(|| self.number.gap(candidate.class, self.now))
    }

    fn due(&self, candidate: &Candidate) -> Due {
        let (number, policy) = (self.number, self.number.policy);
        let short = candidate.typing.min(policy.typing.most_while_others_wait);
        let rest = millis(self.think + short);
        let (ready, mut why) = ready(number, candidate, self.now);
        let gap = self.gap(candidate);
        // While a gap runs, typing costs nobody time, except before a cold message: a reply may come.
        let typing = match candidate.class {
            Class::Reply | Class::Warm => candidate.typing,
            Class::Cold => short,
        };
        let mut at = ready.saturating_add(rest);
        if gap >= at {
            (at, why) = (gap, Hold::Gap);
        }
        let left = until(at, ready).saturating_sub(self.think);
        let mut typing = typing.min(left).max(short);
        // Quiet hours come last: they count when the message would be written, which is never before now.
        for least in [at, soon(number, candidate, self.now)] {
            let written = at.max(least);
            let (open, hold) = quiet_until(number, candidate, written);
            if open > written {
                (at, why, typing) = (open.saturating_add(rest), hold, short);
            }
        }
        Due {
            at,
            typing: millis(typing),
            why,
        }
    }
}

/// Returns the earliest time at which a message can be written that is taken now: late ones still show some typing.
fn soon(number: &Number<'_>, candidate: &Candidate, now: Millis) -> Millis {
    let least = candidate.typing.min(number.policy.typing.least);
    now.saturating_add(millis(least))
}

/// Returns when a message may go that would be written then, because of the night where its recipient is: by the clock and by
/// what it would show without its steps.
fn quiet_until(number: &Number<'_>, candidate: &Candidate, at: Millis) -> Bound {
    if candidate.is_trial {
        return (at, Hold::QuietHours);
    }
    let (zones, purpose) = (&candidate.zones, candidate.purpose);
    if let Some(morning) = candidate.morning(number.policy, at) {
        return (number.night(morning, at), Hold::CodesAtNight);
    }
    let day = |at| quiet::open_at(zones, number.policy, candidate.class, purpose, at);
    let mut open = day(at);
    if number.doubt != 0 {
        let other = day(at.saturating_sub(number.doubt));
        open = open.max(other.saturating_add(number.doubt));
    }
    (open, Hold::QuietHours)
}

/// Returns when neither gaps nor quiet hours, but all else lets a message go, and what held it until then.
fn ready(number: &Number<'_>, candidate: &Candidate, now: Millis) -> Bound {
    let (policy, contact, class) = (number.policy, &candidate.contact, candidate.class);
    let asked = candidate.send_at.unwrap_or(Millis::MIN);
    let able = candidate.accepted_at.max(number.able_since);
    // From the time at which it could have gone, so that the answer does not move with the clock.
    let from = able.max(asked).max(now.saturating_sub(millis(LOOKS_BACK)));
    let why = if asked > able {
        Hold::Schedule
    } else {
        Hold::Thinking
    };
    let is_new = class == Class::Cold && contact.is_new(from);
    let limit = if candidate.is_counted {
        number.health(class, from, now)
    } else {
        number.limit(class, is_new, from, now)
    };
    let mut longest: Bound = limit.unwrap_or((from, why));
    let mut at_least = |at: Millis, hold: Hold| {
        if at > longest.0 {
            longest = (at, hold);
        }
    };
    at_least(contact.spaced_at(policy), Hold::Spacing);
    at_least(contact.unanswered_free_at(policy, class), Hold::Unanswered);
    if is_new && !candidate.is_counted {
        at_least(alike_free_at(number, candidate), Hold::NearDuplicates);
    }
    if let Some(group) = candidate.group {
        let (at, hold) = number.group(group);
        at_least(at, hold);
    }
    longest
}

/// Returns when one more nearly equal text fits, if such texts wait.
fn alike_free_at(number: &Number<'_>, candidate: &Candidate) -> Millis {
    let rule = number.policy.near_duplicates.filter(|rule| !rule.refuses);
    let Some(rule) = rule.filter(|_| candidate.purpose != Some(Purpose::Code)) else {
        return Millis::MIN;
    };
    let most = usize::try_from(rule.most).unwrap_or(usize::MAX);
    let Some(index) = candidate.alike.len().checked_sub(most) else {
        return Millis::MIN;
    };
    candidate
        .alike
        .get(index)
        .map_or(Millis::MAX, |at| at.saturating_add(millis(ALIKE_WITHIN)))
}

fn refusal(number: &Number<'_>, candidate: &Candidate, due: &Due, now: Millis) -> Option<Refusal> {
    let policy = number.policy;
    let is_cold = candidate.class == Class::Cold;
    let agreed = candidate.contact.has_consent || candidate.is_trial;
    if is_cold && policy.needs_consent && !agreed {
        return Some(Refusal::ConsentRequired);
    }
    let rule = policy.near_duplicates.filter(|rule| rule.refuses);
    let most = rule.map_or(usize::MAX, |rule| {
        usize::try_from(rule.most).unwrap_or(usize::MAX)
    });
    let is_code = candidate.purpose == Some(Purpose::Code);
    let is_new = is_cold && candidate.contact.is_new(candidate.accepted_at);
    if is_new && !is_code && candidate.alike.len() >= most {
        return Some(Refusal::NearDuplicates);
    }
    let expires_at = candidate.expires_at.unwrap_or(Millis::MAX);
    let is_late = soon(number, candidate, now) > expires_at;
    let will_be = due.at > expires_at && due.why.is_certain();
    (is_late || will_be).then_some(Refusal::WouldExpire)
}

/// Returns the turn of a message: 0 for replies and for what has waited long.
fn rank(number: &Number<'_>, candidate: &Candidate, now: Millis) -> i64 {
    if !number.policy.orders_by_class {
        return 0;
    }
    let class = match candidate.class {
        Class::Reply => 0,
        Class::Warm => 1,
        Class::Cold => 2,
    };
    let since = candidate
        .accepted_at
        .max(candidate.send_at.unwrap_or(Millis::MIN));
    let waited = now.saturating_sub(since).max(0) / millis(AGES_AFTER);
    (class - waited).max(0)
}
