//! Deliveries and their attempts. The claim serves every tenant at once and is in
//! [`delivery_claims`](super::system::delivery_claims).

use passerelle_engine::{
    clock::Millis,
    ids::{AttemptId, DeliveryId, EndpointId, EventId, OrgId},
    store::Tx,
    vault::{DataKey, Place},
};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::{
    endpoints, events,
    row::{self, Run as _},
    sessions::alive,
};
use crate::model::{
    Listed, Page,
    delivery::{Attempt, Delivery, DeliveryStatus, Wanted},
    headers::ExtraHeaders,
    report_unreadable,
};

/// The label under which the reply to an attempt is encrypted.
const REPLY: &str = "attempt.reply";

/// Inserts a delivery that is due at once. An event has one delivery per endpoint.
pub(crate) async fn insert(
    tx: &mut Tx,
    org: OrgId,
    id: DeliveryId,
    event: EventId,
    endpoint: EndpointId,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO delivery (id, org_id, event_id, endpoint_id, status, attempts, due_at, created_at) \
         VALUES ($1, $2, $3, $4, 'due', 0, $5, $5) ON CONFLICT (event_id, endpoint_id) DO NOTHING",
    )
    .bind(id.to_string())
    .bind(org.to_string())
    .bind(event.to_string())
    .bind(endpoint.to_string())
    .bind(now)
    .run(tx)
    .await
}

/// What an attempt needs to know.
pub(crate) struct Load {
    pub(crate) event: EventId,
    pub(crate) endpoint: EndpointId,
    pub(crate) url: String,
    pub(crate) body: Vec<u8>,
    /// Further headers.
    pub(crate) headers: ExtraHeaders,
    /// How often the endpoint was changed.
    pub(crate) revision: i64,
    /// Whether the bytes of a small file are put into its event.
    pub(crate) inline_media: bool,
    /// Whether the message as it came stays in its event.
    pub(crate) raw: bool,
    /// How many attempts were made before.
    pub(crate) attempts: i64,
}

/// Returns the claimed delivery; `None` if it is no longer running or its endpoint is disabled.
pub(crate) async fn load(
    conn: &mut AnyConnection,
    key: &DataKey,
    org: OrgId,
    id: DeliveryId,
) -> Result<Option<Load>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT d.event_id, d.endpoint_id, d.attempts, p.url_sealed, p.headers_sealed, p.revision, p.inline_media, p.raw, e.body_sealed \
         FROM delivery d JOIN endpoint p ON p.id = d.endpoint_id JOIN event e ON e.id = d.event_id \
         WHERE d.org_id = $1 AND d.id = $2 AND d.status = 'running' AND p.disabled_at IS NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (event, endpoint): (EventId, EndpointId) =
        (row::id(&row, "event_id")?, row::id(&row, "endpoint_id")?);
    let sealed: Vec<u8> = row.try_get("body_sealed")?;
    let body = key.open(&Place::of(org, events::BODY, &event.to_string()), &sealed);
    let body = body.map_err(|error| row::unreadable("body_sealed", error))?;
    Ok(Some(Load {
        event,
        endpoint,
        url: endpoints::url(key, org, endpoint, &row)?,
        body: body.to_vec(),
        headers: endpoints::headers(key, org, endpoint, &row)?,
        revision: row.try_get("revision")?,
        inline_media: row.try_get::<i64, _>("inline_media")? == 1,
        raw: row.try_get::<i64, _>("raw")? == 1,
        attempts: row.try_get("attempts")?,
    }))
}

/// Settles a running delivery after attempt number `made`: sets its status and, for a retry, when it is
/// due. Returns false if another worker settled it first.
pub(crate) async fn settle(
    tx: &mut Tx,
    org: OrgId,
    id: DeliveryId,
    made: i64,
    status: DeliveryStatus,
    due_at: Millis,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE delivery SET status = $4, attempts = $3, due_at = $5, dispatched_at = NULL \
         WHERE org_id = $1 AND id = $2 AND status = 'running' AND attempts = $3 - 1",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(made)
    .bind(status.as_str())
    .bind(due_at)
    .changes(tx)
    .await
}

/// Puts a claimed delivery back if its endpoint was disabled since the claim. It waits until the endpoint is enabled.
pub(crate) async fn put_back(tx: &mut Tx, org: OrgId, id: DeliveryId) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE delivery SET status = 'due', due_at = created_at, dispatched_at = NULL \
         WHERE org_id = $1 AND id = $2 AND status = 'running' \
         AND endpoint_id IN (SELECT id FROM endpoint WHERE org_id = $1 AND disabled_at IS NOT NULL)",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .run(tx)
    .await
}

/// Returns how many attempts a running delivery has had; `None` if it is not running.
pub(crate) async fn attempts_made(
    conn: &mut AnyConnection,
    org: OrgId,
    id: DeliveryId,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT attempts FROM delivery WHERE org_id = $1 AND id = $2 AND status = 'running'",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await
}

/// Stores the outcome of an attempt. Without a key, the reply is not stored.
pub(crate) async fn record(
    tx: &mut Tx,
    key: Option<&DataKey>,
    org: OrgId,
    delivery: DeliveryId,
    attempt: &Attempt,
) -> Result<(), sqlx::Error> {
    let id = attempt.id.to_string();
    let reply = key.zip(attempt.reply.as_ref());
    sqlx::query(
        "INSERT INTO attempt (id, org_id, delivery_id, number, started_at, took_ms, http_status, error, reply_sealed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(id.as_str())
    .bind(org.to_string())
    .bind(delivery.to_string())
    .bind(attempt.number)
    .bind(attempt.started_at)
    .bind(attempt.took_ms)
    .bind(attempt.http_status)
    .bind(attempt.error.as_deref())
    .bind(reply.map(|(key, reply)| key.seal(&Place::of(org, REPLY, &id), reply)))
    .run(tx)
    .await
}

/// Marks an endpoint's waiting deliveries as dead.
pub(crate) async fn bury(tx: &mut Tx, org: OrgId, endpoint: EndpointId) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE delivery SET status = 'dead', dispatched_at = NULL \
         WHERE org_id = $1 AND endpoint_id = $2 AND status IN ('due', 'running')",
    )
    .bind(org.to_string())
    .bind(endpoint.to_string())
    .run(tx)
    .await
}

macro_rules! listed {
    ($of:literal) => {
        concat!(
            "SELECT d.id, d.event_id, (SELECT e.type FROM event e WHERE e.id = d.event_id) AS type, \
             (SELECT e.test FROM event e WHERE e.id = d.event_id) AS test, d.endpoint_id, d.status, d.attempts, d.due_at, d.created_at \
             FROM delivery d WHERE d.org_id = $1 AND d.id < $2",
            $of,
            " AND ",
            alive!("(SELECT e.session_id FROM event e WHERE e.id = d.event_id)"),
            " ORDER BY d.id DESC LIMIT $3"
        )
    };
}

// A statement and an index for each filter, so that none walks what it does not show. A join would let PostgreSQL
// read and sort all of them.
pub(super) const ALL: &str = listed!("");
pub(super) const OF_STATUS: &str = listed!(" AND d.status = $4");
pub(super) const OF_ENDPOINT: &str = listed!(" AND d.endpoint_id = $4");
pub(super) const OF_STATUS_OF_ENDPOINT: &str = listed!(" AND d.endpoint_id = $4 AND d.status = $5");

pub(crate) async fn list(
    conn: &mut AnyConnection,
    org: OrgId,
    wanted: &Wanted,
    page: &Page<DeliveryId>,
) -> Result<Listed<Delivery>, sqlx::Error> {
    let sql = match (wanted.endpoint, wanted.status) {
        (None, None) => ALL,
        (None, Some(_)) => OF_STATUS,
        (Some(_), None) => OF_ENDPOINT,
        (Some(_), Some(_)) => OF_STATUS_OF_ENDPOINT,
    };
    let mut query = sqlx::query(sql)
        .bind(org.to_string())
        .bind(page.below())
        .bind(page.fetch());
    if let Some(endpoint) = wanted.endpoint {
        query = query.bind(endpoint.to_string());
    }
    if let Some(status) = wanted.status {
        query = query.bind(status.as_str());
    }
    let rows = query.fetch_all(conn).await?;
    Ok(row::page_as("delivery", rows, page))
}

pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    id: DeliveryId,
) -> Result<Option<Delivery>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT d.id, d.event_id, e.type, e.test, d.endpoint_id, d.status, d.attempts, d.due_at, d.created_at \
         FROM delivery d JOIN event e ON e.id = d.event_id WHERE d.org_id = $1 AND d.id = $2 AND ",
        alive!("e.session_id")
    ))
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await
}

/// Returns a delivery's attempts, the first one first.
pub(crate) async fn attempts(
    conn: &mut AnyConnection,
    key: &DataKey,
    org: OrgId,
    delivery: DeliveryId,
) -> Result<Vec<Attempt>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, number, started_at, took_ms, http_status, error, reply_sealed FROM attempt \
         WHERE org_id = $1 AND delivery_id = $2 ORDER BY number LIMIT 100",
    )
    .bind(org.to_string())
    .bind(delivery.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| attempt(key, org, row)).collect()
}

fn attempt(key: &DataKey, org: OrgId, row: &AnyRow) -> Result<Attempt, sqlx::Error> {
    let id: AttemptId = row::id(row, "id")?;
    let sealed: Option<Vec<u8>> = row.try_get("reply_sealed")?;
    let place_of = id.to_string();
    let reply = sealed.map(|sealed| key.open(&Place::of(org, REPLY, &place_of), &sealed));
    // The rest of the attempt still says how it ended.
    let (reply, unreadable) = match reply.transpose() {
        Ok(reply) => (reply, false),
        Err(error) => {
            report_unreadable("attempt", &id, &error);
            (None, true)
        }
    };
    Ok(Attempt {
        id,
        number: row.try_get("number")?,
        started_at: row.try_get("started_at")?,
        took_ms: row.try_get("took_ms")?,
        http_status: row.try_get("http_status")?,
        error: row.try_get("error")?,
        reply: reply.map(|reply| reply.to_vec()),
        unreadable,
    })
}

impl FromRow<'_, AnyRow> for Delivery {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let status = row::word(row, "status")?;
        let due_at: Millis = row.try_get("due_at")?;
        Ok(Self {
            id: row::id(row, "id")?,
            event: row::id(row, "event_id")?,
            event_type: row.try_get("type")?,
            test: row.try_get::<i64, _>("test")? == 1,
            endpoint: row::id(row, "endpoint_id")?,
            status,
            attempts: row.try_get("attempts")?,
            next_attempt_at: (status == DeliveryStatus::Due).then_some(due_at),
            created_at: row.try_get("created_at")?,
        })
    }
}
