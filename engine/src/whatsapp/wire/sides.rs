//! The two sides of a chat.

use whatsapp_rust::Jid;

/// The two sides of a chat as WhatsApp names them in it.
#[derive(Debug, Clone)]
pub(crate) struct Sides {
    /// The other side, or the group: the chat's name.
    pub(crate) chat: Jid,
    /// This number, named the same way.
    pub(crate) me: Option<Jid>,
}
