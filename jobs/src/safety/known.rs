//! A number as its decisions see it: what it has sent, its health and its age.

use std::time::Duration;

use passerelle_engine::clock::Millis;

use super::{health::Health, number::Number, policy::Policy, state::State};
use crate::model::{number::NumberRow, until};

/// A number as it decides.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) state: State,
    pub(crate) health: Health,
    age: Duration,
    opened_at: Millis,
    now: Millis,
}

impl Known {
    /// Reads the row. What cannot be read was written by a later version or is damaged: what was sent counts anew, and the
    /// gaps in the lane still hold.
    pub(crate) fn of(row: &NumberRow, now: Millis) -> Self {
        let read = |state: &str| {
            serde_json::from_str(state)
                .inspect_err(|error| tracing::error!(%error, "what a number has sent cannot be read; it counts anew"))
                .ok()
        };
        Self {
            state: row.state.as_deref().and_then(read).unwrap_or_default(),
            health: Health::parse(row.health.as_deref(), now),
            age: row
                .first_linked_at
                .map_or(Duration::ZERO, |at| until(now, at)),
            opened_at: row.opened_at,
            now,
        }
    }

    /// Returns the number under this policy.
    pub(crate) fn number<'a>(&'a self, policy: &'a Policy) -> Number<'a> {
        let standing = self.health.at(self.now);
        Number {
            level: standing.level,
            level_until: standing.until,
            age: self.age,
            new_divided_by: u32::try_from(self.health.cold_divisor(self.now)).unwrap_or(1),
            quota: self.health.quota(),
            able_since: self.opened_at,
            ..Number::new(policy, &self.state)
        }
    }
}
