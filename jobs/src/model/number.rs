//! What WhatsApp says about a phone number.

use passerelle_engine::{
    clock::Millis,
    content::{Peer, Phone},
};
use serde::{Deserialize, Serialize};

/// The result of a number check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The number as WhatsApp writes it; as it was asked if it has no WhatsApp.
    pub phone: Phone,
    /// Whether it has WhatsApp.
    pub on_whatsapp: bool,
    /// WhatsApp's own id of the account, if WhatsApp returned it.
    pub lid: Option<String>,
    /// When WhatsApp was asked, in milliseconds UTC.
    pub at: Millis,
}

/// A message to somebody who never wrote to the number, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FirstMessage {
    pub(crate) accepted_at: Millis,
    pub(crate) sent_at: Millis,
    /// A phone of the recipient has received it.
    pub(crate) is_received: bool,
    /// The recipient's contact, if it was not erased.
    pub(crate) contact: Option<String>,
    /// When the recipient opted out, if they did.
    pub(crate) opted_out_at: Option<Millis>,
}

/// WhatsApp's answer, as it is stored and sent between processes.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct NumberStatus {
    on_whatsapp: bool,
    /// The number as WhatsApp writes it. Earlier versions did not keep it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    phone: Option<Phone>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    lid: Option<String>,
}

impl NumberStatus {
    pub(crate) fn of(peer: Option<Peer>) -> Self {
        let on_whatsapp = peer.is_some();
        let (phone, lid) = peer.map_or((None, None), |peer| (peer.phone, peer.lid));
        Self {
            on_whatsapp,
            phone,
            lid,
        }
    }

    /// Returns whether the number has WhatsApp.
    pub(crate) fn on_whatsapp(&self) -> bool {
        self.on_whatsapp
    }

    /// Returns WhatsApp's own names of the number's owner. `None` if the number has no WhatsApp, or an earlier
    /// version kept the answer without the canonical number.
    pub(crate) fn names(&self) -> Option<Peer> {
        let phone = self.phone.clone().filter(|_| self.on_whatsapp)?;
        Some(Peer {
            phone: Some(phone),
            lid: self.lid.clone(),
        })
    }

    pub(crate) fn at(self, asked: &Phone, at: Millis) -> Checked {
        Checked {
            phone: self.phone.unwrap_or_else(|| asked.clone()),
            on_whatsapp: self.on_whatsapp,
            lid: self.lid,
            at,
        }
    }
}

/// What decides when a number sends, as it is stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct NumberRow {
    /// What it has sent, as JSON.
    pub(crate) state: Option<String>,
    /// Its health, as JSON.
    pub(crate) health: Option<String>,
    /// When it came into groups, as JSON.
    pub(crate) joined: Option<String>,
    /// When it was first linked here.
    pub(crate) first_linked_at: Option<Millis>,
    /// When the session last connected, or its queue was resumed.
    pub(crate) opened_at: Millis,
    /// The limits that the session's organisation set itself, as JSON.
    pub(crate) policy: Option<String>,
}
