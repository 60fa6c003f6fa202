//! `w:profile:picture`: devices set, read and remove the picture of their account or of a group that
//! it administers.

use std::sync::Arc;

use rand::RngExt;
use sha2::{Digest, Sha256};
use wacore_binary::{Jid, Node, Server};

use super::request::IqRequest;
use crate::stanza::{self, el, notification};
use crate::state::address::{Address, Pn};
use crate::state::chat::Chat;
use crate::state::group::Group;
use crate::state::picture::Picture;
use crate::state::world::{State, World};

/// How a JPEG file begins. WhatsApp takes no other type.
const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];
/// The largest picture, in bytes.
const LARGEST: usize = 1024 * 1024;

/// Answers a request. Returns `None` if somebody asks for a picture that nobody has set.
pub(super) fn answer(world: &World, from: &Address, request: &IqRequest<'_>) -> Option<Node> {
    let target = stanza::jid(request.node, "target");
    if request.kind == "get" {
        return get(world, request, &target?);
    }
    let reply = match owner(world, from, target.as_ref()) {
        Ok(owner) => set(world, from, request, owner),
        Err((code, reason)) => stanza::refusal(&request.id, code, reason),
    };
    Some(reply)
}

fn get(world: &World, request: &IqRequest<'_>, target: &Jid) -> Option<Node> {
    let state = world.state();
    let picture = state.pictures.get(&chat(&state, target)?)?;
    let asked = request.child;
    let known = asked.and_then(|child| stanza::text(child, "id"));
    if known.as_deref() == Some(&*picture.id) {
        // The client has this picture already.
        return Some(stanza::result(&request.id, Vec::new()));
    }
    let kind = asked.and_then(|child| stanza::text(child, "type"));
    let node = el("picture")
        .attr("id", picture.id.as_str())
        .attr("type", kind.unwrap_or_else(|| "image".to_owned()))
        .attr("url", world.media_url(&picture.direct_path))
        .attr("direct_path", picture.direct_path.as_str());
    Some(stanza::result(&request.id, vec![node.build()]))
}

/// Returns the account or the group behind an address.
fn chat(state: &State, jid: &Jid) -> Option<Chat> {
    if jid.server == Server::Group {
        return Some(Chat::Group(Arc::clone(&state.group(jid)?.id)));
    }
    state.pn(jid).map(Chat::With)
}

/// Returns whose picture a device may change. `Err` holds the code and the text of the refusal.
fn owner(world: &World, from: &Address, target: Option<&Jid>) -> Result<Chat, (u16, &'static str)> {
    let state = world.state();
    let Some(target) = target else {
        return Ok(Chat::With(Arc::clone(&from.pn)));
    };
    let owner = chat(&state, target).ok_or((404, "item-not-found"))?;
    let may = match &owner {
        Chat::With(pn) => *pn == from.pn,
        Chat::Group(id) => state
            .groups
            .get(id)
            .is_some_and(|group| group.is_admin(&from.pn)),
    };
    may.then_some(owner).ok_or((403, "forbidden"))
}

/// Sets or removes a picture. A request without bytes removes it.
fn set(world: &World, from: &Address, request: &IqRequest<'_>, owner: Chat) -> Node {
    let bytes = request.child.and_then(stanza::bytes).unwrap_or_default();
    if bytes.is_empty() {
        let mut state = world.state();
        state.pictures.remove(&owner);
        tell(&mut state, from, &owner, None, world.clock.seconds());
        return stanza::result(&request.id, Vec::new());
    }
    if !bytes.starts_with(&JPEG) || bytes.len() > LARGEST {
        return stanza::refusal(&request.id, 406, "not-acceptable");
    }
    let Ok(direct_path) = store(world, &bytes) else {
        return stanza::refusal(&request.id, 500, "internal-server-error");
    };
    let mut state = world.state();
    let id = state.rng.random_range(1_000_000_000..u64::from(u32::MAX));
    let id = id.to_string();
    let node = el("picture").attr("id", id.as_str()).build();
    tell(&mut state, from, &owner, Some(&id), world.clock.seconds());
    state.pictures.insert(owner, Picture { id, direct_path });
    stanza::result(&request.id, vec![node])
}

/// Stores a picture on the media server, unencrypted, and returns its direct path.
fn store(world: &World, bytes: &[u8]) -> std::io::Result<String> {
    let file = world.media.new_file()?;
    std::fs::write(&file, bytes)?;
    let hash = Sha256::digest(bytes).into();
    let expires = world.clock.seconds() + 24 * 3600;
    Ok(world.media.keep(file, hash, bytes.len() as u64, expires))
}

/// Tells the account's other devices and its contacts, or the members of the group.
fn tell(state: &mut State, from: &Address, owner: &Chat, id: Option<&str>, now: u64) {
    let (jid, told): (Option<Jid>, Vec<Pn>) = match owner {
        Chat::With(pn) => (state.lid_of(pn), state.circle(pn)),
        Chat::Group(group) => {
            let group = state.groups.get(group);
            let members = group.map(|group| group.members.keys().cloned().collect());
            (group.map(Group::jid), members.unwrap_or_default())
        }
    };
    let (Some(jid), Some(author)) = (jid, state.lid_of(&from.pn)) else {
        return;
    };
    let change = match id {
        Some(id) => el("set").attr("id", id),
        None => el("delete"),
    };
    let change = change.attr("jid", &jid).attr("author", author).build();
    let stanza_id = state.fresh_id();
    let node = notification("picture", Some(jid), stanza_id, now).children([change]);
    state.tell(&told, from, &Arc::new(node.build()));
}
