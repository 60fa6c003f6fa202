//! Webhook endpoints and their deliveries.

use std::time::Duration;

use passerelle_engine::{
    clock::Millis,
    ids::{DeliveryId, EndpointId, OrgId, SessionId},
    store::Tx,
};

use crate::{
    error::Fault,
    events::{emit::emit_test, examples},
    model::{
        Listed, Page,
        delivery::{Attempt, Delivery, Wanted},
        endpoint::{Disabled, Endpoint, Secret},
        event::EventType,
        headers::ExtraHeaders,
        pattern,
    },
    queries::{ListRead, bounded},
    services::Services,
    store,
    webhook::{guard::UrlNotAllowed, sign},
};

/// The most endpoints of an organisation.
pub const ENDPOINTS_MAX: i64 = 20;
/// The most sessions that an endpoint may name.
pub const SESSIONS_MAX: usize = 100;
/// How long the previous secret also signs after a rotation.
const OLD_SECRET_SIGNS: Duration = Duration::from_hours(24);

/// Why an endpoint was not created or changed.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// There is no such endpoint.
    #[error("there is no such endpoint")]
    NotFound,
    /// The endpoint is disabled.
    #[error("the endpoint is disabled")]
    Disabled,
    /// The gateway does not connect to this address.
    #[error(transparent)]
    UrlNotAllowed(#[from] UrlNotAllowed),
    /// There is no such event type.
    #[error("there is no event type `{0}`")]
    NoSuchEvent(String),
    /// There is no such session; its place in the list.
    #[error("there is no session at {0}")]
    NoSuchSession(usize),
    /// More than [`SESSIONS_MAX`] sessions.
    #[error("more than {SESSIONS_MAX} sessions")]
    TooManySessions,
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

/// The settings of a new endpoint.
#[derive(Debug, Clone, Default)]
pub struct NewEndpoint {
    /// The address that events are posted to.
    pub url: String,
    /// Types such as `message.received` and groups such as `message.*`. Repeated ones count once; none means all.
    pub events: Vec<String>,
    /// The sessions whose events are wanted; none means all events.
    pub sessions: Vec<SessionId>,
    /// Further headers.
    pub headers: ExtraHeaders,
    /// Whether the bytes of a small file are put into its event.
    pub inline_media: bool,
    /// Whether events have inbound messages as they came.
    pub raw: bool,
}

/// Creates an endpoint and the secret that signs its deliveries. The secret is shown only this once.
pub async fn create(
    services: &Services,
    org: OrgId,
    new: NewEndpoint,
) -> Result<(Endpoint, Secret), NotMade> {
    let url = services.settings().egress.check_url(&new.url)?;
    let endpoint = Endpoint {
        id: EndpointId::new(services.clock()),
        org,
        url: url.into(),
        events: known(&new.events)?,
        sessions: new.sessions,
        headers: new.headers,
        inline_media: new.inline_media,
        raw: new.raw,
        old_secret_until: None,
        disabled: None,
        failing_since: None,
        created_at: services.clock().now(),
    };
    let secret = Secret(sign::new_secret(&mut services.chance()));
    let key = services.vault().org_key(org).await.map_err(Fault::from)?;
    let signing = secret.clone();
    let work = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            if store::endpoints::count(tx, org).await? >= ENDPOINTS_MAX {
                return Err(NotMade::TooMany);
            }
            let sessions = existing(tx, org, &endpoint.sessions).await?;
            let made = Endpoint {
                sessions,
                ..endpoint
            };
            store::endpoints::insert(tx, &key, &made, &signing).await?;
            Ok(made)
        })
    });
    Ok((work.await?, secret))
}

/// What a change sets. `None` leaves a setting as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// See [`NewEndpoint::url`].
    pub url: Option<String>,
    /// See [`NewEndpoint::events`].
    pub events: Option<Vec<String>>,
    /// See [`NewEndpoint::sessions`].
    pub sessions: Option<Vec<SessionId>>,
    /// See [`NewEndpoint::headers`]. They replace all that there were.
    pub headers: Option<ExtraHeaders>,
    /// See [`NewEndpoint::inline_media`].
    pub inline_media: Option<bool>,
    /// See [`NewEndpoint::raw`].
    pub raw: Option<bool>,
    /// While it is not enabled, no event is kept for it, and what waits for it goes on waiting.
    pub enabled: Option<bool>,
}

/// Changes an endpoint. An attempt that is under way ends as it began; the next one uses the new settings.
pub async fn change(
    services: &Services,
    org: OrgId,
    id: EndpointId,
    mut change: Change,
) -> Result<Endpoint, NotMade> {
    if let Some(url) = &mut change.url {
        *url = services.settings().egress.check_url(url)?.into();
    }
    if let Some(events) = &mut change.events {
        *events = known(events)?;
    }
    let (key, now) = (
        services.vault().org_key(org).await.map_err(Fault::from)?,
        services.clock().now(),
    );
    let work = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            if !store::endpoints::change::begin(tx, org, id).await? {
                return Err(NotMade::NotFound);
            }
            if let Some(sessions) = &mut change.sessions {
                *sessions = existing(tx, org, sessions).await?;
            }
            let before = store::endpoints::read(tx.conn(), &key, org, id).await?;
            let after = changed(before.ok_or(NotMade::NotFound)?, change, now);
            store::endpoints::change::store(tx, &key, &after).await?;
            Ok(after)
        })
    });
    let changed = work.await?;
    services.wake_deliveries();
    Ok(changed)
}

fn changed(before: Endpoint, change: Change, now: Millis) -> Endpoint {
    Endpoint {
        url: change.url.unwrap_or(before.url),
        events: change.events.unwrap_or(before.events),
        sessions: change.sessions.unwrap_or(before.sessions),
        headers: change.headers.unwrap_or(before.headers),
        inline_media: change.inline_media.unwrap_or(before.inline_media),
        raw: change.raw.unwrap_or(before.raw),
        disabled: match change.enabled {
            Some(true) => None,
            Some(false) => before.disabled.or(Some((now, Disabled::Requested))),
            None => before.disabled,
        },
        failing_since: None,
        ..before
    }
}

/// Returns each type once.
fn known(events: &[String]) -> Result<Vec<String>, NotMade> {
    let mut known: Vec<String> = Vec::new();
    for kind in events {
        if !pattern::is_known(kind) {
            return Err(NotMade::NoSuchEvent(kind.clone()));
        }
        if !known.contains(kind) {
            known.push(kind.clone());
        }
    }
    Ok(known)
}

/// Returns each session once. Fails if one of them does not exist.
async fn existing(
    tx: &mut Tx,
    org: OrgId,
    sessions: &[SessionId],
) -> Result<Vec<SessionId>, NotMade> {
    let mut existing: Vec<SessionId> = Vec::new();
    for (place, session) in sessions.iter().enumerate() {
        if existing.contains(session) {
            continue;
        }
        if existing.len() == SESSIONS_MAX {
            return Err(NotMade::TooManySessions);
        }
        if !store::sessions::exists(tx, org, *session).await? {
            return Err(NotMade::NoSuchSession(place));
        }
        existing.push(*session);
    }
    Ok(existing)
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

/// Posts an example of an event to an endpoint, like a real one. Returns its delivery.
pub async fn test(
    services: &Services,
    org: OrgId,
    id: EndpointId,
    kind: EventType,
) -> Result<Delivery, NotMade> {
    let key = services.vault().org_key(org).await.map_err(Fault::from)?;
    let (example, clock) = (examples::of(kind)?, services.clock().clone());
    let work = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            let endpoint = store::endpoints::read(tx.conn(), &key, org, id).await?;
            let endpoint = endpoint.ok_or(NotMade::NotFound)?;
            if endpoint.disabled.is_some() {
                return Err(NotMade::Disabled);
            }
            let delivery = emit_test(tx, &key, (org, id), example, &clock).await?;
            let delivery = store::deliveries::read(tx.conn(), org, delivery).await?;
            delivery.ok_or(NotMade::NotFound)
        })
    });
    let delivery = work.await?;
    services.wake_deliveries();
    Ok(delivery)
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
