//! Builds WhatsApp's message from our content.

use wacore::proto_helpers::{MessageBuilderExt as _, build_reaction_message};
use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{
        ContextInfo, Message, MessageContextInfo,
        message::{
            ContactMessage, ContactsArrayMessage, ExtendedTextMessage, LocationMessage,
            ProtocolMessage, extended_text_message::PreviewType,
            protocol_message::Type as ProtocolType,
        },
    },
};

use super::{about, card, media, poll, sides::Sides};
use crate::{
    clock::Millis,
    content::{Card, Content, Delete, Edit, LinkPreview, Location},
    whatsapp::outgoing::{Attached, Outgoing},
};

/// Builds the message. Returns `None` for contents that are never sent, and for a file that was not
/// uploaded.
pub(crate) fn message(outgoing: Outgoing<'_>, sides: &Sides) -> Option<Message> {
    let Outgoing {
        content,
        context,
        attached,
        at,
        expires_in: _,
    } = outgoing;
    let beside = about::context_info(context, sides);
    let mut message = match content {
        file if file.media().is_some() => with_file(file, attached, beside)?,
        Content::Text { body, link_preview } => match link_preview {
            Some(preview) if preview.is_shown() => previewed(body, preview, beside),
            _ => text(body, beside),
        },
        Content::Location(place) => location(place, beside),
        Content::Contacts { contacts } => cards(contacts, beside),
        Content::Poll(asked) => poll::message(asked, beside),
        Content::Reaction(reaction) => {
            let key = about::key(&reaction.target, sides).into_option()?;
            build_reaction_message(key, reaction.emoji.as_str(), at)
        }
        Content::Edit(edit) => edited(edit, beside, sides, at),
        Content::Delete(delete) => revoked(delete, sides),
        _ => return None,
    };
    if let Some(secret) = context.secret {
        message.message_context_info = MessageField::some(MessageContextInfo {
            message_secret: Some(secret.to_vec()),
            ..Default::default()
        });
    }
    Some(message)
}

fn with_file(
    content: &Content,
    attached: Option<&Attached>,
    beside: Option<ContextInfo>,
) -> Option<Message> {
    let (kind, shown) = content.media()?;
    Some(media::build(kind, shown, attached?, beside))
}

fn text(body: &str, beside: Option<ContextInfo>) -> Message {
    match beside {
        Some(beside) => Message::text_with_context(body, beside),
        None => Message::text(body),
    }
}

/// Builds a text with a link preview, as WhatsApp's web client does.
fn previewed(body: &str, preview: &LinkPreview, beside: Option<ContextInfo>) -> Message {
    let thumbnail = Some(&preview.thumbnail).filter(|bytes| !bytes.is_empty());
    Message {
        extended_text_message: MessageField::some(ExtendedTextMessage {
            text: Some(body.to_owned()),
            matched_text: Some(preview.url.clone()),
            title: preview.title.clone(),
            description: preview.description.clone(),
            jpeg_thumbnail: thumbnail.cloned(),
            preview_type: Some(PreviewType::None),
            context_info: beside.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn location(place: &Location, beside: Option<ContextInfo>) -> Message {
    Message {
        location_message: MessageField::some(LocationMessage {
            degrees_latitude: Some(place.latitude),
            degrees_longitude: Some(place.longitude),
            name: place.name.clone(),
            address: place.address.clone(),
            context_info: beside.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// WhatsApp has one message kind for a single card and another for several.
fn cards(cards: &[Card], beside: Option<ContextInfo>) -> Message {
    let one = |card: &Card| ContactMessage {
        display_name: Some(card.name.clone()),
        vcard: Some(card::write(card)),
        ..Default::default()
    };
    match cards {
        [card] => Message {
            contact_message: MessageField::some(ContactMessage {
                context_info: beside.into(),
                ..one(card)
            }),
            ..Default::default()
        },
        cards => Message {
            contacts_array_message: MessageField::some(ContactsArrayMessage {
                display_name: Some(format!("{} contacts", cards.len())),
                contacts: cards.iter().map(one).collect(),
                context_info: beside.into(),
            }),
            ..Default::default()
        },
    }
}

/// Built as in `Client::edit_message` of whatsapp-rust 0.7.0. The send derives the stanza's `edit`
/// attribute from it.
fn edited(edit: &Edit, beside: Option<ContextInfo>, sides: &Sides, at: Millis) -> Message {
    protocol(ProtocolMessage {
        key: about::key(&edit.target, sides),
        r#type: Some(ProtocolType::MessageEdit),
        edited_message: MessageField::some(text(&edit.body, beside)),
        timestamp_ms: Some(at),
        ..Default::default()
    })
}

/// Built as in `Client::revoke_message` of whatsapp-rust 0.7.0.
fn revoked(delete: &Delete, sides: &Sides) -> Message {
    protocol(ProtocolMessage {
        key: about::key(&delete.target, sides),
        r#type: Some(ProtocolType::Revoke),
        ..Default::default()
    })
}

fn protocol(notice: ProtocolMessage) -> Message {
    Message {
        protocol_message: MessageField::some(notice),
        ..Default::default()
    }
}
