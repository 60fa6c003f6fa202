//! What a notification says about a change of a group.

use wacore_binary::Node;

use super::members::GroupChange;
use crate::stanza::el;
use crate::state::address::Pn;
use crate::state::group::Group;
use crate::state::world::State;

/// Returns what the members are told. Returns `None` if nobody is named.
pub(super) fn of(
    state: &State,
    group: &Group,
    by: Option<&Pn>,
    change: &GroupChange,
    now: u64,
) -> Option<Node> {
    let (tag, who, reason) = match change {
        GroupChange::Add(who) => ("add", who, None),
        GroupChange::Join(who) => ("add", who, Some("invite")),
        GroupChange::Remove(who) => ("remove", who, None),
        GroupChange::Promote(who) => ("promote", who, None),
        GroupChange::Demote(who) => ("demote", who, None),
        GroupChange::Subject(subject) => {
            let node = el("subject")
                .attr("subject", subject.as_str())
                .attr("s_t", now)
                .attr("s_o", state.member_jid(group, by?, 0)?);
            return Some(node.build());
        }
        GroupChange::Description(text) => return Some(description(text.as_deref())),
        GroupChange::AdminsOnly(true) => return Some(el("announcement").build()),
        GroupChange::AdminsOnly(false) => return Some(el("not_announcement").build()),
        GroupChange::Locked(true) => return Some(el("locked").build()),
        GroupChange::Locked(false) => return Some(el("unlocked").build()),
        GroupChange::JoinApproval(needed) => return Some(join_approval(*needed)),
        GroupChange::Timer(0) => return Some(el("not_ephemeral").build()),
        GroupChange::Timer(seconds) => return Some(timer(*seconds)),
    };
    let members = who.iter().filter_map(|pn| state.member_node(group, pn));
    let members: Vec<Node> = members.collect();
    let mut node = el(tag);
    if let Some(reason) = reason {
        node = node.attr("reason", reason);
    }
    (!members.is_empty()).then(|| node.children(members).build())
}

/// Returns what is told to who comes into a group. `kind` is `new` for a group that was just made.
pub(super) fn create(
    state: &State,
    group: &Group,
    kind: Option<&'static str>,
    reason: Option<&'static str>,
) -> Node {
    let mut node = el("create");
    for (name, value) in [("type", kind), ("reason", reason)] {
        if let Some(value) = value {
            node = node.attr(name, value);
        }
    }
    node.children([state.group_node(group)]).build()
}

/// Returns `<description>` with its text, or saying that there is none any more.
pub(super) fn description(text: Option<&str>) -> Node {
    let content = match text {
        Some(text) => el("body").string_content(text).build(),
        None => el("delete").build(),
    };
    el("description")
        .attr("id", "1")
        .children([content])
        .build()
}

pub(super) fn timer(seconds: u32) -> Node {
    el("ephemeral").attr("expiration", seconds).build()
}

pub(super) fn join_approval(needed: bool) -> Node {
    let state = if needed { "on" } else { "off" };
    let join = el("group_join").attr("state", state).build();
    el("membership_approval_mode").children([join]).build()
}
