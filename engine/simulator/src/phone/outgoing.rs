//! An outgoing message and the stanza around its ciphertexts.

use wacore::messages::MessageUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::Message;

use super::signal::Sealed;
use crate::stanza::el;

/// A message and the attributes of its stanza.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) id: String,
    pub(crate) message: Message,
    /// The `edit` attribute of the stanza.
    pub(crate) edit: Option<&'static str>,
    /// The `polltype` of its `<meta>`.
    pub(crate) polltype: Option<&'static str>,
    /// The bytes of the message, if they are not what `message` encodes to.
    pub(crate) raw: Option<Vec<u8>>,
}

impl Outgoing {
    /// Returns the plaintext for the recipients' devices, with padding.
    pub(crate) fn plain(&self) -> Vec<u8> {
        match &self.raw {
            Some(bytes) => MessageUtils::pad_message_v2(bytes.clone()),
            None => MessageUtils::encode_and_pad(&self.message),
        }
    }

    /// Returns the stanza with these ciphertexts.
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

    /// Returns `<enc v="2" type=… [mediatype=…]>`.
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

/// Returns `<enc v="2" type=…>`.
pub(crate) fn enc(sealed: Sealed) -> Node {
    enc_builder(sealed).build()
}
