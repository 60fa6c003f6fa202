//! What the process that holds a session knows of it at this moment. Never stored.

use passerelle_engine::clock::Millis;

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
}

/// A code a phone scans. It holds a pairing secret, so it never shows in logs.
#[derive(Clone, PartialEq, Eq)]
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
