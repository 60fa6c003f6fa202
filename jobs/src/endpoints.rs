//! Webhook endpoints and their deliveries.

use std::time::Duration;

use passerelle_engine::{
    clock::Millis,
    ids::{DeliveryId, EndpointId, OrgId},
};

use crate::{
    error::Fault,
    model::{
        Listed, Page,
        delivery::{Attempt, Delivery, Wanted},
        endpoint::{Endpoint, Secret},
        event::EventType,
    },
    queries::{ListRead, bounded},
    services::Services,
    store,
    webhook::{guard::UrlNotAllowed, sign},
};

/// The most endpoints of an organisation.
pub const ENDPOINTS_MAX: i64 = 20;
/// How long the previous secret also signs after a rotation.
const OLD_SECRET_SIGNS: Duration = Duration::from_hours(24);

/// Why an endpoint was not created.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// The gateway does not connect to this address.
    #[error(transparent)]
    UrlNotAllowed(#[from] UrlNotAllowed),
    /// There is no such event type.
    #[error("there is no event type `{0}`")]
    NoSuchEvent(String),
    /// The organisation already has [`ENDPOINTS_MAX`].
    #[error("the organisation already has {ENDPOINTS_MAX} endpoints")]
    TooMany,
    /// Our side failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for NotMade {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Creates an endpoint and the secret that signs its deliveries. The secret is shown only this once.
/// `events` are types such as `message.received`; repeated ones count once, and none means all. `raw`: whether
/// events have inbound messages as they came.
pub async fn create(
    services: &Services,
    org: OrgId,
    url: &str,
    events: &[String],
    (inline_media, raw): (bool, bool),
) -> Result<(Endpoint, Secret), NotMade> {
    let url = services.settings().egress.check_url(url)?;
    let events = known(events)?;
    let endpoint = Endpoint {
        id: EndpointId::new(services.clock()),
        org,
        url: url.into(),
        events,
        inline_media,
        raw,
        old_secret_until: None,
        disabled: None,
        failing_since: None,
        created_at: services.clock().now(),
    };
    let secret = Secret(sign::new_secret(&mut services.chance()));
    let key = services.vault().org_key(org).await.map_err(Fault::from)?;
    let (made, signing) = (endpoint.clone(), secret.clone());
    let work = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            if store::endpoints::count(tx, org).await? >= ENDPOINTS_MAX {
                return Err(NotMade::TooMany);
            }
            Ok(store::endpoints::insert(tx, &key, &made, &signing).await?)
        })
    });
    work.await?;
    Ok((endpoint, secret))
}

/// Returns each type once.
fn known(events: &[String]) -> Result<Vec<String>, NotMade> {
    let mut known: Vec<String> = Vec::new();
    for kind in events {
        if EventType::parse(kind).is_none() {
            return Err(NotMade::NoSuchEvent(kind.clone()));
        }
        if !known.contains(kind) {
            known.push(kind.clone());
        }
    }
    Ok(known)
}

/// Reads one endpoint.
pub async fn read(
    services: &Services,
    org: OrgId,
    id: EndpointId,
) -> Result<Option<Endpoint>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut conn = services.store().read(org).await?;
    Ok(store::endpoints::read(&mut conn, &key, org, id).await?)
}

/// Lists the organisation's endpoints, newest first.
pub async fn list(
    services: &Services,
    org: OrgId,
    page: &Page<EndpointId>,
) -> Result<Listed<Endpoint>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut read = ListRead::begin(services, org).await?;
    let listed = bounded(store::endpoints::list(read.conn(), &key, org, page)).await;
    read.end(listed)
}

/// Deletes an endpoint and its waiting deliveries. Returns whether there was one.
pub async fn delete(services: &Services, org: OrgId, id: EndpointId) -> Result<bool, Fault> {
    let work = services.store().write(org, move |tx| {
        Box::pin(store::endpoints::delete(tx, org, id))
    });
    Ok(work.await?)
}

/// Creates a new secret. The old one also signs for a day, until the returned time. Returns `None` if
/// there is no such endpoint.
pub async fn rotate_secret(
    services: &Services,
    org: OrgId,
    id: EndpointId,
) -> Result<Option<(Secret, Millis)>, Fault> {
    let secret = Secret(sign::new_secret(&mut services.chance()));
    let key = services.vault().org_key(org).await?;
    let signs = i64::try_from(OLD_SECRET_SIGNS.as_millis()).unwrap_or(i64::MAX);
    let until = services.clock().now() + signs;
    let new = secret.clone();
    let work = services.store().write_in_time(org, move |tx| {
        Box::pin(async move { store::endpoints::rotate(tx, &key, org, id, &new, until).await })
    });
    Ok(work.await?.then_some((secret, until)))
}

/// Lists the organisation's deliveries, newest first.
pub async fn deliveries(
    services: &Services,
    org: OrgId,
    wanted: &Wanted,
    page: &Page<DeliveryId>,
) -> Result<Listed<Delivery>, Fault> {
    let mut read = ListRead::begin(services, org).await?;
    let listed = bounded(store::deliveries::list(read.conn(), org, wanted, page)).await;
    read.end(listed)
}

/// Returns one delivery with its attempts, the first one first.
pub async fn delivery(
    services: &Services,
    org: OrgId,
    id: DeliveryId,
) -> Result<Option<(Delivery, Vec<Attempt>)>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut conn = services.store().read(org).await?;
    let Some(delivery) = store::deliveries::read(&mut conn, org, id).await? else {
        return Ok(None);
    };
    let attempts = store::deliveries::attempts(&mut conn, &key, org, id).await?;
    Ok(Some((delivery, attempts)))
}
