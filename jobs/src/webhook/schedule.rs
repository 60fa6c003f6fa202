//! When a delivery is retried: a pure function.

use std::time::Duration;

/// The wait before each attempt, as the Standard Webhooks specification 1.0 suggests
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>). After
/// the last attempt the delivery is dead.
pub const WAITS: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// The longest wait that a receiver can ask for with `Retry-After`.
const LONGEST: Duration = Duration::from_hours(24);

/// How far a wait varies to either side, so that deliveries that failed together are not retried
/// together.
const JITTER: f64 = 0.2;

/// The waits, and the factor that shortens them in a sandbox.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    scale: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { scale: 1.0 }
    }
}

impl Schedule {
    /// Multiplies the waits by a factor from 0 to 1, for tests that cannot wait for hours.
    #[cfg(any(test, feature = "sandbox"))]
    pub fn scaled(scale: f64) -> Self {
        Self {
            scale: scale.clamp(0.0, 1.0),
        }
    }

    /// Returns how long to wait after attempt number `made` (1 for the first) failed, or `None` if it
    /// was the last. `chance` is drawn from 0 to 1. A receiver's `Retry-After` can only lengthen the
    /// wait, to at most one day.
    pub fn next_attempt(
        &self,
        made: i64,
        retry_after: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        let wait = usize::try_from(made)
            .ok()
            .and_then(|made| WAITS.get(made))?;
        let drawn = 1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0);
        let wait = wait.mul_f64(drawn * self.scale);
        let asked = retry_after.unwrap_or_default().min(LONGEST);
        Some(wait.max(asked))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_attempts_take_three_days_and_no_more() {
        let waits: Vec<_> = (1..20)
            .map_while(|made| Schedule::default().next_attempt(made, None, 0.5))
            .map(|wait| wait.as_secs())
            .collect();
        let hour = 3600;
        assert_eq!(
            waits,
            [
                5,
                300,
                1800,
                2 * hour,
                5 * hour,
                10 * hour,
                14 * hour,
                20 * hour,
                24 * hour
            ]
        );
    }

    proptest! {
        #[test]
        fn every_wait_is_drawn_within_a_fifth(made in 1_i64..10, chance in 0.0_f64..1.0) {
            let drawn = Schedule::default().next_attempt(made, None, chance).unwrap();
            let named = WAITS[usize::try_from(made).unwrap()];
            prop_assert!(drawn >= named.mul_f64(0.799) && drawn <= named.mul_f64(1.201));
        }

        #[test]
        fn retry_after_only_lengthens_and_never_beyond_a_day(
            made in 1_i64..10, chance in 0.0_f64..1.0, asked in 0_u64..=u64::MAX,
        ) {
            let asked = Duration::from_secs(asked);
            let plain = Schedule::default().next_attempt(made, None, chance).unwrap();
            let wait = Schedule::default().next_attempt(made, Some(asked), chance).unwrap();
            prop_assert!(wait >= plain);
            prop_assert!(wait >= asked.min(LONGEST));
            prop_assert!(wait <= plain.max(LONGEST));
        }

        #[test]
        fn the_tenth_attempt_is_the_last(made in 10_i64..=i64::MAX, asked in 0_u64..1000) {
            let asked = Some(Duration::from_secs(asked));
            prop_assert_eq!(Schedule::default().next_attempt(made, asked, 0.5), None);
        }
    }
}
