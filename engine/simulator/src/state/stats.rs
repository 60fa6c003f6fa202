//! Counters, for tests that check how often something was requested.

use std::collections::BTreeMap;

use parking_lot::Mutex;
/// Counters by name.
#[derive(Default)]
pub(crate) struct Stats {
    counts: Mutex<BTreeMap<String, u64>>,
}

/// Counters that are always returned, even if zero.
pub(crate) const ALWAYS: [&str; 10] = [
    "downloads",
    "frames_in",
    "frames_out",
    "logins",
    "messages",
    "prekey_fetches",
    "prekey_uploads",
    "receipts",
    "uploads",
    "usync",
];

/// The most counters. The client chooses the names of `iq.` counters, so they must be bounded.
const NAMES: usize = 500;

impl Stats {
    /// Adds one to a counter.
    pub(crate) fn count(&self, name: &str) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(name) {
            *count += 1;
        } else if counts.len() < NAMES {
            counts.insert(name.to_owned(), 1);
        }
    }

    /// Returns all counters.
    pub(crate) fn read(&self) -> BTreeMap<String, u64> {
        let counts = self.counts.lock();
        let mut all: BTreeMap<_, _> = ALWAYS.map(|name| (name.to_owned(), 0)).into();
        all.extend(counts.clone());
        all
    }
}
