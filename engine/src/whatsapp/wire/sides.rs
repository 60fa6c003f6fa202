//! The two sides of a chat.

use whatsapp_rust::Jid;

/// The two sides of a chat, by the JIDs that WhatsApp uses in it.
#[derive(Debug, Clone)]
pub(crate) struct Sides {
    /// The other side or the group. It is also the chat's JID.
    pub(crate) chat: Jid,
    /// This number, named in the same way.
    pub(crate) me: Option<Jid>,
}
