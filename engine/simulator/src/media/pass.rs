//! The passes that let a linked device upload: told with the media hosts, good as long as the
//! device is linked.

use std::collections::{HashMap, VecDeque};

use rand::RngExt;

use crate::account::Address;
use crate::world::State;

/// Passes of one device that are good at a time; each answer about hosts makes another.
const GOOD_AT_ONCE: usize = 8;

/// All passes given out and not replaced.
#[derive(Default)]
pub(crate) struct Passes {
    owners: HashMap<String, Address>,
    of: HashMap<Address, VecDeque<String>>,
}

/// A fresh pass for a device.
pub(crate) fn give(state: &mut State, device: &Address) -> String {
    let pass = hex::encode(state.rng.random::<[u8; 16]>());
    let passes = &mut state.passes;
    let own = passes.of.entry(device.clone()).or_default();
    if own.len() == GOOD_AT_ONCE
        && let Some(oldest) = own.pop_front()
    {
        passes.owners.remove(&oldest);
    }
    own.push_back(pass.clone());
    passes.owners.insert(pass.clone(), device.clone());
    pass
}

/// The linked device a pass was given to.
pub(crate) fn owner(state: &State, pass: &str) -> Option<Address> {
    let device = state.passes.owners.get(pass)?;
    let account = state.accounts.get(&device.pn)?;
    account
        .devices
        .contains_key(&device.device)
        .then(|| device.clone())
}
