//! The machine's clocks, read on this page only.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A wall clock for what goes on the wire, and a monotonic one for what tests measure. Both run
/// from one start, so that a step of the machine's clock moves neither.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    /// Since the Unix epoch, at `origin`.
    wall: Duration,
}

impl Clock {
    /// A clock whose monotonic zero is now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one page that reads the clock"
    )]
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// Milliseconds since the Unix epoch.
    pub(crate) fn millis(&self) -> u64 {
        let since = self.wall + self.origin.elapsed();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Seconds since the Unix epoch, as WhatsApp writes `t`.
    pub(crate) fn seconds(&self) -> u64 {
        self.millis() / 1000
    }

    /// Microseconds since the simulator started; never goes back.
    pub(crate) fn micros(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
