//! Groups: who is in them, and how their members are addressed.

pub(crate) mod iq;
pub(crate) mod members;
pub(crate) mod routing;

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use wacore_binary::{Jid, Node, Server};

use crate::account::Pn;
use crate::stanza::el;
use crate::world::State;

/// Digits of a group's address.
pub(crate) type GroupId = Arc<str>;

/// How a group names its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// By LID, as new groups do.
    #[default]
    Lid,
    /// By phone number, as old ones do.
    Pn,
}

impl Mode {
    pub(crate) fn server(self) -> Server {
        match self {
            Self::Lid => Server::Lid,
            Self::Pn => Server::Pn,
        }
    }

    /// The value of `addressing_mode`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lid => "lid",
            Self::Pn => "pn",
        }
    }

    /// The attribute with a member's other address, and where that is.
    pub(crate) fn other(self) -> (&'static str, Server) {
        match self {
            Self::Lid => ("participant_pn", Server::Pn),
            Self::Pn => ("participant_lid", Server::Lid),
        }
    }
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) subject: String,
    pub(crate) mode: Mode,
    pub(crate) creator: Pn,
    pub(crate) created: u64,
    /// The members; `true` for admins.
    pub(crate) members: BTreeMap<Pn, bool>,
}

impl Group {
    pub(crate) fn jid(&self) -> Jid {
        Jid::group(&*self.id)
    }

    pub(crate) fn is_admin(&self, pn: &Pn) -> bool {
        self.members.get(pn).copied().unwrap_or(false)
    }
}

/// A group id nobody has, of the shape that WhatsApp gives out.
pub(crate) fn free_id(state: &mut State) -> GroupId {
    loop {
        let digits: u64 = state.rng.random_range(100_000_000_000..999_999_999_999);
        let id: GroupId = format!("120363{digits}").into();
        if !state.groups.contains_key(&id) {
            return id;
        }
    }
}

impl State {
    /// The group behind an address.
    pub(crate) fn group(&self, jid: &Jid) -> Option<&Group> {
        (jid.server == Server::Group)
            .then(|| self.groups.get(jid.user_base()))
            .flatten()
    }

    /// A member as a group names it.
    pub(crate) fn member_jid(&self, group: &Group, pn: &Pn, device: u16) -> Option<Jid> {
        let account = self.accounts.get(pn)?;
        Some(account.jid(group.mode.server(), device))
    }

    /// `<participant jid=… [phone_number|lid]=… [type]>`
    pub(crate) fn member_node(&self, group: &Group, pn: &Pn) -> Option<Node> {
        let account = self.accounts.get(pn)?;
        let (other, server) = match group.mode {
            Mode::Lid => ("phone_number", Server::Pn),
            Mode::Pn => ("lid", Server::Lid),
        };
        let node = el("participant")
            .attr("jid", account.jid(group.mode.server(), 0))
            .attr(other, account.jid(server, 0));
        let node = match (group.creator == *pn, group.is_admin(pn)) {
            (true, true) => node.attr("type", "superadmin"),
            (false, true) => node.attr("type", "admin"),
            _ => node,
        };
        Some(node.build())
    }

    /// `<group id subject …><participant/>…</group>`
    pub(crate) fn group_node(&self, group: &Group) -> Node {
        let members = group.members.keys();
        let members: Vec<Node> = members
            .filter_map(|pn| self.member_node(group, pn))
            .collect();
        let mut node = el("group")
            .attr("id", &*group.id)
            .attr("subject", group.subject.as_str())
            .attr("addressing_mode", group.mode.name())
            .attr("creation", group.created)
            .attr("s_t", group.created)
            .attr("size", members.len());
        if let Some(creator) = self.member_jid(group, &group.creator, 0) {
            node = node.attr("creator", &creator).attr("s_o", creator);
        }
        node.children(members).build()
    }
}
