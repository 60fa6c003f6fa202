//! Receipts that a phone sends: delivered, read, played and retry.

use wacore_binary::{Jid, Node, Server};

use super::Phone;
use crate::stanza::el;
use crate::state::address::{Address, Pn};
use crate::state::bundle::bundle_nodes;
use crate::state::chat::Chat;
use crate::state::group::GroupId;
use crate::state::ledger::{EntryKind, FrameTime};
use crate::{receipts, stanza};

/// How often a phone asks for the same message again.
const RETRIES: u8 = 5;

impl Phone {
    /// Sends a receipt for a stanza. Without a `kind` it is a delivery receipt.
    pub(super) fn receipt(&mut self, node: &Node, kind: Option<&'static str>) {
        let (Some(from), Some(id)) = (stanza::jid(node, "from"), stanza::text(node, "id")) else {
            return;
        };
        let mut receipt = el("receipt").attr("id", id).attr("to", from);
        if let Some(member) = stanza::jid(node, "participant") {
            receipt = receipt.attr("participant", member);
        }
        if let Some(kind) = kind {
            receipt = receipt.attr("type", kind);
        }
        self.send_receipt(receipt.build());
    }

    /// Sends a receipt. A phone that is away sends it when it is back.
    fn send_receipt(&mut self, receipt: Node) {
        if !self.is_online() {
            self.held.push(receipt);
            return;
        }
        let read = FrameTime {
            at_ms: self.world.clock.millis(),
            wire_us: self.world.clock.micros(),
        };
        receipts::receipt(&self.world, &self.own, &receipt, read);
    }

    /// Sends the receipts that were held while the phone was away, if it is back.
    pub(super) fn send_held(&mut self) {
        if self.held.is_empty() || !self.is_online() {
            return;
        }
        self.late.clear();
        for receipt in std::mem::take(&mut self.held) {
            let kind = stanza::text(&receipt, "type");
            if matches!(kind.as_deref(), None | Some("retry")) {
                self.late.extend(stanza::text(&receipt, "id"));
            }
            self.send_receipt(receipt);
        }
    }

    /// Sends one receipt for several messages.
    pub(super) fn receipts_for(
        &mut self,
        kind: &'static str,
        from: &Pn,
        group: Option<&GroupId>,
        ids: &[String],
    ) {
        let to = self.receipt_to(from, group);
        let (Some((to, member)), Some((last, rest))) = (to, ids.split_last()) else {
            return;
        };
        let items = rest.iter().map(|id| el("item").attr("id", id).build());
        let mut receipt = el("receipt")
            .attr("id", last)
            .attr("to", to)
            .attr("type", kind);
        if let Some(member) = member {
            receipt = receipt.attr("participant", member);
        }
        let others = el("list").children(items).build();
        self.send_receipt(receipt.children([others]).build());
    }

    /// Returns where a receipt for a sender goes and, in a group, the sender that it names.
    fn receipt_to(&self, from: &Pn, group: Option<&GroupId>) -> Option<(Jid, Option<Jid>)> {
        let state = self.world.state();
        match group {
            None => Some((state.accounts.get(from)?.jid(Server::Lid, 0), None)),
            Some(id) => {
                let group = state.groups.get(id)?;
                Some((group.jid(), Some(state.member_jid(group, from, 0)?)))
            }
        }
    }

    /// Asks the sender to encrypt the message again, and gives it new keys.
    pub(super) fn unreadable(
        &mut self,
        node: &Node,
        sender: &Address,
        chat: &Chat,
        id: &str,
        count: u8,
    ) {
        self.record(EntryKind::Unreadable, sender, chat, id, None);
        if count > RETRIES {
            return self.acknowledge(node);
        }
        self.signal.forget(sender);
        let (Some(from), Some(bundle)) = (
            stanza::jid(node, "from"),
            self.world.state().bundle(&self.own),
        ) else {
            return;
        };
        let retry = el("retry")
            .attr("v", 1_u8)
            .attr("count", count)
            .attr("id", id)
            .attr("t", stanza::text(node, "t").unwrap_or_default());
        let mut keys = bundle_nodes(&bundle);
        let registration = keys.remove(0);
        let mut receipt = el("receipt")
            .attr("id", id)
            .attr("to", from)
            .attr("type", "retry");
        if let Some(member) = stanza::jid(node, "participant") {
            receipt = receipt.attr("participant", member);
        }
        let receipt = receipt.children([
            retry.build(),
            registration,
            el("keys").children(keys).build(),
        ]);
        self.send_receipt(receipt.build());
    }
}
