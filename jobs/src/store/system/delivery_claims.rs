//! The claim of due deliveries.
//!
//! Due is a row whose time has come, and a running one whose claim has lapsed: its worker died.
//! An endpoint that has all its attempts under way is passed over, so that one that hangs holds up
//! nobody else.

use std::collections::HashMap;

use passerelle_engine::{
    clock::Millis,
    ids::{DeliveryId, OrgId},
    store::{Dialect, SystemRead, SystemTx},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use crate::store::row;

/// Attempts under way to one endpoint, at most.
pub(crate) const PER_ENDPOINT: i64 = 4;

/// Claims at most `limit` deliveries until `lapse`, the longest due first.
pub(crate) async fn claim(
    tx: &mut SystemTx,
    now: Millis,
    lapse: Millis,
    limit: i64,
) -> Result<Vec<(OrgId, DeliveryId)>, sqlx::Error> {
    let mut running = running(tx.conn(), now).await?;
    let mut claimed = Vec::new();
    for row in due(tx, now, limit).await? {
        let endpoint: String = row.try_get("endpoint_id")?;
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

/// When the next delivery to an endpoint with room can be claimed.
pub(crate) async fn next_at(
    conn: &mut SystemRead,
    now: Millis,
) -> Result<Option<Millis>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT due_at FROM delivery WHERE status IN ('due', 'running') AND endpoint_id NOT IN \
         (SELECT endpoint_id FROM delivery WHERE status = 'running' AND due_at > $1 \
          GROUP BY endpoint_id HAVING count(*) >= $2) ORDER BY due_at LIMIT 1",
    )
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
    const DUE: &str = "SELECT id, org_id, endpoint_id FROM delivery \
         WHERE status IN ('due', 'running') AND due_at <= $1 AND endpoint_id NOT IN \
         (SELECT endpoint_id FROM delivery WHERE status = 'running' AND due_at > $1 \
          GROUP BY endpoint_id HAVING count(*) >= $2) ORDER BY due_at LIMIT $3";
    const DUE_LOCKED: &str = "SELECT id, org_id, endpoint_id FROM delivery \
         WHERE status IN ('due', 'running') AND due_at <= $1 AND endpoint_id NOT IN \
         (SELECT endpoint_id FROM delivery WHERE status = 'running' AND due_at > $1 \
          GROUP BY endpoint_id HAVING count(*) >= $2) ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED";
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
