//! A message to send, and what the caller is answered.

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
    model::Message,
};

/// A message to send, parsed.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Through which session.
    pub session: SessionId,
    /// To whom.
    pub to: To,
    /// What. A content that is about another message names it by our id.
    pub content: Content,
    /// Where the file is that it carries, of a content that carries one.
    pub source: Option<MediaSource>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// Whom its text mentions.
    pub mentions: Vec<Phone>,
    /// It is shown as passed on from another chat.
    pub forwarded: bool,
    /// Not sent after this; a day from now when absent.
    pub expires_at: Option<Millis>,
}

impl NewMessage {
    /// A content and nothing beside it.
    pub fn of(session: SessionId, to: To, content: Content) -> Self {
        Self {
            session,
            to,
            content,
            source: None,
            reply_to: None,
            mentions: Vec::new(),
            forwarded: false,
            expires_at: None,
        }
    }
}

/// What the caller is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accepted {
    /// The message, `queued`.
    pub message: Message,
    /// Messages before it in the lane.
    pub position: i64,
    /// When it is likely to be sent, if the session stays connected.
    pub estimated_send_at: Millis,
    /// By when at the latest.
    pub estimated_send_by: Millis,
    /// Whether this repeats an earlier answer.
    #[serde(skip)]
    pub replayed: bool,
}

/// Why a message was not accepted. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// No such session.
    #[error("no such session")]
    NoSession,
    /// The lane holds as many messages as it may.
    #[error("the session's queue is full")]
    QueueFull,
    /// No such contact.
    #[error("no such contact")]
    NoContact,
    /// The recipient wants no more messages.
    #[error("the recipient opted out")]
    OptedOut,
    /// It would have expired before it is sent.
    #[error("the message has expired already")]
    Expired,
    /// It answers a message that cannot be answered.
    #[error("the answered message: {0}")]
    ReplyTo(TargetError),
    /// It is about a message that this cannot be about.
    #[error("the message it is about: {0}")]
    Target(TargetError),
    /// Its file cannot be sent.
    #[error("its file: {0}")]
    Source(SourceError),
    /// Its file could not be taken in.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The idempotency key was used with another request.
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// A request beside this one took the key between our look and our commit.
    #[error("the idempotency key is in use")]
    KeyInUse,
    /// Our side failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for AcceptError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}
