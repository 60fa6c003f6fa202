//! Something a phone is told to say.

use serde_json::Value;
use tokio::sync::oneshot;

use super::address::Pn;
use super::chat::Chat;
use super::content::Content;

/// Something to say, and where.
pub(crate) struct Speech {
    pub(crate) to: Chat,
    pub(crate) content: Content,
    pub(crate) context: SpeechContext,
    /// Message id; made up if absent.
    pub(crate) id: Option<String>,
    /// How many frames of it to send, each sealed on its own.
    pub(crate) copies: u32,
    /// How many seconds ago the server took it.
    pub(crate) age: u64,
    /// Told what became of it.
    pub(crate) done: Option<oneshot::Sender<Result<SaidMessage, String>>>,
}

/// What is around something that is said.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpeechContext {
    /// Id of the message that is answered; it is on the phone's screen.
    pub(crate) quote: Option<String>,
    /// Numbers that are named.
    pub(crate) mentions: Vec<Pn>,
    pub(crate) forwarded: bool,
    /// Disappears after so many seconds.
    pub(crate) expires: Option<u32>,
}

/// Something that was said.
pub(crate) struct SaidMessage {
    pub(crate) id: String,
    /// Its file, as the control API tells of it.
    pub(crate) media: Option<Value>,
}
