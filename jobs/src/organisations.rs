//! Organisations, for the operator.

use std::time::Duration;

use passerelle_engine::{clock::Millis, ids::OrgId, store::Tx};

use crate::{
    error::Fault,
    model::{Listed, Organisation, Page, millis},
    services::Services,
    store,
};

/// Creates an organisation and its data key.
pub async fn create(services: &Services, name: &str) -> Result<Organisation, Fault> {
    let organisation = Organisation {
        id: OrgId::new(services.clock()),
        name: name.to_owned(),
        media_retention_hours: None,
        suspended_at: None,
        created_at: services.clock().now(),
    };
    let made = organisation.clone();
    let vault = services.vault().clone();
    services
        .store()
        .write(organisation.id, move |tx| {
            Box::pin(async move {
                store::organisations::insert(tx, &made).await?;
                vault.create_org_key(tx, made.id).await?;
                Ok::<_, Fault>(())
            })
        })
        .await?;
    Ok(organisation)
}

/// Reads one organisation.
pub async fn read(services: &Services, org: OrgId) -> Result<Option<Organisation>, Fault> {
    let mut conn = services.store().read(org).await?;
    Ok(store::organisations::read(&mut conn, org).await?)
}

/// The longest retention of an organisation's files, in hours, unless the gateway's own is longer.
const MEDIA_RETENTION_MAX: u32 = 30 * 24;

/// Returns the longest retention, in hours, that [`keep_media`] accepts.
pub fn media_retention_max(services: &Services) -> u32 {
    let of_gateway = services.settings().media.retention.as_secs() / 3600;
    MEDIA_RETENTION_MAX.max(u32::try_from(of_gateway).unwrap_or(u32::MAX))
}

/// Sets how many hours the organisation's files are kept after their creation; `None` means as long as
/// the gateway's own setting. It applies to new and existing files. Files that are then expired are
/// deleted by the next sweep, except those that a waiting message needs. Returns `None` if there is no
/// such organisation.
pub async fn keep_media(
    services: &Services,
    org: OrgId,
    hours: Option<u32>,
) -> Result<Option<Organisation>, Fault> {
    let of_gateway = services.settings().media.retention;
    let kept = hours.map_or(of_gateway, |hours| Duration::from_hours(hours.into()));
    let write = services.store().write(org, move |tx: &mut Tx| {
        Box::pin(async move {
            if !store::organisations::keep_media(tx, org, hours).await? {
                return Ok::<_, Fault>(None);
            }
            store::media::keep(tx, org, millis(kept)).await?;
            Ok(store::organisations::read(tx.conn(), org).await?)
        })
    });
    write.await
}

/// Suspends the organisation: its keys are refused, its sessions disconnect, and its webhooks wait. Nothing
/// is deleted. Returns `None` if there is no such organisation.
pub async fn suspend(services: &Services, org: OrgId) -> Result<Option<Organisation>, Fault> {
    set_suspended(services, org, Some(services.clock().now())).await
}

/// Ends the suspension: sessions connect again, and what has waited goes on. Returns `None` if there is no
/// such organisation.
pub async fn resume(services: &Services, org: OrgId) -> Result<Option<Organisation>, Fault> {
    set_suspended(services, org, None).await
}

async fn set_suspended(
    services: &Services,
    org: OrgId,
    at: Option<Millis>,
) -> Result<Option<Organisation>, Fault> {
    let write = services.store().write(org, move |tx: &mut Tx| {
        Box::pin(async move {
            store::organisations::set_suspended(tx, org, at).await?;
            Ok::<_, Fault>(store::organisations::read(tx.conn(), org).await?)
        })
    });
    let organisation = write.await?;
    services.wake_hosts();
    services.wake_deliveries();
    Ok(organisation)
}

/// Lists every organisation, newest first.
pub async fn list(services: &Services, page: &Page<OrgId>) -> Result<Listed<Organisation>, Fault> {
    let mut conn = services.store().read_system().await?;
    Ok(store::system::organisations(&mut conn, page).await?)
}
