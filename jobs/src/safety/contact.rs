//! What a number and one contact have said to each other, as far as it limits the next message.

use std::time::Duration;

use passerelle_engine::clock::Millis;

use super::{
    policy::{Policy, Streak},
    steps::Steps,
};
use crate::model::{Class, millis};

/// A contact of a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// When the contact last wrote to the number.
    pub last_inbound_at: Option<Millis>,
    /// The times of the number's messages since then, oldest first. [`Contact::KEPT`] are enough.
    pub unanswered: Vec<Millis>,
    /// When the number last wrote to the contact.
    pub last_sent_at: Option<Millis>,
    /// Whether the contact agreed to messages.
    pub has_consent: bool,
}

/// Messages older than this no longer count as unanswered.
const FORGOTTEN: Duration = Duration::from_hours(30 * 24);

impl Contact {
    /// No policy counts more unanswered messages to one contact.
    pub const KEPT: usize = 30;

    /// Moves the times of messages that were sent before the clock went ahead.
    pub fn step(&mut self, steps: &Steps) {
        if let Some(last) = self.unanswered.last() {
            // What was noted since then was noted with the last message.
            let by = steps.moved(*last).saturating_sub(*last);
            for at in &mut self.unanswered {
                *at = at.saturating_add(by);
            }
        }
        self.last_sent_at = self.last_sent_at.map(|at| steps.moved(at));
    }

    /// Returns whether a cold message begins a conversation: none before it is still without an answer.
    pub fn is_new(&self, now: Millis) -> bool {
        let since = now.saturating_sub(millis(FORGOTTEN));
        self.unanswered.iter().all(|at| *at <= since)
    }

    /// Returns when one more message fits that may stay unanswered. In the past if it fits now.
    pub fn unanswered_free_at(&self, policy: &Policy, class: Class) -> Millis {
        let streak = match class {
            Class::Reply => policy.unanswered.reply,
            Class::Warm => policy.unanswered.warm,
            Class::Cold => policy.unanswered.cold,
        };
        streak.map_or(Millis::MIN, |streak| self.free_at(&streak))
    }

    /// Returns when a message no longer follows the last one too closely.
    pub fn spaced_at(&self, policy: &Policy) -> Millis {
        let last = self.last_sent_at.max(self.unanswered.last().copied());
        last.map_or(Millis::MIN, |at| at.saturating_add(millis(policy.spacing)))
    }

    fn free_at(&self, streak: &Streak) -> Millis {
        let last = self.unanswered.last();
        let apart = last.map_or(Millis::MIN, |at| at.saturating_add(millis(streak.apart)));
        let most = usize::try_from(streak.most).unwrap_or(usize::MAX);
        if most == 0 {
            return Millis::MAX;
        }
        let Some(index) = self.unanswered.len().checked_sub(most) else {
            return apart;
        };
        let first = self.unanswered[index];
        apart.max(first.saturating_add(millis(streak.within)))
    }
}
