//! The present state of a session, as its host knows it. Stored only if other processes may ask for it,
//! and valid only as long as the lease.

use passerelle_engine::clock::Millis;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

words!(State);

/// A session's live state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
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
