//! When this host last wrote its heartbeat, and how long it may believe in its leases.
//!
//! It goes by its own monotonic clock from before the heartbeat was written, so the database's clock
//! and its own wall clock may step as they like.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Without a heartbeat for so long, the host takes itself for dead.
const FENCED: Duration = Duration::from_secs(10);

/// When the last heartbeat that was written began.
#[derive(Debug, Default)]
pub(crate) struct Fence(Mutex<Option<Instant>>);

impl Fence {
    /// A heartbeat that began at `began` was written.
    pub(crate) fn renew(&self, began: Instant) {
        *self.0.lock() = Some(began);
    }

    /// Whether leases may be believed in at `now`.
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
        assert!(fence.holds(began), "nothing is held before the first one");
        fence.renew(began);
        assert!(fence.holds(began + FENCED - Duration::from_millis(1)));
        assert!(!fence.holds(began + FENCED));
        assert!(FENCED < crate::settings::DEAD);
    }
}
