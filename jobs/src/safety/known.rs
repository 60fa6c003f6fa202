//! A number as its decisions see it: what it has sent, its health and its age.

use std::time::Duration;

use passerelle_engine::clock::Millis;

use super::{
    groups::GroupTimes, health::Health, number::Number, policy::Policy, state::State, steps::Steps,
};
use crate::model::{number::NumberRow, until};

/// A number as it decides.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) state: State,
    pub(crate) health: Health,
    joined: GroupTimes,
    age: Duration,
    opened_at: Millis,
    doubt: Millis,
    now: Millis,
}

impl Known {
    /// Reads the row. What cannot be read was written by a later version or is damaged: what was sent counts anew, and the
    /// gaps in the lane still hold. What was noted before a step of the clock moves with it.
    pub(crate) fn of(row: &NumberRow, steps: &Steps, now: Millis) -> Self {
        let joined = |joined: &str| {
            serde_json::from_str(joined)
                .inspect_err(|error| tracing::error!(%error, "what a number knows of groups cannot be read; all count as old"))
                .ok()
        };
        let read = |state: &str| {
            serde_json::from_str(state)
                .inspect_err(|error| tracing::error!(%error, "what a number has sent cannot be read; it counts anew"))
                .ok()
        };
        let mut state: State = row.state.as_deref().and_then(read).unwrap_or_default();
        state.step(steps);
        let mut joined: GroupTimes = row.joined.as_deref().and_then(joined).unwrap_or_default();
        joined.step(steps);
        Self {
            state,
            health: Health::parse(row.health.as_deref(), now),
            joined,
            age: row
                .first_linked_at
                .map_or(Duration::ZERO, |at| until(now, steps.moved(at))),
            opened_at: steps.moved(row.opened_at),
            doubt: steps.doubt(now),
            now,
        }
    }

    /// Returns the number under this policy.
    pub(crate) fn number<'a>(&'a self, policy: &'a Policy) -> Number<'a> {
        // A clock that went ahead ends no restriction.
        let ahead = self.doubt.max(0);
        let then = self.now.saturating_sub(ahead);
        let standing = self.health.at(then);
        Number {
            joined: Some(&self.joined),
            level: standing.level,
            level_until: standing.until.map(|until| until.saturating_add(ahead)),
            age: self.age,
            new_divided_by: u32::try_from(self.health.cold_divisor(then)).unwrap_or(1),
            quota: self.health.quota(),
            able_since: self.opened_at,
            doubt: self.doubt,
            ..Number::new(policy, &self.state)
        }
    }
}
