//! Receipts, acknowledgements, typing and presence between devices.

use std::sync::Arc;

use wacore_binary::{Jid, Node, NodeContent, Server};

use crate::stanza::{self, el};
use crate::state::address::Address;
use crate::state::ledger::{EntryDetails, EntryKind, FrameTime};
use crate::state::world::World;
use crate::tokens;

/// Receipts that are for the server only.
const NOT_RELAYED: [&str; 4] = ["sender", "hist_sync", "peer_msg", "server-error"];

/// Handles a receipt from a device: acknowledges the messages, records it and relays it. Returns
/// the reply.
pub(crate) fn receipt(
    world: &Arc<World>,
    from: &Address,
    node: &Node,
    read: FrameTime,
) -> Option<Node> {
    let id = stanza::text(node, "id")?;
    let to = stanza::jid(node, "to")?;
    let kind = stanza::text(node, "type").unwrap_or_default();
    world.stats.count("receipts");
    let ids = message_ids(node, &id);
    acknowledge_messages(world, from, &ids);
    if asks_for_media(node) {
        to_own_phone(world, from, node);
    }
    if !NOT_RELAYED.contains(&kind.as_str()) {
        let target = ReceiptTarget::of(node, &to);
        let noted = if answers_call(node) { "offer" } else { &*kind };
        record(world, from, &target, noted, &ids, read);
        relay(world, from, &target, &kind, node);
    }
    Some(acknowledgement(node, &to, &id, &kind))
}

/// Passes a request for lost media to the account's phone, which has the file.
fn to_own_phone(world: &World, from: &Address, node: &Node) {
    let mut state = world.state();
    let Some(account) = state.accounts.get_mut(&from.pn) else {
        return;
    };
    let mut request = node.clone();
    let device = account.jid(Server::Pn, from.device);
    request.attrs.insert("from", device);
    if let Some(phone) = account.devices.get_mut(&0) {
        phone.deliver(Arc::new(request), true);
    }
}

fn message_ids(node: &Node, id: &str) -> Vec<String> {
    let list = node.get_optional_child("list");
    let items = list
        .into_iter()
        .flat_map(|list| list.get_children_by_tag("item"));
    let mut ids: Vec<String> = items.filter_map(|item| stanza::text(item, "id")).collect();
    if !ids.iter().any(|known| known == id) {
        ids.push(id.to_owned());
    }
    ids
}

fn acknowledge_messages(world: &World, from: &Address, ids: &[String]) {
    if let Some(account) = world.state().accounts.get_mut(&from.pn)
        && let Some(device) = account.devices.get_mut(&from.device)
    {
        for id in ids {
            device.queue.acknowledge("message", id);
        }
    }
}

/// The recipient of a receipt. In a group it is the member that the receipt names.
struct ReceiptTarget {
    /// The address of the account. In a group, the member's.
    jid: Jid,
    group: Option<Jid>,
}

impl ReceiptTarget {
    fn of(node: &Node, to: &Jid) -> Self {
        let member = stanza::jid(node, "participant").filter(|_| to.server == Server::Group);
        match member {
            Some(jid) => Self {
                jid,
                group: Some(to.clone()),
            },
            None => Self {
                jid: to.clone(),
                group: None,
            },
        }
    }
}

fn record(
    world: &World,
    from: &Address,
    to: &ReceiptTarget,
    kind: &str,
    ids: &[String],
    read: FrameTime,
) {
    let target = world.state().ledger_name(&to.jid);
    let subtype = if kind.is_empty() { "delivery" } else { kind };
    for id in ids {
        let line = EntryDetails {
            id,
            subtype,
            read: Some(read),
            group: to.group.as_ref().map(Jid::to_string),
            ..EntryDetails::default()
        };
        world.record(EntryKind::Receipt, from, &target, line);
    }
}

fn acknowledgement(node: &Node, to: &Jid, id: &str, kind: &str) -> Node {
    let mut ack = el("ack")
        .attr("class", "receipt")
        .attr("id", id)
        .attr("from", to);
    if !kind.is_empty() {
        ack = ack.attr("type", kind);
    }
    if let Some(participant) = stanza::jid(node, "participant") {
        ack = ack.attr("participant", participant);
    }
    ack.build()
}

/// Relays a receipt. A retry goes to the one device that must send again. Everything else goes to
/// all devices of the account, except the one that sent it.
fn relay(world: &Arc<World>, from: &Address, to: &ReceiptTarget, kind: &str, node: &Node) {
    let now = world.clock.seconds();
    let mut state = world.state();
    let (Some(target), Some(sender)) = (state.pn(&to.jid), state.accounts.get(&from.pn)) else {
        return;
    };
    let sender = sender.jid(to.jid.server, from.device);
    let out = match &to.group {
        Some(group) => el("receipt")
            .attr("from", group)
            .attr("participant", sender),
        None => el("receipt").attr("from", sender),
    };
    let mut out = out
        .attr("id", stanza::text(node, "id").unwrap_or_default())
        .attr("t", now);
    if !kind.is_empty() {
        out = out.attr("type", kind);
    }
    for key in ["participant", "recipient"] {
        if let Some(value) = node.attrs.get(key)
            && to.group.is_none()
        {
            out = out.attr(key, value.clone());
        }
    }
    if let Some(NodeContent::Nodes(children)) = &node.content {
        out = out.children(children.clone());
    }
    let out = Arc::new(out.build());
    let Some(account) = state.accounts.get_mut(&target) else {
        return;
    };
    if kind == "retry" {
        if let Some(device) = account.devices.get_mut(&to.jid.device) {
            device.deliver(out, true);
        }
    } else {
        let except = (target == from.pn).then_some(from.device);
        account.send_to_devices(&out, except, true);
    }
}

/// Handles a device's acknowledgement of a stanza.
pub(crate) fn acknowledged(world: &World, from: &Address, node: &Node) {
    let (Some(id), Some(class)) = (stanza::text(node, "id"), stanza::text(node, "class")) else {
        return;
    };
    if let Some(account) = world.state().accounts.get_mut(&from.pn)
        && let Some(device) = account.devices.get_mut(&from.device)
    {
        device.queue.acknowledge(&class, &id);
    }
}

/// Records a typing notice and relays it. A device that is away gets it if it is back very soon.
pub(crate) fn chatstate(world: &World, from: &Address, node: &Node, read: FrameTime) {
    let Some(to) = stanza::jid(node, "to") else {
        return;
    };
    let shown = node.children().and_then(|children| children.first());
    let subtype = shown.map_or_else(String::new, |child| {
        let records =
            child.tag == "composing" && stanza::text(child, "media").as_deref() == Some("audio");
        let word = if records { "recording" } else { &*child.tag };
        word.to_owned()
    });
    let mut state = world.state();
    let target = state.pn(&to);
    let name = state.ledger_name(&to);
    let line = EntryDetails {
        subtype: &subtype,
        group: (to.server == Server::Group).then(|| name.clone()),
        read: Some(read),
        ..EntryDetails::default()
    };
    world.record(EntryKind::Chatstate, from, &name, line);
    let Some(sender) = state.accounts.get(&from.pn) else {
        return;
    };
    let mut out = node.clone();
    out.attrs = el("chatstate")
        .attr("from", sender.jid(to.server, from.device))
        .build()
        .attrs;
    let (out, now) = (Arc::new(out), world.clock.micros());
    if let Some(account) = target.and_then(|pn| state.accounts.get_mut(&pn)) {
        for device in account.devices.values_mut() {
            device.show_typing(&from.pn, Arc::clone(&out), now);
        }
    }
}

/// Handles presence: records it, stores the name, tells the watchers, or adds a watcher.
pub(crate) fn presence(
    world: &World,
    from: &Address,
    node: &Node,
    read: FrameTime,
) -> Option<Node> {
    let kind = stanza::text(node, "type").unwrap_or_default();
    let mut state = world.state();
    if kind == "subscribe" {
        let to = stanza::jid(node, "to")?;
        let target = state.pn(&to)?;
        // Somebody without a token that is demanded gets the same answer and nothing later.
        if !tokens::refuses(&state, &from.pn, &target, node) {
            let watchers = &mut state.accounts.get_mut(&target)?.watchers;
            watchers.insert(Arc::clone(&from.pn));
        }
        return Some(
            el("presence")
                .attr("from", to.to_non_ad())
                .attr("type", "unavailable")
                .attr("last", "deny")
                .build(),
        );
    }
    if ["available", "unavailable"].contains(&kind.as_str()) {
        let line = EntryDetails {
            subtype: &kind,
            read: Some(read),
            ..EntryDetails::default()
        };
        world.record(EntryKind::Presence, from, "", line);
    }
    let account = state.accounts.get_mut(&from.pn)?;
    let device = account.devices.get_mut(&from.device)?;
    if let Some(name) = stanza::text(node, "name") {
        device.push_name = name;
    }
    let out = el("presence")
        .attr("from", account.jid(Server::Lid, 0))
        .attr("type", kind);
    let out = Arc::new(out.build());
    for watcher in account.watchers.clone() {
        if let Some(account) = state.accounts.get_mut(&watcher) {
            account.send_to_devices(&out, None, false);
        }
    }
    None
}

/// Returns whether a device says that it rings.
fn answers_call(node: &Node) -> bool {
    node.get_optional_child("offer").is_some()
}

/// Returns whether a receipt asks for lost media.
fn asks_for_media(node: &Node) -> bool {
    matches!(&node.content, Some(NodeContent::Nodes(_)))
        && stanza::text(node, "type").as_deref() == Some("server-error")
}
