//! Messages, as a tenant reads them.

pub(crate) mod opt_out;
pub mod target;

use passerelle_engine::{
    clock::Millis,
    content::{Content, Context, Group, LinkPreview, Peer, Reply},
    ids::{MessageId, OrgId},
    vault::{DataKey, Place},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use crate::store::messages::Filter;
use crate::{
    error::Fault,
    model::{Direction, Listed, Message, Page},
    services::Services,
    store::{self, messages::Stored},
};

/// One message.
pub async fn read(
    services: &Services,
    org: OrgId,
    id: MessageId,
) -> Result<Option<Message>, Fault> {
    let key = services.0.vault.org_key(org).await?;
    let mut conn = services.0.store.read(org).await?;
    let stored = store::messages::read(&mut conn, org, id).await?;
    stored.map(|stored| open(&key, stored)).transpose()
}

/// The organisation's messages, newest first.
pub async fn list(
    services: &Services,
    org: OrgId,
    filter: &Filter,
    page: &Page<MessageId>,
) -> Result<Listed<Message>, Fault> {
    let key = services.0.vault.org_key(org).await?;
    let mut conn = services.0.store.read(org).await?;
    let stored = store::messages::list(&mut conn, org, filter, page).await?;
    let items = stored
        .items
        .into_iter()
        .map(|row| open(&key, row))
        .collect::<Result<_, _>>()?;
    Ok(Listed {
        items,
        more: stored.more,
    })
}

/// The other side of a message, as it is sealed.
#[derive(Serialize, Deserialize)]
struct Side {
    #[serde(flatten)]
    peer: Peer,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    group: Option<Group>,
}

/// Where a message's other side lies.
fn peer_place(org: OrgId, record: &str) -> Place<'_> {
    Place {
        org,
        session: None,
        table: "message.peer",
        record,
    }
}

/// Where a message's content lies.
pub(crate) fn content_place(org: OrgId, record: &str) -> Place<'_> {
    Place {
        org,
        session: None,
        table: "message.content",
        record,
    }
}

/// Where what stands beside a message's content lies.
pub(crate) fn context_place(org: OrgId, record: &str) -> Place<'_> {
    Place {
        org,
        session: None,
        table: "message.context",
        record,
    }
}

/// The other side of a message, sealed.
pub(crate) fn seal_side(key: &DataKey, message: &Message) -> Result<Vec<u8>, Fault> {
    let side = Side {
        peer: message.peer.clone(),
        group: message.group.clone(),
    };
    let record = message.id.to_string();
    Ok(key.seal_json(&peer_place(message.org, &record), &side)?)
}

/// What stands beside a content, sealed; nothing when nothing does.
pub(crate) fn seal_context(
    key: &DataKey,
    org: OrgId,
    record: &str,
    context: &Context,
) -> Result<Option<Vec<u8>>, Fault> {
    if context.is_empty() {
        return Ok(None);
    }
    Ok(Some(key.seal_json(&context_place(org, record), context)?))
}

/// By which the messages of a group are found.
pub(crate) fn group_mac(key: &DataKey, group: &Group) -> [u8; 32] {
    key.mac("message.group", group.as_str().as_bytes())
}

/// By which what somebody wrote is found from how the chat names them.
pub(crate) fn sender_mac(key: &DataKey, sender: &str) -> [u8; 32] {
    key.mac("message.sender", sender.as_bytes())
}

/// Opens what is sealed of a message.
pub(crate) fn open(key: &DataKey, stored: Stored) -> Result<Message, Fault> {
    let record = stored.id.to_string();
    let context = stored.context_sealed.as_deref();
    let context = context
        .map(|sealed| key.open_json(&context_place(stored.org, &record), sealed))
        .transpose()?;
    let side: Side = key.open_json(&peer_place(stored.org, &record), &stored.peer_sealed)?;
    Ok(Message {
        context: context.unwrap_or_default(),
        peer: side.peer,
        group: side.group,
        content: key.open_json(&content_place(stored.org, &record), &stored.content_sealed)?,
        id: stored.id,
        org: stored.org,
        session: stored.session,
        direction: stored.direction,
        status: stored.status,
        contact: stored.contact,
        wa_id: stored.wa_id,
        error: stored.error,
        created_at: stored.created_at,
        expires_at: stored.expires_at,
        sent_at: stored.sent_at,
        delivered_at: stored.delivered_at,
        read_at: stored.read_at,
        played_at: stored.played_at,
        edited_at: stored.edited_at,
        deleted_at: stored.deleted_at,
    })
}

/// A message as events carry it: the API's message resource without its queue.
pub fn shown(message: &Message) -> Value {
    let mut shown = json!({
        "id": message.id,
        "object": "message",
        "session_id": message.session,
        "direction": message.direction.as_str(),
        "status": message.status.as_str(),
        "wa_message_id": message.wa_id,
        "created_at": rfc3339(message.created_at),
    });
    let kind = message.content.kind();
    shown["type"] = json!(kind);
    if !matches!(
        message.content,
        Content::Deleted {} | Content::Undecryptable {}
    ) {
        shown[kind] = shown_content(&message.content);
    }
    let phone = message
        .peer
        .phone
        .as_ref()
        .map(|phone| json!(phone.as_str()));
    let group = message.group.as_ref().map(|group| json!(group.as_str()));
    let side = match message.direction {
        Direction::Outbound => ("to", group.clone().or_else(|| phone.clone())),
        Direction::Inbound => ("from", phone.clone()),
    };
    let optional = [
        side,
        ("group_id", group),
        ("phone", phone),
        ("lid", message.peer.lid.as_ref().map(|lid| json!(lid))),
        ("contact_id", message.contact.map(|id| json!(id))),
        (
            "error",
            message.error.as_ref().map(|code| json!({ "code": code })),
        ),
        (
            "expires_at",
            message.expires_at.map(|at| json!(rfc3339(at))),
        ),
        ("sent_at", message.sent_at.map(|at| json!(rfc3339(at)))),
        (
            "delivered_at",
            message.delivered_at.map(|at| json!(rfc3339(at))),
        ),
        ("read_at", message.read_at.map(|at| json!(rfc3339(at)))),
        ("played_at", message.played_at.map(|at| json!(rfc3339(at)))),
        ("edited_at", message.edited_at.map(|at| json!(rfc3339(at)))),
        (
            "deleted_at",
            message.deleted_at.map(|at| json!(rfc3339(at))),
        ),
        (
            "reply_to",
            message.context.reply_to.as_ref().map(shown_reply),
        ),
        ("mentions", shown_mentions(&message.context)),
        (
            "forwarded",
            message.context.forwarded.then_some(json!(true)),
        ),
    ];
    for (field, value) in optional {
        if let Some(value) = value {
            shown[field] = value;
        }
    }
    shown
}

/// A content under the name of its type. Contact cards are a list, whatever holds them here.
fn shown_content(content: &Content) -> Value {
    let mut shown = serde_json::to_value(content).unwrap_or_default();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("type");
        if let Content::Text { link_preview, .. } = content {
            fields.remove("link_preview");
            let shown = link_preview.as_ref().filter(|preview| preview.is_shown());
            fields.extend(shown.map(|preview| ("link_preview".to_owned(), shown_preview(preview))));
        }
        if let Some(cards) = fields.remove("contacts") {
            return cards;
        }
    }
    shown
}

/// Without its picture, which is for phones.
fn shown_preview(preview: &LinkPreview) -> Value {
    let mut shown = json!({ "url": preview.url, "title": preview.title });
    if let Some(description) = &preview.description {
        shown["description"] = json!(description);
    }
    shown
}

fn shown_reply(reply: &Reply) -> Value {
    serde_json::to_value(reply).unwrap_or_default()
}

fn shown_mentions(context: &Context) -> Option<Value> {
    let named: Vec<_> = context.mentions.iter().filter_map(mention).collect();
    (!named.is_empty()).then(|| json!(named))
}

/// Whom a text mentions: the phone, or the LID of whom it is not known.
pub fn mention(peer: &Peer) -> Option<String> {
    let phone = peer.phone.as_ref().map(|phone| phone.as_str().to_owned());
    phone.or_else(|| peer.lid.as_ref().map(|lid| format!("{lid}@lid")))
}

/// A stamp as the API writes it: RFC 3339, UTC, milliseconds.
pub fn rfc3339(at: Millis) -> String {
    chrono::DateTime::from_timestamp_millis(at)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
