//! Tracks which messages have a running job in this process.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use passerelle_engine::ids::MessageId;

/// The messages that have a running job in this process.
#[derive(Debug, Default, Clone)]
pub(crate) struct InHand(Arc<Mutex<HashSet<MessageId>>>);

impl InHand {
    fn messages(&self) -> MutexGuard<'_, HashSet<MessageId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a copy of the whole set.
    pub(crate) fn all(&self) -> HashSet<MessageId> {
        self.messages().clone()
    }

    /// Adds the message until the returned guard is dropped.
    pub(crate) fn take(&self, message: MessageId) -> Held {
        self.messages().insert(message);
        Held {
            in_hand: self.clone(),
            message,
        }
    }
}

/// Marks its message as having a running job, until dropped.
pub(crate) struct Held {
    in_hand: InHand,
    message: MessageId,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.in_hand.messages().remove(&self.message);
    }
}

#[cfg(test)]
mod tests {
    use passerelle_engine::clock::Clock;

    use super::*;

    #[test]
    fn a_message_is_in_hand_as_long_as_its_job_lives() {
        let (in_hand, message) = (InHand::default(), MessageId::new(&Clock::system()));
        let held = in_hand.take(message);
        assert!(in_hand.messages().contains(&message));
        drop(held);
        assert!(in_hand.messages().is_empty());
    }
}
