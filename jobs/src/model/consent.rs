//! Consents: that a contact agreed to messages which it did not begin.

use std::fmt;

use passerelle_engine::{
    clock::Millis,
    ids::{ConsentId, ContactId, OptInLinkId, SessionId},
};
use serde::{Deserialize, Serialize};

/// How a contact agreed, as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Where the contact agreed, such as `checkout`.
    pub source: String,
    /// What shows it, such as the number of an order.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<String>,
}

/// The most characters of a source.
pub const SOURCE_MAX: usize = 64;
/// The most characters of a proof.
pub const PROOF_MAX: usize = 512;

impl Agreement {
    /// The source of consents that were given with an opt-in link.
    pub const LINK: &'static str = "opt_in_link";
}

impl fmt::Debug for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Agreement[sealed]")
    }
}

/// A consent that a tenant reports.
#[derive(Debug, Clone)]
pub struct NewConsent {
    /// How the contact agreed.
    pub how: Agreement,
    /// When the contact agreed; `None`: now.
    pub at: Option<Millis>,
}

/// A consent of a contact.
#[derive(Debug, Clone)]
pub struct Consent {
    /// `con_…`
    pub id: ConsentId,
    /// The contact, or the one that it was merged into.
    pub contact: ContactId,
    /// How the contact agreed.
    pub how: Agreement,
    /// The opt-in link that it was given with.
    pub link: Option<OptInLinkId>,
    /// When the contact agreed.
    pub given_at: Millis,
    /// Since when it counts no longer: it was revoked, or the contact opted out.
    pub ended_at: Option<Millis>,
    /// Milliseconds UTC.
    pub created_at: Millis,
}

/// A link to a chat with a session's number. Its code, in a contact's message, is a consent.
#[derive(Clone)]
pub struct OptInLink {
    /// `oil_…`
    pub id: OptInLinkId,
    /// The session.
    pub session: SessionId,
    /// The number, the text before the code, and the code.
    pub target: LinkTarget,
    /// Milliseconds UTC.
    pub created_at: Millis,
    /// Its code counts until then.
    pub expires_at: Option<Millis>,
}

/// What a link leads to, as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkTarget {
    /// The session's number in E.164, as it was when the link was made.
    pub phone: String,
    /// The text before the code.
    pub text: String,
    /// The code.
    pub code: String,
}

impl fmt::Debug for OptInLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OptInLink[{}, sealed]", self.id)
    }
}

/// How many people a number has written to without a consent or a purpose, of the first that it may write to so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// So many, with the recipient of this message.
    pub used: i64,
    /// So many it may be.
    pub of: i64,
}
