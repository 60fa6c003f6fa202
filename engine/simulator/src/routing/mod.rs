//! Delivers a message from one device to others: each gets its own copy.

pub(crate) mod copy;

use std::sync::Arc;

use wacore_binary::{Jid, Node, Server};

use self::copy::{copy_children, push_name};
use crate::stanza::el;
use crate::state::address::{Address, Pn};
use crate::state::world::{State, World};
use crate::{group, stanza, tokens};

/// Delivers a copy to every addressed device. `Err` holds the error code: the recipient does not
/// exist, or the sender is not in the group.
pub(crate) fn fan_out(world: &World, from: &Address, node: &Node) -> Result<(), u16> {
    fan_out_at(world, from, node, world.clock.seconds())
}

/// Does what [`fan_out`] does, for a message that the server took at `now`, in seconds since the Unix epoch.
pub(crate) fn fan_out_at(world: &World, from: &Address, node: &Node, now: u64) -> Result<(), u16> {
    let to = stanza::jid(node, "to").ok_or(400_u16)?;
    if to.server == Server::Group {
        return group::routing::fan_out(world, from, &to, node, now);
    }
    let mut state = world.state();
    let target = state.pn(&to).ok_or(404_u16)?;
    if target != from.pn {
        exchange_tokens(&mut state, from, &target, now);
    }
    for (jid, ciphertexts) in copies(node, &to) {
        let Some(address) = state.address(&jid) else {
            continue;
        };
        if let Some(copy) = copy(&state, from, &jid, node, ciphertexts, now)
            && let Some(account) = state.accounts.get_mut(&address.pn)
            && let Some(device) = account.devices.get_mut(&address.device)
        {
            device.deliver(Arc::new(copy), true);
        }
    }
    Ok(())
}

/// Gives both sides each other's privacy token. A phone that demands tokens tells the devices of the
/// other side at once, so that they can answer.
fn exchange_tokens(state: &mut State, from: &Address, to: &Pn, now: u64) {
    let account = state.accounts.get(&from.pn);
    let demands = account.is_some_and(|account| {
        account.demands_token && from.device == 0 && !account.contacts.contains_key(to)
    });
    state.exchange_tokens(&from.pn, to, now);
    if let Some(contact) = state.lid_of(to).filter(|_| demands) {
        let id = state.fresh_id();
        tokens::issue(state, from, &contact, id, now);
    }
}

/// Returns the addressed devices and the ciphertexts for each.
fn copies<'a>(node: &'a Node, to: &Jid) -> Vec<(Jid, Vec<&'a Node>)> {
    let direct: Vec<&Node> = node.get_children_by_tag("enc").collect();
    let mut all = Vec::new();
    if !direct.is_empty() {
        all.push((to.clone(), direct));
    }
    let participants = node.get_optional_child("participants");
    for one in participants
        .into_iter()
        .flat_map(|list| list.get_children_by_tag("to"))
    {
        if let Some(jid) = stanza::jid(one, "jid") {
            all.push((jid, one.get_children_by_tag("enc").collect()));
        }
    }
    all
}

/// Returns the copy of a message for one device.
fn copy(
    state: &State,
    from: &Address,
    to: &Jid,
    node: &Node,
    ciphertexts: Vec<&Node>,
    now: u64,
) -> Option<Node> {
    let account = state.accounts.get(&from.pn)?;
    let device = account.devices.get(&from.device)?;
    let kind = stanza::text(node, "type").unwrap_or_else(|| "text".to_owned());
    // Between devices of one account, the sender is named by LID, whatever the recipient was named by.
    let is_own = state.pn(to).as_ref() == Some(&from.pn);
    let server = if is_own { Server::Lid } else { to.server };
    let mut out = el("message")
        .attr("from", account.jid(server, from.device))
        .attr("id", stanza::text(node, "id")?)
        .attr("t", now)
        .attr("type", kind);
    for key in ["category", "edit", "peer_recipient_pn"] {
        if let Some(value) = stanza::text(node, key) {
            out = out.attr(key, value);
        }
    }
    let peer = stanza::text(node, "category").as_deref() == Some("peer");
    if !is_own {
        let (other, jid) = match to.server {
            Server::Lid => ("sender_pn", account.jid(Server::Pn, 0)),
            _ => ("sender_lid", account.jid(Server::Lid, 0)),
        };
        if account.script.shows_number || other != "sender_pn" {
            out = out.attr(other, jid);
        }
        out = out.attr("notify", push_name(account, from));
    } else if !peer {
        // What is sent again to one own device names the recipient beside it.
        let recipient = stanza::jid(node, "recipient").or_else(|| stanza::jid(node, "to"));
        out = out.attr("recipient", recipient?.to_non_ad());
    }
    let proof = device.identity_proof.as_slice();
    Some(
        out.children(copy_children(node, ciphertexts, proof, account))
            .build(),
    )
}
