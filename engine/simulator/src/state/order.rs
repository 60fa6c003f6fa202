//! Orders for a scripted phone.

use tokio::sync::oneshot;

use super::address::Pn;
use super::chat::Chat;
use super::group::GroupId;
use super::screen::ScreenMessage;
use super::speech::Speech;

/// What a phone can be told to do.
pub(crate) enum Order {
    /// Send a message.
    Say(Box<Speech>),
    /// Send a receipt of this kind for these messages.
    Receipt {
        kind: &'static str,
        from: Pn,
        group: Option<GroupId>,
        ids: Vec<String>,
    },
    /// The phone is back: send what was held.
    Back,
    /// Send a newly linked device what it needs.
    Welcome(u16),
    /// Return the messages on the screen in a chat.
    ReadChat {
        chat: Chat,
        shown: oneshot::Sender<Vec<ScreenMessage>>,
    },
}
