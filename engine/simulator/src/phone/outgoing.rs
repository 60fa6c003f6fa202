//! A message on its way out, and the stanza around its ciphertexts.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::Message;

use super::signal::Sealed;
use crate::stanza::el;

/// A message, and what the server is told of it.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) id: String,
    pub(crate) message: Message,
    /// The stanza's `edit`.
    pub(crate) edit: Option<&'static str>,
    /// `polltype` of its `<meta>`.
    pub(crate) polltype: Option<&'static str>,
}

impl Outgoing {
    /// The stanza around ciphertexts.
    pub(crate) fn stanza(&self, to: &Jid, mut children: Vec<Node>) -> Node {
        if let Some(polltype) = self.polltype {
            children.push(el("meta").attr("polltype", polltype).build());
        }
        let mut node = el("message")
            .attr("to", to)
            .attr("id", self.id.as_str())
            .attr(
                "type",
                wacore::send::stanza_type_from_message(&self.message),
            );
        if let Some(edit) = self.edit {
            node = node.attr("edit", edit);
        }
        node.children(children).build()
    }

    /// `<enc v="2" type=… [mediatype=…]>`
    pub(crate) fn enc(&self, sealed: Sealed) -> Node {
        let mediatype = wacore::send::media_type_from_message(&self.message);
        match mediatype {
            Some(mediatype) => enc_builder(sealed).attr("mediatype", mediatype).build(),
            None => enc(sealed),
        }
    }
}

fn enc_builder(sealed: Sealed) -> NodeBuilder {
    el("enc")
        .attr("v", 2_u8)
        .attr("type", sealed.kind)
        .bytes(sealed.bytes)
}

/// `<enc v="2" type=…>`
pub(crate) fn enc(sealed: Sealed) -> Node {
    enc_builder(sealed).build()
}
