//! What a phone sends a device that it has just linked: the key of the account's shared settings,
//! and the history with the account's name, its contacts' privacy tokens and the salt of its tokens
//! for first contacts.

use rand::RngExt;
use wacore::messages::MessageUtils;
use wacore::proto_helpers::MessageBuilderExt as _;
use wacore_binary::Server;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{
    AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyFingerprint, AppStateSyncKeyId,
    AppStateSyncKeyShare, HistorySyncNotification, HistorySyncType, ProtocolMessage,
};
use waproto::whatsapp::{
    Conversation, HistorySync, HistorySyncMsg, Message, MessageKey, PhoneNumberToLIDMapping,
    Pushname, WebMessageInfo, history_sync,
};

use super::Phone;
use super::app_state::AppStateKey;
use super::outgoing::enc;
use crate::routing;
use crate::stanza::el;
use crate::state::address::Address;

/// The text of an old message from every contact in the history.
const HISTORY: &str = "said long before the device was linked";

/// Sends a new device the key and the history.
pub(crate) fn welcome(phone: &mut Phone, number: u16) {
    let (key, is_new) = phone.app_state_key();
    let share = key_share(phone, &key);
    send(phone, number, share);
    if is_new {
        phone.publish_salt(&key);
    }
    let history = history(phone);
    send(phone, number, history);
}

/// Sends a message that only this device of the account receives.
pub(super) fn send(phone: &mut Phone, number: u16, protocol: ProtocolMessage) {
    let message = Message {
        protocol_message: MessageField::some(protocol),
        ..Default::default()
    };
    let device = Address {
        pn: phone.own.pn.clone(),
        device: number,
    };
    let plain = MessageUtils::encode_and_pad(&message);
    let Some(sealed) = phone.seal(&device, &plain) else {
        tracing::warn!("a new device has no usable keys");
        return;
    };
    let to = {
        let state = phone.world.state();
        let account = state.accounts.get(&phone.own.pn);
        account.map(|account| account.jid(Server::Pn, number))
    };
    let Some(to) = to else {
        return;
    };
    let node = el("message")
        .attr("to", to)
        .attr("id", phone.fresh_id())
        .attr("type", "text")
        .attr("category", "peer")
        .children([enc(sealed)]);
    let _ = routing::fan_out(&phone.world, &phone.own, &node.build());
}

/// Returns the message that gives a device the key of the account's app state.
fn key_share(phone: &mut Phone, key: &AppStateKey) -> ProtocolMessage {
    let data = AppStateSyncKeyData {
        key_data: Some(key.data.to_vec()),
        fingerprint: MessageField::some(AppStateSyncKeyFingerprint {
            raw_id: Some(phone.rng.random()),
            current_index: Some(1),
            device_indexes: vec![0, 1],
        }),
        timestamp: Some(key.made_ms),
    };
    let share = AppStateSyncKeyShare {
        keys: vec![AppStateSyncKey {
            key_id: MessageField::some(AppStateSyncKeyId {
                key_id: Some(key.id.to_vec()),
            }),
            key_data: MessageField::some(data),
        }],
    };
    ProtocolMessage {
        r#type: Some(Type::APP_STATE_SYNC_KEY_SHARE),
        app_state_sync_key_share: MessageField::some(share),
        ..Default::default()
    }
}

/// Returns the history: the chats, the privacy token of each contact and one old message each.
fn history(phone: &mut Phone) -> ProtocolMessage {
    let blob = zlib_stored(&contacts(phone).encode_to_vec());
    let notification = HistorySyncNotification {
        file_length: Some(blob.len() as u64),
        sync_type: Some(HistorySyncType::INITIAL_BOOTSTRAP),
        chunk_order: Some(1),
        progress: Some(100),
        initial_hist_bootstrap_inline_payload: Some(blob),
        ..Default::default()
    };
    ProtocolMessage {
        r#type: Some(Type::HISTORY_SYNC_NOTIFICATION),
        history_sync_notification: MessageField::some(notification),
        ..Default::default()
    }
}

fn contacts(phone: &Phone) -> HistorySync {
    let state = phone.world.state();
    let mut history = HistorySync {
        sync_type: history_sync::HistorySyncType::INITIAL_BOOTSTRAP,
        chunk_order: Some(1),
        progress: Some(100),
        ..Default::default()
    };
    let Some(own) = state.accounts.get(&phone.own.pn) else {
        return history;
    };
    history.nct_salt = Some(own.token_salt.to_vec());
    // Without its own name, a device considers itself half set up and asks again at each login.
    history.pushnames.push(Pushname {
        id: Some(own.jid(Server::Pn, 0).to_string()),
        pushname: Some(own.script.name.clone()),
    });
    for (pn, token) in &own.contacts {
        let Some(contact) = state.accounts.get(pn) else {
            continue;
        };
        let address = contact.jid(Server::Pn, 0).to_string();
        let lid = contact.jid(Server::Lid, 0).to_string();
        history.conversations.push(Conversation {
            messages: vec![once_said(&lid)],
            id: lid.clone(),
            tc_token: Some(token.bytes.clone()),
            tc_token_timestamp: Some(token.at),
            pn_jid: Some(address.clone()),
            ..Default::default()
        });
        history.pushnames.push(Pushname {
            id: Some(address.clone()),
            pushname: Some(contact.script.name.clone()),
        });
        history
            .phone_number_to_lid_mappings
            .push(PhoneNumberToLIDMapping {
                pn_jid: Some(address),
                lid_jid: Some(lid),
            });
    }
    history
}

/// Returns an old message that only the phone has. A gateway should ignore it.
fn once_said(chat: &str) -> HistorySyncMsg {
    let said = WebMessageInfo {
        key: MessageKey {
            remote_jid: Some(chat.to_owned()),
            from_me: Some(false),
            id: Some("3AHISTORY".to_owned()),
            ..Default::default()
        }
        .into(),
        message: MessageField::some(Message::text(HISTORY)),
        ..Default::default()
    };
    HistorySyncMsg {
        message: MessageField::some(said),
        ..Default::default()
    }
}

/// Returns a zlib stream (RFC 1950) of stored blocks: valid, but not compressed. History must be
/// zlib.
fn zlib_stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = data.chunks(0xffff).peekable();
    if blocks.peek().is_none() {
        out.extend([1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("blocks are cut to fit");
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend(adler32(data).to_be_bytes());
    out
}

fn adler32(data: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in data {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use wacore_binary::zlib_pool::decompress_zlib_pooled;

    use super::*;

    #[test]
    fn a_stored_stream_inflates_to_what_went_in() {
        for size in [0, 1, 0xffff, 0x10000, 200_000] {
            let data: Vec<u8> = (0..size).map(|n: u32| n.to_le_bytes()[0]).collect();
            let inflated = decompress_zlib_pooled(&zlib_stored(&data), 1 << 20).unwrap();
            assert_eq!(inflated, data, "{size} bytes");
        }
    }

    #[test]
    fn the_checksum_is_the_one_of_rfc_1950() {
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
    }
}
