//! Steps of a clock. What was noted before the clock went ahead is moved with it, so that a step opens nothing.
//!
//! Nobody can say which of the two times is right. So limits go on as if there had been no step, and for a day it must be
//! day by both clocks.

use passerelle_engine::clock::Millis;

const MINUTE: Millis = 60_000;
const DAY: Millis = 24 * 60 * MINUTE;
/// More steps than this are not remembered.
const KEPT: usize = 64;
/// What lies ahead of the clock by less may be planned. What lies ahead by more was noted before the clock went back.
const PLANNED: Millis = 2 * MINUTE;
/// What lies ahead by more than this was noted before the machine forgot the time.
const AHEAD: Millis = DAY;

/// The steps that a clock made while somebody looked, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps(Vec<Step>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    /// What the clock would have shown.
    from: Millis,
    /// How much more it showed; negative if it went back.
    by: Millis,
}

impl Steps {
    /// Notes that the clock shows `by` more than `from`, which it would show without the step.
    pub fn note(&mut self, from: Millis, by: Millis) {
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(Step { from, by });
    }

    /// Returns what the clock shows now for a time that it noted: more, if it went ahead since then. What was noted before it
    /// went back lies ahead, and stays there. If it is not known whether a time was noted before a step, it was.
    pub fn moved(&self, noted: Millis) -> Millis {
        // How much the clock went back since the time was noted.
        let (mut at, mut back) = (noted, 0);
        for step in &self.0 {
            let after = step.from.saturating_add(step.by);
            if step.by < 0 {
                if (after..=step.from).contains(&at) {
                    back -= step.by;
                }
            } else if at < step.from.saturating_add(step.by.min(PLANNED)) {
                at = at.saturating_add(step.by);
                back = 0;
            } else if at < step.from.saturating_add(step.by.min(AHEAD)) {
                at = at.saturating_add((step.by - back).max(0));
                back = (back - step.by).max(0);
            }
        }
        at
    }

    /// Moves times that were noted with the last of them, oldest first. Those of warm messages are negative.
    pub fn move_all(&self, times: &mut [Millis]) {
        let Some(last) = times.last().map(|last| last.abs()) else {
            return;
        };
        let by = self.moved(last).saturating_sub(last);
        for at in times {
            *at = at.saturating_add(by * at.signum());
        }
    }

    /// Returns how much more the clock shows than it would have shown without the steps of the last day.
    pub fn doubt(&self, now: Millis) -> Millis {
        let since = now.saturating_sub(DAY);
        let recent = self.0.iter().filter(|step| {
            let after = step.from.saturating_add(step.by);
            after > since && after <= now.saturating_add(DAY)
        });
        recent.map(|step| step.by).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Millis = 60 * MINUTE;
    const NOON: Millis = 1_000 * DAY;

    #[test]
    fn safety_what_was_noted_before_a_step_ahead_moves_with_it_and_nothing_else_does() {
        let mut steps = Steps::default();
        assert_eq!(steps.moved(NOON), NOON);
        steps.note(NOON, HOUR);
        assert_eq!(steps.moved(NOON - DAY), NOON - DAY + HOUR);
        // It was planned when the clock went ahead, and is written a minute later.
        assert_eq!(steps.moved(NOON + MINUTE), NOON + MINUTE + HOUR);
        assert_eq!(steps.moved(NOON + HOUR), NOON + HOUR);
        steps.note(NOON + 2 * HOUR, HOUR);
        assert_eq!(steps.moved(NOON - MINUTE), NOON - MINUTE + 2 * HOUR);
        assert_eq!(steps.moved(NOON + HOUR), NOON + 2 * HOUR);
        // A clock that goes back moves nothing.
        steps.note(NOON + 5 * HOUR, -HOUR);
        assert_eq!(steps.moved(NOON + 4 * HOUR), NOON + 4 * HOUR);
    }

    #[test]
    fn safety_a_clock_that_goes_back_and_ahead_again_moves_what_it_went_too_far() {
        for (ahead, moved) in [(HOUR, 0), (30 * MINUTE, 0), (2 * HOUR, HOUR)] {
            let mut steps = Steps::default();
            steps.note(NOON + MINUTE, -HOUR);
            steps.note(NOON - 50 * MINUTE, ahead);
            assert_eq!(steps.moved(NOON), NOON + moved);
            // It may have been noted before the clock went back.
            let noted = NOON - 55 * MINUTE;
            assert_eq!(steps.moved(noted), noted + ahead);
        }
        // A machine that forgot the time, and learns it again, makes nothing later.
        let mut steps = Steps::default();
        steps.note(0, NOON + HOUR);
        assert_eq!(steps.moved(NOON), NOON);
    }

    #[test]
    fn safety_a_clock_is_in_doubt_for_a_day_and_a_step_back_and_ahead_is_none() {
        let mut steps = Steps::default();
        steps.note(NOON, -HOUR);
        assert_eq!(steps.doubt(NOON - HOUR), -HOUR);
        steps.note(NOON - MINUTE, HOUR);
        assert_eq!(steps.doubt(NOON + HOUR), 0);
        steps.note(NOON + 2 * HOUR, HOUR);
        assert_eq!(steps.doubt(NOON + 4 * HOUR), HOUR);
        assert_eq!(steps.doubt(NOON + 3 * HOUR + DAY), 0);
        for _ in 0..1000 {
            steps.note(NOON, 1);
        }
        assert_eq!(steps.0.len(), KEPT);
    }
}
