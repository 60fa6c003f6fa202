//! The claim of due deliveries.
//!
//! Due is a row whose time has come, and a running one whose claim has lapsed: its worker died.
//! An endpoint that has all its attempts under way is passed over, so that one that hangs holds up
//! nobody else. The limit is kept here, where a row becomes running: whoever claims, by token or
//! without, first makes itself the one that claims for the endpoint ([`reserve_due`]).

use std::collections::{HashMap, HashSet};

use passerelle_engine::{
    clock::Millis,
    ids::{DeliveryId, OrgId},
    store::{Dialect, SystemRead, SystemTx},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use crate::store::row;

/// Attempts under way to one endpoint, at most.
pub(crate) const PER_ENDPOINT: i64 = 4;

/// Endpoints that have all their attempts under way at `$1`; `$2` is how many those are.
macro_rules! full {
    () => {
        "(SELECT endpoint_id FROM delivery WHERE status = 'running' AND due_at > $1 \
          GROUP BY endpoint_id HAVING count(*) >= $2)"
    };
}

/// What may be claimed at `$1`, the longest due first, at most `$3`.
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
        // The one writer claims.
        Dialect::Sqlite => None,
        Dialect::Postgres => Some(reserve_due(tx, now, limit).await?),
    };
    let mut running = running(tx.conn(), now).await?;
    let mut claimed = Vec::new();
    for row in due(tx, now, limit).await? {
        let endpoint: String = row.try_get("endpoint_id")?;
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
        let id = row::id(&row, "id")?;
        take(tx, id, lapse).await?;
        claimed.push((row::id(&row, "org_id")?, id));
    }
    Ok(claimed)
}

/// Makes this the one transaction that claims for the endpoints of what is due, until it ends.
/// PostgreSQL's alone. Which those are. What was claimed before is seen by a statement after this one.
async fn reserve_due(
    tx: &mut SystemTx,
    now: Millis,
    limit: i64,
) -> Result<HashSet<String>, sqlx::Error> {
    // Locked in the order of their keys, so that two who claim never wait for each other.
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

/// When the next delivery to an endpoint with room can be claimed.
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

/// How many attempts are under way to each endpoint that has some.
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

/// Rows that may be claimed. PostgreSQL alone has to be told to pass over what others are claiming.
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
