//! Delivers a message to a group. Every device of every member gets the shared ciphertext and the
//! ciphertexts that are for this device only.

use std::collections::HashMap;
use std::sync::Arc;

use wacore_binary::{Jid, Node};

use crate::routing::copy::{copy_children, push_name};
use crate::stanza::{self, el};
use crate::state::address::Address;
use crate::state::group::Group;
use crate::state::world::{State, World};

/// The error code for a group that does not exist, as in `w:g2`.
const NO_SUCH_GROUP: u16 = 404;
/// The error code for a sender that is not a member. It was seen in a client's log (tgalal/yowsup,
/// issue 1402). `w:g2` answers 403 in the same case.
const NOT_A_MEMBER: u16 = 401;

/// Delivers a copy to every device of the group. `Err` holds the error code.
pub(crate) fn fan_out(
    world: &World,
    from: &Address,
    to: &Jid,
    node: &Node,
    now: u64,
) -> Result<(), u16> {
    let mut state = world.state();
    let group = state.group(to).ok_or(NO_SUCH_GROUP)?.clone();
    if !group.members.contains_key(&from.pn) {
        return Err(NOT_A_MEMBER);
    }
    let shared: Vec<&Node> = node.get_children_by_tag("enc").collect();
    if let Some(only) = stanza::jid(node, "participant") {
        // The message is a resend for the one device that asked for it.
        if let Some(address) = state.address(&only) {
            deliver(&mut state, &group, from, &address, node, shared, now);
        }
        return Ok(());
    }
    let mut own: HashMap<Address, Vec<&Node>> = alone(&state, node);
    for address in devices(&state, &group, from) {
        let mut ciphertexts = own.remove(&address).unwrap_or_default();
        ciphertexts.extend(&shared);
        deliver(&mut state, &group, from, &address, node, ciphertexts, now);
    }
    Ok(())
}

/// Returns the ciphertexts for single devices: the sender key, for devices that do not have it.
fn alone<'a>(state: &State, node: &'a Node) -> HashMap<Address, Vec<&'a Node>> {
    let list = node.get_optional_child("participants");
    let all = list
        .into_iter()
        .flat_map(|list| list.get_children_by_tag("to"));
    let all = all.filter_map(|one| {
        let address = state.address(&stanza::jid(one, "jid")?)?;
        Some((address, one.get_children_by_tag("enc").collect()))
    });
    all.collect()
}

fn devices(state: &State, group: &Group, except: &Address) -> Vec<Address> {
    let accounts = group.members.keys().filter_map(|pn| state.accounts.get(pn));
    let devices = accounts.flat_map(|account| {
        account.devices.keys().map(|device| Address {
            pn: Arc::clone(&account.pn),
            device: *device,
        })
    });
    devices.filter(|address| address != except).collect()
}

fn deliver(
    state: &mut State,
    group: &Group,
    from: &Address,
    to: &Address,
    node: &Node,
    ciphertexts: Vec<&Node>,
    now: u64,
) {
    let Some(copy) = copy(state, group, from, node, ciphertexts, now) else {
        return;
    };
    if let Some(account) = state.accounts.get_mut(&to.pn)
        && let Some(device) = account.devices.get_mut(&to.device)
    {
        device.deliver(Arc::new(copy), true);
    }
}

fn copy(
    state: &State,
    group: &Group,
    from: &Address,
    node: &Node,
    ciphertexts: Vec<&Node>,
    now: u64,
) -> Option<Node> {
    let account = state.accounts.get(&from.pn)?;
    let device = account.devices.get(&from.device)?;
    let kind = stanza::text(node, "type").unwrap_or_else(|| "text".to_owned());
    let (other, server) = group.mode.other();
    let mut out = el("message")
        .attr("from", group.jid())
        .attr("participant", account.jid(group.mode.server(), from.device))
        .attr("addressing_mode", group.mode.name())
        .attr("id", stanza::text(node, "id")?)
        .attr("t", now)
        .attr("type", kind)
        .attr("notify", push_name(account, from));
    if account.script.shows_number || other != "participant_pn" {
        out = out.attr(other, account.jid(server, 0));
    }
    if let Some(edit) = stanza::text(node, "edit") {
        out = out.attr("edit", edit);
    }
    let proof = device.identity_proof.as_slice();
    Some(
        out.children(copy_children(node, ciphertexts, proof, account))
            .build(),
    )
}
