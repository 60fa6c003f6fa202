//! Events: each is written in the transaction of the change that it reports.

use passerelle_engine::{
    clock::Millis,
    ids::{EventId, MessageId, OrgId, SessionId},
    store::Tx,
};

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    endpoints,
    row::{self, Run as _},
};
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
        endpoints::listening!(of_session),
        " AS listening"
    );
    const OF_NONE: &str = concat!(
        "SELECT CAST(NULL AS bigint) AS sequence, ",
        endpoints::listening!(of_none),
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
    /// The message whose text or file the body shows.
    pub(crate) message: Option<MessageId>,
    pub(crate) kind: EventType,
    pub(crate) sequence: Option<i64>,
    /// Whether it is an example that the owner of an endpoint asked for.
    pub(crate) test: bool,
    pub(crate) body_sealed: Vec<u8>,
}

pub(crate) async fn insert(tx: &mut Tx, event: New, now: Millis) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO event (id, org_id, session_id, type, sequence, body_sealed, created_at, message_id, test) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(event.id.to_string())
    .bind(event.org.to_string())
    .bind(event.session.map(|session| session.to_string()))
    .bind(event.kind.as_str())
    .bind(event.sequence.unwrap_or(0))
    .bind(event.body_sealed)
    .bind(now)
    .bind(event.message.map(|message| message.to_string()))
    .bind(i64::from(event.test))
    .run(tx)
    .await
}

/// An event's id and its sealed body.
pub(crate) type Sealed = (EventId, Vec<u8>);

/// Returns the events that show the text or the file of this message.
pub(crate) async fn showing(
    conn: &mut AnyConnection,
    org: OrgId,
    session: SessionId,
    message: MessageId,
) -> Result<Vec<Sealed>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, body_sealed FROM event WHERE org_id = $1 AND session_id = $2 AND message_id = $3",
    )
    .bind(org.to_string())
    .bind(session.to_string())
    .bind(message.to_string())
    .fetch_all(conn)
    .await?;
    let event = |row: &AnyRow| Ok((row::id(row, "id")?, row.try_get("body_sealed")?));
    Ok(row::each("event", &rows, event))
}

/// Replaces the body of an event, and forgets what endpoints replied to the one before.
pub(crate) async fn replace_body(
    tx: &mut Tx,
    org: OrgId,
    id: EventId,
    body_sealed: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE event SET body_sealed = $3 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(body_sealed)
        .run(tx)
        .await?;
    sqlx::query(
        "UPDATE attempt SET reply_sealed = NULL WHERE org_id = $1 AND reply_sealed IS NOT NULL \
         AND delivery_id IN (SELECT id FROM delivery WHERE event_id = $2)",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .run(tx)
    .await
}
