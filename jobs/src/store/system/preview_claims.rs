//! Link previews of every organisation that have to be fetched. A preview is due when its time has come:
//! nothing has fetched it yet, or a claim has lapsed. An organisation whose fetches are all in use is
//! skipped, so that slow pages delay no other.

use passerelle_engine::{
    clock::Millis,
    ids::{MessageId, OrgId},
    store::{Dialect, SystemRead, SystemTx},
};
use sqlx::{Row as _, any::AnyRow};
use std::collections::HashMap;

use crate::store::row;

/// The most previews of one organisation that are fetched at once.
const PER_ORG: i64 = 4;

/// Claims at most `limit` previews until `lapse`, the longest due first.
pub(crate) async fn claim(
    tx: &mut SystemTx,
    now: Millis,
    lapse: Millis,
    limit: i64,
) -> Result<Vec<(OrgId, MessageId)>, sqlx::Error> {
    let rows = due(tx, now, limit).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut fetching = fetching(tx, now).await?;
    let mut claimed = Vec::new();
    let ids = |row: &AnyRow| Ok((row::id(row, "org_id")?, row::id(row, "id")?));
    for (org, id) in row::each("message", &rows, ids) {
        let fetching = fetching.entry(org).or_default();
        if *fetching < PER_ORG {
            *fetching += 1;
            take(tx, id, lapse).await?;
            claimed.push((org, id));
        }
    }
    Ok(claimed)
}

/// Rows that may be claimed.
pub(in crate::store) const DUE: &str = "SELECT id, org_id FROM message WHERE preview_due_at <= $1 AND org_id NOT IN \
     (SELECT org_id FROM message WHERE preview_due_at > $1 GROUP BY org_id HAVING count(*) >= $2) \
     ORDER BY preview_due_at LIMIT $3";
const DUE_LOCKED: &str = "SELECT id, org_id FROM message WHERE preview_due_at <= $1 AND org_id NOT IN \
     (SELECT org_id FROM message WHERE preview_due_at > $1 GROUP BY org_id HAVING count(*) >= $2) \
     ORDER BY preview_due_at LIMIT $3 FOR UPDATE SKIP LOCKED";

/// Returns rows that may be claimed. PostgreSQL must be told to skip rows that others are claiming.
async fn due(tx: &mut SystemTx, now: Millis, limit: i64) -> Result<Vec<AnyRow>, sqlx::Error> {
    let sql = match tx.dialect() {
        Dialect::Sqlite => DUE,
        Dialect::Postgres => DUE_LOCKED,
    };
    sqlx::query(sql)
        .bind(now)
        .bind(PER_ORG)
        .bind(limit)
        .fetch_all(tx.conn())
        .await
}

async fn fetching(tx: &mut SystemTx, now: Millis) -> Result<HashMap<OrgId, i64>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT org_id, count(*) AS fetching FROM message WHERE preview_due_at > $1 GROUP BY org_id",
    )
    .bind(now)
    .fetch_all(tx.conn())
    .await?;
    let count = |row: &AnyRow| Ok((row::id(row, "org_id")?, row.try_get("fetching")?));
    Ok(row::each("message", &rows, count).into_iter().collect())
}

async fn take(tx: &mut SystemTx, id: MessageId, lapse: Millis) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE message SET preview_due_at = $2 WHERE id = $1")
        .bind(id.to_string())
        .bind(lapse)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// When the next row may be claimed.
pub(in crate::store) const NEXT_AT: &str = "SELECT preview_due_at FROM message WHERE preview_due_at IS NOT NULL AND org_id NOT IN \
     (SELECT org_id FROM message WHERE preview_due_at > $1 GROUP BY org_id HAVING count(*) >= $2) \
     ORDER BY preview_due_at LIMIT 1";

/// Returns when the next preview can be claimed.
pub(crate) async fn next_at(
    conn: &mut SystemRead,
    now: Millis,
) -> Result<Option<Millis>, sqlx::Error> {
    sqlx::query_scalar(NEXT_AT)
        .bind(now)
        .bind(PER_ORG)
        .fetch_optional(&mut **conn)
        .await
}
