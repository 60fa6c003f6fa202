//! Makes and changes groups, and notifies the linked devices of their members.

use std::sync::Arc;

use rand::RngExt;
use wacore_binary::Node;

use crate::stanza::{el, notification};
use crate::state::address::Pn;
use crate::state::group::{AddressingMode, Group, GroupId};
use crate::state::world::{State, World};

/// The longest subject, in bytes.
pub(crate) const SUBJECT: usize = 400;
/// The most members of one group, as in WhatsApp.
pub(crate) const MEMBERS: usize = 1024;

/// The settings of a new group.
pub(crate) struct NewGroup {
    pub(crate) subject: String,
    pub(crate) mode: AddressingMode,
    pub(crate) creator: Pn,
    pub(crate) members: Vec<Pn>,
    pub(crate) admins: Vec<Pn>,
}

/// A change of a group.
pub(crate) enum GroupChange {
    Add(Vec<Pn>),
    Remove(Vec<Pn>),
    Promote(Vec<Pn>),
    Demote(Vec<Pn>),
    Subject(String),
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
    let creator = Arc::clone(&group.creator);
    let now = world.clock.seconds();
    notify(&mut state, &group, &creator, &members, made, now);
    id
}

/// Changes a group in somebody's name, or in its creator's. Notifies all members, also those that
/// were removed. Returns `false` if the group does not exist.
pub(crate) fn change(world: &World, id: &str, by: Option<&Pn>, change: &GroupChange) -> bool {
    let now = world.clock.seconds();
    let mut state = world.state();
    let Some(group) = state.groups.get_mut(id) else {
        return false;
    };
    let mut told: Vec<Pn> = group.members.keys().cloned().collect();
    apply(group, change);
    told.extend(group.members.keys().cloned());
    told.sort();
    told.dedup();
    let group = group.clone();
    let by = by.unwrap_or(&group.creator);
    if let Some(action) = action(&state, &group, by, change, now) {
        notify(&mut state, &group, by, &told, action, now);
    }
    true
}

fn apply(group: &mut Group, change: &GroupChange) {
    match change {
        GroupChange::Add(who) => {
            for pn in who {
                group.members.entry(Arc::clone(pn)).or_insert(false);
            }
        }
        GroupChange::Remove(who) => group.members.retain(|pn, _| !who.contains(pn)),
        GroupChange::Promote(who) => set_admin(group, who, true),
        GroupChange::Demote(who) => set_admin(group, who, false),
        GroupChange::Subject(subject) => group.subject.clone_from(subject),
    }
}

fn set_admin(group: &mut Group, who: &[Pn], admin: bool) {
    for pn in who {
        if let Some(known) = group.members.get_mut(pn) {
            *known = admin;
        }
    }
}

/// Returns what a notification says about a change. Returns `None` if nobody is named.
fn action(state: &State, group: &Group, by: &Pn, change: &GroupChange, now: u64) -> Option<Node> {
    let (tag, who) = match change {
        GroupChange::Add(who) => ("add", who),
        GroupChange::Remove(who) => ("remove", who),
        GroupChange::Promote(who) => ("promote", who),
        GroupChange::Demote(who) => ("demote", who),
        GroupChange::Subject(subject) => {
            let node = el("subject")
                .attr("subject", subject.as_str())
                .attr("s_t", now)
                .attr("s_o", state.member_jid(group, by, 0)?);
            return Some(node.build());
        }
    };
    let members = who.iter().filter_map(|pn| state.member_node(group, pn));
    let members: Vec<Node> = members.collect();
    (!members.is_empty()).then(|| el(tag).children(members).build())
}

/// Notifies all devices of these accounts of what one of them did.
fn notify(state: &mut State, group: &Group, by: &Pn, accounts: &[Pn], action: Node, now: u64) {
    let Some(by) = state.member_jid(group, by, 0) else {
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
