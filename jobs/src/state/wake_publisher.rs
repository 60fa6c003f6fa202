//! What other processes are to be told to look at.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use strum::{IntoStaticStr, VariantArray};
use tokio::sync::Notify;

/// What is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Topic {
    /// A lane may be due.
    Lanes,
    /// A delivery may be due.
    Deliveries,
    /// A file may have to be fetched.
    Fetches,
    /// A session should start or stop, or is asked something.
    Sessions,
}

impl Topic {
    pub(crate) const ALL: &[Self] = Self::VARIANTS;

    /// Its channel, of this `store` alone: two gateways on one Redis do not wake each other.
    pub(crate) fn channel(self, store: &str) -> String {
        let topic: &str = self.into();
        format!("{store}:{topic}")
    }
}

/// What others are to be told, and whether they hear it.
#[derive(Default)]
pub(crate) struct WakePublisher {
    pending: Mutex<BTreeSet<Topic>>,
    pub(crate) to_publish: Notify,
    pub(crate) connected: AtomicBool,
}

impl WakePublisher {
    /// Tells the others, some time soon; the same topic once.
    pub(crate) fn publish(&self, topic: Topic) {
        let mut pending = self.pending.lock();
        if pending.insert(topic) {
            self.to_publish.notify_one();
        }
    }

    /// Whether this process hears the others.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Takes what is to be told.
    pub(crate) fn take(&self) -> BTreeSet<Topic> {
        std::mem::take(&mut *self.pending.lock())
    }
}
