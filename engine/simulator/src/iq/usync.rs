//! `usync`: whether a user is on WhatsApp, with which LID and which devices.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server};

use super::request::IqRequest;
use crate::stanza::el;
use crate::state::account::Account;
use crate::state::address::{Address, parse_phone};
use crate::state::world::{State, World};
use crate::{phone, stanza};

/// What the client asks about each user.
struct UsyncQuery {
    devices: bool,
    contact: bool,
    lid: bool,
    /// The names of all protocols asked for. The unsupported ones get an empty answer.
    tags: Vec<String>,
}

/// Answers a `usync` request.
pub(super) fn answer(world: &Arc<World>, _from: &Address, request: &IqRequest<'_>) -> Node {
    world.stats.count("usync");
    let Some(usync) = request.child.filter(|child| child.tag == "usync") else {
        return stanza::refusal(&request.id, 400, "bad-request");
    };
    let wanted = wanted(usync);
    let list = usync.get_optional_child("list");
    let asked: Vec<&Node> = list
        .into_iter()
        .flat_map(|list| list.get_children_by_tag("user"))
        .collect();
    let users: Vec<Node> = asked
        .iter()
        .filter_map(|user| one(world, user, &wanted))
        .collect();
    let mut reply = el("usync");
    for key in ["sid", "mode", "context", "index", "last"] {
        if let Some(value) = usync.attrs.get(key) {
            reply = reply.attr(key, value.clone());
        }
    }
    let reply = reply.children([results(&wanted), el("list").children(users).build()]);
    stanza::result(&request.id, vec![reply.build()])
}

fn wanted(usync: &Node) -> UsyncQuery {
    let query = usync.get_optional_child("query").and_then(Node::children);
    let tags = query.unwrap_or_default().iter();
    let tags: Vec<String> = tags.map(|child| child.tag.to_string()).collect();
    UsyncQuery {
        devices: tags.iter().any(|tag| tag == "devices"),
        contact: tags.iter().any(|tag| tag == "contact"),
        lid: tags.iter().any(|tag| tag == "lid"),
        tags,
    }
}

fn results(wanted: &UsyncQuery) -> Node {
    let tags = wanted.tags.iter().cloned();
    el("result")
        .children(tags.map(|tag| NodeBuilder::new_dynamic(tag).build()))
        .build()
}

/// Answers for one user, named by an address or by a phone number. Another spelling of a number is answered with the
/// account's number.
fn one(world: &Arc<World>, user: &Node, wanted: &UsyncQuery) -> Option<Node> {
    let contact = user
        .get_optional_child("contact")
        .and_then(Node::content_as_string)
        .filter(|number| !number.is_empty());
    let jid = match (&contact, stanza::jid(user, "jid")) {
        (_, Some(jid)) => jid.to_non_ad(),
        (Some(number), None) => Jid::pn(&*parse_phone(number)?),
        (None, None) => return None,
    };
    phone::make::ensure(world, &jid);
    let now = world.clock.seconds();
    let mut state = world.state();
    let canonical = state.spellings.get(jid.user_base()).filter(|_| jid.is_pn());
    let jid = canonical.map_or(jid.clone(), |pn| Jid::pn(&**pn));
    let pn = state.pn(&jid);
    let State { accounts, rng, .. } = &mut *state;
    let account = pn.and_then(|pn| accounts.get(&pn));
    let mut node = el("user").attr("jid", &jid);
    if let Some(account) = account.filter(|_| jid.is_lid()) {
        node = node.attr("pn_jid", account.jid(Server::Pn, 0));
    }
    let mut children = Vec::new();
    if wanted.contact {
        let kind = if account.is_some() { "in" } else { "out" };
        let mut child = el("contact").attr("type", kind);
        if let Some(number) = contact {
            child = child.string_content(number);
        }
        children.push(child.build());
    }
    if let Some(account) = account {
        if wanted.lid {
            let lid = account.jid(Server::Lid, 0);
            children.push(el("lid").attr("val", lid).build());
        }
        if wanted.tags.iter().any(|tag| tag == "status") && !account.about.is_empty() {
            let about = account.about.as_bytes();
            children.push(el("status").bytes(about).build());
        }
        if wanted.devices {
            let signed = account.key_index_list(now, rng);
            children.push(devices(account, signed, now));
        }
    }
    Some(node.children(children).build())
}

fn devices(account: &Account, signed: Vec<u8>, now: u64) -> Node {
    let list = account.devices.iter().map(|(number, device)| {
        let node = el("device").attr("id", *number);
        match number {
            0 => node.build(),
            _ => node.attr("key-index", device.key_index).build(),
        }
    });
    let list = el("device-list").children(list).build();
    let mut children = vec![list];
    if account.devices.len() > 1 {
        let list = el("key-index-list").attr("ts", now).bytes(signed);
        children.push(list.build());
    }
    el("devices").children(children).build()
}
