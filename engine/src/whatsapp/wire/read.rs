//! Reads our content from WhatsApp's message. Nothing that a person would see is dropped: contents
//! that we do not support are reported with the name of their field (`kinds`).

use wacore::proto_helpers::MessageExt as _;
use whatsapp_rust::waproto::whatsapp::{
    ContextInfo, Message, MessageContextInfo,
    message::{ContactMessage, ProtocolMessage, protocol_message::Type as ProtocolType},
};

use super::{
    about, business, card, kinds, media,
    poll::{self, SealedVote},
    shop, taps,
    text::limited,
    wrappers::{self, Peeled},
};
use crate::{
    content::{
        Album, Content, Context, Delete, Edit, LinkPreview, Location, Peer, PollVote, Reaction,
        TEXT_MAX,
    },
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

/// The longest text that is read, in bytes: WhatsApp's 65,536 characters, of four bytes each.
const LONGEST: usize = 4 * 65_536;
/// The most contact cards that are read.
const CARDS_MAX: usize = 256;

/// Reads what the message carries for a person. Returns `None` if it is only for the protocol.
/// `media` is the id that its file gets.
pub(crate) fn read(message: &Message, media: MediaId) -> Option<Read> {
    let peeled = wrappers::peel(message);
    let info = context_info(peeled.message);
    let mut read = match peeled.too_deep {
        Some(kind) => Read::of(Content::Unsupported {
            kind: kind.to_owned(),
            text: None,
        }),
        None => content(&peeled, media)?,
    };
    if info.is_some_and(about::mentions_too_many) || is_too_long(&read.content) {
        read = Read::of(odd(peeled.message, &read.content));
    }
    (read.context, read.answered) = about::context(info);
    read.context.via = peeled.via.iter().map(|name| (*name).to_owned()).collect();
    read.context.part_of = peeled.find(about::part_of);
    if matches!(read.content, Content::Poll(_)) {
        read.context.secret = peeled.find(secret);
    }
    Some(read)
}

/// Reads what is in the wrappers.
fn content(peeled: &Peeled<'_>, media: MediaId) -> Option<Read> {
    let inner = peeled.message;
    if let Some((content, vote)) = about_another(inner) {
        return Some(Read {
            vote,
            ..Read::of(content)
        });
    }
    if let Some(file) = media::read(inner, media) {
        return Some(Read::file(file));
    }
    if let Some(offer) = business::read(inner, media) {
        let Some(mut file) = offer.file else {
            return Some(Read::of(Content::text(offer.text)));
        };
        file.media.caption = Some(offer.text).filter(|text| !text.is_empty());
        return Some(Read::file(file));
    }
    let content = shown(inner)
        .or_else(|| taps::read(inner))
        .or_else(|| shop::read(inner))
        .or_else(|| empty_text(inner))
        .or_else(|| kinds::unsupported(inner, peeled.via.last().copied()))?;
    Some(Read::of(content))
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

    fn file(file: media::Shown) -> Self {
        Self {
            remote: file.remote,
            ..Self::of(file.kind.content(file.media))
        }
    }
}

/// Reads a text without words. The first message after an advertisement may be one.
fn empty_text(message: &Message) -> Option<Content> {
    let is_bare = message.conversation.is_some() && !kinds::has_keys(message);
    let is_text = kinds::kind(message).is_none()
        && message.protocol_message.is_unset()
        && (is_bare || message.extended_text_message.is_set());
    is_text.then(|| Content::Text {
        body: String::new(),
        link_preview: preview(message),
    })
}

/// Returns whether a content is longer than any client writes it.
fn is_too_long(content: &Content) -> bool {
    match content {
        Content::Text { body, .. } => body.len() > LONGEST,
        Content::Edit(edit) => edit.body.len() > LONGEST,
        Content::Poll(poll) => poll.question.len() > TEXT_MAX,
        Content::Reaction(reaction) => reaction.emoji.len() > TEXT_MAX,
        _ => false,
    }
}

/// Reports a content that is odd in its size, with its text.
fn odd(message: &Message, content: &Content) -> Content {
    let is_extended = message.extended_text_message.is_set();
    let of_text = if is_extended {
        "extendedTextMessage"
    } else {
        "conversation"
    };
    let text = match content {
        Content::Text { body, .. } => Some(body),
        Content::Unsupported { text, .. } => text.as_ref(),
        Content::Edit(edit) => Some(&edit.body),
        other => other.media().and_then(|(_, media)| media.caption.as_ref()),
    };
    Content::Unsupported {
        kind: kinds::kind(message).unwrap_or(of_text).to_owned(),
        text: limited(text, TEXT_MAX),
    }
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
            let now = wrappers::peel(notice.edited_message.as_option()?).message;
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
        if cards.contacts.len() > CARDS_MAX {
            return None;
        }
        let contacts = cards.contacts.iter().map(one_card).collect();
        return Some(Content::Contacts { contacts });
    }
    if let Some(poll) = poll::read(message) {
        return Some(Content::Poll(poll));
    }
    if let Some(album) = message.album_message.as_option() {
        return Some(Content::Album(Album {
            images: album.expected_image_count.unwrap_or(0),
            videos: album.expected_video_count.unwrap_or(0),
        }));
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

/// Reads a location. One outside the map is not read; JSON could not represent all of its values.
fn location(message: &Message) -> Option<Location> {
    if let Some(place) = message.live_location_message.as_option() {
        let at = on_the_map(place.degrees_latitude?, place.degrees_longitude?)?;
        return Some(Location {
            caption: limited(place.caption.as_ref(), TEXT_MAX),
            live: true,
            sequence: place.sequence_number,
            accuracy: place.accuracy_in_meters,
            ..at
        });
    }
    let place = message.location_message.as_option()?;
    let at = on_the_map(place.degrees_latitude?, place.degrees_longitude?)?;
    Some(Location {
        name: limited(place.name.as_ref(), TEXT_MAX),
        address: limited(place.address.as_ref(), TEXT_MAX),
        caption: limited(place.comment.as_ref(), TEXT_MAX),
        live: place.is_live.unwrap_or(false),
        accuracy: place.accuracy_in_meters,
        ..at
    })
}

fn on_the_map(latitude: f64, longitude: f64) -> Option<Location> {
    let holds = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    holds.then(|| Location::at(latitude, longitude))
}

fn secret(info: &MessageContextInfo) -> Option<[u8; 32]> {
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
        poll_creation_message_v5,
        poll_creation_message_v6,
        image_message,
        video_message,
        ptv_message,
        audio_message,
        document_message,
        sticker_message,
        live_location_message,
        album_message,
        buttons_message,
        buttons_response_message,
        list_message,
        list_response_message,
        template_message,
        template_button_reply_message,
        interactive_message,
        interactive_response_message,
        product_message,
        order_message,
        group_invite_message,
        event_message,
        event_invite_message,
        sticker_pack_message,
        poll_result_snapshot_message,
        poll_result_snapshot_message_v3,
        request_phone_number_message,
        newsletter_admin_invite_message,
        newsletter_follower_invite_message_v2,
        message_history_bundle,
        message_history_notice,
        call,
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
