//! Tracks which messages have a running job in this process.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use passerelle_engine::ids::MessageId;

/// The messages that have a running job in this process.
#[derive(Debug, Default, Clone)]
pub(crate) struct InHand(Arc<Mutex<HashSet<MessageId>>>);

impl InHand {
    /// Returns a copy of the whole set.
    pub(crate) fn all(&self) -> HashSet<MessageId> {
        self.0.lock().clone()
    }

    /// Adds the message until the returned guard is dropped.
    pub(crate) fn take(&self, message: MessageId) -> Held {
        self.0.lock().insert(message);
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
        self.in_hand.0.lock().remove(&self.message);
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
        assert!(in_hand.0.lock().contains(&message));
        drop(held);
        assert!(in_hand.0.lock().is_empty());
    }
}
