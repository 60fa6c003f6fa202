//! `w:g2`: requests about groups and their members. A client that is not a member is refused with
//! 403, an unknown group with 404 (whatsmeow, `getGroupInfo`).

use std::sync::Arc;

use wacore_binary::Node;

use super::change;
use crate::iq::request::IqRequest;
use crate::stanza::{self, el};
use crate::state::address::Address;
use crate::state::world::World;

/// Answers a `w:g2` request.
pub(crate) fn answer(world: &Arc<World>, from: &Address, request: &IqRequest<'_>) -> Node {
    match (request.kind.as_str(), request.tag()) {
        ("get", "participating") => participating(world, from, &request.id),
        ("get", "query") => query(world, from, request),
        ("get", _) => stanza::refusal(&request.id, 400, "bad-request"),
        _ => change::answer(world, from, request),
    }
}

fn participating(world: &World, from: &Address, id: &str) -> Node {
    let state = world.state();
    let own = state.groups.values();
    let own = own.filter(|group| group.members.contains_key(&from.pn));
    let groups = own.map(|group| state.group_node(group));
    let groups: Vec<Node> = groups.collect();
    stanza::result(id, vec![el("groups").children(groups).build()])
}

fn query(world: &World, from: &Address, request: &IqRequest<'_>) -> Node {
    let id = request.id.as_str();
    let Some(to) = stanza::jid(request.node, "to") else {
        return stanza::refusal(id, 400, "bad-request");
    };
    let state = world.state();
    let mut reply = match state.group(&to) {
        None => stanza::refusal(id, 404, "item-not-found"),
        Some(group) if !group.members.contains_key(&from.pn) => {
            stanza::refusal(id, 403, "forbidden")
        }
        Some(group) => stanza::result(id, vec![state.group_node(group)]),
    };
    reply.attrs.insert("from", to);
    reply
}
