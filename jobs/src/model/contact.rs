//! A contact, as the tenant sees it.

use std::collections::BTreeMap;

use passerelle_engine::{clock::Millis, content::Phone, ids::ContactId};

/// What a contact is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Called {
    /// The tenant's own name for the contact.
    pub own: Option<String>,
    /// The name that the person chose.
    pub push_name: Option<String>,
    /// The name of a business that WhatsApp verified.
    pub verified_name: Option<String>,
}

impl Called {
    /// Returns the name to show: the tenant's own, or what the person chose.
    pub fn name(&self) -> Option<&str> {
        self.own.as_deref().or(self.push_name.as_deref())
    }
}

/// A contact.
#[derive(Debug, Clone)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// The phone, as WhatsApp writes it once it is known.
    pub phone: Option<Phone>,
    /// WhatsApp's own id of the account.
    pub lid: Option<String>,
    /// What it is called.
    pub called: Called,
    /// The tenant's own values.
    pub metadata: BTreeMap<String, String>,
    /// When the contact opted out; `None` if it may be written to.
    pub opted_out_at: Option<Millis>,
    /// When the contact last wrote in a one-to-one chat.
    pub last_inbound_at: Option<Millis>,
    /// Automatic replies to it rest until then.
    pub automation_rests_until: Option<Millis>,
    /// When it was created.
    pub created_at: Millis,
}
