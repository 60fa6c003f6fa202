//! An incoming message, and the interface that stores it.

use async_trait::async_trait;

use super::{raw::RawMessage, wire::Ballot};
use crate::{
    content::{Content, Context, Group, Peer},
    media::Remote,
    sealed::sealed_debug,
};

/// Stores incoming messages.
#[async_trait]
pub trait InboundSink: Send + Sync {
    /// Commits the whole batch durably, in order: all of it or nothing. After an error WhatsApp
    /// gets no acknowledgement and delivers the batch again after the next connect. So a message
    /// can arrive more than once; it is identified by `chat`, `sender` and `id`.
    ///
    /// The receiving side waits until this returns, and holds a lock. Do not use the session's
    /// [`Connection`] here: it needs the same lock.
    ///
    /// [`Connection`]: crate::whatsapp::Connection
    async fn commit(&self, batch: Vec<Inbound>) -> anyhow::Result<()>;
}

/// An incoming message.
#[derive(Clone)]
pub struct Inbound {
    /// JID of the chat. Together with `sender` and `id` it identifies the message.
    pub chat: String,
    /// JID of the sender.
    pub sender: String,
    /// WhatsApp's message id. It is unique only within chat and sender.
    pub id: String,
    /// The account that wrote it.
    pub from: Peer,
    /// The group that it was written in.
    pub group: Option<Group>,
    /// What it carries.
    pub content: Content,
    /// What goes with the content.
    pub context: Context,
    /// The encrypted vote of a `poll_vote`.
    pub ballot: Option<Ballot>,
    /// Where WhatsApp keeps the file, if the message has one that can be downloaded.
    pub remote: Option<Remote>,
    /// The message as it came; `None` if it could not be read.
    pub raw: Option<RawMessage>,
    /// When it was sent, by WhatsApp's clock, in milliseconds UTC.
    pub at: i64,
    /// This number's phone gave it, because it could not be decrypted here. The phone may name chat and
    /// sender by phone number where the message itself named them by LID.
    pub recovered: bool,
}

impl Inbound {
    pub(super) fn recovered(self) -> Self {
        Self {
            recovered: true,
            ..self
        }
    }
}

sealed_debug!(Inbound);
