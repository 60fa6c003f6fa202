//! Drops the sessions when this host may no longer trust its leases.
//!
//! A host that cannot renew its heartbeat drops its sessions by itself, well before
//! [`DEAD`](crate::settings::DEAD), when another host may take them. From then on it writes nothing to a
//! socket, even if WhatsApp can still be reached.

use std::{convert::Infallible, time::Duration};

use crate::services::Services;

/// Interval between two checks.
const LOOK: Duration = Duration::from_millis(250);

/// Returns whether this process may write to sockets. On SQLite always: no other process could take its
/// sessions.
pub(super) fn holds(services: &Services) -> bool {
    !services.is_shared() || services.fence().holds(services.clock().monotonic())
}

/// Drops every session whenever the fence no longer holds. Never returns.
pub(super) async fn watch(services: &Services) -> Infallible {
    loop {
        if !holds(services) {
            drop_all(services, "no heartbeat was written for ten seconds");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Drops every session at once: nothing more is written to its socket, and its keys are forgotten.
pub(super) fn drop_all(services: &Services, why: &'static str) {
    for running in services.registry().all() {
        if !running.lost.is_cancelled() {
            tracing::warn!(session.id = %running.lease.session, why, "the session is dropped");
            running.lost.cancel();
        }
    }
}
