//! What limits one number, whoever the message is for.

use std::time::Duration;

use passerelle_engine::clock::Millis;

use super::{
    groups::{GroupKey, GroupTimes},
    hold::Hold,
    level::Level,
    policy::Policy,
    state::State,
};
use crate::model::{Class, millis};

const DAY: Millis = 24 * 60 * 60 * 1000;

/// A number, with all that its decisions need.
#[derive(Debug, Clone, Copy)]
pub struct Number<'a> {
    /// Its policy.
    pub policy: &'a Policy,
    /// What it has sent.
    pub state: &'a State,
    /// When it came into groups, as far as that is known and not long ago.
    pub joined: Option<&'a GroupTimes>,
    /// Its health.
    pub level: Level,
    /// When its health is looked at again; `None` if that is not known.
    pub level_until: Option<Millis>,
    /// How long ago it was first linked.
    pub age: Duration,
    /// How many people who do not answer WhatsApp lets it write to; `None` if WhatsApp did not say.
    pub quota: Option<u32>,
    /// By how much the limit of new conversations is divided, after a warning by WhatsApp. 1 without one.
    pub new_divided_by: u32,
    /// Since when it can send: when it last connected, or its queue was resumed. Its first message after that thinks.
    pub able_since: Millis,
    /// How much more the clock shows than it would have shown without its steps in the last day.
    pub doubt: Millis,
}

/// A time, and what sets it.
pub type Bound = (Millis, Hold);

impl<'a> Number<'a> {
    /// Creates a number that was just linked and is in good health.
    pub fn new(policy: &'a Policy, state: &'a State) -> Self {
        Self {
            policy,
            state,
            joined: None,
            level: Level::Ok,
            level_until: None,
            age: Duration::ZERO,
            quota: None,
            new_divided_by: 1,
            able_since: Millis::MIN,
            doubt: 0,
        }
    }

    /// Returns by how much the gaps before messages of this class are longer than the curves say. Too few answers to new
    /// conversations do not slow replies down: they are what people wait for.
    pub fn gap_factor(&self, class: Class, now: Millis) -> u32 {
        let rule = self.policy.reply_ratio.filter(|rule| !rule.stops);
        let few = rule.is_some_and(|rule| self.state.answers.are_too_few(&rule, now));
        1 + u32::from(few && class != Class::Reply || self.level.is_slow())
    }

    /// Returns from when on the number's gaps let a message of this class go.
    pub fn gap(&self, class: Class, now: Millis) -> Millis {
        let factor = self.gap_factor(class, now);
        self.state.earliest_by_gap(self.policy, class, factor)
    }

    /// Returns from when on the number's gaps let a message to a group go.
    pub fn group_gap(&self, now: Millis) -> Millis {
        let factor = self.gap_factor(Class::Warm, now);
        self.state.earliest_in_group(self.policy, factor)
    }

    /// Returns when the number's other limits let a message of this class go that could go from `from` on, and which limit holds
    /// it the longest. `None` if none does.
    pub fn limit(&self, class: Class, is_new: bool, from: Millis, now: Millis) -> Option<Bound> {
        let mut longest = self.health(class, from, now);
        let mut at_least = |at: Millis, hold: Hold| {
            if at > from && longest.is_none_or(|(most, _)| at > most) {
                longest = Some((at, hold));
            }
        };
        if class == Class::Reply {
            at_least(self.replies(from), Hold::Replies);
            return longest;
        }
        at_least(self.day(from, now), Hold::Day);
        at_least(self.hour(from, now), Hold::Hour);
        if class == Class::Cold {
            at_least(self.unanswered(from), Hold::UnansweredIn30Days);
        }
        if is_new {
            at_least(self.new_conversations(from, now), Hold::NewConversations);
            at_least(self.ratio(from), Hold::ReplyRatio);
        }
        longest
    }

    /// Returns when the number's health lets a message of this class go that could go from `from` on. `None` if it does then.
    pub fn health(&self, class: Class, from: Millis, now: Millis) -> Option<Bound> {
        let ends = self.level_until.filter(|until| *until > now);
        let ends = ends.unwrap_or(Millis::MAX);
        (!self.level.lets(class) && ends > from).then_some((ends, Hold::Health))
    }

    /// Returns when the limits of a group let a message go there, and which of them holds it the longest. In the past if none
    /// does.
    pub fn group(&self, group: GroupKey) -> Bound {
        let Some(rule) = self.policy.groups else {
            return (Millis::MIN, Hold::GroupSpacing);
        };
        let spaced = self.state.groups.after(group, rule.apart);
        let settled = self
            .joined
            .map_or(Millis::MIN, |joined| joined.after(group, rule.joined_for));
        if settled > spaced {
            (settled, Hold::NewGroup)
        } else {
            (spaced, Hold::GroupSpacing)
        }
    }

    /// Returns the limit of replies an hour.
    pub fn replies_cap(&self) -> Option<u32> {
        self.policy.replies_an_hour.map(|cap| self.halved(cap))
    }

    /// Returns the limit of messages a day that are no replies, at that time.
    pub fn day_cap(&self, at: Millis, now: Millis) -> Option<u32> {
        let days = self.days(at, now).1;
        let growth = self.policy.messages?;
        Some(self.halved(growth.day(days)))
    }

    /// Returns the limit of such messages an hour, at that time.
    pub fn hour_cap(&self, at: Millis, now: Millis) -> Option<u32> {
        let growth = self.policy.messages?;
        Some(growth.hour(self.day_cap(at, now)?))
    }

    /// Returns the limit of new conversations a day, at that time.
    pub fn new_cap(&self, at: Millis, now: Millis) -> Option<u32> {
        let days = self.days(at, now).0;
        let cap = self.policy.new_conversations.as_ref()?.at(days);
        Some((self.halved(cap) / self.new_divided_by.max(1)).max(cap.min(1)))
    }

    /// Returns the limit of cold messages without an answer in 30 days.
    pub fn unanswered_cap(&self) -> Option<u32> {
        let budget = self.policy.unanswered_in_30_days?;
        Some(self.halved(budget.at(self.quota)))
    }

    /// Returns the limit of codes an hour in quiet hours.
    pub fn night_cap(&self) -> Option<u32> {
        let quiet = self.policy.quiet_hours.as_ref();
        quiet.map(|quiet| self.halved(quiet.codes_an_hour))
    }

    /// Returns when one more code may go in quiet hours that end then.
    pub fn night(&self, morning: Millis, from: Millis) -> Millis {
        let free = |cap| self.state.night.free_at(cap, from);
        self.night_cap().map_or(from, free).min(morning).max(from)
    }

    fn replies(&self, from: Millis) -> Millis {
        let free = |cap| self.state.replies.free_at(cap, from);
        self.replies_cap().map_or(from, free)
    }

    fn day(&self, from: Millis, now: Millis) -> Millis {
        let cap = |at| self.day_cap(at, now);
        self.as_it_grows(from, now, cap, |cap, at| self.state.day.free_at(cap, at))
    }

    fn hour(&self, from: Millis, now: Millis) -> Millis {
        let cap = |at| self.hour_cap(at, now);
        self.as_it_grows(from, now, cap, |cap, at| self.state.hour.free_at(cap, at))
    }

    fn new_conversations(&self, from: Millis, now: Millis) -> Millis {
        let cap = |at| self.new_cap(at, now);
        self.as_it_grows(from, now, cap, |cap, at| self.state.new.free_at(cap, at))
    }

    fn unanswered(&self, from: Millis) -> Millis {
        let free = |cap| self.state.unanswered.free_at(cap, from);
        self.unanswered_cap().map_or(from, free)
    }

    fn ratio(&self, from: Millis) -> Millis {
        let rule = self.policy.reply_ratio.filter(|rule| rule.stops);
        rule.map_or(from, |rule| self.state.answers.enough_at(&rule, from))
    }

    /// Returns when one more fits under a limit that grows with the age of the number.
    fn as_it_grows(
        &self,
        from: Millis,
        now: Millis,
        cap: impl Fn(Millis) -> Option<u32>,
        free_at: impl Fn(u32, Millis) -> Millis,
    ) -> Millis {
        let Some(first) = cap(from) else {
            return from;
        };
        let mut free = free_at(first, from);
        let age = millis(self.age).saturating_add(from.saturating_sub(now));
        let next_day = from.saturating_add(DAY - age.rem_euclid(DAY));
        for day in [next_day, next_day.saturating_add(DAY)] {
            if free > day
                && let Some(cap) = cap(day)
            {
                free = free.min(free_at(cap, day));
            }
        }
        free
    }

    /// Returns the number's age in days at that time: for new conversations, and for other messages. A number that begins
    /// again is new for the first and has lost half its age for the others.
    fn days(&self, at: Millis, now: Millis) -> (u32, u32) {
        let age = millis(self.age)
            .saturating_add(at.saturating_sub(now))
            .max(0);
        let (mut new, mut other) = (age, age);
        if let Some(since) = self.began_again(at) {
            let after = at.saturating_sub(since).clamp(0, age);
            new = after;
            other = (age - after) / 2 + after;
        }
        let days = |age: Millis| u32::try_from(age / DAY).unwrap_or(0);
        (days(new), days(other))
    }

    /// Returns since when the number counts as new again.
    fn began_again(&self, at: Millis) -> Option<Millis> {
        let Some(idle) = self.policy.new_again_after_days else {
            return self.state.again;
        };
        let idle = i64::from(idle) * DAY;
        let last = self.state.any.map_or(at, |last| last.at);
        let sleeps = (at.saturating_sub(last) >= idle).then_some(at);
        sleeps.or(self.state.again.max(self.state.woke))
    }

    /// Halves a limit of a number that must be slow. One message is always left.
    fn halved(&self, cap: u32) -> u32 {
        if self.level.is_slow() {
            (cap / 2).max(cap.min(1))
        } else {
            cap
        }
    }
}
