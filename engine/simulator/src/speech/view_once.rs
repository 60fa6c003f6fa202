//! A view-once message: linked devices get only a notice that there is one.

use wacore_binary::Jid;

use crate::phone::Phone;
use crate::phone::outgoing::Outgoing;
use crate::routing;
use crate::stanza::el;
use crate::state::chat::Chat;
use crate::state::ledger::{EntryDetails, EntryKind};
use crate::state::speech::{SaidMessage, Speech};

impl Phone {
    /// Sends the notice to the linked devices of the chat. No phone shows anything.
    pub(super) fn send_view_once_notice(
        &mut self,
        speech: &Speech,
        id: String,
        to: &Jid,
    ) -> SaidMessage {
        let line = EntryDetails {
            id: &id,
            subtype: "view_once_unavailable",
            ..EntryDetails::default()
        };
        self.world
            .record(EntryKind::Said, &self.own, &speech.to.ledger_name(), line);
        let notice = el("unavailable").attr("type", "view_once").build();
        let mut children = vec![notice];
        if let Chat::With(pn) = &speech.to {
            let devices = self.devices_of(pn).into_iter();
            let linked = devices.filter(|(address, _)| address.device != 0);
            let copies = linked.map(|(_, jid)| el("to").attr("jid", jid).build());
            children.push(el("participants").children(copies).build());
        }
        let out = Outgoing {
            id: id.clone(),
            message: waproto::whatsapp::Message::default(),
            edit: None,
            polltype: None,
            raw: None,
        };
        let node = out.stanza(to, children);
        for _ in 0..speech.copies.max(1) {
            let _ = routing::fan_out_at(&self.world, &self.own, &node, self.ago(speech.age));
        }
        SaidMessage { id, media: None }
    }
}
