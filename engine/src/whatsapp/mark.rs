//! Telling the other side what became of its messages here.

use super::{connection::Connection, named::Named};

/// What became of a message that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Mark {
    /// Somebody saw it.
    Read,
    /// Somebody played it.
    Played,
}

impl Connection {
    /// Sends a receipt for a message that came in. `Ok` means written. Where the number's own settings
    /// hide read receipts, WhatsApp tells its other devices alone.
    pub async fn mark(&self, message: &Named, mark: Mark) -> anyhow::Result<()> {
        let (chat, member) = (message.chat()?, message.member()?);
        let (member, ids) = (member.as_ref(), [message.id.as_str()]);
        match mark {
            Mark::Read => self.client().mark_as_read(&chat, member, &ids).await,
            Mark::Played => self.client().mark_as_played(&chat, member, &ids).await,
        }
    }
}
