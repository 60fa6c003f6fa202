//! Builds the messages that have no file.

use waproto::buffa::MessageField;
use waproto::whatsapp::message::poll_creation_message::Option as PollOption;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{
    ContactMessage, ContactsArrayMessage, EventMessage, ExtendedTextMessage, LocationMessage,
    PollCreationMessage, ProtocolMessage, ReactionMessage,
};
use waproto::whatsapp::{ContextInfo, Message, MessageKey};

use crate::state::content::{Contact, Event, Location, Poll, TextContent, base64};

/// The context of a message, if it has any.
pub(super) type MessageContext = Option<ContextInfo>;

/// Returns a field that may be absent.
pub(super) fn field<T: Default>(value: Option<T>) -> MessageField<T> {
    value.map_or_else(MessageField::none, MessageField::some)
}

/// Decodes an optional field in base64.
pub(super) fn bytes(text: Option<&String>) -> Result<Option<Vec<u8>>, String> {
    text.map(|text| base64(text)).transpose()
}

/// Returns a text message. With a context it is an extended text, as phones send it.
pub(super) fn text(text: String, context: MessageContext) -> Message {
    if context.is_none() {
        return Message {
            conversation: Some(text),
            ..Default::default()
        };
    }
    Message {
        extended_text_message: MessageField::some(ExtendedTextMessage {
            text: Some(text),
            context_info: field(context),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Returns a text message with its link preview, if it has one.
pub(super) fn said(body: TextContent, context: MessageContext) -> Result<Message, String> {
    if body.link.is_none() {
        return Ok(text(body.text, context));
    }
    Ok(Message {
        extended_text_message: MessageField::some(ExtendedTextMessage {
            text: Some(body.text),
            matched_text: body.link,
            title: body.title,
            description: body.description,
            jpeg_thumbnail: bytes(body.thumbnail_base64.as_ref())?,
            context_info: field(context),
            ..Default::default()
        }),
        ..Default::default()
    })
}

pub(super) fn location(body: Location, context: MessageContext) -> Message {
    Message {
        location_message: MessageField::some(LocationMessage {
            degrees_latitude: Some(body.latitude),
            degrees_longitude: Some(body.longitude),
            name: body.name,
            address: body.address,
            context_info: field(context),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Returns one contact card, or several in one message.
pub(super) fn contacts(cards: Vec<Contact>, context: MessageContext) -> Message {
    let count = cards.len();
    let mut cards: Vec<ContactMessage> = cards
        .into_iter()
        .map(|card| ContactMessage {
            display_name: Some(card.name),
            vcard: Some(card.vcard),
            ..Default::default()
        })
        .collect();
    if count == 1
        && let Some(mut card) = cards.pop()
    {
        card.context_info = field(context);
        return Message {
            contact_message: MessageField::some(card),
            ..Default::default()
        };
    }
    Message {
        contacts_array_message: MessageField::some(ContactsArrayMessage {
            display_name: Some(format!("{count} contacts")),
            contacts: cards,
            context_info: field(context),
        }),
        ..Default::default()
    }
}

/// Returns a poll in the version that clients use today. It differs if only one option may be
/// chosen.
pub(super) fn poll(body: Poll, context: MessageContext) -> Message {
    let options = body.options.into_iter().map(|name| PollOption {
        option_name: Some(name),
        ..Default::default()
    });
    let poll = PollCreationMessage {
        name: Some(body.name),
        options: options.collect(),
        selectable_options_count: Some(body.selectable),
        context_info: field(context),
        ..Default::default()
    };
    let mut message = Message::default();
    if body.selectable == 1 {
        message.poll_creation_message_v3 = MessageField::some(poll);
    } else {
        message.poll_creation_message = MessageField::some(poll);
    }
    message
}

pub(super) fn reaction(key: MessageKey, text: String, now_ms: u64) -> Message {
    Message {
        reaction_message: MessageField::some(ReactionMessage {
            key: MessageField::some(key),
            text: Some(text),
            sender_timestamp_ms: i64::try_from(now_ms).ok(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn edit(key: MessageKey, edited: Message, now_ms: u64) -> Message {
    protocol(ProtocolMessage {
        key: MessageField::some(key),
        r#type: Some(Type::MESSAGE_EDIT),
        edited_message: MessageField::some(edited),
        timestamp_ms: i64::try_from(now_ms).ok(),
        ..Default::default()
    })
}

pub(super) fn revoke(key: MessageKey) -> Message {
    protocol(ProtocolMessage {
        key: MessageField::some(key),
        r#type: Some(Type::REVOKE),
        ..Default::default()
    })
}

pub(super) fn timer(seconds: u32, now: u64) -> Message {
    protocol(ProtocolMessage {
        r#type: Some(Type::EPHEMERAL_SETTING),
        ephemeral_expiration: Some(seconds),
        ephemeral_setting_timestamp: i64::try_from(now).ok(),
        ..Default::default()
    })
}

fn protocol(message: ProtocolMessage) -> Message {
    Message {
        protocol_message: MessageField::some(message),
        ..Default::default()
    }
}

pub(super) fn event(body: Event, now: u64) -> Message {
    Message {
        event_message: MessageField::some(EventMessage {
            name: Some(body.name),
            start_time: i64::try_from(now + 3600).ok(),
            ..Default::default()
        }),
        ..Default::default()
    }
}
