//! Files of every organisation: which have to be fetched, and which have to be deleted.
//!
//! A file is due when its time has come, or when it is being fetched and its claim has lapsed because
//! its worker died. An organisation whose fetches are all in use is skipped, so that it delays no other.

use std::collections::HashMap;

use passerelle_engine::{
    clock::Millis,
    ids::{MediaId, ObjectId, OrgId},
    store::{Dialect, SystemRead, SystemTx},
};
use sqlx::{Row as _, any::AnyRow};

use crate::store::row;

/// The most files of one organisation that are fetched at once.
pub(crate) const PER_ORG: i64 = 4;

/// A file to fetch, and the number of this try.
pub(crate) struct Due {
    pub(crate) org: OrgId,
    pub(crate) id: MediaId,
    pub(crate) attempt: i64,
}

/// Claims at most `limit` files to fetch until `lapse`, the longest due first.
pub(crate) async fn claim(
    tx: &mut SystemTx,
    now: Millis,
    lapse: Millis,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let mut fetching = fetching(tx, now).await?;
    let mut claimed = Vec::new();
    let ids = |row: &AnyRow| {
        let attempts: i64 = row.try_get("attempts")?;
        let (org, id): (OrgId, MediaId) = (row::id(row, "org_id")?, row::id(row, "id")?);
        Ok((org, id, attempts + 1))
    };
    for (org, id, attempt) in row::each("media", &due(tx, now, limit).await?, ids) {
        let fetching = fetching.entry(org).or_default();
        if *fetching == PER_ORG {
            continue;
        }
        *fetching += 1;
        take(tx, id, attempt, lapse).await?;
        claimed.push(Due { org, id, attempt });
    }
    Ok(claimed)
}

async fn fetching(tx: &mut SystemTx, now: Millis) -> Result<HashMap<OrgId, i64>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT org_id, count(*) AS fetching FROM media WHERE status = 'fetching' AND due_at > $1 GROUP BY org_id",
    )
    .bind(now)
    .fetch_all(tx.conn())
    .await?;
    let count = |row: &AnyRow| Ok((row::id(row, "org_id")?, row.try_get("fetching")?));
    Ok(row::each("media", &rows, count).into_iter().collect())
}

/// Returns rows that may be claimed. PostgreSQL must be told to skip rows that others are claiming.
async fn due(tx: &mut SystemTx, now: Millis, limit: i64) -> Result<Vec<AnyRow>, sqlx::Error> {
    const DUE: &str = "SELECT id, org_id, attempts FROM media \
         WHERE status IN ('pending', 'deferred', 'fetching') AND due_at <= $1 AND org_id NOT IN \
         (SELECT org_id FROM media WHERE status = 'fetching' AND due_at > $1 GROUP BY org_id HAVING count(*) >= $2) \
         ORDER BY due_at LIMIT $3";
    const DUE_LOCKED: &str = "SELECT id, org_id, attempts FROM media \
         WHERE status IN ('pending', 'deferred', 'fetching') AND due_at <= $1 AND org_id NOT IN \
         (SELECT org_id FROM media WHERE status = 'fetching' AND due_at > $1 GROUP BY org_id HAVING count(*) >= $2) \
         ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED";
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

async fn take(
    tx: &mut SystemTx,
    id: MediaId,
    attempt: i64,
    lapse: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE media SET status = 'fetching', attempts = $2, due_at = $3, dispatched_at = NULL WHERE id = $1",
    )
        .bind(id.to_string())
        .bind(attempt)
        .bind(lapse)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Postpones due files until the disk may have room again.
pub(crate) async fn defer(
    tx: &mut SystemTx,
    now: Millis,
    until: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE media SET status = 'deferred', due_at = $2, dispatched_at = NULL WHERE status IN ('pending', 'deferred') AND due_at <= $1",
    )
    .bind(now)
    .bind(until)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Postpones one file, whose token has this `generation`.
pub(crate) async fn put_off(
    tx: &mut SystemTx,
    id: MediaId,
    generation: i64,
    until: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE media SET status = 'deferred', due_at = $3, dispatched_at = NULL \
         WHERE id = $1 AND generation = $2 AND dispatched_at IS NOT NULL AND status IN ('pending', 'deferred')",
    )
    .bind(id.to_string())
    .bind(generation)
    .bind(until)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Returns when the next file can be claimed.
pub(crate) async fn next_at(
    conn: &mut SystemRead,
    now: Millis,
) -> Result<Option<Millis>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT due_at FROM media WHERE status IN ('pending', 'deferred', 'fetching') AND org_id NOT IN \
         (SELECT org_id FROM media WHERE status = 'fetching' AND due_at > $1 GROUP BY org_id HAVING count(*) >= $2) \
         ORDER BY due_at LIMIT 1",
    )
    .bind(now)
    .bind(PER_ORG)
    .fetch_optional(&mut **conn)
    .await
}

/// Returns expired files.
pub(crate) async fn overdue(
    conn: &mut SystemRead,
    now: Millis,
) -> Result<Vec<(OrgId, MediaId)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT org_id, id FROM media WHERE delete_at <= $1 \
         AND NOT EXISTS (SELECT 1 FROM auto_reply r WHERE r.media_id = media.id) ORDER BY delete_at LIMIT 200",
    )
    .bind(now)
    .fetch_all(&mut **conn)
    .await?;
    let ids = |row: &AnyRow| Ok((row::id(row, "org_id")?, row::id(row, "id")?));
    Ok(row::each("media", &rows, ids))
}

/// Returns the stored files that would be deleted next, and that no waiting message and no rule needs.
pub(crate) async fn oldest(
    conn: &mut SystemRead,
    now: Millis,
) -> Result<Vec<(OrgId, MediaId)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT org_id, id FROM media WHERE object IS NOT NULL AND needed_until <= $1 \
         AND NOT EXISTS (SELECT 1 FROM auto_reply r WHERE r.media_id = media.id) ORDER BY delete_at LIMIT 50",
    )
    .bind(now)
    .fetch_all(&mut **conn)
    .await?;
    let ids = |row: &AnyRow| Ok((row::id(row, "org_id")?, row::id(row, "id")?));
    Ok(row::each("media", &rows, ids))
}

/// Returns whether a file has this object.
pub(crate) async fn is_known(conn: &mut SystemRead, object: ObjectId) -> Result<bool, sqlx::Error> {
    let found = sqlx::query("SELECT id FROM media WHERE object = $1")
        .bind(object.to_string())
        .fetch_optional(&mut **conn)
        .await?;
    Ok(found.is_some())
}

/// Returns some files with an object, after `after` in the order of their ids.
pub(crate) async fn available(
    conn: &mut SystemRead,
    after: &str,
    limit: i64,
) -> Result<Vec<(OrgId, MediaId, ObjectId)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT org_id, id, object FROM media WHERE object IS NOT NULL AND id > $1 ORDER BY id LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(&mut **conn)
    .await?;
    let ids = |row: &AnyRow| {
        Ok((
            row::id(row, "org_id")?,
            row::id(row, "id")?,
            row::id(row, "object")?,
        ))
    };
    Ok(row::each("media", &rows, ids))
}
