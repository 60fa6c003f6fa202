//! Events of calls.

use passerelle_engine::{
    clock::{Clock, Millis},
    content::Peer,
    ids::{ContactId, OrgId, SessionId},
    store::Tx,
    vault::DataKey,
    whatsapp::{CallEnd, Offer},
};
use serde_json::{Value, json};

use super::{
    emit::{NewEvent, emit},
    of_renamed, shown_person,
};
use crate::{
    error::Fault,
    model::{contact::Called, event::EventType, rfc3339},
};

/// Returns what the events of a call have in common.
pub(crate) fn shown(
    session: SessionId,
    offer: &Offer,
    caller: ContactId,
    called: &Called,
) -> Value {
    let media: &str = offer.media.into();
    let mut call = json!({
        "id": offer.id, "object": "call", "session_id": session, "contact_id": caller,
        "media": media, "group_call": offer.is_group, "offered_at": rfc3339(offer.at),
    });
    if let Some(phone) = &offer.from.phone {
        call["from"] = json!(phone.as_str());
    }
    if let Some(group) = &offer.group {
        call["group_id"] = json!(group.as_str());
    }
    json!({ "call": call, "contact": shown_person(caller, &offer.from, called) })
}

/// Writes the event of a call that came in.
pub(crate) async fn received(
    tx: &mut Tx,
    key: &DataKey,
    place: (OrgId, SessionId),
    data: Value,
    is_on: bool,
    clock: &Clock,
) -> Result<(), Fault> {
    emit(tx, key, of_received(place, data, is_on), clock).await?;
    Ok(())
}

pub(super) fn of_received(place: (OrgId, SessionId), mut data: Value, is_on: bool) -> NewEvent {
    data["call"]["ringing"] = json!(is_on);
    of_call(place, EventType::CallReceived, data)
}

/// Writes the event of a call that ended.
pub(crate) async fn ended(
    tx: &mut Tx,
    key: &DataKey,
    place: (OrgId, SessionId),
    data: Value,
    how: CallEnd,
    clock: &Clock,
) -> Result<(), Fault> {
    let event = of_ended(place, data, how, clock.now());
    emit(tx, key, event, clock).await?;
    Ok(())
}

pub(super) fn of_ended(
    place: (OrgId, SessionId),
    mut data: Value,
    how: CallEnd,
    at: Millis,
) -> NewEvent {
    let how: &str = how.into();
    data["call"]["outcome"] = json!(how);
    data["call"]["ended_at"] = json!(rfc3339(at));
    of_call(place, EventType::CallEnded, data)
}

fn of_call((org, session): (OrgId, SessionId), kind: EventType, data: Value) -> NewEvent {
    NewEvent {
        org,
        session: Some(session),
        message: None,
        kind,
        data,
    }
}

/// Writes the event of a caller whose names at WhatsApp have changed.
pub(crate) async fn renamed(
    tx: &mut Tx,
    key: &DataKey,
    place: (OrgId, SessionId),
    (id, names, called): (ContactId, &Peer, &Called),
    clock: &Clock,
) -> Result<(), Fault> {
    emit(tx, key, of_renamed(place, id, names, called), clock).await?;
    Ok(())
}
