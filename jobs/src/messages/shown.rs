//! The JSON of a message in the API and in events. The OpenAPI document describes the same JSON; a test in
//! `api/src/routes/messages/response.rs` compares the two.

use std::fmt;

use passerelle_engine::{
    clock::Millis,
    content::{Content, Context, LinkPreview, Peer},
};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::model::{Direction, Message, Priority, rfc3339};

/// The JSON of a message: its fields in the order of the document.
pub struct Shown(Vec<(&'static str, Value)>);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealed]")
    }
}

/// Returns the JSON of a message, without its place in the queue.
pub fn shown(message: &Message) -> Shown {
    let at = |at: Option<Millis>| at.map(|at| json!(rfc3339(at)));
    let phone = message.peer.phone.as_ref();
    let phone = phone.map(|phone| json!(phone.as_str()));
    let group = message.group.as_ref().map(|group| json!(group.as_str()));
    let side = match message.direction {
        Direction::Outbound => {
            let person = || named(&message.peer).map(|name| json!(name));
            ("to", group.clone().or_else(person))
        }
        Direction::Inbound => ("from", phone.clone()),
    };
    let is_outbound = message.direction == Direction::Outbound;
    let source = is_outbound.then(|| json!(message.source.as_str()));
    let kind = message.content.kind();
    let error = message.error.as_ref();
    let (context, metadata) = (&message.context, &message.client.metadata);
    let part_of = context.part_of.as_ref();
    let album = part_of.filter(|part| part.is_album());
    let fields = [
        ("id", Some(json!(message.id))),
        ("object", Some(json!("message"))),
        ("session_id", Some(json!(message.session))),
        ("direction", Some(json!(message.direction.as_str()))),
        ("source", source),
        ("type", Some(json!(kind))),
        side,
        ("group_id", group),
        ("phone", phone),
        ("lid", message.peer.lid.as_ref().map(|lid| json!(lid))),
        ("contact_id", message.contact.map(|id| json!(id))),
        ("status", Some(json!(message.status.as_str()))),
        ("error", error.map(|code| json!({ "code": code }))),
        (kind, shown_content(&message.content)),
        (
            "reply_to",
            context.reply_to.as_ref().map(|reply| json!(reply)),
        ),
        ("mentions", shown_mentions(context)),
        ("mentioned", shown_mentioned(context)),
        ("forwarded", context.forwarded.then_some(json!(true))),
        (
            "expires_in",
            message.expires_in.map(|seconds| json!(seconds)),
        ),
        ("referral", context.referral.as_ref().map(|ad| json!(ad))),
        ("album_id", album.map(|album| json!(album.wa_message_id))),
        (
            "album_position",
            album.and_then(|album| album.position).map(|at| json!(at)),
        ),
        (
            "part_of",
            part_of
                .filter(|part| !part.is_album())
                .map(|part| json!(part)),
        ),
        (
            "via",
            Some(&context.via)
                .filter(|via| !via.is_empty())
                .map(|via| json!(via)),
        ),
        (
            "client_ref",
            message.client.client_ref.as_ref().map(|text| json!(text)),
        ),
        ("metadata", (!metadata.is_empty()).then(|| json!(metadata))),
        ("class", message.class.map(|class| json!(class))),
        ("purpose", message.purpose.map(|purpose| json!(purpose))),
        ("consent_id", message.consent.map(|id| json!(id))),
        ("wa_message_id", Some(json!(message.wa_id))),
        ("created_at", at(Some(message.created_at))),
        ("send_at", at(message.send_at)),
        (
            "priority",
            (message.priority != Priority::Normal).then(|| json!(message.priority)),
        ),
        ("expires_at", at(message.expires_at)),
        ("sent_at", at(message.sent_at)),
        ("delivered_at", at(message.delivered_at)),
        ("read_at", at(message.read_at)),
        ("played_at", at(message.played_at)),
        ("edited_at", at(message.edited_at)),
        ("deleted_at", at(message.deleted_at)),
    ];
    let known = |(name, value): (_, Option<_>)| Some((name, value?));
    Shown(fields.into_iter().filter_map(known).collect())
}

/// Returns the JSON of a content that is no message yet: its type, and the field of the same name.
pub fn shown_answer(content: &Content) -> Value {
    let kind = content.kind();
    let mut shown = json!({ "type": kind });
    if let Some(carried) = shown_content(content) {
        shown[kind] = carried;
    }
    shown
}

/// Returns the value of the field that is named after the content's type. Contact cards are a list. `None` for a
/// message without content.
fn shown_content(content: &Content) -> Option<Value> {
    if matches!(
        content,
        Content::Deleted {} | Content::Undecryptable {} | Content::ViewOnceUnavailable {}
    ) {
        return None;
    }
    let mut shown = serde_json::to_value(content).unwrap_or_default();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("type");
        if let Content::Text { link_preview, .. } = content {
            fields.remove("link_preview");
            let shown = link_preview.as_ref().filter(|preview| preview.is_shown());
            fields.extend(shown.map(|preview| ("link_preview".to_owned(), shown_preview(preview))));
        }
        if let Some(cards) = fields.remove("contacts") {
            return Some(cards);
        }
    }
    Some(shown)
}

/// Returns a link preview without its picture, which is only for phones.
fn shown_preview(preview: &LinkPreview) -> Value {
    let mut shown = json!({ "url": preview.url, "title": preview.title });
    if let Some(description) = &preview.description {
        shown["description"] = json!(description);
    }
    shown
}

fn shown_mentions(context: &Context) -> Option<Value> {
    let people = context.mentions.iter();
    let people: Vec<_> = people.filter_map(|mention| named(&mention.who)).collect();
    (!people.is_empty()).then(|| json!(people))
}

/// Returns the people who are mentioned, with all that is known of them.
fn shown_mentioned(context: &Context) -> Option<Value> {
    (!context.mentions.is_empty()).then(|| json!(context.mentions))
}

/// Returns the phone number of a person, or the LID if the number is not known.
fn named(peer: &Peer) -> Option<String> {
    let phone = peer.phone.as_ref().map(|phone| phone.as_str().to_owned());
    phone.or_else(|| peer.lid.as_ref().map(|lid| format!("{lid}@lid")))
}
