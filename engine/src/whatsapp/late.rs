//! Messages that do not come through the durability hook: those that cannot be decrypted, and those
//! that WhatsApp recovered later.
//!
//! The library acknowledges both to WhatsApp without waiting for us. For a message that cannot be
//! decrypted it asks the sender's phone, or this number's own phone, to send it again. The repeated
//! message comes through the hook or through here.

use std::sync::Arc;

use wacore::types::{
    events::{DecryptFailMode, InboundMessage, MessageBatch, UndecryptableMessage},
    message::MessageInfo,
};

use super::{connection::Connection, inbound::Inbound, listen, wire};
use crate::{
    content::{Content, Context},
    sealed::sealed_debug,
};

/// A message that did not come through the hook, in the library's form.
#[derive(Clone)]
pub struct Late(What);

#[derive(Clone)]
enum What {
    Undecryptable(Arc<MessageInfo>),
    Recovered(InboundMessage),
}

impl Late {
    /// Returns `None` if a phone would not show it either.
    pub(super) fn undecryptable(message: &UndecryptableMessage) -> Option<Self> {
        let shown = message.decrypt_fail_mode == DecryptFailMode::Show;
        shown.then(|| Self(What::Undecryptable(Arc::clone(&message.info))))
    }

    /// Returns the messages of a batch that the hook has not committed.
    pub(super) fn recovered(batch: &MessageBatch) -> impl Iterator<Item = Self> {
        let beside = batch.iter().filter(|_| !batch.hook_committed);
        beside.map(|message| Self(What::Recovered(message.clone())))
    }
}

sealed_debug!(Late);

/// Two values are equal only if they are the same message in memory.
impl PartialEq for Late {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (What::Undecryptable(one), What::Undecryptable(other)) => Arc::ptr_eq(one, other),
            (What::Recovered(one), What::Recovered(other)) => Arc::ptr_eq(&one.info, &other.info),
            _ => false,
        }
    }
}

impl Eq for Late {}

impl Connection {
    /// Converts the message. Returns `None` if it is not a message to this number.
    pub async fn read(&self, late: &Late) -> Option<Inbound> {
        match &late.0 {
            What::Recovered(message) => listen::read(self.client(), message, self.clock()).await,
            What::Undecryptable(info) => {
                let nothing = wire::Read {
                    content: Content::Undecryptable {},
                    context: Context::default(),
                    answered: None,
                    vote: None,
                    remote: None,
                };
                listen::with_sender(self.client(), info, nothing).await
            }
        }
    }
}
