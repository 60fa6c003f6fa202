//! What every copy of a message contains.

use wacore_binary::{Node, NodeContent};

use crate::stanza::{self, el};
use crate::state::account::Account;
use crate::state::address::Address;

/// Children of a message that are only for the server.
const FOR_THE_SERVER: [&str; 4] = ["participants", "enc", "device-identity", "tctoken"];

/// Returns the children of a copy: its ciphertexts, the sender's identity proof if a session
/// begins, and all children that are for the recipient.
pub(crate) fn copy_children(node: &Node, ciphertexts: Vec<&Node>, proof: &[u8]) -> Vec<Node> {
    let first = ciphertexts
        .iter()
        .any(|enc| stanza::text(enc, "type").as_deref() == Some("pkmsg"));
    let mut children: Vec<Node> = ciphertexts.into_iter().cloned().collect();
    if first && !proof.is_empty() {
        children.push(el("device-identity").bytes(proof).build());
    }
    if let Some(NodeContent::Nodes(nodes)) = &node.content {
        let rest = nodes
            .iter()
            .filter(|child| !FOR_THE_SERVER.contains(&child.tag.as_ref()));
        children.extend(rest.cloned());
    }
    children
}

pub(crate) fn push_name(account: &Account, from: &Address) -> String {
    account
        .devices
        .get(&from.device)
        .map(|device| device.push_name.clone())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| account.script.name.clone())
}
