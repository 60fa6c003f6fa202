//! `status`: the "about" text of an account, which its contacts are told.

use std::sync::Arc;

use wacore_binary::Node;

use super::request::IqRequest;
use crate::stanza::{self, el, notification};
use crate::state::address::Address;
use crate::state::world::World;

/// The longest text, in bytes.
const LONGEST: usize = 1024;

/// Changes the text in the name of a device.
pub(super) fn answer(world: &World, from: &Address, request: &IqRequest<'_>) -> Node {
    let text = request.child.and_then(stanza::bytes).unwrap_or_default();
    match String::from_utf8(text) {
        Ok(text) if text.len() <= LONGEST => {
            change(world, from, text);
            stanza::result(&request.id, Vec::new())
        }
        _ => stanza::refusal(&request.id, 406, "not-acceptable"),
    }
}

/// Changes the text, and tells the account's other devices and its contacts.
pub(crate) fn change(world: &World, by: &Address, text: String) {
    let mut state = world.state();
    let id = state.fresh_id();
    let told = state.circle(&by.pn);
    let from = state.lid_of(&by.pn);
    if let Some(account) = state.accounts.get_mut(&by.pn) {
        account.about.clone_from(&text);
    }
    let set = el("set").bytes(text.into_bytes()).build();
    let node = notification("status", from, id, world.clock.seconds()).children([set]);
    state.tell(&told, by, &Arc::new(node.build()));
}
