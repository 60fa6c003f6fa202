//! What WhatsApp says about a phone number.

use passerelle_engine::{
    clock::Millis,
    content::{Peer, Phone},
};
use serde::{Deserialize, Serialize};

/// The result of a number check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Whether it has WhatsApp.
    pub on_whatsapp: bool,
    /// WhatsApp's own id of the account, if WhatsApp returned it.
    pub lid: Option<String>,
    /// When WhatsApp was asked, in milliseconds UTC.
    pub at: Millis,
}

/// WhatsApp's answer, as it is stored and sent between processes.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct NumberStatus {
    on_whatsapp: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    lid: Option<String>,
}

impl NumberStatus {
    pub(crate) fn of(peer: Option<Peer>) -> Self {
        Self {
            on_whatsapp: peer.is_some(),
            lid: peer.and_then(|peer| peer.lid),
        }
    }

    /// Returns the phone and the LID of the number's owner.
    pub(crate) fn names(&self, phone: &Phone) -> Peer {
        Peer {
            phone: Some(phone.clone()),
            lid: self.lid.clone(),
        }
    }

    pub(crate) fn at(self, at: Millis) -> Checked {
        Checked {
            on_whatsapp: self.on_whatsapp,
            lid: self.lid,
            at,
        }
    }
}
