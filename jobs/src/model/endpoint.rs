//! A webhook endpoint.

use passerelle_engine::{
    clock::Millis,
    ids::{EndpointId, OrgId, SessionId},
};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::headers::ExtraHeaders;

words!(Disabled);

/// Where an organisation's events are posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `whe_…`
    pub id: EndpointId,
    /// The organisation.
    pub org: OrgId,
    /// The address that events are posted to.
    pub url: String,
    /// The wanted types and groups, such as `message.received` or `message.*`; empty means all.
    pub events: Vec<String>,
    /// The sessions whose events are wanted; empty means all events.
    pub sessions: Vec<SessionId>,
    /// Further headers of its deliveries.
    pub headers: ExtraHeaders,
    /// Whether the bytes of a small file are put into its event.
    pub inline_media: bool,
    /// Whether the event of an inbound message has the message as it came.
    pub raw: bool,
    /// Until when the previous secret also signs.
    pub old_secret_until: Option<Millis>,
    /// When it was disabled, and why.
    pub disabled: Option<(Millis, Disabled)>,
    /// When it first failed since the last success.
    pub failing_since: Option<Millis>,
    /// Milliseconds UTC.
    pub created_at: Millis,
}

/// Why an endpoint gets no more deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Disabled {
    /// It answered 410 Gone.
    Gone,
    /// It failed for five days without one success.
    Failing,
    /// Its owner disabled it.
    Requested,
}

/// A signing secret, `whsec_…`. Shown once, when it is created.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(crate) String);

impl Secret {
    /// Returns the secret itself, for the response that shows it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Secret {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed]")
    }
}
