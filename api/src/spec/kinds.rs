//! Examples of every kind of message.

use serde_json::{Value, json};

use super::examples::{CONTACT, MEDIA, MESSAGE, SESSION, SHA256, of_schema};

const WA_ID: &str = "3EB0A1B2C3D4E5F6A7B8C9";

/// Every kind that can be sent: its type, its name, and its two schemas.
pub(super) const KINDS: [(&str, &str, &str, &str); 13] = [
    ("text", "A text", "NewTextMessage", "TextMessage"),
    ("image", "An image", "NewImageMessage", "ImageMessage"),
    ("video", "A video", "NewVideoMessage", "VideoMessage"),
    ("audio", "An audio file", "NewAudioMessage", "AudioMessage"),
    ("voice", "A voice note", "NewVoiceMessage", "VoiceMessage"),
    (
        "document",
        "Any file",
        "NewDocumentMessage",
        "DocumentMessage",
    ),
    (
        "sticker",
        "A sticker",
        "NewStickerMessage",
        "StickerMessage",
    ),
    (
        "location",
        "A location",
        "NewLocationMessage",
        "LocationMessage",
    ),
    (
        "contacts",
        "Contact cards",
        "NewContactsMessage",
        "ContactsMessage",
    ),
    ("poll", "A poll", "NewPollMessage", "PollMessage"),
    (
        "reaction",
        "A reaction to a message",
        "NewReactionMessage",
        "ReactionMessage",
    ),
    (
        "edit",
        "An edit of a sent text",
        "NewEditMessage",
        "EditMessage",
    ),
    (
        "delete",
        "A deletion for everyone",
        "NewDeleteMessage",
        "DeleteMessage",
    ),
];

/// Returns the content of a message of this type.
fn carried(kind: &str) -> Value {
    let schema = match kind {
        "text" => "NewText",
        "image" => "NewImage",
        "video" => "NewVideo",
        "audio" => "NewAudio",
        "voice" => "NewVoice",
        "document" => "NewDocument",
        "sticker" => "NewSticker",
        "location" => "NewLocation",
        "contacts" => return json!([of_schema("ContactCard")]),
        "poll" => "Poll",
        "reaction" => "NewReaction",
        "edit" => "NewEdit",
        _ => "NewDelete",
    };
    json!(of_schema(schema))
}

/// Returns a message to send.
pub(super) fn whole(kind: &str) -> Value {
    let mut whole = json!({ "session_id": SESSION, "type": kind, "to": CONTACT });
    whole[kind] = carried(kind);
    whole
}

/// Returns the same message without the fields that the path of its own route names.
pub(super) fn bare(kind: &str) -> Value {
    let mut bare = json!({ "to": CONTACT });
    bare[kind] = carried(kind);
    bare
}

/// Returns the example of a schema in this file.
pub(super) fn of(name: &str) -> Option<Value> {
    if let Some((kind, ..)) = KINDS.iter().find(|(_, _, new, _)| *new == name) {
        return Some(whole(kind));
    }
    if let Some((kind, ..)) = KINDS.iter().find(|(_, _, _, bare)| *bare == name) {
        return Some(bare(kind));
    }
    let about = json!({ "message_id": MESSAGE, "wa_message_id": WA_ID, "from_me": true });
    let with = |field: &str, value: Value| {
        let mut about = about.clone();
        about[field] = value;
        about
    };
    Some(match name {
        "NewMessage" => whole("text"),
        "NewText" | "Text" => json!({ "body": "Your order 1042 is ready for pick-up." }),
        "LinkPreview" => json!({ "url": "https://shop.example/orders/1042", "title": "Order 1042",
            "description": "Ready for pick-up" }),
        "NewImage" => {
            json!({ "url": "https://shop.example/orders/1042.jpg", "caption": "Your order 1042" })
        }
        "NewVideo" => {
            json!({ "media_id": MEDIA, "caption": "How to unpack it" })
        }
        "NewAudio" | "NewVoice" | "NewSticker" => json!({ "media_id": MEDIA }),
        "NewDocument" => json!({ "url": "https://shop.example/invoices/1042.pdf",
            "file_name": "Invoice 1042.pdf" }),
        "MessageMedia" => json!({ "media_id": MEDIA, "mime_type": "image/jpeg", "size": 48213,
            "sha256": SHA256, "width": 1200, "height": 900 }),
        "NewLocation" | "Location" => {
            json!({ "latitude": 52.5163, "longitude": 13.3777, "name": "Acme Repairs",
            "address": "Pariser Platz 1, 10117 Berlin" })
        }
        "ContactCard" => {
            json!({ "name": "Ada Lovelace", "phones": [CONTACT], "organisation": "Acme Repairs",
            "emails": ["ada@shop.example"] })
        }
        "Poll" => json!({ "question": "When may we bring it?", "options": ["Monday", "Tuesday"],
            "selectable_count": 1 }),
        "NewReaction" => json!({ "message_id": MESSAGE, "emoji": "👍" }),
        "NewEdit" => {
            json!({ "message_id": MESSAGE, "body": "Your order 1043 is ready for pick-up." })
        }
        "NewDelete" => json!({ "message_id": MESSAGE }),
        "Reaction" => with("emoji", json!("👍")),
        "Edit" => with("body", json!("Your order 1043 is ready for pick-up.")),
        "Delete" => about,
        "PollVote" => with("options", json!(["Monday"])),
        "QuoteSummary" => {
            json!({ "type": "text", "text": "Your order 1042 is ready for pick-up." })
        }
        "Reply" => with("summary", json!(of("QuoteSummary"))),
        name => return incoming(name),
    })
}

/// Every kind that `message.received` reports: its type, a summary, and the schema of its content, if it has
/// one.
const RECEIVED: [(&str, &str, &str); 19] = [
    ("text", "A text", "Text"),
    ("image", "An image", "MessageMedia"),
    ("video", "A video", "MessageMedia"),
    ("audio", "An audio file", "MessageMedia"),
    ("voice", "A voice note", "MessageMedia"),
    ("document", "A file", "MessageMedia"),
    ("sticker", "A sticker", "MessageMedia"),
    ("location", "A location", "Location"),
    ("contacts", "Contact cards", "ContactCard"),
    ("poll", "A poll", "Poll"),
    ("button_reply", "Somebody tapped a button", "Tap"),
    ("list_reply", "Somebody chose a row of a list", "Tap"),
    ("order", "An order", "Order"),
    ("product", "A product", "Product"),
    ("album", "The announcement of an album", "Album"),
    (
        "view_once_unavailable",
        "A view-once message, which only phones can show",
        "",
    ),
    (
        "unsupported",
        "A kind that this version does not read",
        "Unsupported",
    ),
    (
        "after_an_ad",
        "The first message after an advertisement",
        "Text",
    ),
    ("in_an_album", "An image of an album", "MessageMedia"),
];

/// Returns the examples of `message.received`: `event` with a message of each kind.
pub(super) fn received(event: &Value) -> Value {
    let examples = RECEIVED.iter().map(|(name, summary, schema)| {
        let mut event = event.clone();
        if *name == "text" {
            let example = json!({ "summary": summary, "value": event });
            return ((*name).to_owned(), example);
        }
        let message = &mut event["data"]["message"];
        let kind = match *name {
            "after_an_ad" => "text",
            "in_an_album" => "image",
            kind => kind,
        };
        if let Some(fields) = message.as_object_mut() {
            fields.remove("text");
        }
        message["type"] = json!(kind);
        let content = of_schema(schema);
        match kind {
            "contacts" => message[kind] = json!([content]),
            _ if content.is_some() => message[kind] = json!(content),
            _ => {}
        }
        match *name {
            "after_an_ad" => {
                message["text"] = json!({ "body": "" });
                message["referral"] = json!(of_schema("Referral"));
            }
            "in_an_album" => {
                message["album_id"] = json!(WA_ID);
                message["album_position"] = json!(0);
                message["via"] = json!(["associatedChildMessage"]);
            }
            _ => {}
        }
        let example = json!({ "summary": summary, "value": event });
        ((*name).to_owned(), example)
    });
    Value::Object(examples.collect())
}

/// Returns the example of what only comes in.
fn incoming(name: &str) -> Option<Value> {
    Some(match name {
        "Tap" => json!({ "id": "monday", "title": "Monday", "description": "9:00 to 12:00" }),
        "Order" => {
            json!({ "order_id": "1042", "title": "Acme Repairs", "text": "By Friday, please.",
            "item_count": 2, "status": "inquiry", "total_amount_1000": 25_000, "currency": "EUR" })
        }
        "Product" => json!({ "product_id": "4815162342", "retailer_id": "LAMP-7", "title": "Lamp",
            "text": "Can you repair it?", "price_amount_1000": 9990, "currency": "EUR",
            "url": "https://shop.example/lamp" }),
        "Album" => json!({ "images": 3, "videos": 1 }),
        "Unsupported" => json!({ "kind": "eventMessage", "text": "Opening" }),
        "Referral" => json!({ "source_type": "ad", "source_id": "120212345678",
            "source_url": "https://fb.me/2Xy", "source_app": "facebook", "headline": "Repaired in a day",
            "body": "Bring it in the morning.", "media_type": "image",
            "media_url": "https://shop.example/ad.jpg", "ctwa_clid": "ARAkLkA8rmlFeiCktEJQ" }),
        "PartOf" => json!({ "type": "hd_image_dual_upload", "wa_message_id": WA_ID }),
        _ => return None,
    })
}
