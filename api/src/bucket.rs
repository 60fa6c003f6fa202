//! The budget of requests of one organisation, by the generic cell rate algorithm. Its state is one instant:
//! when the budget is whole again if no further request comes.
//! Other processes move that instant, too ([`Bucket::learn`]).

use std::time::Duration;

use tokio::time::Instant;

/// How many requests may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// So many at once.
    pub(crate) burst: u32,
    /// After this time one more may come.
    pub(crate) every: Duration,
}

/// What is left for an organisation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    full_at: Instant,
    /// Whether somebody asked since the last report, also if nothing was left.
    asked: bool,
    /// The requests since the last report, and when the first of them came.
    untold: u32,
    first: Instant,
}

impl Bucket {
    /// Returns a budget of which nothing is used.
    pub(crate) fn full(now: Instant) -> Self {
        Self {
            full_at: now,
            asked: false,
            untold: 0,
            first: now,
        }
    }

    /// Takes one request. If none is left, returns how long the next one must wait.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.asked = true;
        let full_at = self.full_at.max(now) + rate.every;
        let latest = now + rate.every * rate.burst;
        if full_at > latest {
            return Err(full_at - latest);
        }
        self.full_at = full_at;
        if self.untold == 0 {
            self.first = now;
        }
        self.untold = self.untold.saturating_add(1);
        Ok(())
    }

    /// Returns the requests since the last report, and how long ago the first of them came. Returns `None` if nobody
    /// asked.
    pub(crate) fn report(&mut self, now: Instant) -> Option<(u32, Duration)> {
        let told = (self.untold, now.saturating_duration_since(self.first));
        self.untold = 0;
        if !std::mem::take(&mut self.asked) {
            return None;
        }
        Some(if told.0 == 0 {
            (0, Duration::ZERO)
        } else {
            told
        })
    }

    /// Learns that the budget needed `left` until it was whole at `sent`, with all that was reported till then. It
    /// is never whole sooner than this process knows by itself, so that with one process nothing changes.
    pub(crate) fn learn(&mut self, rate: Rate, sent: Instant, left: Duration) {
        let full_at = sent + left + rate.every * self.untold;
        self.full_at = self.full_at.max(full_at);
    }

    /// Returns how long it is until nothing of the budget is used any more.
    pub(crate) fn until_full(&self, now: Instant) -> Duration {
        self.full_at.saturating_duration_since(now)
    }

    /// Returns how many requests may come at once now.
    pub(crate) fn left(&self, rate: Rate, now: Instant) -> u32 {
        let latest = now + rate.every * rate.burst;
        let room = latest.saturating_duration_since(self.full_at.max(now));
        let left = room.as_nanos() / rate.every.as_nanos().max(1);
        u32::try_from(left).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 2,
        every: Duration::from_secs(3),
    };

    #[test]
    fn it_is_refilled_evenly_and_never_above_its_most() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        assert_eq!(bucket.take(RATE, start), Ok(()));
        assert_eq!(bucket.take(RATE, start), Ok(()));
        assert_eq!(bucket.take(RATE, start), Err(RATE.every));
        let later = start + Duration::from_secs(2);
        assert_eq!(bucket.take(RATE, later), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(RATE, start + RATE.every), Ok(()));
        let much_later = start + Duration::from_hours(1);
        assert_eq!(bucket.left(RATE, much_later), 2);
    }

    /// What the store does with a report.
    fn add(full_at: &mut Instant, now: Instant, (requests, first): (u32, Duration)) -> Duration {
        *full_at = (*full_at).max(now.checked_sub(first).unwrap()) + RATE.every * requests;
        full_at.saturating_duration_since(now)
    }

    #[test]
    fn two_that_share_let_through_a_burst_too_much_and_then_wait_until_it_is_made_up_for() {
        let start = Instant::now();
        let mut stored = start;
        let mut both = [Bucket::full(start), Bucket::full(start)];
        let mut passed = 0;
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            for bucket in &mut both {
                while bucket.take(RATE, now).is_ok() {
                    passed += 1;
                }
            }
            for bucket in &mut both {
                let report = bucket.report(now).unwrap();
                bucket.learn(RATE, now, add(&mut stored, now, report));
            }
        }
        // A request in three seconds, a burst of two, and another one for the second process.
        let most = 599 / 3 + 2 + 2;
        assert!((most - 3..=most).contains(&passed), "{passed}");
    }

    #[test]
    fn one_alone_is_not_slowed_by_what_it_reported_itself() {
        let start = Instant::now();
        let mut stored = start;
        let (mut alone, mut reports) = (Bucket::full(start), Bucket::full(start));
        for at in (0..60_000).step_by(700) {
            let now = start + Duration::from_millis(at);
            assert_eq!(reports.take(RATE, now), alone.take(RATE, now), "{at}");
            if at % 2100 == 0 {
                let later = now + Duration::from_millis(100);
                let report = reports.report(later).unwrap();
                reports.learn(RATE, later, add(&mut stored, later, report));
            }
        }
    }

    #[test]
    fn nobody_is_reported_who_did_not_ask() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        assert_eq!(bucket.report(start), None);
        bucket.take(RATE, start).unwrap();
        assert_eq!(bucket.report(start), Some((1, Duration::ZERO)));
        assert_eq!(bucket.report(start), None);
    }
}
