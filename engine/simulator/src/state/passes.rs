//! The passes that let a linked device upload: told with the media hosts, good as long as the
//! device is linked.

use std::collections::{HashMap, VecDeque};

use super::address::Address;

/// Passes of one device that are good at a time; each answer about hosts makes another.
const GOOD_AT_ONCE: usize = 8;

/// All passes given out and not replaced.
#[derive(Default)]
pub(crate) struct Passes {
    owners: HashMap<String, Address>,
    of: HashMap<Address, VecDeque<String>>,
}

impl Passes {
    /// Keep a fresh pass of a device.
    pub(crate) fn keep(&mut self, pass: String, device: &Address) {
        let own = self.of.entry(device.clone()).or_default();
        if own.len() == GOOD_AT_ONCE
            && let Some(oldest) = own.pop_front()
        {
            self.owners.remove(&oldest);
        }
        own.push_back(pass.clone());
        self.owners.insert(pass, device.clone());
    }

    /// The device a pass was given to.
    pub(crate) fn owner(&self, pass: &str) -> Option<&Address> {
        self.owners.get(pass)
    }
}
