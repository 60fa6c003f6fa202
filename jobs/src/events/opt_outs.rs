//! Events of opt-outs.

use passerelle_engine::{
    clock::Clock,
    content::Peer,
    ids::{ContactId, OrgId, SessionId},
    store::Tx,
    vault::DataKey,
};
use serde_json::json;

use super::{
    emit::{NewEvent, emit},
    shown_contact,
};
use crate::{
    error::Fault,
    model::{OptOutSource, event::EventType},
};

/// Writes the event of a contact's opt-out or opt-in, with both names that WhatsApp knows the contact by. One that the API
/// asked for has no session.
pub(crate) async fn changed(
    tx: &mut Tx,
    key: &DataKey,
    place: (OrgId, Option<SessionId>),
    who: (ContactId, &Peer),
    what: (EventType, OptOutSource),
    clock: &Clock,
) -> Result<(), Fault> {
    emit(tx, key, of_change(place, who, what), clock).await?;
    Ok(())
}

pub(super) fn of_change(
    (org, session): (OrgId, Option<SessionId>),
    (id, names): (ContactId, &Peer),
    (kind, by): (EventType, OptOutSource),
) -> NewEvent {
    NewEvent {
        org,
        session,
        message: None,
        kind,
        data: json!({ "contact": shown_contact(id, names), "source": by.as_str() }),
    }
}
