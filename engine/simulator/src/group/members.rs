//! Makes and changes groups, and notifies the linked devices of their members.

use std::sync::Arc;

use rand::RngExt;
use wacore_binary::Node;

use crate::stanza::{el, notification};
use crate::state::address::Pn;
use crate::state::group::{AddressingMode, Group, GroupId};
use crate::state::world::{State, World};

/// The settings of a new group.
pub(crate) struct NewGroup {
    pub(crate) subject: String,
    pub(crate) mode: AddressingMode,
    pub(crate) creator: Pn,
    pub(crate) members: Vec<Pn>,
    pub(crate) admins: Vec<Pn>,
}

/// Makes a group.
pub(crate) fn create(world: &World, new: NewGroup) -> GroupId {
    let mut state = world.state();
    let id = free_id(&mut state);
    let mut group = Group {
        id: Arc::clone(&id),
        subject: new.subject,
        mode: new.mode,
        creator: Arc::clone(&new.creator),
        created: world.clock.seconds(),
        members: new.members.into_iter().map(|pn| (pn, false)).collect(),
    };
    for admin in new.admins.into_iter().chain([new.creator]) {
        group.members.insert(admin, true);
    }
    state.groups.insert(Arc::clone(&id), group.clone());
    let made = state.group_node(&group);
    let made = el("create").children([made]).build();
    let members: Vec<Pn> = group.members.keys().cloned().collect();
    notify_members(&mut state, &group, &members, made, world.clock.seconds());
    id
}

/// Adds and removes members. Returns `false` if the group does not exist.
pub(crate) fn change(world: &World, id: &str, add: &[Pn], remove: &[Pn]) -> bool {
    let now = world.clock.seconds();
    let mut state = world.state();
    let Some(group) = state.groups.get_mut(id) else {
        return false;
    };
    let mut told: Vec<Pn> = group.members.keys().cloned().collect();
    for pn in add {
        group.members.entry(Arc::clone(pn)).or_insert(false);
        told.push(Arc::clone(pn));
    }
    for pn in remove {
        group.members.remove(pn);
    }
    told.sort();
    told.dedup();
    let group = group.clone();
    for (tag, who) in [("add", add), ("remove", remove)] {
        if who.is_empty() {
            continue;
        }
        let members = who.iter().filter_map(|pn| state.member_node(&group, pn));
        let action = el(tag).children(members.collect::<Vec<_>>()).build();
        notify_members(&mut state, &group, &told, action, now);
    }
    true
}

/// Notifies all devices of these accounts of a change that the group's creator made.
fn notify_members(state: &mut State, group: &Group, accounts: &[Pn], action: Node, now: u64) {
    let Some(by) = state.member_jid(group, &group.creator, 0) else {
        return;
    };
    let id = state.fresh_id();
    let node = notification("w:gp2", Some(group.jid()), id, now)
        .attr("participant", by)
        .attr("addressing_mode", group.mode.name())
        .children([action]);
    let node = Arc::new(node.build());
    for pn in accounts {
        if let Some(account) = state.accounts.get_mut(pn) {
            account.send_to_devices(&node, None, true);
        }
    }
}

/// Returns an unused group id in WhatsApp's format.
fn free_id(state: &mut State) -> GroupId {
    loop {
        let digits: u64 = state.rng.random_range(100_000_000_000..999_999_999_999);
        let id: GroupId = format!("120363{digits}").into();
        if !state.groups.contains_key(&id) {
            return id;
        }
    }
}
