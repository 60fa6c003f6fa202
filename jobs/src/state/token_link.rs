//! Both ends of a queue whose jobs may travel as tokens.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::sync::Notify;

/// Both ends of one queue: who is woken when a row may be due, and whether tokens travel at this moment.
#[derive(Debug, Default)]
pub(crate) struct TokenLink {
    /// Whoever claims from the store.
    pub(crate) claims: Arc<Notify>,
    /// Whoever makes tokens.
    pub(crate) dispatches: Arc<Notify>,
    travels: AtomicU8,
}

impl TokenLink {
    const DOWN: u8 = 1;
    const UP: u8 = 2;

    /// A row may be due.
    pub(crate) fn wake(&self) {
        self.claims.notify_one();
        self.dispatches.notify_one();
    }

    /// Whether tokens travel; none where this process works on no such jobs, or has no Redis.
    pub(crate) fn travels(&self) -> Option<bool> {
        match self.travels.load(Ordering::Relaxed) {
            Self::DOWN => Some(false),
            Self::UP => Some(true),
            _ => None,
        }
    }

    /// Says how it stands; whether tokens travelled before.
    pub(crate) fn set(&self, up: bool) -> bool {
        let now = if up { Self::UP } else { Self::DOWN };
        self.travels.swap(now, Ordering::Relaxed) == Self::UP
    }
}
