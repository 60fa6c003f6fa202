//! The policy of an organisation: the limits of its numbers. It can be stricter than the gateway's, never looser.

use std::sync::Arc;

use passerelle_engine::ids::OrgId;

use crate::{
    error::Fault,
    safety::{
        policy::Policy,
        tighten::{BelowFloor, Tightening},
    },
    services::Services,
    state::policies::read as parse,
    store,
};

/// The policy of an organisation.
#[derive(Debug, Clone)]
pub struct PolicyView {
    /// The limits that count.
    pub policy: Arc<Policy>,
    /// The limits that the organisation set itself.
    pub own: Tightening,
}

/// Why a policy was not set.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is looser than the gateway's.
    #[error(transparent)]
    BelowFloor(#[from] BelowFloor),
    /// The gateway failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Returns the policy of an organisation.
pub async fn read(services: &Services, org: OrgId) -> Result<PolicyView, Fault> {
    let mut conn = services.store().read(org).await?;
    let stored = store::organisations::policy(&mut conn, org).await?;
    let own = stored.as_deref().and_then(parse).unwrap_or_default();
    Ok(PolicyView {
        policy: services.policies().of(stored.as_deref()),
        own,
    })
}

/// Replaces the limits that the organisation set itself. They hold from the next claim on, also for what is queued.
pub async fn set(
    services: &Services,
    org: OrgId,
    own: Tightening,
) -> Result<PolicyView, PolicyError> {
    services.policy().tightened(&own)?;
    let stored = (own != Tightening::default()).then(|| serde_json::to_string(&own));
    let stored = stored.transpose().map_err(Fault::from)?;
    let policy = services.policies().of(stored.as_deref());
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            Ok::<_, Fault>(store::organisations::set_policy(tx, org, stored.as_deref()).await?)
        })
    });
    write.await?;
    look_again(services, org).await?;
    Ok(PolicyView { policy, own })
}

/// Has lanes look again that wait for a limit.
async fn look_again(services: &Services, org: OrgId) -> Result<(), Fault> {
    let look = async || {
        let write = services.store().write(org, move |tx| {
            Box::pin(async move { Ok::<_, Fault>(store::queues::look_again(tx, org).await?) })
        });
        write.await
    };
    match look().await {
        // Others took the same lanes in another order.
        Err(fault) if fault.is_race() => look().await?,
        done => done?,
    }
    services.wake_lanes();
    Ok(())
}
