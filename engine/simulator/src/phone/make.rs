//! Makes phones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc;
use wacore_binary::{Jid, Server};

use super::{ORDERS, Phone};
use crate::certs::raw;
use crate::state::account::{Account, Script, TimeLock};
use crate::state::address::parse_phone;
use crate::state::address::{Address, Pn};
use crate::state::device::{Device, MAILBOX};
use crate::state::phone_keys::PhoneKeys;
use crate::state::world::{State, World};

/// Makes the phone of an address if `any_number` is set and the phone does not exist.
pub(crate) fn ensure(world: &Arc<World>, jid: &Jid) {
    if world.any_number
        && jid.server == Server::Pn
        && let Some(pn) = parse_phone(jid.user_base())
        && let Err(error) = create(world, &pn)
    {
        tracing::warn!(%error, "a phone could not be made");
    }
}

/// Makes a phone if it does not exist. Returns `true` if it is new. A new phone is online and
/// silent. Another spelling of a number is no phone.
pub(crate) fn create(world: &Arc<World>, pn: &Pn) -> anyhow::Result<bool> {
    let mut state = world.state();
    if state.accounts.contains_key(pn) || state.spellings.contains_key(pn) {
        return Ok(false);
    }
    let keys = Arc::new(PhoneKeys::generate(world.clock.seconds(), &mut state.rng)?);
    let (orders, todo) = mpsc::channel(ORDERS);
    let (mailbox, letters) = mpsc::channel(MAILBOX);
    let own = Address {
        pn: Arc::clone(pn),
        device: 0,
    };
    let rng = StdRng::from_rng(&mut state.rng);
    let phone = Phone::new(world, own, &keys, orders.clone(), rng);
    let mut account = Account {
        pn: Arc::clone(pn),
        lid: state.free_lid(),
        script: Script::default(),
        about: String::new(),
        demands_token: false,
        orders,
        mailbox,
        departures: 0,
        devices: [(0, primary(&keys))].into(),
        next_device: 1,
        app_state: BTreeMap::new(),
        timelock: TimeLock::default(),
        capping: None,
        contacts: BTreeMap::new(),
        token_salt: state.rng.random(),
        watchers: BTreeSet::new(),
        keys,
    };
    account.set_online(true);
    enter(&mut state, account);
    drop(state);
    world.tasks.spawn(phone.run(letters, todo));
    Ok(true)
}

fn enter(state: &mut State, account: Account) {
    let (pn, lid) = (Arc::clone(&account.pn), Arc::clone(&account.lid));
    state.lids.insert(lid, Arc::clone(&pn));
    state.accounts.insert(pn, account);
}

fn primary(keys: &PhoneKeys) -> Device {
    let mut device = Device::new(0, None);
    device.registration = keys.registration.to_be_bytes().to_vec();
    device.identity = raw(&keys.identity).to_vec();
    device.signed_key = keys.published();
    device
}
