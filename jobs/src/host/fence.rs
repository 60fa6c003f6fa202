//! Dropping the sessions when this host may no longer believe in its leases.
//!
//! A host that could not renew its heartbeat puts its sessions down by itself, well before
//! [`DEAD`](crate::settings::DEAD), when another may take them: it writes nothing to a socket any more,
//! though WhatsApp may be reached.

use std::{convert::Infallible, time::Duration};

use crate::services::Services;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Whether this process may write to sockets. On SQLite nobody else could take its sessions.
pub(super) fn holds(services: &Services) -> bool {
    !services.is_shared() || services.fence().holds(services.clock().monotonic())
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
    for running in services.registry().all() {
        if !running.lost.is_cancelled() {
            tracing::warn!(session.id = %running.lease.session, why, "the session is dropped");
            running.lost.cancel();
        }
    }
}
