//! JIDs: WhatsApp's names of accounts, converted to our types.

use whatsapp_rust::{Client, Jid};

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

/// Adds the other name of an account that is named by a phone or by a LID alone, if it was learnt before. Returns also
/// whether a phone was added. The answer comes from memory or the key store, never over the network.
pub(super) async fn with_both_names(client: &Client, mut peer: Peer) -> (Peer, bool) {
    let name = match (&peer.phone, &peer.lid) {
        (None, Some(lid)) => Jid::lid(lid.as_str()),
        (Some(phone), None) => Jid::pn(phone.digits()),
        _ => return (peer, false),
    };
    let had_phone = peer.phone.is_some();
    if let Ok(Some(entry)) = client.get_lid_pn_entry(&name).await {
        peer.phone = peer.phone.or_else(|| phone(&entry.phone_number));
        peer.lid.get_or_insert_with(|| entry.lid.to_string());
    }
    let is_added = peer.phone.is_some() && !had_phone;
    (peer, is_added)
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
