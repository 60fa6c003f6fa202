//! Telling the other side what became of its messages here.

use anyhow::Context as _;
use whatsapp_rust::Jid;

use super::Link;

/// What became of a message that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Mark {
    /// Somebody saw it.
    Read,
    /// Somebody played it.
    Played,
}

impl Link {
    /// Sends a receipt for a message, named as it came in; in a group, with the member who wrote it.
    /// `Ok` means written.
    /// Where the number's own settings hide read receipts, WhatsApp tells its other devices alone.
    pub async fn mark(
        &self,
        chat: &str,
        member: Option<&str>,
        id: &str,
        mark: Mark,
    ) -> anyhow::Result<()> {
        let chat: Jid = chat.parse().context("reading a chat's name")?;
        let member: Option<Jid> = member
            .map(str::parse)
            .transpose()
            .context("reading a member's name")?;
        let member = member.as_ref();
        match mark {
            Mark::Read => self.client().mark_as_read(&chat, member, &[id]).await,
            Mark::Played => self.client().mark_as_played(&chat, member, &[id]).await,
        }
    }
}
