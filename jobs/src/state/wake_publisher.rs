//! Wake-ups that wait to be published to the other processes.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use strum::{IntoStaticStr, VariantArray};
use tokio::sync::Notify;

/// What a wake-up asks the others to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Topic {
    /// A lane may be due.
    Lanes,
    /// A delivery may be due.
    Deliveries,
    /// A file may have to be fetched.
    Fetches,
    /// A session should start or stop, or has a command waiting.
    Sessions,
    /// The state of a session or its QR code has changed.
    Live,
}

impl Topic {
    pub(crate) const ALL: &[Self] = Self::VARIANTS;

    /// Returns the topic's Redis channel. It contains `store`, so that two gateways on one Redis do not wake
    /// each other.
    pub(crate) fn channel(self, store: &str) -> String {
        let topic: &str = self.into();
        format!("{store}:{topic}")
    }
}

/// The topics to publish, and whether the connection to Redis is up.
#[derive(Default)]
pub(crate) struct WakePublisher {
    pending: Mutex<BTreeSet<Topic>>,
    pub(crate) to_publish: Notify,
    pub(crate) connected: AtomicBool,
}

impl WakePublisher {
    /// Queues a topic to be published soon. A topic that is already queued is published once.
    pub(crate) fn publish(&self, topic: Topic) {
        let mut pending = self.pending.lock();
        if pending.insert(topic) {
            self.to_publish.notify_one();
        }
    }

    /// Returns whether this process receives the wake-ups of the others.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Takes the queued topics.
    pub(crate) fn take(&self) -> BTreeSet<Topic> {
        std::mem::take(&mut *self.pending.lock())
    }
}
