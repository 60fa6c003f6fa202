//! The budget of requests of one organisation, by the generic cell rate algorithm. Its state is one instant:
//! when the budget is whole again if no further request comes.

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
}

impl Bucket {
    /// Returns a budget of which nothing is used.
    pub(crate) fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes one request. If none is left, returns how long the next one must wait.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + rate.every;
        let latest = now + rate.every * rate.burst;
        if full_at > latest {
            return Err(full_at - latest);
        }
        self.full_at = full_at;
        Ok(())
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
}
