//! An incoming message, or one that the number's owner wrote on another device, and the interface that
//! stores them.

use async_trait::async_trait;

use super::{raw::RawMessage, wire::Ballot};
use crate::{
    content::{Content, Context, Group, Peer, SenderNames},
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
    /// Which other device of this number's account wrote it. `None` if another person wrote it.
    pub own: Option<OwnDevice>,
    /// WhatsApp's message id. It is unique only within chat and sender.
    pub id: String,
    /// The account that wrote it. Of an own message, the one that it was written to; in a group, nobody.
    pub from: Peer,
    /// The message itself did not name the phone. It is what was known of the LID before, and may be another spelling
    /// than WhatsApp's own.
    pub phone_is_derived: bool,
    /// What that account is called, as far as the message says.
    pub names: SenderNames,
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
    /// The message disappears from the chat so many seconds after it was sent. `None` if it stays.
    pub expires_in: Option<u32>,
    /// What it says of the chat's other messages: they disappear after so many seconds, or stay (0). `None` if it
    /// says nothing of them.
    pub timer: Option<u32>,
    /// The message as it came; `None` if it could not be read.
    pub raw: Option<RawMessage>,
    /// When it was sent, by WhatsApp's clock, in milliseconds UTC.
    pub at: i64,
    /// This number's phone gave it, because it could not be decrypted here. The phone may name chat and
    /// sender by phone number where the message itself named them by LID.
    pub recovered: bool,
}

/// A device of this number's account, other than this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnDevice {
    /// The phone itself.
    Phone,
    /// Another linked device, such as WhatsApp Web.
    Linked,
}

impl Inbound {
    pub(super) fn recovered(self) -> Self {
        Self {
            // Which device wrote it is not known, so that a missing timer means nothing.
            timer: self.timer.filter(|seconds| *seconds > 0),
            recovered: true,
            ..self
        }
    }
}

sealed_debug!(Inbound);
