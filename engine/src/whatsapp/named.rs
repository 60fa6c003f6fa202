//! A message that came in, as WhatsApp names it.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use whatsapp_rust::Jid;

use crate::sealed::sealed_debug;

/// Which message, to WhatsApp and to whoever sent it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Named {
    /// The chat it came in by (a JID).
    pub chat: String,
    /// In a group, the member who wrote it (a JID).
    pub member: Option<String>,
    /// WhatsApp's id of it.
    pub id: String,
}

sealed_debug!(Named);

impl Named {
    pub(super) fn chat(&self) -> anyhow::Result<Jid> {
        self.chat.parse().context("reading a chat's name")
    }

    pub(super) fn member(&self) -> anyhow::Result<Option<Jid>> {
        let member = self.member.as_deref().map(str::parse).transpose();
        member.context("reading a member's name")
    }
}
