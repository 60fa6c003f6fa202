//! The machine's clocks. Only this page reads them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A wall clock for the protocol, and a monotonic clock for measurements. Both count from one
/// start, so that a change of the machine's time affects neither.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    /// Time since the Unix epoch, at `origin`.
    wall: Duration,
}

impl Clock {
    /// Returns a clock whose monotonic zero is now.
    #[expect(clippy::disallowed_methods, reason = "only this page reads the clock")]
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// Returns milliseconds since the Unix epoch.
    pub(crate) fn millis(&self) -> u64 {
        let since = self.wall + self.origin.elapsed();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns seconds since the Unix epoch, as in WhatsApp's `t`.
    pub(crate) fn seconds(&self) -> u64 {
        self.millis() / 1000
    }

    /// Returns microseconds since the simulator started. They never decrease.
    pub(crate) fn micros(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
