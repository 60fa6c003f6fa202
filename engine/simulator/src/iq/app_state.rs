//! `w:sync:app:state`: settings that an account's devices share. The patches are encrypted; the
//! server only numbers them.

use std::sync::Arc;

use wacore_binary::Node;

use super::request::IqRequest;
use crate::stanza::{self, el, notification};
use crate::state::account::{Account, Collection};
use crate::state::address::Address;
use crate::state::world::World;

/// Stores the patches that the device pushed and returns those it does not have.
pub(super) fn answer(world: &Arc<World>, from: &Address, request: &IqRequest<'_>) -> Node {
    let mut state = world.state();
    let id = state.fresh_id();
    let Some(account) = state.accounts.get_mut(&from.pn) else {
        return stanza::refusal(&request.id, 404, "item-not-found");
    };
    let asked = request.child.into_iter();
    let asked = asked.flat_map(|sync| sync.get_children_by_tag("collection"));
    let (mut replies, mut changed) = (Vec::new(), Vec::new());
    for node in asked {
        let name = stanza::text(node, "name").unwrap_or_default();
        let collection = account.app_state.entry(name.clone()).or_default();
        let (reply, pushed) = sync(&name, node, collection);
        replies.push(reply);
        if pushed {
            let change = el("collection").attr("name", name);
            changed.push(change.attr("version", collection.version).build());
        }
    }
    if !changed.is_empty() {
        tell_siblings(account, from, id, changed, world.clock.seconds());
    }
    let sync = el("sync").children(replies).build();
    stanza::result(&request.id, vec![sync])
}

fn tell_siblings(account: &mut Account, from: &Address, id: String, changed: Vec<Node>, now: u64) {
    let node = notification("server_sync", None, id, now).children(changed);
    account.send_to_devices(&Arc::new(node.build()), Some(from.device), true);
}

/// Handles one collection. Returns the reply and whether a patch was stored.
fn sync(name: &str, node: &Node, collection: &mut Collection) -> (Node, bool) {
    let base = stanza::text(node, "version").and_then(|text| text.parse().ok());
    let base: u64 = base.unwrap_or(0);
    let reply = el("collection").attr("name", name);
    if let Some(patch) = stanza::child_bytes(node, "patch") {
        if base != collection.version {
            let error = el("error").attr("code", 409_u16).attr("text", "conflict");
            let reply = reply
                .attr("type", "error")
                .attr("version", collection.version);
            return (reply.children([error.build()]).build(), false);
        }
        collection.push(&patch);
        return (reply.attr("version", collection.version).build(), true);
    }
    let missing = collection
        .patches
        .iter()
        .filter(|(version, _)| *version > base);
    let missing: Vec<Node> = missing
        .map(|(_, patch)| el("patch").bytes(patch.clone()).build())
        .collect();
    let reply = reply
        .attr("version", collection.version)
        .attr("has_more_patches", "false");
    if missing.is_empty() {
        return (reply.build(), false);
    }
    (
        reply
            .children([el("patches").children(missing).build()])
            .build(),
        false,
    )
}

#[cfg(test)]
mod tests {
    use waproto::buffa::Message as _;
    use waproto::whatsapp::SyncdPatch;

    use super::*;

    fn pushed(version: u64) -> Node {
        el("collection")
            .attr("name", "regular")
            .attr("version", version)
            .children([el("patch")
                .bytes(SyncdPatch::default().encode_to_vec())
                .build()])
            .build()
    }

    #[test]
    fn a_patch_on_an_old_version_is_a_conflict_and_changes_nothing() {
        let mut collection = Collection::default();
        assert!(sync("regular", &pushed(0), &mut collection).1);
        let (reply, accepted) = sync("regular", &pushed(0), &mut collection);
        assert!(!accepted);
        let error = reply.get_optional_child("error").unwrap();
        assert_eq!(stanza::text(error, "code").as_deref(), Some("409"));
        assert_eq!(collection.version, 1);
    }

    #[test]
    fn a_device_gets_only_the_patches_it_has_not_seen() {
        let mut collection = Collection::default();
        for version in 0..3 {
            sync("regular", &pushed(version), &mut collection);
        }
        let ask = el("collection")
            .attr("name", "regular")
            .attr("version", 2_u64);
        let (reply, _) = sync("regular", &ask.build(), &mut collection);
        let patches = reply.get_optional_child("patches").unwrap();
        let patch = stanza::bytes(&patches.children().unwrap()[0]).unwrap();
        let patch = SyncdPatch::decode_from_slice(&patch).unwrap();
        assert_eq!(patch.version.version, Some(3));
    }
}
