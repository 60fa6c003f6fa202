//! A message as it is answered.

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

/// When a message waits its turn.
#[derive(Debug, Serialize, Object)]
pub struct MessageQueue {
    /// Messages before it in the session's lane; 0 when it is next.
    pub position: i64,
    /// When it is likely to be sent, while the session is connected.
    pub estimated_send_at: Timestamp,
    /// By when at the latest, while the session is connected.
    pub estimated_send_by: Timestamp,
}

/// Why a message will not arrive.
#[derive(Debug, Serialize, Object)]
pub struct MessageError {
    /// Stable.
    pub code: String,
}

/// A message this version does not read.
#[derive(Debug, Serialize, Object)]
pub struct Unsupported {
    /// WhatsApp's name of what it carried, such as `eventMessage`.
    pub kind: String,
}

/// A message, out or in.
#[derive(Debug, Serialize, Object)]
pub struct Message {
    /// Its id.
    pub id: Id<MessageId>,
    /// Always `message`.
    pub object: String,
    /// Through which session it goes or came.
    pub session_id: Id<SessionId>,
    /// `outbound` or `inbound`.
    pub direction: String,
    /// What it carries; the field of that name holds it. `text`; with a file `image`, `video`,
    /// `audio`, `voice`, `document`, `sticker`; `location`, `contacts`, `poll`;
    /// about another message: `reaction`, `edit`, `delete`, `poll_vote`; `deleted` when its writer
    /// deleted it for everybody, and nothing of it is left; `undecryptable` for what cannot be
    /// decrypted and may still be said again; `unsupported` for what this version does not read.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    /// To whom, of an outbound one: the phone number when it is known, or the group.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// From whom, of an inbound one, when WhatsApp told the number.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The group it goes out to or came in in. In one, `delivered`, `read` and `played` tell that the
    /// first of its members got that far.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// The phone number of the other side, when it is known; in a group, of who wrote.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// WhatsApp's own id of the other side, when it is known.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// Our stable id of the other side, when it is known.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<String>,
    /// Outbound: `queued`, `sending`, `unknown` (written, and WhatsApp never said what became of
    /// it), `sent` (WhatsApp's server has it), `delivered`, `read`, `played`, `failed`, `expired`,
    /// `canceled`. Inbound: `received`. A status never goes back.
    pub status: String,
    /// Why it failed.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<MessageError>,
    /// The text, of type `text`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// The picture, of type `image`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<MessageMedia>,
    /// The film, of type `video`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<MessageMedia>,
    /// The recording, of type `audio`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<MessageMedia>,
    /// The voice note, of type `voice`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<MessageMedia>,
    /// The file, of type `document`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<MessageMedia>,
    /// The sticker, of type `sticker`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticker: Option<MessageMedia>,
    /// The place, of type `location`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// The contact cards, of type `contacts`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<ContactCard>>,
    /// The question, of type `poll`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
    /// The vote, of type `poll_vote`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_vote: Option<PollVote>,
    /// The reaction, of type `reaction`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reaction: Option<Reaction>,
    /// The new text, of type `edit`. The message it is of has it too, with `edited_at`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit: Option<Edit>,
    /// What was deleted, of type `delete`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete: Option<Delete>,
    /// What it was, of type `unsupported`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<Unsupported>,
    /// The message it answers.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Reply>,
    /// Whom its text mentions: phone numbers in E.164, or `…@lid` of whom WhatsApp told no number.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Vec<String>>,
    /// Shown as passed on from another chat; absent when not.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<bool>,
    /// When it waits, in the answer that accepts it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<MessageQueue>,
    /// WhatsApp's id of it; the same over every try.
    pub wa_message_id: String,
    /// When it was accepted, or came in.
    pub created_at: Timestamp,
    /// Not sent after this.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When WhatsApp's server acknowledged it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// When it reached a device.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    /// When it was read: an outbound one by the contact, an inbound one as you said.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// When it was played, in the same way.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub played_at: Option<Timestamp>,
    /// When its writer last edited it; it shows what it says now.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// When its writer deleted it for everybody.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
}

/// What a content shows: the field of its type is set.
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
            // A content that this page was not taught yet is told by its type alone.
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
