//! What the process that holds a session knows of it at this moment. Stored only where another
//! process may be asked, and believed there no longer than the lease stands.

use passerelle_engine::clock::Millis;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

words!(State);

/// A session's live state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
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
