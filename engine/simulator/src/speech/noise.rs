//! A message that nobody can open, as it happens when keys have gone astray.

use rand::RngExt;
use wacore_binary::{Jid, Node};

use super::seal::{self, Outgoing};
use super::{Said, Speech, compose};
use crate::chat::Chat;
use crate::ledger::Kind;
use crate::phone::Phone;
use crate::phone::signal::Sealed;
use crate::routing;
use crate::stanza::el;
use crate::world::Line;

impl Phone {
    /// Send what no device can open. With a text, that is what it says when asked again.
    pub(super) fn say_unreadably(
        &mut self,
        speech: &Speech,
        id: String,
        to: &Jid,
        text: Option<String>,
    ) -> Said {
        let line = Line {
            id: &id,
            subtype: "undecryptable",
            ..Line::default()
        };
        self.world
            .note(Kind::Said, &self.own, &speech.to.name(), line);
        let children = match &speech.to {
            Chat::With(pn) => {
                let devices = self.devices_of(pn).into_iter();
                let copies = devices.map(|(_, jid)| {
                    let noise = seal::enc(self.noise("msg"));
                    el("to").attr("jid", jid).children([noise]).build()
                });
                let copies: Vec<Node> = copies.collect();
                vec![el("participants").children(copies).build()]
            }
            Chat::Group(_) => vec![seal::enc(self.noise("skmsg"))],
        };
        let out = Outgoing {
            id: id.clone(),
            message: compose::text(text.clone().unwrap_or_default(), None),
            edit: None,
            polltype: None,
        };
        let node = out.stanza(to, children);
        let _ = routing::fan_out(&self.world, &self.own, &node);
        if text.is_some() {
            self.remember_said(out);
        }
        Said { id, media: None }
    }

    /// What looks sealed and is not.
    fn noise(&mut self, kind: &'static str) -> Sealed {
        let noise: [u8; 64] = self.rng.random();
        Sealed {
            kind,
            bytes: [&[0x33][..], &noise].concat(),
        }
    }
}
