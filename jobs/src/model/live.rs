//! The present state of a session, as its host knows it. Stored only if other processes may ask for it,
//! and valid only as long as the lease.

use passerelle_engine::clock::Millis;
use serde::{Deserialize, Serialize};

/// A session's live state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Not wanted, or ended for good until it is connected again.
    #[default]
    Stopped,
    /// Connecting to WhatsApp's server.
    Connecting,
    /// Not linked: a QR code waits to be scanned.
    Qr,
    /// Not linked: a pairing code waits to be typed on the phone.
    Pairing,
    /// Linked and connected.
    Connected,
    /// Linked; the connection was lost and is being restored.
    Disconnected,
    /// Wanted, but no host runs it at the moment.
    Unhosted,
}

impl State {
    /// Returns the text that the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Connecting => "connecting",
            Self::Qr => "qr",
            Self::Pairing => "pairing",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Unhosted => "unhosted",
        }
    }

    /// Parses the text of [`State::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        let all = [
            Self::Stopped,
            Self::Connecting,
            Self::Qr,
            Self::Pairing,
            Self::Connected,
            Self::Disconnected,
            Self::Unhosted,
        ];
        all.into_iter().find(|state| state.as_str() == text)
    }
}

/// A code that a phone scans. It contains a pairing secret, so it is never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qr {
    /// The content of the QR image.
    pub code: String,
    /// WhatsApp refuses the code after this time.
    pub expires_at: Millis,
}

impl std::fmt::Debug for Qr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Qr[sealed]")
    }
}

/// A session's state and, while it waits to be linked, its QR.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The state.
    pub state: State,
    /// The current QR.
    pub qr: Option<Qr>,
}
