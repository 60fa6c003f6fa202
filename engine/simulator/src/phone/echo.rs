//! A phone that echoes what it receives.

use std::time::Duration;

use waproto::buffa::MessageField;
use waproto::whatsapp::Message;

use super::Phone;
use crate::reading;
use crate::state::chat::Chat;
use crate::state::content::{Content, TextContent};
use crate::state::order::Order;
use crate::state::speech::{Speech, SpeechContext};
use crate::state::view::View;

/// The kinds that are echoed. Changes of other messages are not.
const SAID_BACK: [&str; 10] = [
    "text", "image", "video", "audio", "voice", "document", "sticker", "location", "contact",
    "contacts",
];

impl Phone {
    /// Echoes a message. A text is sent as a text. Everything else is sent unchanged, as a forward
    /// does, and its file stays where it is.
    pub(super) fn echo(&self, chat: Chat, view: &View, message: &Message, delay_ms: u64) {
        if !SAID_BACK.contains(&view.kind) {
            return;
        }
        let content = match &view.text {
            Some(text) => Content::Text(TextContent::plain(text.clone())),
            None => Content::Again(Box::new(bare(message))),
        };
        let speech = Order::Say(Box::new(Speech {
            to: chat,
            content,
            context: SpeechContext::default(),
            id: None,
            copies: 1,
            age: 0,
            done: None,
        }));
        let (orders, stop) = (self.orders.clone(), self.world.stop.clone());
        if delay_ms == 0 {
            let _ = orders.try_send(speech);
            return;
        }
        self.world.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(delay_ms)) => {
                    let _ = orders.try_send(speech);
                }
            }
        });
    }
}

/// Removes what belongs to the first sending only.
fn bare(message: &Message) -> Message {
    let (inner, _) = reading::unwrapped(message);
    let mut inner = inner.clone();
    inner.message_context_info = MessageField::none();
    inner.sender_key_distribution_message = MessageField::none();
    inner
}
