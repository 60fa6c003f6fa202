//! A message that no device can decrypt, as if keys had been lost.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use wacore::messages::MessageUtils;
use wacore_binary::{Jid, Node};

use super::kinds;
use crate::phone::Phone;
use crate::phone::outgoing::Outgoing;
use crate::phone::outgoing::enc;
use crate::phone::sender_keys::SenderKeys;
use crate::phone::signal::Sealed;
use crate::reading;
use crate::routing;
use crate::stanza::el;
use crate::state::address::Address;
use crate::state::chat::Chat;
use crate::state::content::Undecryptable;
use crate::state::group::GroupId;
use crate::state::ledger::{EntryDetails, EntryKind};
use crate::state::speech::{SaidMessage, Speech};

impl Phone {
    /// Sends a message that no device can decrypt, also no linked device of the sender. If there is a text, a
    /// resend delivers it. If there is a text for the phone, only the recipient's phone can decrypt the
    /// message, and the sender's phone shows it.
    pub(super) fn send_undecryptable(
        &mut self,
        speech: &Speech,
        id: String,
        to: &Jid,
        content: &Undecryptable,
    ) -> SaidMessage {
        let for_phone = content.phone_text.clone();
        let for_phone =
            for_phone.map(|text| MessageUtils::encode_and_pad(&kinds::text(text, None)));
        let line = EntryDetails {
            id: &id,
            subtype: "undecryptable",
            ..EntryDetails::default()
        };
        self.world
            .record(EntryKind::Said, &self.own, &speech.to.ledger_name(), line);
        let children = match &speech.to {
            Chat::With(pn) => {
                let mut devices = self.devices_of(pn);
                let own = Arc::clone(&self.own.pn);
                if own != *pn {
                    devices.extend(self.devices_of(&own));
                }
                let devices = devices.into_iter().filter(|(one, _)| *one != self.own);
                let devices: Vec<_> = devices.collect();
                let copies = devices.into_iter().filter_map(|(address, jid)| {
                    let is_phone = address.device == 0 && address.pn == *pn;
                    let sealed = match for_phone.as_deref().filter(|_| is_phone) {
                        Some(plain) => self.seal(&address, plain)?,
                        None => self.spoiled(&address)?,
                    };
                    Some(el("to").attr("jid", jid).children([enc(sealed)]).build())
                });
                let copies: Vec<Node> = copies.collect();
                vec![el("participants").children(copies).build()]
            }
            Chat::Group(group) => self.sealed_for_nobody(group).into_iter().collect(),
        };
        let out = Outgoing {
            id: id.clone(),
            message: kinds::text(content.text.clone().unwrap_or_default(), None),
            edit: None,
            polltype: None,
            raw: None,
        };
        let node = out.stanza(to, children);
        let _ = routing::fan_out_at(&self.world, &self.own, &node, self.ago(speech.age));
        if let Some(text) = &content.phone_text {
            let message = kinds::text(text.clone(), None);
            if let Some(mut view) = reading::read(&message) {
                let own = Arc::clone(&self.own.pn);
                self.on_screen(&speech.to, &own, &out.id, &mut view, &message);
            }
        }
        if content.text.is_some() {
            self.remember_said(out);
        }
        SaidMessage { id, media: None }
    }

    /// Encrypts for a device and corrupts the authentication code.
    fn spoiled(&mut self, device: &Address) -> Option<Sealed> {
        let mut sealed = self.seal(device, b"nobody reads this")?;
        sealed.break_code();
        Some(sealed)
    }

    /// Encrypts with a key that no device gets.
    fn sealed_for_nobody(&mut self, group: &GroupId) -> Option<Node> {
        let mut keys = SenderKeys::new(self.own.clone(), StdRng::from_rng(&mut self.rng));
        keys.share(group).ok()?;
        let bytes = keys.seal(group, b"nobody reads this").ok()?;
        Some(enc(Sealed {
            kind: "skmsg",
            bytes,
        }))
    }
}
