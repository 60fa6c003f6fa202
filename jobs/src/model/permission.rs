//! What was decided about a message when it was accepted.

use passerelle_engine::{clock::Millis, ids::ConsentId};

use super::{class::Class, message::Message, purpose::Purpose};

/// Why a message may be sent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Permission {
    /// How well the number knows the recipient. A message to a group has none.
    pub(crate) class: Option<Class>,
    /// What it is for.
    pub(crate) purpose: Option<Purpose>,
    /// The consent that allows it.
    pub(crate) consent: Option<ConsentId>,
    /// It is allowed because its recipient is one of the first people that the number writes to.
    pub(crate) is_trial: bool,
}

impl Permission {
    /// Returns that of an answer to something that the contact did just now.
    pub(crate) fn of_answer() -> Self {
        Self {
            class: Some(Class::Reply),
            ..Self::default()
        }
    }

    /// Shows it in the message, with the end of its life.
    pub(crate) fn show(&self, message: &mut Message, expires_at: Millis) {
        message.class = self.class;
        message.purpose = self.purpose;
        message.consent = self.consent;
        message.expires_at = Some(expires_at);
    }
}
