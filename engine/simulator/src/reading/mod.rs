//! Reads a message into what the ledger and a phone's screen show.

mod attachment;
mod envelope;
mod files;

pub(crate) use attachment::{Attachment, attachment, open_file};
pub(crate) use envelope::unwrapped;
pub(crate) use files::media_view;

use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{ContactMessage, PollCreationMessage, ProtocolMessage};
use waproto::whatsapp::{ContextInfo, Message, MessageKey};

use self::files::{file, size};
use crate::state::view::{Card, Poll, Quote, View};

/// Returns what a message shows, or `None` if it is not for people: keys, settings or history.
pub(crate) fn read(message: &Message) -> Option<View> {
    let (inner, once) = unwrapped(message);
    let mut view = protocol(inner)
        .or_else(|| text(inner))
        .or_else(|| file(inner))
        .or_else(|| place_or_card(inner))
        .or_else(|| poll(inner))
        .or_else(|| reaction(inner))
        .or_else(|| unknown(inner))?;
    if once {
        view.view_once = Some(true);
    }
    if let Some(context) = context(inner) {
        in_context(&mut view, context);
    }
    Some(view)
}

fn text(message: &Message) -> Option<View> {
    let extended = message.extended_text_message.as_option();
    let text = extended.map_or_else(|| message.conversation.clone(), |one| one.text.clone());
    text.is_some().then(|| View {
        text,
        link: extended.and_then(|one| one.matched_text.clone()),
        title: extended.and_then(|one| one.title.clone()),
        description: extended.and_then(|one| one.description.clone()),
        thumbnail: extended.and_then(|one| size(one.jpeg_thumbnail.as_ref())),
        ..View::of("text")
    })
}

fn target(key: &waproto::buffa::MessageField<MessageKey>) -> Option<String> {
    key.as_option()?.id.clone()
}

fn protocol(message: &Message) -> Option<View> {
    let protocol: &ProtocolMessage = message.protocol_message.as_option()?;
    match protocol.r#type? {
        Type::REVOKE => Some(View {
            target: target(&protocol.key),
            ..View::of("revoke")
        }),
        Type::MESSAGE_EDIT => {
            let edited = protocol.edited_message.as_option()?;
            let inner = read(edited)?;
            Some(View {
                target: target(&protocol.key),
                text: inner.text.or(inner.caption),
                ..View::of("edit")
            })
        }
        _ => None,
    }
}

fn place_or_card(message: &Message) -> Option<View> {
    if let Some(place) = message.location_message.as_option() {
        return Some(View {
            latitude: place.degrees_latitude,
            longitude: place.degrees_longitude,
            name: place.name.clone(),
            address: place.address.clone(),
            thumbnail: size(place.jpeg_thumbnail.as_ref()),
            ..View::of("location")
        });
    }
    if let Some(place) = message.live_location_message.as_option() {
        return Some(View {
            latitude: place.degrees_latitude,
            longitude: place.degrees_longitude,
            caption: place.caption.clone(),
            ..View::of("live_location")
        });
    }
    if let Some(contact) = message.contact_message.as_option() {
        return Some(View {
            contacts: Some(vec![card(contact)]),
            ..View::of("contact")
        });
    }
    let contacts = message.contacts_array_message.as_option()?;
    Some(View {
        contacts: Some(contacts.contacts.iter().map(card).collect()),
        ..View::of("contacts")
    })
}

fn card(contact: &ContactMessage) -> Card {
    Card {
        name: contact.display_name.clone(),
        vcard: contact.vcard.clone(),
    }
}

/// Returns the poll that a message creates, in any of the three versions.
pub(crate) fn poll_of(message: &Message) -> Option<&PollCreationMessage> {
    let plain = message.poll_creation_message.as_option();
    plain
        .or_else(|| message.poll_creation_message_v2.as_option())
        .or_else(|| message.poll_creation_message_v3.as_option())
}

fn poll(message: &Message) -> Option<View> {
    if let Some(poll) = poll_of(message) {
        let options = poll.options.iter();
        return Some(View {
            poll: Some(Poll {
                name: poll.name.clone(),
                options: options.filter_map(|one| one.option_name.clone()).collect(),
                selectable: poll.selectable_options_count,
            }),
            ..View::of("poll")
        });
    }
    let update = message.poll_update_message.as_option()?;
    Some(View {
        target: target(&update.poll_creation_message_key),
        ..View::of("poll_vote")
    })
}

fn reaction(message: &Message) -> Option<View> {
    let reaction = message.reaction_message.as_option()?;
    Some(View {
        target: target(&reaction.key),
        text: Some(reaction.text.clone().unwrap_or_default()),
        ..View::of("reaction")
    })
}

/// Recognises messages for people that these phones do not support.
fn unknown(message: &Message) -> Option<View> {
    let mut rest = message.clone();
    rest.message_context_info = waproto::buffa::MessageField::none();
    rest.sender_key_distribution_message = waproto::buffa::MessageField::none();
    let told = rest.protocol_message.is_unset() && rest != Message::default();
    told.then(|| View::of("unsupported"))
}

/// Returns the context of a message of any kind.
pub(crate) fn context(message: &Message) -> Option<&ContextInfo> {
    macro_rules! first {
        ($($field:ident),+ $(,)?) => {
            $(
                if let Some(part) = message.$field.as_option() {
                    return part.context_info.as_option();
                }
            )+
        };
    }
    first!(
        extended_text_message,
        image_message,
        video_message,
        audio_message,
        document_message,
        sticker_message,
        location_message,
        live_location_message,
        contact_message,
        contacts_array_message,
        poll_creation_message,
        poll_creation_message_v2,
        poll_creation_message_v3,
        event_message,
    );
    None
}

fn in_context(view: &mut View, context: &ContextInfo) {
    view.quoted = context.stanza_id.as_ref().map(|id| Quote {
        id: id.clone(),
        from: context.participant.clone(),
        kind: context
            .quoted_message
            .as_option()
            .and_then(read)
            .map(|view| view.kind),
    });
    if !context.mentioned_jid.is_empty() {
        view.mentions = Some(context.mentioned_jid.clone());
    }
    view.forwarded = context.is_forwarded.filter(|forwarded| *forwarded);
    view.forwarding_score = context.forwarding_score.filter(|score| *score > 0);
    view.expires_seconds = context.expiration.filter(|seconds| *seconds > 0);
}

/// Returns the secret of a message.
pub(crate) fn secret(message: &Message) -> Option<Vec<u8>> {
    let context = message.message_context_info.as_option()?;
    context.message_secret.clone()
}
