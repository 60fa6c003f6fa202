//! A session: one WhatsApp number linked as a device.

use passerelle_engine::{
    clock::Millis,
    content::Peer,
    ids::{OrgId, SessionId},
};

use super::live::State;

/// What the tenant wants of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Desired {
    /// Keep it connected, or waiting to be linked.
    Running,
    /// Keep it disconnected; its link stays.
    Stopped,
}

impl Desired {
    /// As the store and the API write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }

    pub(crate) fn parse(text: &str) -> Self {
        if text == "running" {
            Self::Running
        } else {
            Self::Stopped
        }
    }
}

/// What becomes of a message that may have been sent: its process died with it in hand, or WhatsApp did
/// not say that it took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncertain {
    /// It goes out once more under its id, which a phone shows once.
    Resend,
    /// It is `unknown` at once, and the tenant decides.
    Hold,
}

impl Uncertain {
    /// As the store and the API write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resend => "resend",
            Self::Hold => "hold",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Resend, Self::Hold]
            .into_iter()
            .find(|one| one.as_str() == text)
    }
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
