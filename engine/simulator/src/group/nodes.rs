//! Groups and their members as nodes of a stanza.

use wacore_binary::{Node, Server};

use super::action;
use crate::stanza::el;
use crate::state::address::Pn;
use crate::state::group::{AddressingMode, Group};
use crate::state::world::State;

impl State {
    /// Returns `<participant jid=… [phone_number|lid]=… [type]>`.
    pub(crate) fn member_node(&self, group: &Group, pn: &Pn) -> Option<Node> {
        let account = self.accounts.get(pn)?;
        let (other, server) = match group.mode {
            AddressingMode::Lid => ("phone_number", Server::Pn),
            AddressingMode::Pn => ("lid", Server::Lid),
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

    /// Returns `<group id subject …><participant/>…</group>`.
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
        if let Some(creator) = self.accounts.get(&group.creator) {
            let jid = creator.jid(group.mode.server(), 0);
            node = node
                .attr("creator", &jid)
                .attr("creator_pn", creator.jid(Server::Pn, 0))
                .attr("s_o", jid);
        }
        let settings = &group.settings;
        let mut children = members;
        if let Some(text) = &settings.description {
            children.push(action::description(Some(text)));
        }
        if settings.admins_only {
            children.push(el("announcement").build());
        }
        if settings.locked {
            children.push(el("locked").build());
        }
        if settings.join_approval {
            children.push(action::join_approval(true));
        }
        if settings.expires_seconds > 0 {
            children.push(action::timer(settings.expires_seconds));
        }
        node.children(children).build()
    }
}
