//! A session: one WhatsApp number linked as a device.

use passerelle_engine::{
    clock::Millis,
    content::Peer,
    ids::{OrgId, SessionId},
};
use strum::{EnumString, IntoStaticStr};

use super::live::State;

words!(Desired, Uncertain);

/// What the tenant wants of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Desired {
    /// Keep it connected, or waiting to be linked.
    Running,
    /// Keep it disconnected; its link stays.
    Stopped,
}

/// What becomes of a message that may have been sent: its process died with it in hand, or WhatsApp did
/// not say that it took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Uncertain {
    /// It goes out once more under its id, which a phone shows once.
    Resend,
    /// It is `unknown` at once, and the tenant decides.
    Hold,
}

/// A session as it is shown.
#[derive(Debug, Clone)]
pub struct Session {
    /// `ses_…`
    pub id: SessionId,
    /// Whose it is.
    pub org: OrgId,
    /// The tenant's name for it.
    pub name: String,
    /// The tenant's will.
    pub desired: Desired,
    /// What the process that holds it says now.
    pub state: State,
    /// The linked number, while linked.
    pub me: Option<Peer>,
    /// When it was linked.
    pub linked_at: Option<Millis>,
    /// Why the last link or run ended: `logged_out`, `banned`, …
    pub ended: Option<String>,
    /// End of a temporary ban, when WhatsApp told it.
    pub banned_until: Option<Millis>,
    /// What becomes of its messages that may have been sent.
    pub uncertain: Uncertain,
    /// Messages waiting in its lane.
    pub pending: i64,
    /// Milliseconds UTC.
    pub created_at: Millis,
}
