//! The encrypted parts of a message, and the MACs by which it is found.

use passerelle_engine::{
    content::{Content, Context, Group, Peer},
    ids::{MessageId, OrgId},
    vault::{DataKey, Place},
};
use serde::{Deserialize, Serialize};

use crate::{
    error::Fault,
    model::{Message, Priority, client_data::ClientRef},
    store::messages::{New, Stored},
};

/// The labels under which a message's content, its context, what its tenant attached and its other side are encrypted.
pub(crate) const CONTENT: &str = "message.content";
const CONTEXT: &str = "message.context";
const CLIENT: &str = "message.client";
const PEER: &str = "message.peer";

/// The other side of a message, as it is encrypted.
#[derive(Serialize, Deserialize)]
struct Side {
    #[serde(flatten)]
    peer: Peer,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    group: Option<Group>,
}

/// Encrypts the other side of a message.
pub(crate) fn seal_side(key: &DataKey, message: &Message) -> Result<Vec<u8>, Fault> {
    let side = Side {
        peer: message.peer.clone(),
        group: message.group.clone(),
    };
    let record = message.id.to_string();
    Ok(key.seal_json(&Place::of(message.org, PEER, &record), &side)?)
}

/// Encrypts the context of a message. Returns `None` if the context is empty.
fn seal_context(
    key: &DataKey,
    org: OrgId,
    record: &str,
    context: &Context,
) -> Result<Option<Vec<u8>>, Fault> {
    if context.is_empty() {
        return Ok(None);
    }
    Ok(Some(
        key.seal_json(&Place::of(org, CONTEXT, record), context)?,
    ))
}

/// Encrypts what the tenant attached to a message. Returns `None` if that is nothing.
fn seal_client(key: &DataKey, message: &Message, record: &str) -> Result<Option<Vec<u8>>, Fault> {
    if message.client.is_empty() {
        return Ok(None);
    }
    let place = Place::of(message.org, CLIENT, record);
    Ok(Some(key.seal_json(&place, &message.client)?))
}

/// Returns the MAC by which the messages with a reference are found.
pub(crate) fn client_ref_mac(key: &DataKey, client_ref: &ClientRef) -> [u8; 32] {
    key.mac("message.client_ref", client_ref.as_str().as_bytes())
}

/// Encrypts a new message into its row.
pub(crate) fn row(key: &DataKey, message: &Message) -> Result<New, Fault> {
    let (org, record) = (message.org, message.id.to_string());
    Ok(New {
        id: message.id,
        org,
        session: message.session,
        kind: message.content.kind(),
        wa_id: message.wa_id.clone(),
        peer_sealed: seal_side(key, message)?,
        content_sealed: key.seal_json(&Place::of(org, CONTENT, &record), &message.content)?,
        context_sealed: seal_context(key, org, &record, &message.context)?,
        client_sealed: seal_client(key, message, &record)?,
        client_ref_mac: {
            let client_ref = message.client.client_ref.as_ref();
            client_ref.map(|client_ref| client_ref_mac(key, client_ref))
        },
        edit_of: match &message.content {
            Content::Edit(edit) => edit.target.message_id,
            _ => None,
        },
        expires_in: message.expires_in.map(i64::from),
        created_at: message.created_at,
    })
}

/// Returns the MAC by which the messages of a group are found.
pub(crate) fn group_mac(key: &DataKey, group: &Group) -> [u8; 32] {
    key.mac("message.group", group.as_str().as_bytes())
}

/// Returns the MAC by which a sender's messages are found. `sender` is their name in the chat.
pub(crate) fn sender_mac(key: &DataKey, sender: &str) -> [u8; 32] {
    key.mac("message.sender", sender.as_bytes())
}

/// Decrypts the content of a message.
pub(crate) fn open_content(
    key: &DataKey,
    (org, id): (OrgId, MessageId),
    sealed: &[u8],
) -> Result<Content, Fault> {
    let record = id.to_string();
    Ok(key.open_json(&Place::of(org, CONTENT, &record), sealed)?)
}

/// Decrypts a stored message.
pub(crate) fn open(key: &DataKey, stored: Stored) -> Result<Message, Fault> {
    let record = stored.id.to_string();
    let context = stored.context_sealed.as_deref();
    let context = context
        .map(|sealed| key.open_json(&Place::of(stored.org, CONTEXT, &record), sealed))
        .transpose()?;
    let client = stored.client_sealed.as_deref();
    let client = client
        .map(|sealed| key.open_json(&Place::of(stored.org, CLIENT, &record), sealed))
        .transpose()?;
    let side: Side = key.open_json(&Place::of(stored.org, PEER, &record), &stored.peer_sealed)?;
    Ok(Message {
        context: context.unwrap_or_default(),
        client: client.unwrap_or_default(),
        peer: side.peer,
        group: side.group,
        content: key.open_json(
            &Place::of(stored.org, CONTENT, &record),
            &stored.content_sealed,
        )?,
        id: stored.id,
        org: stored.org,
        session: stored.session,
        direction: stored.direction,
        source: stored.source,
        status: stored.status,
        contact: stored.contact,
        wa_id: stored.wa_id,
        error: stored.error,
        expires_in: stored
            .expires_in
            .and_then(|seconds| seconds.try_into().ok()),
        class: stored.class,
        purpose: stored.purpose,
        consent: stored.consent,
        created_at: stored.created_at,
        send_at: Some(stored.send_at).filter(|at| *at > 0),
        priority: Priority::of_store(stored.priority),
        expires_at: stored.expires_at,
        sent_at: stored.sent_at,
        delivered_at: stored.delivered_at,
        read_at: stored.read_at,
        played_at: stored.played_at,
        edited_at: stored.edited_at,
        deleted_at: stored.deleted_at,
    })
}
