//! How many of the new conversations were answered, in the last 7 days.

use passerelle_engine::clock::Millis;
use serde::{Deserialize, Serialize};

use super::policy::ReplyRatio;

const DAY: Millis = 24 * 60 * 60 * 1000;
const LENGTH: Millis = 7 * DAY;

/// New conversations by the day on which each began, oldest first: the day, how many, how many of them were answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Answers(Vec<(i64, u32, u32)>);

impl Answers {
    /// Counts a new conversation.
    pub fn began(&mut self, at: Millis) {
        let day = at.div_euclid(DAY);
        match self.0.last_mut() {
            Some((newest, new, _)) if *newest >= day => *new = new.saturating_add(1),
            _ => self.0.push((day, 1, 0)),
        }
    }

    /// Counts the first answer to a conversation that began then.
    pub fn answered(&mut self, began_at: Millis) {
        let day = began_at.div_euclid(DAY);
        let found = self
            .0
            .iter_mut()
            .find(|(of, new, answered)| *of >= day && answered < new);
        if let Some((_, _, answered)) = found {
            *answered += 1;
        }
    }

    /// Moves all by as much as the clock went ahead, and up to the next day.
    pub(super) fn later(&mut self, by: Millis) {
        let days = by.saturating_add(DAY - 1).div_euclid(DAY);
        for (day, ..) in &mut self.0 {
            *day = day.saturating_add(days);
        }
    }

    /// Forgets what is older than 7 days.
    pub fn forget(&mut self, now: Millis) {
        self.0.retain(|(day, ..)| leaves(*day) > now);
    }

    /// Returns how many conversations began, and how many of them were answered.
    pub fn count(&self, now: Millis) -> (u32, u32) {
        let inside = self.0.iter().filter(|(day, ..)| leaves(*day) > now);
        inside.fold((0, 0), |(new, answered), (_, more, of_them)| {
            (new.saturating_add(*more), answered.saturating_add(*of_them))
        })
    }

    /// Returns whether too few are answered.
    pub fn are_too_few(&self, rule: &ReplyRatio, now: Millis) -> bool {
        let (new, answered) = self.count(now);
        let least = u64::from(new) * u64::from(rule.least_percent);
        new >= rule.of_at_least && u64::from(answered) * 100 < least
    }

    /// Returns when there are enough answers, if no other comes: when old conversations no longer count.
    pub fn enough_at(&self, rule: &ReplyRatio, now: Millis) -> Millis {
        let times = std::iter::once(now).chain(self.0.iter().map(|(day, ..)| leaves(*day)));
        let mut later = times.filter(|at| *at >= now);
        later
            .find(|at| !self.are_too_few(rule, *at))
            .unwrap_or(Millis::MAX)
    }
}

/// Returns when the day's last conversation is 7 days old.
fn leaves(day: i64) -> Millis {
    day.saturating_add(1)
        .saturating_mul(DAY)
        .saturating_add(LENGTH)
}
