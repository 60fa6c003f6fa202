//! Requests (`<iq>`) from linked devices, one page for each kind.

pub(crate) mod about;
mod app_state;
mod keys;
pub(crate) mod mex;
mod picture;
pub(crate) mod request;
mod small;
mod usync;

use std::sync::Arc;

use wacore_binary::Node;

use self::request::IqRequest;
use crate::next_step::NextStep;
use crate::state::address::Address;
use crate::state::world::World;
use crate::{group, login, pairing, stanza};

/// Answers one request.
pub(crate) fn answer(world: &Arc<World>, from: &Address, node: &Node) -> NextStep {
    let request = IqRequest {
        id: stanza::text(node, "id").unwrap_or_default(),
        kind: stanza::text(node, "type").unwrap_or_default(),
        xmlns: stanza::text(node, "xmlns").unwrap_or_default(),
        child: node.children().and_then(|children| children.first()),
        node,
    };
    if matches!(request.kind.as_str(), "result" | "error") {
        return NextStep::Silence;
    }
    world.stats.count(&format!("iq.{}", request.xmlns));
    match (request.xmlns.as_str(), request.tag()) {
        ("passive", "active") => {
            login::activate(world, from, &request.id);
            NextStep::Silence
        }
        ("md", "remove-companion-device") => {
            // A device that removes itself may not get this reply, because its connection closes at
            // once. WhatsApp does the same.
            let reply = stanza::result(&request.id, Vec::new());
            remove(world, from, request.child, reply)
        }
        ("encrypt", _) => keys::answer(world, from, &request),
        ("usync", _) => NextStep::Reply(usync::answer(world, from, &request)),
        ("w:g2", _) => NextStep::Reply(group::iq::answer(world, from, &request)),
        ("w:sync:app:state", _) => NextStep::Reply(app_state::answer(world, from, &request)),
        ("status", _) => NextStep::Reply(about::answer(world, from, &request)),
        ("w:profile:picture", _) => NextStep::Reply(
            picture::answer(world, from, &request)
                .unwrap_or_else(|| small::answer(world, from, &request)),
        ),
        _ => NextStep::Reply(small::answer(world, from, &request)),
    }
}

fn remove(world: &World, from: &Address, child: Option<&Node>, reply: Node) -> NextStep {
    let named = child.and_then(|child| stanza::jid(child, "jid"));
    let address = named.and_then(|jid| world.state().address(&jid));
    let address = address.filter(|address| address.pn == from.pn && address.device != 0);
    let address = address.unwrap_or_else(|| from.clone());
    if let Some(account) = world.state().accounts.get_mut(&from.pn)
        && let Some(device) = account.devices.get_mut(&from.device)
    {
        device.push(crate::state::device::Mail::Stanza(Arc::new(reply)));
    }
    pairing::unlink(world, &address);
    NextStep::Silence
}
