//! How WhatsApp names a message of a chat.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use whatsapp_rust::Jid;

use crate::sealed::sealed_debug;

/// Identifies a message to WhatsApp and to its sender.
#[derive(Clone, Serialize, Deserialize)]
pub struct Named {
    /// JID of the chat.
    pub chat: String,
    /// JID of the member who wrote it, in a group.
    pub member: Option<String>,
    /// WhatsApp's message id.
    pub id: String,
    /// Whether this number's owner wrote it, on another device.
    #[serde(default)]
    pub from_me: bool,
}

sealed_debug!(Named);

impl Named {
    pub(super) fn chat(&self) -> anyhow::Result<Jid> {
        self.chat.parse().context("parsing the chat's JID")
    }

    pub(super) fn member(&self) -> anyhow::Result<Option<Jid>> {
        let member = self.member.as_deref().map(str::parse).transpose();
        member.context("parsing the member's JID")
    }
}
