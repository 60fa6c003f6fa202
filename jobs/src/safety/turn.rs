//! When a message goes that is accepted now, behind what waits before it.

use passerelle_engine::clock::Millis;

use super::{
    contact::Contact,
    decide::{self, Candidate},
    estimate::{Own, estimate},
    number::Number,
};
use crate::model::{Ahead, Class, millis};

/// What waits before a new message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    /// All, as far as they may go before it.
    pub all: Ahead,
    /// Messages to the same contact or group.
    pub same: i64,
    /// How many of those may go now.
    pub same_now: i64,
}

/// When a message goes. [`Millis::MAX`] if that cannot be foreseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The likely time.
    pub at: Millis,
    /// By this time 19 of 20 are sent.
    pub by: Millis,
    /// The likely time if its contact answers the messages before it. So it may be refused only if this is too late.
    pub answered: Millis,
}

impl Turn {
    /// Returns the turn of a message.
    pub fn of(number: &Number<'_>, candidate: &Candidate, before: &Before, now: Millis) -> Self {
        let class = candidate.class;
        let earliest = decide::earliest(number, candidate, now);
        let alone = earliest.at;
        let own = Own {
            class,
            is_new: class == Class::Cold && candidate.contact.is_new(now),
            morning: candidate.morning(number.policy, alone),
            from: earliest.from,
        };
        // The first message to a contact begins the conversation; those that wait behind it begin none.
        let follows = own.is_new && before.same > 0;
        let is_new = own.is_new && !follows;
        let (mut at, by) = estimate(number, Own { is_new, ..own }, &before.all, now);
        let mut spread = by.saturating_sub(at);
        if follows {
            let (begins, by) = estimate(number, own, &before.without_same(class), now);
            spread = spread.max(by.saturating_sub(begins));
            at = at.max(begins);
        }
        let answered = at
            .max(alone)
            .saturating_add(before.in_group(number, candidate));
        let at = before.unanswered(number, candidate, answered);
        Self {
            at,
            by: at.saturating_add(spread),
            answered,
        }
    }
}

impl Before {
    /// Returns what waits before the first message to the same contact.
    fn without_same(&self, class: Class) -> Ahead {
        let later = self.same - self.same_now;
        self.all.clone().without(class, self.same_now, later)
    }

    /// Returns how long the messages to the same group take.
    fn in_group(&self, number: &Number<'_>, candidate: &Candidate) -> Millis {
        let rule = number.policy.groups.filter(|_| candidate.group.is_some());
        rule.map_or(0, |rule| {
            millis(rule.apart).saturating_mul(self.same.max(0))
        })
    }

    /// Returns when a message goes whose contact answers none of those before it, if the first of them goes then.
    fn unanswered(&self, number: &Number<'_>, candidate: &Candidate, first: Millis) -> Millis {
        if candidate.group.is_some() {
            return first;
        }
        let (mut contact, mut at) = (candidate.contact.clone(), first);
        let most = i64::try_from(Contact::KEPT).unwrap_or(i64::MAX);
        for _ in 0..self.same.clamp(0, most) {
            contact.unanswered.push(at);
            let free = contact.unanswered_free_at(number.policy, candidate.class);
            at = at.max(free).max(contact.spaced_at(number.policy));
        }
        at
    }
}
