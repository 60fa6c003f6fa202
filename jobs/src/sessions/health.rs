//! The health of a session's number, for its tenant.

use passerelle_engine::{
    clock::Millis,
    ids::{OrgId, SessionId},
};

use crate::{
    error::Fault, number_health, safety::health::Health, safety::preset::Preset,
    services::Services, store,
};

/// The health of a session's number at some time.
#[derive(Debug)]
pub struct HealthView {
    /// The health. Of a session that was never linked it is good.
    pub health: Health,
    /// The time.
    pub now: Millis,
    /// Whether it limits what is sent. In the preset `sandbox` it does not.
    pub is_enforced: bool,
}

/// Returns the health of the session's number; `None` if there is no such session.
pub async fn read(
    services: &Services,
    org: OrgId,
    id: SessionId,
) -> Result<Option<HealthView>, Fault> {
    let mut conn = services.store().read(org).await?;
    if !store::lanes::exists(&mut conn, org, id).await? {
        return Ok(None);
    }
    drop(conn);
    let health = number_health::read(services, id).await?;
    Ok(Some(HealthView {
        health: health.unwrap_or_default(),
        now: services.clock().now(),
        is_enforced: services.settings().preset != Preset::Sandbox,
    }))
}
