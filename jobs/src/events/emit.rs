//! Writes an event, and a delivery for each endpoint that wants it, in the transaction of the change
//! that it reports. Wake the deliveries after the commit.

use passerelle_engine::{
    clock::Clock,
    ids::{DeliveryId, EndpointId, EventId, MessageId, OrgId, SessionId},
    store::Tx,
    vault::{DataKey, Place},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    error::Fault,
    model::{event::EventType, rfc3339},
    store::{self, events::EventSlot},
};

/// The version of the envelope and of its data.
const API_VERSION: &str = "2026-12-01";

/// The JSON that is posted.
#[derive(Serialize)]
struct Envelope<'a> {
    r#type: EventType,
    timestamp: String,
    id: EventId,
    api_version: &'a str,
    org_id: OrgId,
    /// Absent, like `sequence`, for events without a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    /// Without gaps, per session.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<i64>,
    data: Value,
}

/// An event that is to be written.
pub(crate) struct NewEvent {
    pub(crate) org: OrgId,
    pub(crate) session: Option<SessionId>,
    /// The message whose text or file `data` shows; of an edit, the edited one. It is blanked when that
    /// message is deleted for everybody.
    pub(crate) message: Option<MessageId>,
    pub(crate) kind: EventType,
    /// The value of `data` in the envelope.
    pub(crate) data: Value,
}

/// Writes the event and its deliveries. Wake the deliveries after the commit.
pub(crate) async fn emit(
    tx: &mut Tx,
    key: &DataKey,
    event: NewEvent,
    clock: &Clock,
) -> Result<EventId, Fault> {
    let slot = store::events::take_slot(tx, event.org, event.session).await?;
    emit_in(slot, tx, key, event, clock).await
}

/// Like [`emit`], with a sequence number that another statement has taken.
pub(crate) async fn emit_in(
    slot: EventSlot,
    tx: &mut Tx,
    key: &DataKey,
    event: NewEvent,
    clock: &Clock,
) -> Result<EventId, Fault> {
    let NewEvent {
        org,
        session,
        message,
        kind,
        data,
    } = event;
    let (id, now) = (EventId::new(clock), clock.now());
    let record = id.to_string();
    let envelope = Envelope {
        r#type: kind,
        timestamp: rfc3339(now),
        id,
        api_version: API_VERSION,
        org_id: org,
        session_id: session,
        sequence: slot.sequence,
        data,
    };
    let place = Place::of(org, store::events::BODY, &record);
    let new = store::events::New {
        id,
        org,
        session,
        message,
        kind,
        sequence: slot.sequence,
        body_sealed: key.seal(&place, &serde_json::to_vec(&envelope)?),
    };
    store::events::insert(tx, new, now).await?;
    for endpoint in store::endpoints::wanting(slot.listening.as_deref(), kind) {
        deliver(tx, org, id, endpoint, clock).await?;
    }
    Ok(id)
}

async fn deliver(
    tx: &mut Tx,
    org: OrgId,
    event: EventId,
    endpoint: EndpointId,
    clock: &Clock,
) -> Result<(), sqlx::Error> {
    store::deliveries::insert(
        tx,
        org,
        DeliveryId::new(clock),
        event,
        endpoint,
        clock.now(),
    )
    .await
}
