//! Requests of a linked device that make or change a group. Only an admin may change a group;
//! everybody may leave it.

use std::sync::Arc;

use wacore_binary::{Jid, Node, Server};

use super::members::{self, DESCRIPTION, GroupChange, MEMBERS, NewGroup, SUBJECT};
use crate::iq::request::IqRequest;
use crate::phone;
use crate::stanza::{self, el};
use crate::state::address::{Address, Pn};
use crate::state::group::{AddressingMode, Group};
use crate::state::world::World;

/// The error code and the text of a refusal.
type Refused = (u16, &'static str);

const BAD: Refused = (400, "bad-request");
const FORBIDDEN: Refused = (403, "forbidden");
const UNKNOWN: Refused = (404, "item-not-found");
const NOT_ACCEPTABLE: Refused = (406, "not-acceptable");
const TOO_MANY: Refused = (419, "resource-limit");

/// Answers a request that makes or changes a group.
pub(super) fn answer(world: &Arc<World>, from: &Address, request: &IqRequest<'_>) -> Node {
    let to = stanza::jid(request.node, "to");
    let outcome = match (request.child, &to) {
        (Some(child), Some(to)) => match request.tag() {
            "create" => create(world, from, child),
            "leave" => leave(world, from, child),
            tag => change(world, from, to, tag, child),
        },
        _ => Err(BAD),
    };
    let id = request.id.as_str();
    let mut reply = match outcome {
        Ok(children) => stanza::result(id, children),
        Err((code, reason)) => stanza::refusal(id, code, reason),
    };
    if let Some(to) = to {
        reply.attrs.insert("from", to);
    }
    reply
}

/// Returns the accounts that a request names, with their addresses. Makes missing phones with
/// `any_number`.
fn named(world: &Arc<World>, node: &Node) -> Vec<(Jid, Option<Pn>)> {
    let jids = node.get_children_by_tag("participant");
    let jids: Vec<Jid> = jids.filter_map(|one| stanza::jid(one, "jid")).collect();
    for jid in &jids {
        phone::make::ensure(world, jid);
    }
    let state = world.state();
    let accounts = jids.into_iter().map(|jid| {
        let pn = state.pn(&jid);
        (jid, pn)
    });
    accounts.collect()
}

fn create(world: &Arc<World>, from: &Address, node: &Node) -> Result<Vec<Node>, Refused> {
    let subject = subject(stanza::text(node, "subject"))?;
    let named = named(world, node);
    if named.len() >= MEMBERS {
        return Err(TOO_MANY);
    }
    let new = NewGroup {
        subject,
        mode: AddressingMode::default(),
        creator: Arc::clone(&from.pn),
        members: named.iter().filter_map(|(_, pn)| pn.clone()).collect(),
        admins: Vec::new(),
    };
    let id = members::create(world, new);
    let state = world.state();
    let group = state.groups.get(&id).ok_or(UNKNOWN)?;
    Ok(vec![state.group_node(group)])
}

fn subject(text: Option<String>) -> Result<String, Refused> {
    text.filter(|text| !text.is_empty() && text.len() <= SUBJECT)
        .ok_or(NOT_ACCEPTABLE)
}

/// Leaves the groups that the request names.
fn leave(world: &World, from: &Address, node: &Node) -> Result<Vec<Node>, Refused> {
    let groups = node.get_children_by_tag("group");
    let groups: Vec<Jid> = groups.filter_map(|one| stanza::jid(one, "id")).collect();
    let mut left = Vec::new();
    for jid in groups {
        let id = membership(world, from, &jid, |_| true)?.id;
        let gone = GroupChange::Remove(vec![Arc::clone(&from.pn)]);
        members::change(world, &id, Some(&from.pn), &gone);
        left.push(el("group").attr("id", jid).build());
    }
    Ok(vec![el("leave").children(left).build()])
}

/// Returns a group of which the device's account is a member that `may` change it.
fn membership(
    world: &World,
    from: &Address,
    jid: &Jid,
    may: impl Fn(&Group) -> bool,
) -> Result<Group, Refused> {
    let state = world.state();
    let group = state.group(jid).ok_or(UNKNOWN)?;
    if !group.members.contains_key(&from.pn) || !may(group) {
        return Err(FORBIDDEN);
    }
    Ok(group.clone())
}

/// Reads a change of a setting. Returns `None` for a change of members.
fn setting(tag: &str, node: &Node) -> Result<Option<GroupChange>, Refused> {
    Ok(Some(match tag {
        "subject" => GroupChange::Subject(subject(text_in(node))?),
        "description" => {
            let text = node.get_optional_child("body").and_then(text_in);
            let fits = text.as_ref().is_none_or(|text| text.len() <= DESCRIPTION);
            GroupChange::Description(fits.then_some(text).ok_or(NOT_ACCEPTABLE)?)
        }
        "announcement" => GroupChange::AdminsOnly(true),
        "not_announcement" => GroupChange::AdminsOnly(false),
        "locked" => GroupChange::Locked(true),
        "unlocked" => GroupChange::Locked(false),
        "not_ephemeral" => GroupChange::Timer(0),
        "ephemeral" => {
            let seconds = stanza::text(node, "expiration").and_then(|text| text.parse().ok());
            GroupChange::Timer(seconds.ok_or(BAD)?)
        }
        "membership_approval_mode" => {
            let join = node.get_optional_child("group_join").ok_or(BAD)?;
            let state = stanza::text(join, "state");
            GroupChange::JoinApproval(state.as_deref() == Some("on"))
        }
        _ => return Ok(None),
    }))
}

fn text_in(node: &Node) -> Option<String> {
    String::from_utf8(stanza::bytes(node)?).ok()
}

fn change(
    world: &Arc<World>,
    from: &Address,
    to: &Jid,
    tag: &str,
    node: &Node,
) -> Result<Vec<Node>, Refused> {
    if to.server != Server::Group {
        return Err(BAD);
    }
    let group = membership(world, from, to, |group| group.is_admin(&from.pn))?;
    if let Some(change) = setting(tag, node)? {
        members::change(world, &group.id, Some(&from.pn), &change);
        return Ok(Vec::new());
    }
    let (tag, make): (&'static str, fn(Vec<Pn>) -> GroupChange) = match tag {
        "add" => ("add", GroupChange::Add),
        "remove" => ("remove", GroupChange::Remove),
        "promote" => ("promote", GroupChange::Promote),
        "demote" => ("demote", GroupChange::Demote),
        // Other settings are not supported. The client gets an error rather than a false success.
        _ => return Err(FORBIDDEN),
    };
    let named = named(world, node);
    if tag == "add" && group.members.len() + named.len() > MEMBERS {
        return Err(TOO_MANY);
    }
    let mut who = Vec::new();
    let mut replies = Vec::new();
    for (jid, pn) in named {
        let reply = el("participant").attr("jid", &jid);
        let is_member = pn.as_ref().is_some_and(|pn| group.members.contains_key(pn));
        replies.push(match pn {
            Some(_) if tag == "add" && is_member => reply.attr("error", 409_u16).build(),
            Some(pn) if tag == "add" || is_member => {
                who.push(pn);
                reply.build()
            }
            _ => reply.attr("error", 404_u16).build(),
        });
    }
    members::change(world, &group.id, Some(&from.pn), &make(who));
    Ok(vec![el(tag).children(replies).build()])
}
