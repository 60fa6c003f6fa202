//! Encrypts a message for every device of both sides, and again when a device asks.

use std::sync::Arc;

use wacore::messages::MessageUtils;
use wacore_binary::{Jid, Node, Server};
use waproto::buffa::MessageField;
use waproto::whatsapp::Message;
use waproto::whatsapp::message::DeviceSentMessage;

use crate::phone::Phone;
use crate::phone::outgoing::Outgoing;
use crate::phone::signal::Sealed;
use crate::stanza::el;
use crate::state::address::{Address, Pn};
use crate::state::bundle::Bundle;
use crate::{routing, stanza};

/// Returns the copy for the sender's own devices: the message and its recipient.
fn device_sent(to: &Jid, message: &Message) -> Message {
    Message {
        device_sent_message: MessageField::some(DeviceSentMessage {
            destination_jid: Some(to.to_string()),
            message: MessageField::some(message.clone()),
            ..Default::default()
        }),
        message_context_info: message.message_context_info.clone(),
        ..Default::default()
    }
}

impl Phone {
    /// Returns a stanza for all devices of an account and the phone's own linked devices.
    pub(super) fn seal_for_both(&mut self, target: &Pn, to: &Jid, out: &Outgoing) -> Node {
        let plain = out.plain();
        let copy = MessageUtils::encode_and_pad(&device_sent(to, &out.message));
        let own = Arc::clone(&self.own.pn);
        let mut participants = self.seal_for(target, &plain, out);
        if own != *target {
            participants.extend(self.seal_for(&own, &copy, out));
        }
        let participants = el("participants").children(participants).build();
        out.stanza(to, vec![participants])
    }

    /// Returns `<to>` nodes for every device of an account except this one.
    pub(crate) fn seal_for(&mut self, pn: &Pn, plain: &[u8], out: &Outgoing) -> Vec<Node> {
        let mut nodes = Vec::new();
        for (address, jid) in self.devices_of(pn) {
            if address == self.own {
                continue;
            }
            if let Some(sealed) = self.seal(&address, plain) {
                let enc = out.enc(sealed);
                nodes.push(el("to").attr("jid", jid).children([enc]).build());
            }
        }
        nodes
    }

    /// Returns the devices of an account and their addresses.
    pub(crate) fn devices_of(&self, pn: &Pn) -> Vec<(Address, Jid)> {
        let state = self.world.state();
        let account = state.accounts.get(pn);
        let devices = account.into_iter().flat_map(|account| {
            account.devices.keys().map(|number| {
                let address = Address {
                    pn: Arc::clone(pn),
                    device: *number,
                };
                (address, account.jid(Server::Lid, *number))
            })
        });
        devices.collect()
    }

    /// Encrypts for one device and starts a session if there is none. Returns `None` if the device
    /// has no keys yet.
    pub(crate) fn seal(&mut self, device: &Address, plain: &[u8]) -> Option<Sealed> {
        if !self.signal.has_session(device) {
            let bundle: Bundle = self.world.state().bundle(device)?;
            if let Err(error) = self.signal.start(device, &bundle) {
                tracing::warn!(%error, "a device's keys are unusable");
                return None;
            }
        }
        self.signal.seal(device, plain).ok()
    }

    /// Encrypts a message again for a device that could not decrypt it.
    pub(crate) fn resend(&mut self, node: &Node) -> Option<()> {
        let id = stanza::text(node, "id")?;
        let from = stanza::jid(node, "from")?;
        if from.server == Server::Group {
            return self.resend_to_group(node, &id, &from);
        }
        let device = self.world.state().address(&from)?;
        let out = self.said.iter().rfind(|said| said.id == id)?.clone();
        let recipient = stanza::jid(node, "recipient").filter(|_| device.pn == self.own.pn);
        let plain = if device.pn == self.own.pn {
            let to = recipient.clone().unwrap_or_else(|| from.clone());
            MessageUtils::encode_and_pad(&device_sent(&to, &out.message))
        } else {
            out.plain()
        };
        self.signal.forget(&device);
        let sealed = self.seal(&device, &plain)?;
        let mut again = out.stanza(&from, vec![out.enc(sealed)]);
        if let Some(recipient) = recipient {
            again.attrs.insert("recipient", recipient);
        }
        routing::fan_out(&self.world, &self.own, &again).ok()
    }

    fn resend_to_group(&mut self, node: &Node, id: &str, to: &Jid) -> Option<()> {
        let asks = stanza::jid(node, "participant")?;
        let (device, group) = {
            let state = self.world.state();
            (state.address(&asks)?, Arc::clone(&state.group(to)?.id))
        };
        let out = self.said.iter().rfind(|said| said.id == id)?.clone();
        let again = self.seal_for_retry(&group, to, &device, asks, &out)?;
        routing::fan_out(&self.world, &self.own, &again).ok()
    }
}
