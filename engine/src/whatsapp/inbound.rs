//! A message that came in, and where such messages go.

use async_trait::async_trait;

use super::wire::Ballot;
use crate::{
    content::{Content, Context, Group, Peer},
    media::Remote,
    sealed::sealed_debug,
};

/// Takes the messages that come in.
#[async_trait]
pub trait InboundSink: Send + Sync {
    /// Commits the whole batch durably, in order, all or nothing. An error leaves it
    /// unacknowledged and WhatsApp delivers it again after the next connect, so a message may come
    /// more than once: it is identified by (chat, sender, id).
    ///
    /// It is awaited while messages are received. It must not use the [`Connection`] of the session:
    /// that waits for a lock the receiving side holds.
    ///
    /// [`Connection`]: crate::whatsapp::Connection
    async fn commit(&self, batch: Vec<Inbound>) -> anyhow::Result<()>;
}

/// A message that came in, as the durability hook hands it over.
#[derive(Clone)]
pub struct Inbound {
    /// The chat as WhatsApp names it (a JID): with `sender` and `id` it identifies the message.
    pub chat: String,
    /// The sender as WhatsApp names it (a JID).
    pub sender: String,
    /// WhatsApp's message id, unique only within chat and sender.
    pub id: String,
    /// Who wrote it.
    pub from: Peer,
    /// The group it was written in.
    pub group: Option<Group>,
    /// What it carries.
    pub content: Content,
    /// What stands beside it.
    pub context: Context,
    /// The vote that a `poll_vote` brings, still sealed.
    pub ballot: Option<Ballot>,
    /// Where WhatsApp keeps the file it carries, if it can be had.
    pub remote: Option<Remote>,
    /// When WhatsApp says it was sent, milliseconds UTC.
    pub at: i64,
}

sealed_debug!(Inbound);
