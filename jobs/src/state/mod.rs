//! The in-memory state of a process: data and small methods. Nothing here does I/O. Nothing here names
//! `Services`, which is built from these types.

pub(crate) mod back_off;
pub(crate) mod calls;
pub(crate) mod clock_steps;
pub(crate) mod decoding;
pub(crate) mod early_receipts;
pub(crate) mod fence;
pub(crate) mod followed;
pub(crate) mod gates;
pub(crate) mod gathering;
pub(crate) mod health_watch;
pub(crate) mod in_flight;
pub(crate) mod in_hand;
pub(crate) mod policies;
pub(crate) mod rate_limit;
pub(crate) mod registry;
pub(crate) mod token_link;
pub(crate) mod typing;
pub(crate) mod wake_publisher;

use tokio::{sync::Notify, time::Instant};

/// Waits until this time, if there is one, or until something has changed.
async fn due_or_changed(at: Option<Instant>, changed: &Notify) {
    let due = async {
        match at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = due => {}
        () = changed.notified() => {}
    }
}
