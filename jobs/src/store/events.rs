//! Events: each is written in the transaction of the change that it reports.

use passerelle_engine::{
    clock::Millis,
    ids::{EventId, OrgId, SessionId},
    store::Tx,
};

use super::endpoints;
use super::row::Run as _;
use crate::model::event::EventType;

/// The label under which an event's body is sealed.
pub(crate) const BODY: &str = "event.body";

/// An event's sequence number within its session, and the endpoints that listen.
#[derive(sqlx::FromRow)]
pub(crate) struct EventSlot {
    /// `None` for an event without a session.
    pub(crate) sequence: Option<i64>,
    /// In the form that [`endpoints::wanting`] reads.
    pub(crate) listening: Option<String>,
}

/// Takes the next sequence number. One statement, because every change of a message pays for it.
pub(crate) async fn take_slot(
    tx: &mut Tx,
    org: OrgId,
    session: Option<SessionId>,
) -> Result<EventSlot, sqlx::Error> {
    const OF_SESSION: &str = concat!(
        "UPDATE lane SET last_event = last_event + 1 WHERE org_id = $1 AND session_id = $2 RETURNING last_event AS sequence, ",
        endpoints::listening!(),
        " AS listening"
    );
    const OF_NONE: &str = concat!(
        "SELECT CAST(NULL AS bigint) AS sequence, ",
        endpoints::listening!(),
        " AS listening"
    );
    let query = match session {
        Some(session) => sqlx::query_as(OF_SESSION)
            .bind(org.to_string())
            .bind(session.to_string()),
        None => sqlx::query_as(OF_NONE).bind(org.to_string()),
    };
    query.fetch_one(tx.conn()).await
}

/// A new event with a sealed body.
pub(crate) struct New {
    pub(crate) id: EventId,
    pub(crate) org: OrgId,
    pub(crate) session: Option<SessionId>,
    pub(crate) kind: EventType,
    pub(crate) sequence: Option<i64>,
    pub(crate) body_sealed: Vec<u8>,
}

pub(crate) async fn insert(tx: &mut Tx, event: New, now: Millis) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO event (id, org_id, session_id, type, sequence, body_sealed, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(event.id.to_string())
    .bind(event.org.to_string())
    .bind(event.session.map(|session| session.to_string()))
    .bind(event.kind.as_str())
    .bind(event.sequence.unwrap_or(0))
    .bind(event.body_sealed)
    .bind(now)
    .run(tx)
    .await
}
