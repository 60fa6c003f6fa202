//! Helpers to read and write binary XML.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent, Server};

/// Starts a node.
pub(crate) fn el(tag: &'static str) -> NodeBuilder {
    NodeBuilder::new(tag)
}

/// Returns the address of the server itself: an address without a user. It must not be written as
/// text. Some clients ignore a stanza whose `from` is not an address.
pub(crate) fn server() -> Jid {
    Jid::new("", Server::Pn)
}

/// Returns an attribute as text.
pub(crate) fn text(node: &Node, key: &str) -> Option<String> {
    node.attrs.get(key).map(|value| value.as_str().into_owned())
}

/// Returns an attribute as an address.
pub(crate) fn jid(node: &Node, key: &str) -> Option<Jid> {
    node.attrs.get(key)?.to_jid()
}

/// Returns the bytes inside a node. The codec may have decoded them as text.
pub(crate) fn bytes(node: &Node) -> Option<Vec<u8>> {
    match node.content.as_ref()? {
        NodeContent::Bytes(bytes) => Some(bytes.clone()),
        NodeContent::String(text) => Some(text.as_bytes().to_vec()),
        NodeContent::Nodes(_) => None,
    }
}

/// Returns the bytes inside a child.
pub(crate) fn child_bytes(node: &Node, tag: &str) -> Option<Vec<u8>> {
    bytes(node.get_optional_child(tag)?)
}

/// Returns the 32-byte key inside a child.
pub(crate) fn child_key(node: &Node, tag: &str) -> Option<[u8; 32]> {
    child_bytes(node, tag)?.try_into().ok()
}

/// Returns a successful reply to the IQ with this id.
pub(crate) fn result(id: &str, children: Vec<Node>) -> Node {
    let iq = el("iq")
        .attr("from", server())
        .attr("type", "result")
        .attr("id", id);
    if children.is_empty() {
        iq.build()
    } else {
        iq.children(children).build()
    }
}

/// Returns an error reply to the IQ with this id.
pub(crate) fn refusal(id: &str, code: u16, reason: &'static str) -> Node {
    el("iq")
        .attr("from", server())
        .attr("type", "error")
        .attr("id", id)
        .children([el("error").attr("code", code).attr("text", reason).build()])
        .build()
}

/// Returns `<stream:error code=…/>`.
pub(crate) fn stream_error(code: u16) -> Node {
    el("stream:error").attr("code", code).build()
}

/// Returns `<stream:error><conflict type=…/></stream:error>`, with WhatsApp's code for this type.
pub(crate) fn conflict(kind: &'static str) -> Node {
    let error = match kind {
        "device_removed" => el("stream:error").attr("code", 401_u16),
        _ => el("stream:error"),
    };
    error
        .children([el("conflict").attr("type", kind).build()])
        .build()
}

/// Starts a notification from the server.
pub(crate) fn notification(
    kind: &'static str,
    from: Option<Jid>,
    id: String,
    now: u64,
) -> NodeBuilder {
    el("notification")
        .attr("type", kind)
        .attr("id", id)
        .attr("t", now)
        .attr("from", from.unwrap_or_else(server))
}

/// Returns `<ib>`, information from the server that needs no answer.
pub(crate) fn information(child: Node) -> Node {
    el("ib").attr("from", server()).children([child]).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_s_address_is_an_address_and_not_text() {
        // JID_PAIR, no user, and the token of `s.whatsapp.net`.
        let address = [250, 0, 3];
        for node in [
            result("1", Vec::new()),
            refusal("1", 404, "item-not-found"),
            notification("devices", None, "1".to_owned(), 0).build(),
            information(el("offline").build()),
        ] {
            let bytes = wacore_binary::marshal(&node).unwrap();
            let from = bytes.windows(3).any(|window| window == address);
            assert!(from, "{node:?}: {bytes:?}");
        }
    }
}
