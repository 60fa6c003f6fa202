//! JIDs: WhatsApp's names of accounts, converted to our types.

use whatsapp_rust::Jid;

use crate::content::{Peer, Phone};

/// Returns the account that these JIDs name.
pub(super) fn peer_of<'a>(names: impl Iterator<Item = &'a Jid>) -> Peer {
    let mut peer = Peer {
        phone: None,
        lid: None,
    };
    for name in names {
        if name.is_lid() {
            peer.lid = Some(name.user_base().to_owned());
        } else if name.is_pn() {
            peer.phone = phone(name.user_base());
        }
    }
    peer
}

pub(super) fn phone(digits: &str) -> Option<Phone> {
    Phone::parse(&format!("+{digits}"))
}

/// Parses the JID of a person. Returns `None` for anything else.
pub(super) fn parse_peer(jid: &str) -> Option<Peer> {
    let jid: Jid = jid.parse().ok()?;
    let peer = peer_of(std::iter::once(&jid));
    (peer.phone.is_some() || peer.lid.is_some()).then_some(peer)
}
