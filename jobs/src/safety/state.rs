//! What one number has sent: all that later decisions need of it, in a few kilobytes of JSON.

use std::time::Duration;

use passerelle_engine::clock::Millis;
use serde::{Deserialize, Serialize};

use super::{
    groups::{APART_MOST, GroupKey, GroupTimes},
    policy::Policy,
    ratio::Answers,
    steps::Steps,
    window::{LastDay, LastHour, LastMonth},
};
use crate::model::{Class, millis};

/// A message that a number sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sent {
    /// Its class.
    pub class: Class,
    /// When it is written to WhatsApp, as planned.
    pub at: Millis,
    /// A number between 0 and 1, drawn when the message was committed. The gap to the next message follows from it.
    pub quantile: f64,
    /// Whether it is the first message to a contact who does not know the number.
    pub is_new_conversation: bool,
    /// Whether it is a code that goes although it is night where its recipient is.
    pub is_at_night: bool,
    /// The group that it goes to, if it is one.
    pub group: Option<GroupKey>,
}

/// When a message was sent, and the quantile drawn with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// When.
    pub at: Millis,
    /// The quantile in parts of 2³²: a whole number survives every JSON reader.
    q: u32,
    /// What counted it, to move it with the message: `r`, `w`, `c` or `n` for a new conversation.
    #[serde(rename = "c")]
    kind: Kind,
    /// Whether it counted as a code at night.
    #[serde(rename = "n", default, skip_serializing_if = "std::ops::Not::not")]
    is_at_night: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "r")]
    Reply,
    #[serde(rename = "w")]
    Warm,
    #[serde(rename = "c")]
    Cold,
    #[serde(rename = "n")]
    New,
}

/// What a number has sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The last message.
    pub any: Option<Last>,
    /// Whom the last message went to, if that is known. See [`State::last_to`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// The last message that was no reply.
    pub non_reply: Option<Last>,
    /// The last cold message.
    pub cold: Option<Last>,
    /// Replies.
    pub replies: LastHour,
    /// Messages that were no replies.
    pub hour: LastHour,
    /// The same.
    pub day: LastDay,
    /// New conversations.
    pub new: LastDay,
    /// Cold messages without an answer.
    pub unanswered: LastMonth,
    /// Codes in quiet hours.
    pub night: LastHour,
    /// When it last wrote to groups.
    #[serde(skip_serializing_if = "GroupTimes::is_empty")]
    pub groups: GroupTimes,
    /// New conversations and answers to them.
    pub answers: Answers,
    /// When the number began to count as new again.
    pub again: Option<Millis>,
    /// When it sent its first message after a pause of [`IDLE_DAYS`] or more.
    pub woke: Option<Millis>,
}

/// After so many days without a message a number counts as new again, where the policy says so.
pub const IDLE_DAYS: u32 = 14;
/// A smaller step of the clock moves no window. If it did, many small ones would fill them.
const SMALL_STEP: Duration = Duration::from_mins(1);
/// The same for windows that count days: their buckets are longer by more.
const SMALL_STEP_OF_DAYS: Duration = Duration::from_hours(12);
/// A clock that is wrong by less is waited for. One that is wrong by more must not stop a number for years.
const WRONG_CLOCK: Duration = Duration::from_hours(24);

impl State {
    /// Notes a message. Called in the transaction that commits it, before it is sent.
    pub fn record(&mut self, sent: Sent, now: Millis) {
        self.follow(now);
        let kind = match (sent.class, sent.is_new_conversation) {
            (Class::Reply, _) => Kind::Reply,
            (Class::Warm, _) => Kind::Warm,
            (Class::Cold, false) => Kind::Cold,
            (Class::Cold, true) => Kind::New,
        };
        // The clock may have gone back. Nothing is noted as older than what was sent before it.
        let at = sent.at.max(self.any.map_or(sent.at, |last| last.at));
        let idle = millis(Duration::from_hours(24) * IDLE_DAYS);
        if self
            .any
            .is_some_and(|last| at.saturating_sub(last.at) >= idle)
        {
            self.woke = Some(at);
        }
        let last = Some(Last {
            at,
            q: parts(sent.quantile),
            kind,
            is_at_night: sent.is_at_night,
        });
        self.any = last;
        if kind != Kind::Reply {
            self.non_reply = last;
        }
        if sent.class == Class::Cold {
            self.cold = last;
        }
        self.count(kind, at);
        if sent.is_at_night {
            self.night.add(at);
        }
        if let Some(group) = sent.group {
            self.groups.note(group, at);
        }
        self.forget(now);
    }

    /// Returns when the last message went, if it went to this recipient. Gaps are longer than half of the least time between two
    /// messages to one contact, so no earlier message matters for it.
    pub fn last_to(&self, to: u32) -> Option<Millis> {
        let last = self.any.filter(|_| self.to == Some(to))?;
        Some(last.at)
    }

    /// Notes that the last message was written later than planned.
    pub fn moved(&mut self, at: Millis) {
        let Some(last) = self.any.filter(|last| last.at < at) else {
            return;
        };
        for noted in [&mut self.any, &mut self.non_reply, &mut self.cold] {
            if let Some(noted) = noted.as_mut().filter(|noted| **noted == last) {
                noted.at = at;
            }
        }
        let (from, to) = (last.at, at);
        self.groups.moved(from, to);
        if last.is_at_night {
            self.night.shift(from, to);
        }
        if last.kind == Kind::Reply {
            self.replies.shift(from, to);
            return;
        }
        self.hour.shift(from, to);
        self.day.shift(from, to);
        if last.kind == Kind::New {
            self.new.shift(from, to);
        }
        if last.kind != Kind::Warm {
            self.unanswered.shift(from, to);
        }
    }

    /// Notes when the gap to a reply after the last message ends. If that is later than planned, so was the message.
    pub fn paced_until(&mut self, end: Millis, policy: &Policy, steps: &Steps) {
        if let Some(last) = self.any {
            let gap = millis(policy.reply.at(last.quantile()));
            self.moved(steps.moved(end.saturating_sub(gap)));
        }
    }

    /// Notes that a contact wrote. `unanswered` are the times of the messages that they had not answered, oldest first;
    /// `is_first` says that they never wrote before.
    pub fn answered(&mut self, unanswered: &[Millis], is_first: bool, now: Millis) {
        for at in unanswered {
            self.unanswered.take(*at);
        }
        if let Some(began_at) = unanswered.first().filter(|_| is_first) {
            self.answers.answered(*began_at);
        }
        self.forget(now);
    }

    /// Lets the number count as new again: after a ban, or when it was linked anew.
    pub fn begin_again(&mut self, now: Millis) {
        self.again = Some(now);
    }

    /// Brings what is later than a day from now to now. Without it, a clock that was wrong by years would stop the number for
    /// years. It opens nothing: all of it was sent before now.
    pub fn follow(&mut self, now: Millis) {
        let latest = now.saturating_add(millis(WRONG_CLOCK));
        for last in [&mut self.any, &mut self.non_reply, &mut self.cold] {
            if let Some(last) = last.as_mut().filter(|last| last.at > latest) {
                last.at = now;
            }
        }
        self.replies.no_later(latest);
        self.hour.no_later(latest);
        self.day.no_later(latest);
        self.new.no_later(latest);
        self.unanswered.no_later(latest);
        self.night.no_later(latest);
        self.groups.follow(latest, now);
    }

    /// Moves all that was noted before the clock went ahead, so that it is as long ago as it really is.
    pub fn step(&mut self, steps: &Steps) {
        let Some(last) = self.any else { return };
        // What was noted since then was noted with the last message.
        let by = steps.moved(last.at).saturating_sub(last.at);
        if by == 0 {
            return;
        }
        for last in [&mut self.any, &mut self.non_reply, &mut self.cold] {
            if let Some(last) = last.as_mut() {
                last.at = last.at.saturating_add(by);
            }
        }
        for at in [&mut self.again, &mut self.woke] {
            *at = at.map(|at| at.saturating_add(by));
        }
        self.groups.later(by);
        if by >= millis(SMALL_STEP) {
            self.night.later(by);
            self.replies.later(by);
            self.hour.later(by);
            self.day.later(by);
            self.new.later(by);
        }
        if by >= millis(SMALL_STEP_OF_DAYS) {
            self.unanswered.later(by);
            self.answers.later(by);
        }
    }

    /// Returns the quantile of the last message; the middle if there is none.
    pub fn quantile(&self) -> f64 {
        self.any.map_or(0.5, |last| last.quantile())
    }

    /// Returns from when on the gaps let a message of this class go. `factor` is how much longer they are than usual.
    pub fn earliest_by_gap(&self, policy: &Policy, class: Class, factor: u32) -> Millis {
        let after = |last: Option<Last>, gap: &dyn Fn(f64) -> Duration| {
            last.map_or(Millis::MIN, |last| {
                let gap = gap(last.quantile()).saturating_mul(factor);
                last.at.saturating_add(millis(gap))
            })
        };
        let any = |least: Duration| after(self.any, &|q| policy.reply.at(q).max(least));
        match class {
            Class::Reply => any(Duration::ZERO),
            Class::Warm => any(Duration::ZERO).max(after(self.non_reply, &|q| policy.warm.at(q))),
            Class::Cold => any(policy.cold_after_any).max(after(self.cold, &|q| policy.cold.at(q))),
        }
    }

    /// Returns from when on the gaps let a message to a group go: as a warm one, with a longer gap after what was no reply.
    pub fn earliest_in_group(&self, policy: &Policy, factor: u32) -> Millis {
        let times = policy.groups.map_or(1, |rule| rule.gap_times);
        let after = self.non_reply.map_or(Millis::MIN, |last| {
            let gap = policy.warm.at(last.quantile());
            let gap = gap.saturating_mul(factor.saturating_mul(times));
            last.at.saturating_add(millis(gap))
        });
        after.max(self.earliest_by_gap(policy, Class::Warm, factor))
    }

    /// Counts a message in the windows.
    fn count(&mut self, kind: Kind, at: Millis) {
        if kind == Kind::Reply {
            self.replies.add(at);
            return;
        }
        self.hour.add(at);
        self.day.add(at);
        if kind == Kind::New {
            self.new.add(at);
            self.answers.began(at);
        }
        if kind != Kind::Warm {
            self.unanswered.add(at);
        }
    }

    fn forget(&mut self, now: Millis) {
        self.replies.forget(now);
        self.hour.forget(now);
        self.day.forget(now);
        self.new.forget(now);
        self.unanswered.forget(now);
        self.night.forget(now);
        self.groups.forget(APART_MOST, now);
        self.answers.forget(now);
    }
}

impl Last {
    /// Returns the quantile, between 0 and 1.
    pub fn quantile(&self) -> f64 {
        f64::from(self.q) / f64::from(u32::MAX)
    }
}

/// Returns a quantile in parts of 2³².
fn parts(quantile: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and `u32::MAX`"
    )]
    let parts = (quantile.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32;
    parts
}
