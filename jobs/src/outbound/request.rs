//! A message to send, and the answer to its caller.

use passerelle_engine::{
    clock::Millis,
    content::{Content, Phone},
    ids::{MessageId, SessionId},
};
use serde::{Deserialize, Serialize};

use super::recipient::To;
use crate::{
    error::Fault,
    media::{
        error::IngestError,
        outgoing::{MediaSource, SourceError},
    },
    messages::target::TargetError,
    model::{
        Message, Priority, Purpose,
        client_data::ClientData,
        consent::{NewConsent, Trial},
    },
    safety::hold::{Hold, Refusal},
};

/// A parsed request to send a message.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The session that sends it.
    pub session: SessionId,
    /// The recipient.
    pub to: To,
    /// The content. If it is about another message, it names that message by our id.
    pub content: Content,
    /// Where its file comes from, for content with a file.
    pub source: Option<MediaSource>,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// The people whom its text mentions.
    pub mentions: Vec<Phone>,
    /// Whether phones show it as forwarded.
    pub forwarded: bool,
    /// What the tenant attached to it.
    pub client: ClientData,
    /// What it is for; `None`: what its session says.
    pub purpose: Option<Purpose>,
    /// That its recipient agreed to it.
    pub consent: Option<NewConsent>,
    /// It answers something that the contact did just now, such as a call.
    pub is_answer: bool,
    /// It is not sent before this time, in the next 30 days.
    pub send_at: Option<Millis>,
    /// Whether it goes before or after others.
    pub priority: Priority,
    /// It is not sent after this time. By default its purpose says how long it may
    /// wait from now on, or from `send_at`.
    pub expires_at: Option<Millis>,
}

impl NewMessage {
    /// Creates a request with this content and no options.
    pub fn of(session: SessionId, to: To, content: Content) -> Self {
        Self {
            session,
            to,
            content,
            source: None,
            reply_to: None,
            mentions: Vec::new(),
            forwarded: false,
            client: ClientData::default(),
            purpose: None,
            consent: None,
            is_answer: false,
            send_at: None,
            priority: Priority::Normal,
            expires_at: None,
        }
    }
}

/// The answer to the caller.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accepted {
    /// The message, with status `queued`.
    pub message: Message,
    /// How many messages are before it in the lane.
    pub position: i64,
    /// When it is likely to be sent, if the session stays connected.
    pub estimated_send_at: Millis,
    /// When it will be sent at the latest, under the same condition.
    pub estimated_send_by: Millis,
    /// What holds it.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// How many people the number has tried out, if the recipient is one of them.
    #[serde(default)]
    pub trial: Option<Trial>,
    /// Whether this is the answer to an earlier request with the same key.
    #[serde(skip)]
    pub replayed: bool,
}

/// Why a message was not accepted. Nothing was changed, except perhaps after a failure of the database.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// No such session.
    #[error("no such session")]
    NoSession,
    /// The lane has so many messages, and may have no more.
    #[error("{0} messages wait in the session's queue, which is full")]
    QueueFull(i64),
    /// No such contact.
    #[error("no such contact")]
    NoContact,
    /// The recipient opted out.
    #[error("the recipient opted out")]
    OptedOut,
    /// It does not say what it is for.
    #[error("the message needs a purpose")]
    PurposeRequired,
    /// Its recipient never agreed. It says what it is for, if that was said.
    #[error("the message needs a consent")]
    ConsentRequired(Option<Purpose>),
    /// Its consent was given later than now.
    #[error("the consent is from the future")]
    ConsentAt,
    /// `send_at` is in the past, or too far in the future.
    #[error("the message cannot be sent at that time")]
    SendAt,
    /// The message has expired already.
    #[error("the message has expired already")]
    Expired,
    /// The limits of its number or its recipient do not let it go in its life.
    #[error("the message is refused: {0}")]
    Refused(Refusal),
    /// The message that it answers cannot be answered.
    #[error("the answered message: {0}")]
    ReplyTo(TargetError),
    /// The message that it is about does not allow this.
    #[error("the message it is about: {0}")]
    Target(TargetError),
    /// Its file cannot be sent.
    #[error("its file: {0}")]
    Source(SourceError),
    /// Its file could not be stored.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The idempotency key was used with a different request.
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// A concurrent request took the key between the look-up and the commit.
    #[error("the idempotency key is in use")]
    KeyInUse,
    /// The gateway failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl AcceptError {
    /// Returns whether the message may be accepted nevertheless: the database failed, perhaps after it had
    /// committed. Whatever the message needs is kept; its rows say until when.
    pub(super) fn may_be_accepted(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.is_outage())
    }
}

impl From<sqlx::Error> for AcceptError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}
