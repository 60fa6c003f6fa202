//! Events of a number's health.

use passerelle_engine::{
    clock::Clock,
    ids::{OrgId, SessionId},
    store::Tx,
    vault::DataKey,
};
use serde_json::{Value, json};

use super::emit::{NewEvent, emit};
use crate::{
    error::Fault,
    model::{client_data::ClientData, event::EventType, rfc3339},
    safety::health::{News, Standing},
};

/// Writes the event of a number's new level, for one of its sessions.
pub(crate) async fn changed(
    tx: &mut Tx,
    key: &DataKey,
    place: (OrgId, SessionId),
    news: &News,
    client: &ClientData,
    clock: &Clock,
) -> Result<(), Fault> {
    emit(tx, key, of_news(place, news, client), clock).await?;
    Ok(())
}

pub(super) fn of_news((org, id): (OrgId, SessionId), news: &News, client: &ClientData) -> NewEvent {
    let (kind, standing) = match news {
        News::Restricted(standing) => (EventType::SessionRestricted, standing),
        News::Recovered(standing) => (EventType::SessionRecovered, standing),
    };
    let mut session = json!({ "id": id, "object": "session" });
    if let Some(client_ref) = &client.client_ref {
        session["client_ref"] = json!(client_ref);
    }
    if !client.metadata.is_empty() {
        session["metadata"] = json!(client.metadata);
    }
    NewEvent {
        org,
        session: Some(id),
        message: None,
        kind,
        data: json!({ "session": session, "health": shown(standing) }),
    }
}

fn shown(standing: &Standing) -> Value {
    let reasons: Vec<_> = standing.reasons.iter().map(|one| one.as_str()).collect();
    let mut shown = json!({ "level": standing.level, "reasons": reasons });
    if let Some(until) = standing.until {
        shown["until"] = json!(rfc3339(until));
    }
    shown
}
