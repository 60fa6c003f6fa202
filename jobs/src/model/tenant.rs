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
    /// Chosen by the operator.
    pub name: String,
    /// How long its files are kept, in hours; none: as long as the gateway keeps files.
    pub media_retention_hours: Option<u32>,
    /// Milliseconds UTC.
    pub created_at: Millis,
}

/// An API key as it is listed: never the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// `key_…`
    pub id: KeyId,
    /// What the tenant calls it.
    pub name: String,
    /// The key's visible part.
    pub public_id: String,
    /// Milliseconds UTC.
    pub created_at: Millis,
    /// Null while the key works.
    pub revoked_at: Option<Millis>,
}
