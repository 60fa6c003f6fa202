//! Opt-outs: who wants no more messages, and what an organisation does about them.

use std::fmt;

use passerelle_engine::{clock::Millis, content::Phone, ids::ContactId};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

words!(OptOutSource);

/// How a contact opted out or in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum OptOutSource {
    /// The contact wrote a word.
    Word,
    /// The contact tapped a button or a list entry with a word on it.
    Button,
    /// A request to the API.
    Api,
}

/// What the opt-out of its recipient means for a claimed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OptOutCheck {
    /// Nobody said otherwise.
    Passed,
    /// The contact opted out after the message was accepted.
    OptedOut,
    /// It tells the contact that the opt-out was understood, and is sent although the contact opted out.
    ConfirmsOptOut,
}

/// A contact that opted out.
#[derive(Debug, Clone)]
pub struct OptOut {
    /// The contact.
    pub contact: ContactId,
    /// Its phone, as WhatsApp writes it once it is known.
    pub phone: Option<Phone>,
    /// WhatsApp's own id of the account.
    pub lid: Option<String>,
    /// How it opted out; `None` if an earlier version stored the opt-out.
    pub by: Option<OptOutSource>,
    /// When it opted out.
    pub at: Millis,
}

/// What an organisation does about opt-outs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptOutSettings {
    /// Whether words count that also answer everyday questions, such as "cancel".
    pub ambiguous_words: bool,
    /// The text that a contact gets once who opts out with a word or a button.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub confirmation: Option<String>,
}

impl Default for OptOutSettings {
    fn default() -> Self {
        Self {
            ambiguous_words: true,
            confirmation: None,
        }
    }
}

impl fmt::Debug for OptOutSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OptOutSettings[sealed]")
    }
}
