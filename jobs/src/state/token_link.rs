//! What connects the two ends of a token queue: the relay, which pushes tokens, and the workers.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::sync::Notify;

/// The wake-ups of both ends of one queue, and whether tokens are used at this moment.
#[derive(Debug, Default)]
pub(crate) struct TokenLink {
    /// Wakes the task that claims rows from the store.
    pub(crate) claims: Arc<Notify>,
    /// Wakes the relay, which pushes tokens for due rows.
    pub(crate) dispatches: Arc<Notify>,
    travels: AtomicU8,
}

impl TokenLink {
    const DOWN: u8 = 1;
    const UP: u8 = 2;

    /// Wakes both ends, because a row may be due.
    pub(crate) fn wake(&self) {
        self.claims.notify_one();
        self.dispatches.notify_one();
    }

    /// Returns whether tokens are used now. Returns `None` if this process does not work on this queue or
    /// has no Redis.
    pub(crate) fn travels(&self) -> Option<bool> {
        match self.travels.load(Ordering::Relaxed) {
            Self::DOWN => Some(false),
            Self::UP => Some(true),
            _ => None,
        }
    }

    /// Sets whether tokens are used. Returns whether they were used before.
    pub(crate) fn set(&self, up: bool) -> bool {
        let now = if up { Self::UP } else { Self::DOWN };
        self.travels.swap(now, Ordering::Relaxed) == Self::UP
    }
}
