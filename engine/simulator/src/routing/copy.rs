//! What every copy of a message contains.

use wacore_binary::{Node, NodeContent};
use waproto::buffa::Message as _;
use waproto::whatsapp::VerifiedNameCertificate;
use waproto::whatsapp::verified_name_certificate::Details;

use crate::stanza::{self, el};
use crate::state::account::Account;
use crate::state::address::Address;

/// Children of a message that are only for the server.
const FOR_THE_SERVER: [&str; 5] = [
    "participants",
    "enc",
    "device-identity",
    "tctoken",
    "cstoken",
];

/// Returns the children of a copy: its ciphertexts, the sender's identity proof if a session
/// begins, the verified name of a business, and all children that are for the recipient.
pub(crate) fn copy_children(
    node: &Node,
    ciphertexts: Vec<&Node>,
    proof: &[u8],
    account: &Account,
) -> Vec<Node> {
    let first = ciphertexts
        .iter()
        .any(|enc| stanza::text(enc, "type").as_deref() == Some("pkmsg"));
    let mut children: Vec<Node> = ciphertexts.into_iter().cloned().collect();
    if first && !proof.is_empty() {
        children.push(el("device-identity").bytes(proof).build());
    }
    children.extend(account.script.verified_name.as_deref().map(verified_name));
    if let Some(NodeContent::Nodes(nodes)) = &node.content {
        let rest = nodes
            .iter()
            .filter(|child| !FOR_THE_SERVER.contains(&child.tag.as_ref()));
        children.extend(rest.cloned());
    }
    children
}

/// Returns the certificate of a verified name.
fn verified_name(name: &str) -> Node {
    let details = Details {
        verified_name: Some(name.to_owned()),
        issuer: Some("smb:wa".to_owned()),
        serial: Some(1),
        ..Default::default()
    };
    let certificate = VerifiedNameCertificate {
        details: Some(details.encode_to_vec()),
        ..Default::default()
    };
    el("verified_name")
        .attr("v", "2")
        .bytes(certificate.encode_to_vec())
        .build()
}

pub(crate) fn push_name(account: &Account, from: &Address) -> String {
    account
        .devices
        .get(&from.device)
        .map(|device| device.push_name.clone())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| account.script.name.clone())
}
