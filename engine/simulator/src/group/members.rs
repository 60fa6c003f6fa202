//! Makes and changes groups, and notifies the linked devices of their members.

use std::sync::Arc;

use rand::RngExt;
use wacore_binary::Node;

use super::action;
use crate::stanza::notification;
use crate::state::address::Pn;
use crate::state::group::{AddressingMode, Group, GroupId, Settings};
use crate::state::world::{State, World};

/// The longest subject, in bytes.
pub(crate) const SUBJECT: usize = 400;
/// The longest description, in bytes.
pub(crate) const DESCRIPTION: usize = 2048;
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
    /// They join by the group's link.
    Join(Vec<Pn>),
    Remove(Vec<Pn>),
    Promote(Vec<Pn>),
    Demote(Vec<Pn>),
    Subject(String),
    Description(Option<String>),
    AdminsOnly(bool),
    Locked(bool),
    JoinApproval(bool),
    Timer(u32),
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
        settings: Settings::default(),
    };
    for admin in new.admins.into_iter().chain([new.creator]) {
        group.members.insert(admin, true);
    }
    state.groups.insert(Arc::clone(&id), group.clone());
    let made = action::create(&state, &group, Some("new"), None);
    let members: Vec<Pn> = group.members.keys().cloned().collect();
    let creator = Arc::clone(&group.creator);
    let now = world.clock.seconds();
    notify(&mut state, &group, Some(&creator), &members, made, now);
    id
}

/// Changes a group in somebody's name, or in its creator's. Notifies all members, also those that
/// were removed. Who comes in is told what the group is, as by WhatsApp. Returns `false` if the group does not exist.
pub(crate) fn change(world: &World, id: &str, by: Option<&Pn>, change: &GroupChange) -> bool {
    let now = world.clock.seconds();
    let mut state = world.state();
    let Some(group) = state.groups.get_mut(id) else {
        return false;
    };
    let before: Vec<Pn> = group.members.keys().cloned().collect();
    apply(group, change);
    let came = group.members.keys().filter(|pn| !before.contains(*pn));
    let came: Vec<Pn> = came.cloned().collect();
    let group = group.clone();
    // WhatsApp does not name who joined by a link as the one who acted.
    let by = match change {
        GroupChange::Join(_) => None,
        _ => Some(by.unwrap_or(&group.creator)),
    };
    if let Some(action) = action::of(&state, &group, by, change, now) {
        notify(&mut state, &group, by, &before, action, now);
    }
    if !came.is_empty() {
        let reason = matches!(change, GroupChange::Join(_)).then_some("invite");
        let create = action::create(&state, &group, None, reason);
        notify(&mut state, &group, by, &came, create, now);
    }
    true
}

fn apply(group: &mut Group, change: &GroupChange) {
    match change {
        GroupChange::Add(who) | GroupChange::Join(who) => {
            for pn in who {
                group.members.entry(Arc::clone(pn)).or_insert(false);
            }
        }
        GroupChange::Remove(who) => group.members.retain(|pn, _| !who.contains(pn)),
        GroupChange::Promote(who) => set_admin(group, who, true),
        GroupChange::Demote(who) => set_admin(group, who, false),
        GroupChange::Subject(subject) => group.subject.clone_from(subject),
        GroupChange::Description(text) => group.settings.description.clone_from(text),
        GroupChange::AdminsOnly(only) => group.settings.admins_only = *only,
        GroupChange::Locked(locked) => group.settings.locked = *locked,
        GroupChange::JoinApproval(needed) => group.settings.join_approval = *needed,
        GroupChange::Timer(seconds) => group.settings.expires_seconds = *seconds,
    }
}

fn set_admin(group: &mut Group, who: &[Pn], admin: bool) {
    for pn in who {
        if let Some(known) = group.members.get_mut(pn) {
            *known = admin;
        }
    }
}

/// Notifies all devices of these accounts of what one of them did.
fn notify(
    state: &mut State,
    group: &Group,
    by: Option<&Pn>,
    accounts: &[Pn],
    action: Node,
    now: u64,
) {
    let id = state.fresh_id();
    let mut node = notification("w:gp2", Some(group.jid()), id, now)
        .attr("addressing_mode", group.mode.name());
    match by.and_then(|by| state.accounts.get(by)) {
        Some(account) => {
            let (other, server) = group.mode.other();
            node = node
                .attr("participant", account.jid(group.mode.server(), 0))
                .attr(other, account.jid(server, 0));
        }
        None => node = node.attr("notify", "invite"),
    }
    let node = Arc::new(node.children([action]).build());
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
