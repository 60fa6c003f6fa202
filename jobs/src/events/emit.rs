//! Writes an event, and a delivery for each endpoint that wants it, in the transaction of the change
//! that it reports. Wake the deliveries after the commit.

use passerelle_engine::{
    clock::{Clock, Millis},
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
pub(super) struct Envelope {
    r#type: EventType,
    timestamp: String,
    id: EventId,
    api_version: &'static str,
    org_id: OrgId,
    /// Absent, like `sequence`, for events without a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    /// Without gaps, per session.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<i64>,
    /// Only in an example that the owner of an endpoint asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<bool>,
    data: Value,
}

/// Returns the JSON of an event that is posted under this id.
pub(super) fn envelope(
    event: NewEvent,
    id: EventId,
    sequence: Option<i64>,
    now: Millis,
    test: bool,
) -> Envelope {
    Envelope {
        r#type: event.kind,
        timestamp: rfc3339(now),
        id,
        api_version: API_VERSION,
        org_id: event.org,
        session_id: event.session,
        sequence,
        test: test.then_some(true),
        data: event.data,
    }
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
    let (id, now) = (EventId::new(clock), clock.now());
    let (org, kind, sequence) = (event.org, event.kind, slot.sequence);
    let (session, message) = (event.session, event.message);
    let posted = envelope(event, id, sequence, now, false);
    let new = store::events::New {
        id,
        org,
        session,
        message,
        kind,
        sequence,
        test: false,
        body_sealed: sealed(key, &posted)?,
    };
    store::events::insert(tx, new, now).await?;
    for endpoint in store::endpoints::wanting(slot.listening.as_deref(), kind) {
        deliver(tx, org, id, endpoint, clock).await?;
    }
    Ok(id)
}

/// Writes an example of an event for one endpoint, whatever it asked for. The event belongs to no session, and takes
/// no sequence number of one.
pub(crate) async fn emit_test(
    tx: &mut Tx,
    key: &DataKey,
    (org, endpoint): (OrgId, EndpointId),
    example: NewEvent,
    clock: &Clock,
) -> Result<DeliveryId, Fault> {
    let (id, now, kind) = (EventId::new(clock), clock.now(), example.kind);
    let example = NewEvent { org, ..example };
    let sequence = example.session.map(|_| 0);
    let posted = envelope(example, id, sequence, now, true);
    let new = store::events::New {
        id,
        org,
        session: None,
        message: None,
        kind,
        sequence: None,
        test: true,
        body_sealed: sealed(key, &posted)?,
    };
    store::events::insert(tx, new, now).await?;
    Ok(deliver(tx, org, id, endpoint, clock).await?)
}

fn sealed(key: &DataKey, posted: &Envelope) -> Result<Vec<u8>, Fault> {
    let record = posted.id.to_string();
    let place = Place::of(posted.org_id, store::events::BODY, &record);
    Ok(key.seal(&place, &serde_json::to_vec(posted)?))
}

async fn deliver(
    tx: &mut Tx,
    org: OrgId,
    event: EventId,
    endpoint: EndpointId,
    clock: &Clock,
) -> Result<DeliveryId, sqlx::Error> {
    let id = DeliveryId::new(clock);
    store::deliveries::insert(tx, org, id, event, endpoint, clock.now()).await?;
    Ok(id)
}
