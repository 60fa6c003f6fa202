//! Time, passed as an argument. Only this page reads the machine's clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::{ContextV7, Uuid};

/// Milliseconds since 1970-01-01 UTC. The store keeps times in this form.
pub type Millis = i64;

/// Wall time, monotonic time, and the ids made from wall time.
///
/// Gaps between messages and leases use the database's time of their transaction and
/// [`Clock::monotonic`]. Wall time is for what people read and for tasks that are due in minutes.
/// It is the machine's time, or the time of a clock that several machines follow
/// ([`Clock::follow`]).
#[derive(Clone, Debug)]
pub struct Clock(Arc<TimeSource>);

#[derive(Debug)]
struct TimeSource {
    /// Milliseconds added to the machine's wall clock. Tests change it.
    offset_ms: AtomicI64,
    /// What the followed clock showed, and when.
    followed: Mutex<Option<(Instant, Millis)>>,
    ids: Mutex<ContextV7>,
}

impl Clock {
    /// Uses the machine's clock.
    pub fn system() -> Self {
        Self(Arc::new(TimeSource {
            offset_ms: AtomicI64::new(0),
            followed: Mutex::default(),
            ids: Mutex::new(ContextV7::new()),
        }))
    }

    /// Returns the wall time now.
    pub fn now(&self) -> Millis {
        let followed = *self.0.followed.lock();
        let now = followed.map_or_else(Self::of_machine, |(at, showed)| {
            let since = self.monotonic().saturating_duration_since(at);
            showed.saturating_add(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        });
        now + self.0.offset_ms.load(Ordering::Relaxed)
    }

    /// Returns the machine's wall time.
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place that reads wall time"
    )]
    fn of_machine() -> Millis {
        chrono::Utc::now().timestamp_millis()
    }

    /// Follows a clock that showed `now` at `at`, and ignores later changes of this machine's
    /// clock. Returns how many milliseconds this machine's clock is ahead of it.
    pub fn follow(&self, at: Instant, now: Millis) -> Millis {
        let since = self.monotonic().saturating_duration_since(at);
        let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        *self.0.followed.lock() = Some((at, now));
        Self::of_machine() - now.saturating_add(since)
    }

    /// Returns time that never jumps. It stands still when tokio's clock is paused.
    pub fn monotonic(&self) -> Instant {
        Instant::now()
    }

    /// Moves this clock's wall time ahead. Tests use it to check what happens later.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.offset_ms.fetch_add(by, Ordering::Relaxed);
    }

    /// Returns a `UUIDv7` that is later than every one this clock made before.
    pub(crate) fn uuid(&self) -> Uuid {
        let now = u64::try_from(self.now()).unwrap_or(0);
        let nanos = u32::try_from(now % 1000).unwrap_or(0) * 1_000_000;
        let ids = self.0.ids.lock();
        Uuid::new_v7(uuid::Timestamp::from_unix(&*ids, now / 1000, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_followed_counts_whatever_the_machine_says() {
        let clock = Clock::system();
        let hour = Duration::from_hours(1);
        let an_hour_ago = clock.monotonic().checked_sub(hour).unwrap();
        let ahead = clock.follow(an_hour_ago, 1_000);
        assert!(ahead > 1_000_000_000, "1970 is long over: {ahead}");
        let now = clock.now();
        assert!((3_601_000..3_661_000).contains(&now), "{now}");
        clock.advance(hour);
        assert!(clock.now() >= now + 3_600_000);
    }
}
