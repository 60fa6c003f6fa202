//! What the process that holds a session knows of it at this moment. Stored only where another
//! process may be asked, and believed there no longer than the lease stands.

use passerelle_engine::clock::Millis;
use serde::{Deserialize, Serialize};

/// A session's live state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Not wanted, or ended for good until it is connected again.
    #[default]
    Stopped,
    /// On its way to WhatsApp's server.
    Connecting,
    /// Not linked: a QR code waits to be scanned.
    Qr,
    /// Not linked: a pairing code waits to be typed on the phone.
    Pairing,
    /// Linked and connected.
    Connected,
    /// Linked, the connection is lost and being made again.
    Disconnected,
    /// Wanted, and no host runs it at the moment.
    Unhosted,
}

impl State {
    /// As the API writes it.
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

    /// Parses what [`State::as_str`] writes.
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

/// A code a phone scans. It holds a pairing secret, so it never shows in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qr {
    /// What the QR image encodes.
    pub code: String,
    /// After this WhatsApp no longer takes it.
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
    /// The QR of the moment.
    pub qr: Option<Qr>,
}
