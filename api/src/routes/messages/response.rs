//! A message in an answer.

use passerelle_jobs::{
    content::{self, Content},
    ids::{MessageId, SessionId},
    messages::shown::mention,
    model::{self, Direction},
    outbound,
};
use poem_openapi::Object;
use serde::Serialize;

use super::{
    about::{Delete, Edit, PollVote, Reaction, Reply},
    files::MessageMedia,
    kinds::{ContactCard, LinkPreview, Location, Poll, Text},
};
use crate::{
    list::list_of,
    types::{Id, Timestamp},
};

/// The place of a message in the queue of its session.
#[derive(Debug, Serialize, Object)]
pub struct MessageQueue {
    /// The number of messages before it; 0 when it is next.
    pub position: i64,
    /// When it will probably be sent, if the session is connected.
    pub estimated_send_at: Timestamp,
    /// When it will be sent at the latest, if the session is connected.
    pub estimated_send_by: Timestamp,
}

/// Why a message failed.
#[derive(Debug, Serialize, Object)]
pub struct MessageError {
    /// Stable code of the reason.
    pub code: String,
}

/// A message of a kind that this version does not support.
#[derive(Debug, Serialize, Object)]
pub struct Unsupported {
    /// WhatsApp's name of the kind, such as `eventMessage`.
    pub kind: String,
}

/// An outbound or inbound message.
#[derive(Debug, Serialize, Object)]
pub struct Message {
    /// Its id.
    pub id: Id<MessageId>,
    /// Always `message`.
    pub object: String,
    /// The session that sends or received it.
    pub session_id: Id<SessionId>,
    /// `outbound` or `inbound`.
    pub direction: String,
    /// The kind of the message. The field of the same name has its content: `text`; with a file `image`,
    /// `video`, `audio`, `voice`, `document`, `sticker`; `location`, `contacts`, `poll`; about another
    /// message `reaction`, `edit`, `delete`, `poll_vote`. Three kinds have no content of their own:
    /// `deleted` (its sender deleted it for everyone), `undecryptable` (it could not be decrypted, and may
    /// still be sent again) and `unsupported` (this version does not support it).
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    /// The recipient of an outbound message: the phone number if it is known, or the group.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The sender of an inbound message, if WhatsApp shared the phone number.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The group of the message. In a group, `delivered`, `read` and `played` mean that this is true for at
    /// least one member.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// The phone number of the contact, if it is known. In a group, of the member who sent the message.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// WhatsApp's own id of the contact (LID), if it is known.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The stable id of the contact in this gateway, if it is known.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<String>,
    /// Outbound: `queued`, `sending`, `unknown` (it was written, and WhatsApp did not acknowledge it),
    /// `sent` (WhatsApp's server acknowledged it), `delivered`, `read`, `played`, `failed`, `expired`,
    /// `canceled`. Inbound: `received`. A status never goes back.
    pub status: String,
    /// Why it failed.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<MessageError>,
    /// The text, if the type is `text`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// The image, if the type is `image`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<MessageMedia>,
    /// The video, if the type is `video`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<MessageMedia>,
    /// The audio file, if the type is `audio`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<MessageMedia>,
    /// The voice note, if the type is `voice`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<MessageMedia>,
    /// The file, if the type is `document`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<MessageMedia>,
    /// The sticker, if the type is `sticker`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticker: Option<MessageMedia>,
    /// The location, if the type is `location`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// The contact cards, if the type is `contacts`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<ContactCard>>,
    /// The poll, if the type is `poll`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
    /// The vote, if the type is `poll_vote`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_vote: Option<PollVote>,
    /// The reaction, if the type is `reaction`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reaction: Option<Reaction>,
    /// The new text, if the type is `edit`. The edited message has it as well, with `edited_at`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit: Option<Edit>,
    /// The deletion, if the type is `delete`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete: Option<Delete>,
    /// The kind that is not supported, if the type is `unsupported`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<Unsupported>,
    /// The message that it replies to.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Reply>,
    /// The people that the text mentions: phone numbers in E.164, or `…@lid` if WhatsApp does not share the
    /// number.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Vec<String>>,
    /// Whether it is shown as forwarded; absent if not.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<bool>,
    /// Its place in the queue, only in the answer that accepts the message.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<MessageQueue>,
    /// WhatsApp's id of the message, the same for every attempt to send it.
    pub wa_message_id: String,
    /// When it was accepted or received.
    pub created_at: Timestamp,
    /// When it expires if it was not sent.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When WhatsApp's server acknowledged it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// When it reached a device of the recipient.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    /// When it was read: by the recipient of an outbound message, or by you if it is inbound.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// When it was played, as for `read_at`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub played_at: Option<Timestamp>,
    /// When its sender last edited it. The message has the new text.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// When its sender deleted it for everyone.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
}

/// A content in an answer: the field of its type is set.
#[derive(Default)]
struct Shown {
    text: Option<Text>,
    image: Option<MessageMedia>,
    video: Option<MessageMedia>,
    audio: Option<MessageMedia>,
    voice: Option<MessageMedia>,
    document: Option<MessageMedia>,
    sticker: Option<MessageMedia>,
    location: Option<Location>,
    contacts: Option<Vec<ContactCard>>,
    poll: Option<Poll>,
    poll_vote: Option<PollVote>,
    reaction: Option<Reaction>,
    edit: Option<Edit>,
    delete: Option<Delete>,
    unsupported: Option<Unsupported>,
}

impl From<Content> for Shown {
    fn from(content: Content) -> Self {
        let mut shown = Self::default();
        match content {
            Content::Text { body, link_preview } => {
                let link_preview = link_preview.and_then(LinkPreview::of);
                shown.text = Some(Text { body, link_preview });
            }
            Content::Image(media) => shown.image = Some(media.into()),
            Content::Video(media) => shown.video = Some(media.into()),
            Content::Audio(media) => shown.audio = Some(media.into()),
            Content::Voice(media) => shown.voice = Some(media.into()),
            Content::Document(media) => shown.document = Some(media.into()),
            Content::Sticker(media) => shown.sticker = Some(media.into()),
            Content::Location(place) => shown.location = Some(place.into()),
            Content::Contacts { contacts } => {
                shown.contacts = Some(contacts.into_iter().map(Into::into).collect());
            }
            Content::Poll(poll) => shown.poll = Some(poll.into()),
            Content::PollVote(vote) => shown.poll_vote = Some(vote.into()),
            Content::Reaction(reaction) => shown.reaction = Some(reaction.into()),
            Content::Edit(edit) => shown.edit = Some(edit.into()),
            Content::Delete(delete) => shown.delete = Some(delete.into()),
            Content::Unsupported { kind } => shown.unsupported = Some(Unsupported { kind }),
            // A content that is unknown here has only its type.
            _ => {}
        }
        shown
    }
}

fn mentions(context: &content::Context) -> Option<Vec<String>> {
    let named: Vec<_> = context.mentions.iter().filter_map(mention).collect();
    (!named.is_empty()).then_some(named)
}

impl From<model::Message> for Message {
    fn from(message: model::Message) -> Self {
        let kind = message.content.kind().to_owned();
        let phone = message.peer.phone.map(|phone| phone.as_str().to_owned());
        let group = message.group.map(|group| group.as_str().to_owned());
        let (to, from) = match message.direction {
            Direction::Outbound => (group.clone().or_else(|| phone.clone()), None),
            Direction::Inbound => (None, phone.clone()),
        };
        let shown = Shown::from(message.content);
        Self {
            id: Id(message.id),
            object: "message".to_owned(),
            session_id: Id(message.session),
            direction: message.direction.as_str().to_owned(),
            kind,
            to,
            from,
            group_id: group,
            phone,
            lid: message.peer.lid,
            contact_id: message.contact.map(|contact| contact.to_string()),
            status: message.status.as_str().to_owned(),
            error: message.error.map(|code| MessageError { code }),
            text: shown.text,
            image: shown.image,
            video: shown.video,
            audio: shown.audio,
            voice: shown.voice,
            document: shown.document,
            sticker: shown.sticker,
            location: shown.location,
            contacts: shown.contacts,
            poll: shown.poll,
            poll_vote: shown.poll_vote,
            reaction: shown.reaction,
            edit: shown.edit,
            delete: shown.delete,
            unsupported: shown.unsupported,
            mentions: mentions(&message.context),
            forwarded: message.context.forwarded.then_some(true),
            reply_to: message.context.reply_to.map(Into::into),
            queue: None,
            wa_message_id: message.wa_id,
            created_at: Timestamp(message.created_at),
            expires_at: message.expires_at.map(Timestamp),
            sent_at: message.sent_at.map(Timestamp),
            delivered_at: message.delivered_at.map(Timestamp),
            read_at: message.read_at.map(Timestamp),
            played_at: message.played_at.map(Timestamp),
            edited_at: message.edited_at.map(Timestamp),
            deleted_at: message.deleted_at.map(Timestamp),
        }
    }
}

impl From<outbound::Accepted> for Message {
    fn from(accepted: outbound::Accepted) -> Self {
        Self {
            queue: Some(MessageQueue {
                position: accepted.position,
                estimated_send_at: Timestamp(accepted.estimated_send_at),
                estimated_send_by: Timestamp(accepted.estimated_send_by),
            }),
            ..accepted.message.into()
        }
    }
}

list_of!(
    /// A page of messages.
    MessageList, Message);
