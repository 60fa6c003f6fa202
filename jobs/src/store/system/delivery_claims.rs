//! The claim of due deliveries.
//!
//! A row is due when its time has come, or when it is running and its claim has lapsed because its
//! worker died. An endpoint whose attempts are all in use is skipped, so that an endpoint that hangs
//! delays no other. The limit is enforced here, where a row becomes running: each claim, with a token or
//! without, first locks the endpoint ([`reserve_due`]).

use std::collections::{HashMap, HashSet};

use passerelle_engine::{
    clock::Millis,
    ids::{DeliveryId, OrgId},
    store::{Dialect, SystemRead, SystemTx},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use crate::store::row;

/// The most attempts to one endpoint at once.
pub(crate) const PER_ENDPOINT: i64 = 4;

/// SQL for the endpoints of suspended organisations, whose deliveries wait.
macro_rules! suspended {
    () => {
        "SELECT id FROM endpoint WHERE org_id IN (SELECT id FROM organisation WHERE suspended_at IS NOT NULL)"
    };
}
pub(super) use suspended;

/// SQL for the endpoints that have `$2` running attempts at `$1`, and those that are suspended.
macro_rules! full {
    () => {
        concat!(
            "(SELECT endpoint_id FROM delivery WHERE status = 'running' AND due_at > $1 \
              GROUP BY endpoint_id HAVING count(*) >= $2 UNION ALL ",
            suspended!(),
            ")"
        )
    };
}

/// SQL for the rows that may be claimed at `$1`, the longest due first, at most `$3`.
macro_rules! due {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM delivery WHERE status IN ('due', 'running') AND due_at <= $1 AND endpoint_id NOT IN ",
            full!(),
            " ORDER BY due_at LIMIT $3"
        )
    };
}

/// Claims at most `limit` deliveries until `lapse`, the longest due first.
pub(crate) async fn claim(
    tx: &mut SystemTx,
    now: Millis,
    lapse: Millis,
    limit: i64,
) -> Result<Vec<(OrgId, DeliveryId)>, sqlx::Error> {
    let reserved = match tx.dialect() {
        // SQLite has one writer, so nothing else claims.
        Dialect::Sqlite => None,
        Dialect::Postgres => Some(reserve_due(tx, now, limit).await?),
    };
    let mut running = running(tx.conn(), now).await?;
    let mut claimed = Vec::new();
    let ids = |row: &AnyRow| {
        let endpoint: String = row.try_get("endpoint_id")?;
        let (org, id): (OrgId, DeliveryId) = (row::id(row, "org_id")?, row::id(row, "id")?);
        Ok((endpoint, org, id))
    };
    for (endpoint, org, id) in row::each("delivery", &due(tx, now, limit).await?, ids) {
        if reserved
            .as_ref()
            .is_some_and(|held| !held.contains(&endpoint))
        {
            continue;
        }
        let running = running.entry(endpoint).or_default();
        if *running == PER_ENDPOINT {
            continue;
        }
        *running += 1;
        take(tx, id, lapse).await?;
        claimed.push((org, id));
    }
    Ok(claimed)
}

/// Locks the endpoints of due deliveries until the transaction ends, so that no other transaction claims
/// for them. Returns these endpoints. For PostgreSQL only. A statement after this one sees all earlier
/// claims.
async fn reserve_due(
    tx: &mut SystemTx,
    now: Millis,
    limit: i64,
) -> Result<HashSet<String>, sqlx::Error> {
    // Locked in the order of their keys, so that two claims cannot deadlock.
    let rows = sqlx::query(concat!(
        "SELECT endpoint_id, pg_advisory_xact_lock(7030262, key)::text FROM (\
           SELECT DISTINCT endpoint_id, hashtext(endpoint_id) AS key FROM (",
        due!("endpoint_id"),
        ") due ORDER BY key) keys",
    ))
    .bind(now)
    .bind(PER_ENDPOINT)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(|row| row.try_get("endpoint_id")).collect()
}

/// Returns when the next delivery to an endpoint with room can be claimed.
pub(crate) async fn next_at(
    conn: &mut SystemRead,
    now: Millis,
) -> Result<Option<Millis>, sqlx::Error> {
    sqlx::query_scalar(concat!(
        "SELECT due_at FROM delivery WHERE status IN ('due', 'running') AND endpoint_id NOT IN ",
        full!(),
        " ORDER BY due_at LIMIT 1"
    ))
    .bind(now)
    .bind(PER_ENDPOINT)
    .fetch_optional(&mut **conn)
    .await
}

/// Returns how many attempts are running to each endpoint.
async fn running(
    conn: &mut AnyConnection,
    now: Millis,
) -> Result<HashMap<String, i64>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT endpoint_id, count(*) AS running FROM delivery WHERE status = 'running' AND due_at > $1 \
         GROUP BY endpoint_id",
    )
    .bind(now)
    .fetch_all(conn)
    .await?;
    let count = |row: &AnyRow| Ok((row.try_get("endpoint_id")?, row.try_get("running")?));
    rows.iter().map(count).collect()
}

/// Returns rows that may be claimed. PostgreSQL must be told to skip rows that others are claiming.
async fn due(tx: &mut SystemTx, now: Millis, limit: i64) -> Result<Vec<AnyRow>, sqlx::Error> {
    const DUE: &str = due!("id, org_id, endpoint_id");
    const DUE_LOCKED: &str = concat!(due!("id, org_id, endpoint_id"), " FOR UPDATE SKIP LOCKED");
    let sql = match tx.dialect() {
        Dialect::Sqlite => DUE,
        Dialect::Postgres => DUE_LOCKED,
    };
    sqlx::query(sql)
        .bind(now)
        .bind(PER_ENDPOINT)
        .bind(limit)
        .fetch_all(tx.conn())
        .await
}

async fn take(tx: &mut SystemTx, id: DeliveryId, lapse: Millis) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE delivery SET status = 'running', due_at = $2, dispatched_at = NULL WHERE id = $1",
    )
    .bind(id.to_string())
    .bind(lapse)
    .execute(tx.conn())
    .await?;
    Ok(())
}
