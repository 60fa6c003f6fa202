//! `encrypt`: a device uploads, counts and checks its own keys, and fetches the keys of other
//! devices.

use std::sync::Arc;

use wacore::prekeys::compute_key_bundle_digest;
use wacore_binary::{Jid, Node};

use super::request::IqRequest;
use crate::next_step::NextStep;
use crate::stanza::el;
use crate::state::address::Address;
use crate::state::bundle::{bundle_nodes, signed_key_node};
use crate::state::device::{Device, SignedKey};
use crate::state::order::Order;
use crate::state::world::{State, World};
use crate::{phone, stanza};

/// The most one-time keys kept for one device.
const ONE_TIME_KEYS: usize = 20_000;

/// Answers an `encrypt` request.
pub(super) fn answer(world: &Arc<World>, from: &Address, request: &IqRequest<'_>) -> NextStep {
    let reply = match (request.kind.as_str(), request.tag()) {
        ("get", "count") => with_device(world, from, |device| {
            let count = el("count").attr("value", device.one_time.len());
            stanza::result(&request.id, vec![count.build()])
        }),
        ("get", "digest") => with_device(world, from, |device| digest(&request.id, device)),
        ("get", "key") => Some(fetch(world, request)),
        ("set", "rotate") => with_device(world, from, |device| {
            if let Some(key) = request.child.and_then(signed_key) {
                device.signed_key = key;
            }
            stanza::result(&request.id, Vec::new())
        }),
        ("set", _) => upload(world, from, request),
        _ => Some(stanza::refusal(&request.id, 400, "bad-request")),
    };
    let none = || stanza::refusal(&request.id, 404, "item-not-found");
    NextStep::Reply(reply.unwrap_or_else(none))
}

fn with_device(
    world: &World,
    from: &Address,
    act: impl FnOnce(&mut Device) -> Node,
) -> Option<Node> {
    let mut state = world.state();
    let account = state.accounts.get_mut(&from.pn)?;
    account.devices.get_mut(&from.device).map(act)
}

/// Stores uploaded keys. After the first upload, the phone sends the new device what it needs.
fn upload(world: &World, from: &Address, request: &IqRequest<'_>) -> Option<Node> {
    world.stats.count("prekey_uploads");
    let mut state = world.state();
    let account = state.accounts.get_mut(&from.pn)?;
    let device = account.devices.get_mut(&from.device)?;
    if let Some(registration) = stanza::child_bytes(request.node, "registration") {
        device.registration = registration;
    }
    if let Some(key) = signed_key(request.node) {
        device.signed_key = key;
    }
    let list = request.node.get_optional_child("list");
    let keys = list
        .into_iter()
        .flat_map(|list| list.get_children_by_tag("key"));
    device.one_time.extend(keys.filter_map(one_time_key));
    device.one_time.truncate(ONE_TIME_KEYS);
    if !std::mem::replace(&mut device.welcomed, true) {
        let _ = account.orders.try_send(Order::Welcome(from.device));
    }
    Some(stanza::result(&request.id, Vec::new()))
}

fn one_time_key(node: &Node) -> Option<(Vec<u8>, Vec<u8>)> {
    let value = stanza::child_bytes(node, "value")?;
    (value.len() == 32).then_some((stanza::child_bytes(node, "id")?, value))
}

fn signed_key(node: &Node) -> Option<SignedKey> {
    let key = node.get_optional_child("skey")?;
    Some(SignedKey {
        id: stanza::child_bytes(key, "id")?,
        value: stanza::child_bytes(key, "value")?,
        signature: stanza::child_bytes(key, "signature")?,
    })
}

fn digest(id: &str, device: &Device) -> Node {
    if device.one_time.is_empty() {
        return stanza::refusal(id, 404, "item-not-found");
    }
    let values: Vec<&[u8]> = device.one_time.iter().map(|(_, value)| &**value).collect();
    let key = &device.signed_key;
    let hash = compute_key_bundle_digest(&device.identity, &key.value, &key.signature, &values);
    let ids = device.one_time.iter();
    let ids = ids.map(|(id, _)| el("id").bytes(id.clone()).build());
    let children = [
        el("registration")
            .bytes(device.registration.clone())
            .build(),
        el("type").bytes([5]).build(),
        el("identity").bytes(device.identity.clone()).build(),
        signed_key_node(key),
        el("list").children(ids).build(),
        el("hash").bytes(hash).build(),
    ];
    stanza::result(id, vec![el("digest").children(children).build()])
}

fn fetch(world: &Arc<World>, request: &IqRequest<'_>) -> Node {
    world.stats.count("prekey_fetches");
    let users = request.child.into_iter();
    let users = users.flat_map(|child| child.get_children_by_tag("user"));
    let jids: Vec<Jid> = users.filter_map(|user| stanza::jid(user, "jid")).collect();
    for jid in &jids {
        phone::make::ensure(world, jid);
    }
    let now = world.clock.seconds();
    let mut state = world.state();
    let users = jids.iter().map(|jid| user(&mut state, jid, now));
    let list = el("list").children(users.collect::<Vec<_>>()).build();
    stanza::result(&request.id, vec![list])
}

fn user(state: &mut State, jid: &Jid, now: u64) -> Node {
    let bundle = state
        .address(jid)
        .and_then(|address| state.bundle(&address));
    let node = el("user").attr("jid", jid).attr("t", now);
    let Some(bundle) = bundle else {
        let error = el("error")
            .attr("code", 406_u16)
            .attr("text", "not-acceptable");
        return node.children([error.build()]).build();
    };
    node.children(bundle_nodes(&bundle)).build()
}
