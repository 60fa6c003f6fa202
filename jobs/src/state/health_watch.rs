//! When a session looks at the health of its number: what WhatsApp says about new chats, and what became of the last first
//! messages. No timer runs for it: a connect, a send and an opt-out ask for a look.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

/// Between two looks of a session that connects or sends.
const LOOK: Duration = Duration::from_hours(1);

/// Asks a session that runs here to look.
#[derive(Default)]
pub(crate) struct HealthWatch {
    wanted: Notify,
    /// The earliest time of the next look; `None` before the first one.
    next: Mutex<Option<Instant>>,
    opts_out: AtomicBool,
    is_unlinking: AtomicBool,
}

impl HealthWatch {
    /// Asks for a look if the last one was an hour ago.
    pub(crate) fn look(&self, now: Instant) {
        if self.next.lock().is_none_or(|next| next <= now) {
            self.wanted.notify_one();
        }
    }

    /// Records that a contact opts out in a transaction that is not committed yet.
    pub(crate) fn opting_out(&self) {
        self.opts_out.store(true, Ordering::Relaxed);
    }

    /// Asks for a look if a contact opted out in the transaction that was committed.
    pub(crate) fn committed(&self) {
        if self.opts_out.swap(false, Ordering::Relaxed) {
            self.wanted.notify_one();
        }
    }

    /// Waits until a look is asked for.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Records a look.
    pub(crate) fn looked(&self, now: Instant) {
        *self.next.lock() = Some(now + LOOK);
    }

    /// Records that we are about to unlink the number ourselves.
    pub(crate) fn unlinking(&self) {
        self.is_unlinking.store(true, Ordering::Relaxed);
    }

    /// Returns whether we unlink the number ourselves.
    pub(crate) fn is_unlinking(&self) -> bool {
        self.is_unlinking.load(Ordering::Relaxed)
    }
}
