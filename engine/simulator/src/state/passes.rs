//! Upload passes. A device gets one with the list of media hosts. It is valid while the device is
//! linked.

use std::collections::{HashMap, VecDeque};

use super::address::Address;

/// The most valid passes of one device. Each answer about media hosts adds one.
const GOOD_AT_ONCE: usize = 8;

/// All valid passes.
#[derive(Default)]
pub(crate) struct Passes {
    owners: HashMap<String, Address>,
    of: HashMap<Address, VecDeque<String>>,
}

impl Passes {
    /// Stores a new pass of a device.
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

    /// Returns the device that got this pass.
    pub(crate) fn owner(&self, pass: &str) -> Option<&Address> {
        self.owners.get(pass)
    }
}
