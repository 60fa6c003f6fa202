//! Pacing: the random gap between two messages of one number. No tenant can switch it off.

use std::time::Duration;

use passerelle_engine::clock::Millis;
use rand::{Rng, RngExt as _};

use crate::model::millis;

/// The pace of a number: floor and ceiling of the gap, and typing. Checked once, when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    floor: Duration,
    ceiling: Duration,
    typing: Duration,
}

/// The smallest floor that a build for real numbers accepts.
pub const FLOOR_MIN: Duration = Duration::from_secs(1);
/// The largest ceiling that any build accepts.
const CEILING_MAX: Duration = Duration::from_mins(10);

/// Why a pace is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PaceError {
    /// The floor is under a second, in a build for real numbers.
    #[error("the gap's floor must be at least 1000 ms")]
    FloorTooLow,
    /// The ceiling is below the floor or above ten minutes.
    #[error("the gap's ceiling must lie between its floor and 600000 ms")]
    Ceiling,
    /// Typing does not fit into the smallest gap.
    #[error("typing must not last longer than the gap's floor")]
    Typing,
}

impl Default for Pace {
    /// Returns a gap of 2 to 8 seconds, one second of it typing.
    fn default() -> Self {
        Self {
            floor: Duration::from_secs(2),
            ceiling: Duration::from_secs(8),
            typing: Duration::from_secs(1),
        }
    }
}

impl Pace {
    /// Creates a pace with a gap between `floor` and `ceiling`. Only a sandbox build accepts a floor under a
    /// second.
    pub fn new(floor: Duration, ceiling: Duration, typing: Duration) -> Result<Self, PaceError> {
        if floor < FLOOR_MIN && !cfg!(feature = "sandbox") {
            return Err(PaceError::FloorTooLow);
        }
        if ceiling < floor || ceiling > CEILING_MAX {
            return Err(PaceError::Ceiling);
        }
        if typing > floor {
            return Err(PaceError::Typing);
        }
        Ok(Self {
            floor,
            ceiling,
            typing,
        })
    }

    /// Draws a gap, uniformly between floor and ceiling.
    pub fn gap(&self, rng: &mut impl Rng) -> Duration {
        let (floor, ceiling) = (self.floor.as_millis(), self.ceiling.as_millis());
        let drawn = rng.random_range(floor..=ceiling);
        Duration::from_millis(u64::try_from(drawn).expect("the ceiling is at most ten minutes"))
    }

    /// Returns how long the recipient sees the number typing before a message.
    pub fn typing(&self) -> Duration {
        self.typing
    }

    /// Returns the smallest gap.
    pub fn floor(&self) -> Duration {
        self.floor
    }

    /// Returns the largest gap.
    pub fn ceiling(&self) -> Duration {
        self.ceiling
    }

    /// Estimates when the message at `position` (0 = next) is sent, if the session stays connected. Returns
    /// the likely and the latest time.
    pub fn estimate(&self, now: Millis, next_at: Millis, position: i64) -> (Millis, Millis) {
        let first = next_at.max(now.saturating_add(millis(self.typing)));
        let mean = millis(self.floor).midpoint(millis(self.ceiling));
        (
            first.saturating_add(mean.saturating_mul(position)),
            first.saturating_add(millis(self.ceiling).saturating_mul(position)),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;

    proptest! {
        #[test]
        fn every_gap_lies_between_floor_and_ceiling(floor in 1000u64..10_000, more in 0u64..10_000, seed: u64) {
            let pace = Pace::new(Duration::from_millis(floor), Duration::from_millis(floor + more), Duration::ZERO).unwrap();
            let gap = pace.gap(&mut StdRng::seed_from_u64(seed));
            prop_assert!(gap >= Duration::from_millis(floor) && gap <= Duration::from_millis(floor + more));
        }

        #[test]
        fn an_estimate_never_promises_less_than_the_floors(position in 0i64..10_000, now in 0i64..1_000_000, next in 0i64..1_000_000) {
            let (likely, latest) = Pace::default().estimate(now, next, position);
            prop_assert!(likely >= now + 2000 * position);
            prop_assert!(latest >= likely);
        }
    }

    #[test]
    #[cfg(not(feature = "sandbox"))]
    fn a_build_for_real_numbers_refuses_a_gap_under_a_second() {
        let ms = Duration::from_millis;
        assert_eq!(
            Pace::new(ms(999), ms(2000), ms(0)),
            Err(PaceError::FloorTooLow)
        );
        assert_eq!(Pace::new(ms(0), ms(0), ms(0)), Err(PaceError::FloorTooLow));
    }

    #[test]
    fn an_invalid_pace_is_refused() {
        let s = Duration::from_secs;
        assert_eq!(Pace::new(s(3), s(2), s(0)), Err(PaceError::Ceiling));
        assert_eq!(Pace::new(s(2), s(8), s(3)), Err(PaceError::Typing));
    }
}
