//! A `say`: what a phone is told to send.

use serde_json::Value;
use tokio::sync::oneshot;

use super::address::Pn;
use super::chat::Chat;
use super::content::Content;

/// A message to send, and its chat.
pub(crate) struct Speech {
    pub(crate) to: Chat,
    pub(crate) content: Content,
    pub(crate) context: SpeechContext,
    /// The message id. `None` generates one.
    pub(crate) id: Option<String>,
    /// How many frames to send. Each is encrypted separately.
    pub(crate) copies: u32,
    /// How many seconds ago the server took it.
    pub(crate) age: u64,
    /// Gets the result.
    pub(crate) done: Option<oneshot::Sender<Result<SaidMessage, String>>>,
}

/// The context of a message.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpeechContext {
    /// The id of the quoted message, which must be on the phone's screen.
    pub(crate) quote: Option<String>,
    /// Numbers that are mentioned.
    pub(crate) mentions: Vec<Pn>,
    pub(crate) forwarded: bool,
    /// The message disappears after this many seconds.
    pub(crate) expires: Option<u32>,
}

/// The result of a `say`.
pub(crate) struct SaidMessage {
    pub(crate) id: String,
    /// Its file, as the control API shows it.
    pub(crate) media: Option<Value>,
}
