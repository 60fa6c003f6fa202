//! Receipts for incoming messages.

use super::{connection::Connection, named::Named};

/// What happened to an incoming message here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Mark {
    /// A person read it.
    Read,
    /// A person played it.
    Played,
}

impl Connection {
    /// Sends a receipt for an incoming message. `Ok` means that it was written to the socket. If
    /// the number's settings hide read receipts, WhatsApp passes it only to the number's other
    /// devices.
    pub async fn mark(&self, message: &Named, mark: Mark) -> anyhow::Result<()> {
        let (chat, member) = (message.chat()?, message.member()?);
        let (member, ids) = (member.as_ref(), [message.id.as_str()]);
        match mark {
            Mark::Read => self.client().mark_as_read(&chat, member, &ids).await,
            Mark::Played => self.client().mark_as_played(&chat, member, &ids).await,
        }
    }
}
