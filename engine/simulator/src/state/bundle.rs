//! The keys of a device, as the server returns them.

use wacore_binary::Node;

use super::device::SignedKey;
use crate::stanza::el;

/// The keys that others need to start a Signal session with a device.
pub(crate) struct Bundle {
    pub(crate) registration: Vec<u8>,
    pub(crate) identity: Vec<u8>,
    pub(crate) signed_key: SignedKey,
    pub(crate) one_time: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) identity_proof: Vec<u8>,
}

/// Returns the children of `<user>`. A retry's `<keys>` has the same ones without the registration.
pub(crate) fn bundle_nodes(bundle: &Bundle) -> Vec<Node> {
    let mut nodes = vec![
        el("registration")
            .bytes(bundle.registration.clone())
            .build(),
        el("type").bytes([5]).build(),
        el("identity").bytes(bundle.identity.clone()).build(),
        signed_key_node(&bundle.signed_key),
    ];
    if let Some((id, value)) = &bundle.one_time {
        let key = [
            el("id").bytes(id.clone()).build(),
            el("value").bytes(value.clone()).build(),
        ];
        nodes.push(el("key").children(key).build());
    }
    if !bundle.identity_proof.is_empty() {
        let proof = bundle.identity_proof.clone();
        nodes.push(el("device-identity").bytes(proof).build());
    }
    nodes
}

pub(crate) fn signed_key_node(key: &SignedKey) -> Node {
    el("skey")
        .children([
            el("id").bytes(key.id.clone()).build(),
            el("value").bytes(key.value.clone()).build(),
            el("signature").bytes(key.signature.clone()).build(),
        ])
        .build()
}
