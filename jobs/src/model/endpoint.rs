//! A webhook endpoint as it is shown.

use passerelle_engine::{
    clock::Millis,
    ids::{EndpointId, OrgId},
};
use strum::{EnumString, IntoStaticStr};

words!(Disabled);

/// Where an organisation wants its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `whe_…`
    pub id: EndpointId,
    /// Whose it is.
    pub org: OrgId,
    /// Where events are posted.
    pub url: String,
    /// Types that are wanted, as `message.received`; empty means all.
    pub events: Vec<String>,
    /// Whether a small file is to be in the event that tells of it.
    pub inline_media: bool,
    /// Until when the secret before the last rotation also signs.
    pub old_secret_until: Option<Millis>,
    /// When deliveries ended, and why.
    pub disabled: Option<(Millis, Disabled)>,
    /// The first failure since the last success.
    pub failing_since: Option<Millis>,
    /// Milliseconds UTC.
    pub created_at: Millis,
}

/// Why an endpoint gets no more deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Disabled {
    /// It answered 410 Gone.
    Gone,
    /// It failed for five days without one success.
    Failing,
}

/// A signing secret, `whsec_…`. Shown once, when it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(crate) String);

impl Secret {
    /// The secret itself, for the answer that shows it.
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
