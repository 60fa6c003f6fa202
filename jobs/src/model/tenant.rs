//! Organisations and their API keys.

use passerelle_engine::{
    clock::Millis,
    ids::{KeyId, OrgId},
};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// `org_…`
    pub id: OrgId,
    /// Its name, chosen by the operator.
    pub name: String,
    /// How long its files are kept, in hours; `None` means as long as the gateway's own setting.
    pub media_retention_hours: Option<u32>,
    /// Since when it is suspended; `None` if it is not.
    pub suspended_at: Option<Millis>,
    /// Milliseconds UTC.
    pub created_at: Millis,
}

/// An API key as it is listed, without the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// `key_…`
    pub id: KeyId,
    /// The tenant's name for it.
    pub name: String,
    /// The key's public part.
    pub public_id: String,
    /// Milliseconds UTC.
    pub created_at: Millis,
    /// `None` while the key is valid.
    pub revoked_at: Option<Millis>,
}
