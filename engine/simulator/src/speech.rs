//! What a scripted phone writes: sealed for every device of both sides, and again if asked.

use std::sync::Arc;

use rand::RngExt;
use wacore::messages::MessageUtils;
use wacore_binary::{Jid, Node, Server};
use waproto::buffa::MessageField;
use waproto::whatsapp::message::DeviceSentMessage;
use waproto::whatsapp::{Message, MessageContextInfo};

use crate::account::{Address, Pn};
use crate::ledger::Kind;
use crate::phone::{Phone, Speech};
use crate::routing;
use crate::signal::Sealed;
use crate::stanza::{self, el};
use crate::world::{Bundle, Line, plus};

/// Own messages kept to be sealed again for a device that could not open them.
const RESENDABLE: usize = 200;

impl Phone {
    /// Say something to an account, all its devices and all of one's own.
    pub(crate) fn say(&mut self, speech: Speech) {
        let id = speech.id.unwrap_or_else(|| self.fresh_id());
        let message = self.compose(speech.text.clone());
        let target = {
            let state = self.world.state();
            let account = state.accounts.get(&speech.to);
            account.map(|account| account.jid(Server::Lid, 0))
        };
        let Some(to) = target else {
            return;
        };
        let line = Line {
            id: &id,
            text: Some(speech.text),
            subtype: "text",
            ..Line::default()
        };
        self.world
            .note(Kind::Said, &self.own, &plus(&speech.to), line);
        for _ in 0..speech.copies.max(1) {
            let node = self.seal_for_all(&speech.to, &to, &id, &message);
            routing::fan_out(&self.world, &self.own, &node);
        }
        if self.said.len() == RESENDABLE {
            self.said.pop_front();
        }
        self.said.push_back((id.clone(), message));
        if let Some(done) = speech.done {
            let _ = done.send(id);
        }
    }

    /// Message ids as an iPhone makes them.
    pub(crate) fn fresh_id(&mut self) -> String {
        let (high, low): (u16, u64) = (self.rng.random(), self.rng.random());
        format!("3A{high:02X}{low:016X}")
    }

    fn compose(&mut self, text: String) -> Message {
        let secret: [u8; 32] = self.rng.random();
        Message {
            conversation: Some(text),
            message_context_info: MessageField::some(MessageContextInfo {
                message_secret: Some(secret.to_vec()),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn seal_for_all(&mut self, target: &Pn, to: &Jid, id: &str, message: &Message) -> Node {
        let plain = MessageUtils::encode_and_pad(message);
        let copy = MessageUtils::encode_and_pad(&Message {
            device_sent_message: MessageField::some(DeviceSentMessage {
                destination_jid: Some(to.to_string()),
                message: MessageField::some(message.clone()),
                ..Default::default()
            }),
            ..Default::default()
        });
        let own = Arc::clone(&self.own.pn);
        let mut participants = self.seal_for(target, &plain);
        if own != *target {
            participants.extend(self.seal_for(&own, &copy));
        }
        el("message")
            .attr("to", to)
            .attr("id", id)
            .attr("type", "text")
            .children([el("participants").children(participants).build()])
            .build()
    }

    /// `<to>` nodes for every device of an account but this one.
    fn seal_for(&mut self, pn: &Pn, plain: &[u8]) -> Vec<Node> {
        let devices: Vec<(u16, Jid)> = {
            let state = self.world.state();
            let account = state.accounts.get(pn);
            let devices = account.into_iter().flat_map(|account| {
                let numbers = account.devices.keys();
                numbers.map(|number| (*number, account.jid(Server::Lid, *number)))
            });
            devices.collect()
        };
        let mut nodes = Vec::new();
        for (device, jid) in devices {
            let address = Address {
                pn: Arc::clone(pn),
                device,
            };
            if address == self.own {
                continue;
            }
            if let Some(sealed) = self.seal(&address, plain) {
                nodes.push(el("to").attr("jid", jid).children([enc(sealed)]).build());
            }
        }
        nodes
    }

    /// Seal for one device, starting a session if there is none. `None` if it has no keys yet.
    pub(crate) fn seal(&mut self, device: &Address, plain: &[u8]) -> Option<Sealed> {
        if !self.signal.knows(device) {
            let bundle: Bundle = self.world.state().bundle(device)?;
            if let Err(error) = self.signal.start(device, &bundle) {
                tracing::warn!(%error, "a device's keys are unusable");
                return None;
            }
        }
        self.signal.seal(device, plain).ok()
    }

    /// A device could not open a message: seal it anew, for that device alone.
    pub(crate) fn say_again(&mut self, node: &Node) -> Option<()> {
        let id = stanza::text(node, "id")?;
        let from = stanza::jid(node, "from")?;
        let device = self.world.state().address(&from)?;
        let (_, message) = self.said.iter().rfind(|(said, _)| *said == id)?;
        let plain = MessageUtils::encode_and_pad(message);
        self.signal.forget(&device);
        let sealed = self.seal(&device, &plain)?;
        let again = el("message")
            .attr("to", from)
            .attr("id", id)
            .attr("type", "text")
            .children([enc(sealed)]);
        routing::fan_out(&self.world, &self.own, &again.build());
        Some(())
    }
}

/// `<enc v="2" type=…>`
pub(crate) fn enc(sealed: Sealed) -> Node {
    el("enc")
        .attr("v", 2_u8)
        .attr("type", sealed.kind)
        .bytes(sealed.bytes)
        .build()
}
