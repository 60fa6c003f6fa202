//! Reads our content from WhatsApp's message. Nothing that a person would see is dropped: contents
//! that we do not support are reported with the name of their field.

use wacore::proto_helpers::MessageExt as _;
use whatsapp_rust::{
    buffa::MessageField,
    waproto::whatsapp::{
        ContextInfo, Message,
        message::{ContactMessage, ProtocolMessage, protocol_message::Type as ProtocolType},
    },
};

use super::{
    about, card, media,
    poll::{self, SealedVote},
};
use crate::{
    content::{Content, Context, Delete, Edit, LinkPreview, Location, Peer, PollVote, Reaction},
    ids::MediaId,
    media::Remote,
};

/// What a message carries for a person.
pub(crate) struct Read {
    pub(crate) content: Content,
    pub(crate) context: Context,
    /// Who wrote the message that it answers.
    pub(crate) answered: Option<Peer>,
    pub(crate) vote: Option<SealedVote>,
    /// Where WhatsApp keeps the file, if the message has one that can be downloaded.
    pub(crate) remote: Option<Remote>,
}

impl Read {
    /// Returns a content with nothing beside it.
    pub(crate) fn of(content: Content) -> Self {
        Self {
            content,
            context: Context::default(),
            answered: None,
            vote: None,
            remote: None,
        }
    }
}

/// Reads what the message carries for a person. Returns `None` if it is only for the protocol.
/// `media` is the id that its file gets.
pub(crate) fn read(message: &Message, media: MediaId) -> Option<Read> {
    let inner = message.get_base_message();
    let (mut vote, mut remote) = (None, None);
    let content = if let Some((content, sealed)) = about_another(inner) {
        vote = sealed;
        content
    } else if let Some(file) = media::read(inner, media) {
        remote = file.remote;
        file.kind.content(file.media)
    } else {
        shown(inner).map_or_else(|| unsupported(inner), Some)?
    };
    let (mut context, answered) = about::context(context_info(inner));
    if matches!(content, Content::Poll(_)) {
        context.secret = secret(message).or_else(|| secret(inner));
    }
    Some(Read {
        content,
        context,
        answered,
        vote,
        remote,
    })
}

/// Reads a content that is about another message.
fn about_another(message: &Message) -> Option<(Content, Option<SealedVote>)> {
    if let Some(notice) = message.protocol_message.as_option() {
        return notice_of(notice).map(|content| (content, None));
    }
    if let Some(reaction) = message.reaction_message.as_option() {
        let target = about::target(&reaction.key)?;
        let emoji = reaction.text.clone().unwrap_or_default();
        return Some((Content::Reaction(Reaction { target, emoji }), None));
    }
    let update = message.poll_update_message.as_option()?;
    let target = about::target(&update.poll_creation_message_key)?;
    let vote = SealedVote::of(update)?;
    let options = None;
    Some((Content::PollVote(PollVote { target, options }), Some(vote)))
}

/// Reads a protocol notice. Only these two change what a person sees.
fn notice_of(notice: &ProtocolMessage) -> Option<Content> {
    let target = about::target(&notice.key)?;
    match notice.r#type {
        Some(ProtocolType::Revoke) => Some(Content::Delete(Delete { target })),
        Some(ProtocolType::MessageEdit) => {
            let now = notice.edited_message.as_option()?.get_base_message();
            let body = now.text_content().or_else(|| now.get_caption())?;
            let body = body.to_owned();
            Some(Content::Edit(Edit { target, body }))
        }
        _ => None,
    }
}

/// Reads a content that stands alone and has no file.
pub(super) fn shown(message: &Message) -> Option<Content> {
    let text = message.text_content().filter(|text| !text.is_empty());
    if let Some(text) = text {
        return Some(Content::Text {
            body: text.to_owned(),
            link_preview: preview(message),
        });
    }
    if let Some(card) = message.contact_message.as_option() {
        let contacts = vec![one_card(card)];
        return Some(Content::Contacts { contacts });
    }
    if let Some(cards) = message.contacts_array_message.as_option() {
        let contacts = cards.contacts.iter().map(one_card).collect();
        return Some(Content::Contacts { contacts });
    }
    if let Some((poll, _)) = poll::read(message) {
        return Some(Content::Poll(poll));
    }
    location(message).map(Content::Location)
}

/// Reads the link preview of a text, without its picture.
fn preview(message: &Message) -> Option<LinkPreview> {
    let text = message.extended_text_message.as_option()?;
    let preview = LinkPreview::of(text.matched_text.as_deref()?)?;
    let preview = preview.saying(text.title.as_deref(), text.description.as_deref());
    preview.is_shown().then_some(preview)
}

fn one_card(message: &ContactMessage) -> crate::content::Card {
    let text = message.vcard.as_deref().unwrap_or_default();
    card::read(text, message.display_name.as_deref())
}

/// Reads a location. One outside the map is ignored; JSON could not represent all of its values.
fn location(message: &Message) -> Option<Location> {
    let place = message.location_message.as_option()?;
    let (latitude, longitude) = (
        place.degrees_latitude.unwrap_or(0.0),
        place.degrees_longitude.unwrap_or(0.0),
    );
    let on_the_map = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    on_the_map.then(|| Location {
        latitude,
        longitude,
        name: place.name.clone().filter(|name| !name.is_empty()),
        address: place.address.clone().filter(|address| !address.is_empty()),
    })
}

fn secret(message: &Message) -> Option<[u8; 32]> {
    let info = message.message_context_info.as_option()?;
    info.message_secret.as_deref()?.try_into().ok()
}

/// Returns the context info, from whichever field carries it.
fn context_info(message: &Message) -> Option<&ContextInfo> {
    macro_rules! first_set {
        ($($field:ident),* $(,)?) => {
            $(if let Some(carrier) = message.$field.as_option() {
                return carrier.context_info.as_option();
            })*
        };
    }
    first_set!(
        extended_text_message,
        location_message,
        contact_message,
        contacts_array_message,
        poll_creation_message,
        poll_creation_message_v2,
        poll_creation_message_v3,
        image_message,
        video_message,
        ptv_message,
        audio_message,
        document_message,
        sticker_message,
    );
    let edited = message
        .protocol_message
        .as_option()?
        .edited_message
        .as_option()?;
    edited
        .extended_text_message
        .as_option()?
        .context_info
        .as_option()
}

fn unsupported(message: &Message) -> Option<Content> {
    let kind = kind(message)?.to_owned();
    Some(Content::Unsupported { kind })
}

/// Returns the name of the field that carries the content, as in WhatsApp's protobuf definition.
fn kind(message: &Message) -> Option<&'static str> {
    macro_rules! first_set {
        ($($field:ident => $name:literal),* $(,)?) => {
            $(if message.$field.is_set() { return Some($name); })*
        };
    }
    first_set! {
        lottie_sticker_message => "lottieStickerMessage",
        contact_message => "contactMessage",
        contacts_array_message => "contactsArrayMessage",
        location_message => "locationMessage",
        live_location_message => "liveLocationMessage",
        reaction_message => "reactionMessage",
        enc_reaction_message => "encReactionMessage",
        poll_creation_message => "pollCreationMessage",
        poll_creation_message_v2 => "pollCreationMessageV2",
        poll_creation_message_v3 => "pollCreationMessageV3",
        poll_update_message => "pollUpdateMessage",
        event_message => "eventMessage",
        album_message => "albumMessage",
        template_message => "templateMessage",
        template_button_reply_message => "templateButtonReplyMessage",
        list_message => "listMessage",
        list_response_message => "listResponseMessage",
        buttons_message => "buttonsMessage",
        buttons_response_message => "buttonsResponseMessage",
        interactive_message => "interactiveMessage",
        interactive_response_message => "interactiveResponseMessage",
        product_message => "productMessage",
        order_message => "orderMessage",
        invoice_message => "invoiceMessage",
        group_invite_message => "groupInviteMessage",
        pin_in_chat_message => "pinInChatMessage",
        keep_in_chat_message => "keepInChatMessage",
        secret_encrypted_message => "secretEncryptedMessage",
    }
    if let Some(protocol) = message.protocol_message.as_option() {
        // Of the protocol's notices, only these two change what a person sees.
        let visible = matches!(
            protocol.r#type,
            Some(ProtocolType::Revoke | ProtocolType::MessageEdit)
        );
        return visible.then_some("protocolMessage");
    }
    (!carries_nothing(message)).then_some("other")
}

/// Returns whether the message has nothing except keys, context and an empty text.
fn carries_nothing(message: &Message) -> bool {
    let mut rest = message.clone();
    rest.conversation = None;
    rest.extended_text_message = MessageField::default();
    rest.message_context_info = MessageField::default();
    rest.sender_key_distribution_message = MessageField::default();
    rest.fast_ratchet_key_sender_key_distribution_message = MessageField::default();
    waproto::codec::message_to_vec(&rest).is_empty()
}
