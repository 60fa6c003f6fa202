//! A message as events carry it.

use passerelle_engine::content::{Content, Context, LinkPreview, Peer, Reply};
use serde_json::{Value, json};

use crate::model::{Direction, Message, rfc3339};

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
