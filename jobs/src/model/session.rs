//! A session: one WhatsApp number linked as a device.

use passerelle_engine::{
    clock::Millis,
    content::Peer,
    ids::{OrgId, SessionId},
    whatsapp,
};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::{AutoReject, client_data::ClientData, live::State, purpose::Purpose};

words!(Desired, EndReason, Presence, Uncertain);

/// What the tenant wants of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Desired {
    /// Keep it connected, or waiting to be linked.
    Running,
    /// Keep it disconnected; its link stays.
    Stopped,
}

/// Why a session ended for good. Until it is connected again, the API shows this as its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum EndReason {
    /// The number was unlinked.
    LoggedOut,
    /// Another session of the organisation is linked to the number; this link was undone.
    NumberLinkedAlready,
    /// WhatsApp locked the account.
    AccountLocked,
    /// WhatsApp banned the number.
    Banned,
    /// The same linked device connected from elsewhere.
    Replaced,
    /// WhatsApp wants a newer version of the client.
    Outdated,
    /// No QR code was scanned in time.
    QrExhausted,
    /// WhatsApp refused the login for another reason.
    Refused,
}

/// What happens to an uncertain send: its process died in the middle of it, or WhatsApp did not
/// acknowledge it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Uncertain {
    /// It is sent again with the same id; phones deduplicate by id.
    Resend,
    /// It becomes `unknown` at once, and the tenant decides.
    Hold,
}

/// Whether a connected session shows as online.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Presence {
    /// It does not, so that the phone gets its notifications.
    #[default]
    PhoneFirst,
    /// It does, and the phone gets no notifications in that time.
    GatewayFirst,
}

impl From<Presence> for whatsapp::Presence {
    fn from(presence: Presence) -> Self {
        match presence {
            Presence::PhoneFirst => Self::PhoneFirst,
            Presence::GatewayFirst => Self::GatewayFirst,
        }
    }
}

/// A session.
#[derive(Debug, Clone)]
pub struct Session {
    /// `ses_…`
    pub id: SessionId,
    /// The organisation.
    pub org: OrgId,
    /// The tenant's name for it.
    pub name: String,
    /// What the tenant attached to it.
    pub client: ClientData,
    /// What the tenant wants.
    pub desired: Desired,
    /// The state that its host reports now.
    pub state: State,
    /// The linked number, while linked.
    pub me: Option<Peer>,
    /// When it was linked.
    pub linked_at: Option<Millis>,
    /// Why the last link or run ended: `logged_out`, `banned`, …
    pub ended: Option<String>,
    /// The end of a temporary ban, if WhatsApp stated it.
    pub banned_until: Option<Millis>,
    /// What happens to its uncertain sends.
    pub uncertain: Uncertain,
    /// Whether it shows as online while it is connected.
    pub presence: Presence,
    /// What it does with calls; `None` if they ring.
    pub auto_reject: Option<AutoReject>,
    /// The purpose of its messages that name none.
    pub purpose: Option<Purpose>,
    /// Messages waiting in its lane.
    pub pending: i64,
    /// Milliseconds UTC.
    pub created_at: Millis,
}
