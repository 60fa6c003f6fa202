//! Messages that come beside the hook: what cannot be decrypted, and what WhatsApp recovered later.
//!
//! WhatsApp is acknowledged for both without waiting for us: the library asks the sender, or this
//! number's own phone, to say it again, and what is said again comes by the hook or by here.

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

/// A message that came beside the hook, as the library has it.
#[derive(Clone)]
pub struct Late(What);

#[derive(Clone)]
enum What {
    Undecryptable(Arc<MessageInfo>),
    Recovered(InboundMessage),
}

impl Late {
    /// None where a person would see nothing either.
    pub(super) fn undecryptable(message: &UndecryptableMessage) -> Option<Self> {
        let shown = message.decrypt_fail_mode == DecryptFailMode::Show;
        shown.then(|| Self(What::Undecryptable(Arc::clone(&message.info))))
    }

    /// What no hook has seen; the rest of a batch came by it.
    pub(super) fn recovered(batch: &MessageBatch) -> impl Iterator<Item = Self> {
        let beside = batch.iter().filter(|_| !batch.hook_committed);
        beside.map(|message| Self(What::Recovered(message.clone())))
    }
}

sealed_debug!(Late);

/// Each is one of its own.
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
    /// The message in our words; none when it is nothing that comes in.
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
                listen::told(self.client(), info, nothing).await
            }
        }
    }
}
