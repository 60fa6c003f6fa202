//! Notices when the database's clock steps: it is compared with this process's own clock, which never jumps.
//!
//! A process that was asleep sees a step, too, for its own clock stood still. That makes it wait longer, never shorter.

use parking_lot::Mutex;
use passerelle_engine::clock::Millis;
use tokio::time::Instant;

use crate::{model::millis, safety::steps::Steps};

/// A smaller step is none: two readings are never exact.
const LEAST: Millis = 1_000;
/// Clocks may run apart by one part in so many.
const DRIFT: Millis = 1_000;

/// The steps of the database's clock since this process started.
#[derive(Debug, Default)]
pub(crate) struct ClockSteps(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    last: Option<Look>,
    steps: Steps,
}

/// What the clock showed at some moment between two.
#[derive(Debug, Clone, Copy)]
struct Look {
    asked: Instant,
    answered: Instant,
    showed: Millis,
}

impl ClockSteps {
    /// Takes note of what the clock showed between these two moments.
    pub(crate) fn look(&self, (asked, answered): (Instant, Instant), showed: Millis) {
        let mut seen = self.0.lock();
        let look = Look {
            asked,
            answered,
            showed,
        };
        let Some(last) = seen.last else {
            seen.last = Some(look);
            return;
        };
        if asked < last.answered {
            return;
        }
        seen.last = Some(look);
        // At least and at most so much time has passed.
        let least = millis(asked.saturating_duration_since(last.answered));
        let most = millis(answered.saturating_duration_since(last.asked));
        let passed = showed.saturating_sub(last.showed);
        let slack = LEAST + most / DRIFT;
        let by = if passed > most + slack {
            passed - most
        } else if passed < least - slack {
            passed - least
        } else {
            return;
        };
        seen.steps.note(showed.saturating_sub(by), by);
        drop(seen);
        tracing::warn!(
            by_ms = by,
            "the clock stepped; limits go on as if it had not"
        );
    }

    /// Returns the steps so far.
    pub(crate) fn so_far(&self) -> Steps {
        self.0.lock().steps.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Millis = 3_600_000;

    #[test]
    fn safety_a_step_is_noticed_either_way_and_slow_answers_are_none() {
        let (clock, start) = (ClockSteps::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        clock.look((at(0), at(0)), 0);
        clock.look((at(10), at(40)), 10_500);
        clock.look((at(50), at(50)), 50_900);
        // One that was asked for earlier and is answered later says nothing.
        clock.look((at(45), at(60)), 999_000);
        assert_eq!(clock.so_far(), Steps::default());
        let mut expected = Steps::default();
        clock.look((at(60), at(60)), 60_900 + HOUR);
        expected.note(60_900, HOUR);
        assert_eq!(clock.so_far(), expected);
        clock.look((at(70), at(71)), 70_900);
        expected.note(70_900 + HOUR, -HOUR);
        assert_eq!(clock.so_far(), expected);
        // Days without a look are no step, though clocks are not exact.
        clock.look((at(400_000), at(400_000)), 400_070_900);
        assert_eq!(clock.so_far(), expected);
    }
}
