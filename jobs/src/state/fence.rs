//! The fence: how long this host may trust its leases after its last heartbeat.
//!
//! The time is measured on the host's monotonic clock, from the moment before the heartbeat was
//! written. So a jump of the database's clock or of the wall clock does no harm.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// After this time without a heartbeat the host must stop writing to sockets.
const FENCED: Duration = Duration::from_secs(10);

/// The start of the last heartbeat that was written.
#[derive(Debug, Default)]
pub(crate) struct Fence(Mutex<Option<Instant>>);

impl Fence {
    /// Records that a heartbeat which began at `began` was written.
    pub(crate) fn renew(&self, began: Instant) {
        *self.0.lock() = Some(began);
    }

    /// Returns whether leases may be trusted at `now`.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        self.0
            .lock()
            .is_none_or(|at| now.saturating_duration_since(at) < FENCED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_falls_ten_seconds_after_the_last_heartbeat_began() {
        let (fence, began) = (Fence::default(), Instant::now());
        assert!(
            fence.holds(began),
            "the fence holds before the first heartbeat"
        );
        fence.renew(began);
        assert!(fence.holds(began + FENCED - Duration::from_millis(1)));
        assert!(!fence.holds(began + FENCED));
        assert!(FENCED < crate::settings::DEAD);
    }
}
