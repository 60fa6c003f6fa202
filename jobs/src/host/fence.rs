//! How long this host may believe in its leases.
//!
//! A host that could not renew its heartbeat for [`FENCED`] puts its sessions down by itself, well
//! before [`DEAD`](super::DEAD), when another may take them: it writes nothing to a socket any more,
//! though WhatsApp may be reached. It goes by its own monotonic clock from before the heartbeat was
//! written, so the database's clock and its own wall clock may step as they like.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::services::Services;

/// Without a heartbeat for so long, the host takes itself for dead.
const FENCED: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// When the last heartbeat that was written began.
#[derive(Debug, Default)]
pub(crate) struct Fence(Mutex<Option<Instant>>);

impl Fence {
    fn beaten(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A heartbeat that began at `began` was written.
    pub(crate) fn renew(&self, began: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
    }

    /// Whether leases may be believed in at `now`.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        self.beaten()
            .is_none_or(|at| now.saturating_duration_since(at) < FENCED)
    }
}

/// Whether this process may write to sockets. On SQLite nobody else could take its sessions.
pub(super) fn holds(services: &Services) -> bool {
    let shared = &services.0;
    !services.is_shared() || shared.fence.holds(shared.clock.monotonic())
}

/// Drops every session when the fence no longer holds. Never ends.
pub(super) async fn watch(services: &Services) -> Infallible {
    loop {
        if !holds(services) {
            drop_all(services, "the store was not reached for ten seconds");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Drops every session at once: nothing more is written to its socket, its keys are forgotten.
pub(super) fn drop_all(services: &Services, why: &'static str) {
    for running in services.0.registry.all() {
        if !running.lost.is_cancelled() {
            tracing::warn!(session.id = %running.lease.session, why, "the session is dropped");
            running.lost.cancel();
        }
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
        assert!(FENCED < super::super::DEAD);
    }
}
