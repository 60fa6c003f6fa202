//! Events of consents.

use passerelle_engine::{
    clock::Clock,
    content::Peer,
    ids::{OrgId, SessionId},
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
    model::{consent::Consent, event::EventType, rfc3339},
};

/// Writes the event of a consent that a contact gave with an opt-in link.
pub(crate) async fn given(
    tx: &mut Tx,
    key: &DataKey,
    place: (OrgId, SessionId),
    consent: &Consent,
    names: &Peer,
    clock: &Clock,
) -> Result<(), Fault> {
    emit(tx, key, of_given(place, consent, names), clock).await?;
    Ok(())
}

pub(super) fn of_given(
    (org, session): (OrgId, SessionId),
    consent: &Consent,
    names: &Peer,
) -> NewEvent {
    let mut shown = json!({
        "id": consent.id, "object": "consent", "contact_id": consent.contact, "source": consent.how.source,
        "given_at": rfc3339(consent.given_at), "created_at": rfc3339(consent.created_at),
    });
    if let Some(proof) = &consent.how.proof {
        shown["proof"] = json!(proof);
    }
    if let Some(link) = &consent.link {
        shown["opt_in_link_id"] = json!(link);
    }
    NewEvent {
        org,
        session: Some(session),
        message: None,
        kind: EventType::ConsentGiven,
        data: json!({ "consent": shown, "contact": shown_contact(consent.contact, names) }),
    }
}
