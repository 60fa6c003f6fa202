//! The rows of deleted sessions, which are deleted some at a time, so that no transaction is long.
//!
//! A session's own row is the last one. As long as it is there, with its `deleted_at`, something may be
//! left. Its link, lease and lane were deleted with the request, so nothing is added any more.

use passerelle_engine::{
    clock::Millis,
    ids::{ObjectId, OrgId, SessionId},
    keystore, over_list,
    store::{Dialect, SystemRead, SystemTx},
};
use serde_json::json;
use sqlx::{Row as _, any::AnyRow};

use crate::store::row;

/// Deleted sessions of one page.
const PAGE: i64 = 100;
/// The most rows of each kind that one step deletes.
const ATTEMPTS: u64 = 500;
const EVENTS: u64 = 100;
const RECEIPTS: u64 = 500;
const MESSAGES: u64 = 200;
const FILES: u64 = 100;
const KEYS: u64 = 500;
const ANSWERS: u64 = 500;

/// A deleted session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Erasing {
    pub(crate) org: OrgId,
    pub(crate) session: SessionId,
}

/// What a step did.
pub(crate) struct Step {
    /// Objects whose rows were deleted. Delete them after the commit.
    pub(crate) objects: Vec<ObjectId>,
    /// Whether nothing of the session is left, or another process is erasing it.
    pub(crate) is_last: bool,
}

/// The last deleted session of a page. The next page begins after it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Last {
    deleted_at: Millis,
    id: String,
}

/// Returns a page of deleted sessions of which something is left, the longest deleted first, and the last one if
/// more may follow.
pub(crate) async fn pending(
    conn: &mut SystemRead,
    after: &Last,
) -> Result<(Vec<Erasing>, Option<Last>), sqlx::Error> {
    let rows = sqlx::query(
        "SELECT org_id, id, deleted_at FROM session WHERE deleted_at IS NOT NULL AND (deleted_at, id) > ($1, $2) \
         ORDER BY deleted_at, id LIMIT $3",
    )
    .bind(after.deleted_at)
    .bind(after.id.as_str())
    .bind(PAGE)
    .fetch_all(&mut **conn)
    .await?;
    let last = |row: &AnyRow| {
        Ok::<_, sqlx::Error>(Last {
            deleted_at: row.try_get("deleted_at")?,
            id: row.try_get("id")?,
        })
    };
    let is_full = i64::try_from(rows.len()).is_ok_and(|found| found == PAGE);
    let last = rows.last().filter(|_| is_full).map(last).transpose()?;
    let erasing = |row: &AnyRow| {
        Ok(Erasing {
            org: row::id(row, "org_id")?,
            session: row::id(row, "id")?,
        })
    };
    Ok((row::each("session", &rows, erasing), last))
}

/// Deletes some rows of a deleted session. The last step deletes the session's own row.
pub(crate) async fn step(tx: &mut SystemTx, of: Erasing) -> Result<Step, sqlx::Error> {
    let mut step = Step {
        objects: Vec::new(),
        is_last: true,
    };
    if !lock(tx, of).await? {
        return Ok(step);
    }
    step.is_last = attempts(tx, of).await? < ATTEMPTS
        && events(tx, of).await? < EVENTS
        && receipts(tx, of).await? < RECEIPTS
        && messages(tx, of).await? < MESSAGES
        && files(tx, of, &mut step.objects).await? < FILES
        && keystore::erase(tx, of.session, KEYS).await? < KEYS
        && answers(tx, of).await? < ANSWERS;
    if step.is_last {
        execute(
            tx,
            of,
            "DELETE FROM session WHERE id = $1 AND deleted_at IS NOT NULL",
        )
        .await?;
    }
    Ok(step)
}

/// Locks the session's row. Returns false if another process has locked it, or it is gone.
async fn lock(tx: &mut SystemTx, of: Erasing) -> Result<bool, sqlx::Error> {
    const FIND: &str = "SELECT id FROM session WHERE id = $1 AND deleted_at IS NOT NULL";
    const FIND_LOCKED: &str = "SELECT id FROM session WHERE id = $1 AND deleted_at IS NOT NULL \
         FOR UPDATE SKIP LOCKED";
    let sql = match tx.dialect() {
        Dialect::Sqlite => FIND,
        Dialect::Postgres => FIND_LOCKED,
    };
    let found = sqlx::query(sql)
        .bind(of.session.to_string())
        .fetch_optional(tx.conn())
        .await?;
    Ok(found.is_some())
}

/// Deletes attempts of the events that [`events`] deletes next.
async fn attempts(tx: &mut SystemTx, of: Erasing) -> Result<u64, sqlx::Error> {
    execute(
        tx,
        of,
        "DELETE FROM attempt WHERE id IN (SELECT a.id FROM \
         (SELECT id FROM event WHERE session_id = $1 ORDER BY message_id, id LIMIT 100) e \
         JOIN delivery d ON d.event_id = e.id JOIN attempt a ON a.delivery_id = d.id LIMIT 500)",
    )
    .await
}

/// Deletes events. Their deliveries go with them.
async fn events(tx: &mut SystemTx, of: Erasing) -> Result<u64, sqlx::Error> {
    execute(
        tx,
        of,
        "DELETE FROM event WHERE id IN \
         (SELECT id FROM event WHERE session_id = $1 ORDER BY message_id, id LIMIT 100)",
    )
    .await
}

/// Deletes receipts of the messages that [`messages`] deletes next.
async fn receipts(tx: &mut SystemTx, of: Erasing) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "DELETE FROM receipt WHERE id IN (SELECT r.id FROM \
         (SELECT id FROM message WHERE session_id = $1 AND org_id = $2 ORDER BY id DESC LIMIT 200) m \
         JOIN receipt r ON r.message_id = m.id LIMIT 500)",
    )
    .bind(of.session.to_string())
    .bind(of.org.to_string())
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected())
}

/// Deletes messages, the newest first: lists skip them, and are fast again soon. A contact whom no message
/// names any more goes with them, unless it has opted out.
async fn messages(tx: &mut SystemTx, of: Erasing) -> Result<u64, sqlx::Error> {
    let rows = sqlx::query(
        "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE session_id = $1 AND org_id = $2 \
         ORDER BY id DESC LIMIT 200) RETURNING contact_id",
    )
    .bind(of.session.to_string())
    .bind(of.org.to_string())
    .fetch_all(tx.conn())
    .await?;
    let met = |row: &AnyRow| row.try_get::<Option<String>, _>("contact_id").ok()?;
    let mut met: Vec<String> = rows.iter().filter_map(met).collect();
    met.sort();
    met.dedup();
    if !met.is_empty() {
        contacts(tx, of.org, met).await?;
    }
    Ok(rows.len() as u64)
}

/// Deletes those of these contacts whom no message names any more, with the ids that lead to them. One that
/// has opted out stays, so that nobody writes to it again, without its names.
async fn contacts(tx: &mut SystemTx, org: OrgId, met: Vec<String>) -> Result<(), sqlx::Error> {
    let met: Vec<_> = met.iter().map(|id| [id]).collect();
    let met = json!(met).to_string();
    if tx.dialect() == Dialect::Postgres {
        lock_contacts(tx, org, &met).await?;
    }
    let unnamed = over_list!(
        tx.dialect(),
        "SELECT DISTINCT coalesce(c.merged_into, c.id) AS id FROM",
        "met JOIN contact c ON c.id = met.value ->> 0 WHERE c.org_id = $2 \
         AND NOT EXISTS (SELECT 1 FROM contact a WHERE a.id = coalesce(c.merged_into, c.id) \
          AND (a.opted_out_at IS NOT NULL OR EXISTS (SELECT 1 FROM message m WHERE m.contact_id = a.id))) \
         AND NOT EXISTS (SELECT 1 FROM contact a WHERE a.merged_into = coalesce(c.merged_into, c.id) \
          AND (a.opted_out_at IS NOT NULL OR EXISTS (SELECT 1 FROM message m WHERE m.contact_id = a.id)))"
    );
    let unnamed: Vec<String> = sqlx::query_scalar(unnamed)
        .bind(met.clone())
        .bind(org.to_string())
        .fetch_all(tx.conn())
        .await?;
    let unnamed: Vec<_> = unnamed.iter().map(|id| [id]).collect();
    // Asked again of the row itself: on PostgreSQL one that was merged into another just now is not locked.
    for sql in [
        over_list!(
            tx.dialect(),
            "DELETE FROM contact WHERE opted_out_at IS NULL AND merged_into IN (SELECT value ->> 0 FROM",
            "unnamed)"
        ),
        over_list!(
            tx.dialect(),
            "DELETE FROM contact WHERE opted_out_at IS NULL AND id IN (SELECT value ->> 0 FROM",
            "unnamed)"
        ),
    ] {
        sqlx::query(sql)
            .bind(json!(unnamed).to_string())
            .execute(tx.conn())
            .await?;
    }
    forget_names(tx, org, met).await
}

/// Deletes the names and consents of contacts that stay for their opt-out alone.
async fn forget_names(tx: &mut SystemTx, org: OrgId, met: String) -> Result<(), sqlx::Error> {
    let blank = over_list!(
        tx.dialect(),
        "SELECT DISTINCT coalesce(c.merged_into, c.id) AS id FROM",
        "met JOIN contact c ON c.id = met.value ->> 0 WHERE c.org_id = $2 \
         AND NOT EXISTS (SELECT 1 FROM message m WHERE m.contact_id = coalesce(c.merged_into, c.id)) \
         AND NOT EXISTS (SELECT 1 FROM contact a JOIN message m ON m.contact_id = a.id \
          WHERE a.merged_into = coalesce(c.merged_into, c.id))"
    );
    let blank: Vec<String> = sqlx::query_scalar(blank)
        .bind(met)
        .bind(org.to_string())
        .fetch_all(tx.conn())
        .await?;
    let blank: Vec<_> = blank.iter().map(|id| [id]).collect();
    for sql in [
        over_list!(
            tx.dialect(),
            "UPDATE contact SET name_sealed = NULL, push_name_sealed = NULL, verified_name_sealed = NULL, \
             metadata_sealed = NULL WHERE id IN (SELECT value ->> 0 FROM",
            "blank)"
        ),
        over_list!(
            tx.dialect(),
            "DELETE FROM contact_word WHERE contact_id IN (SELECT value ->> 0 FROM",
            "blank)"
        ),
        over_list!(
            tx.dialect(),
            "DELETE FROM consent WHERE contact_id IN (SELECT value ->> 0 FROM",
            "blank)"
        ),
    ] {
        sqlx::query(sql)
            .bind(json!(blank).to_string())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// Locks these contacts, and those that they were merged into, until the transaction ends. A session that meets one of
/// them holds its row ([`contacts::find`](crate::store::contacts::find)) until its message is committed: either the
/// statements after this one see that message, or it comes later, finds no contact, and makes a new one.
async fn lock_contacts(tx: &mut SystemTx, org: OrgId, met: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "SELECT id FROM contact WHERE org_id = $2 AND id IN (\
         SELECT coalesce(c.merged_into, c.id) FROM json_array_elements(CAST($1 AS json)) met \
         JOIN contact c ON c.id = met.value ->> 0 WHERE c.org_id = $2) ORDER BY id FOR UPDATE",
    )
    .bind(met)
    .bind(org.to_string())
    .fetch_all(tx.conn())
    .await?;
    Ok(())
}

/// Deletes the rows of files. Without its row, nothing can decrypt an object.
async fn files(
    tx: &mut SystemTx,
    of: Erasing,
    objects: &mut Vec<ObjectId>,
) -> Result<u64, sqlx::Error> {
    let rows = sqlx::query(
        "DELETE FROM media WHERE id IN (SELECT id FROM media WHERE session_id = $1 LIMIT 100) RETURNING object",
    )
    .bind(of.session.to_string())
    .fetch_all(tx.conn())
    .await?;
    let object = |row: &AnyRow| row::id_or_null::<ObjectId>(row, "object").ok()?;
    objects.extend(rows.iter().filter_map(object));
    Ok(rows.len() as u64)
}

/// Deletes answers that are kept for repeated requests and repeated questions about numbers.
async fn answers(tx: &mut SystemTx, of: Erasing) -> Result<u64, sqlx::Error> {
    execute(tx, of, "DELETE FROM auto_reply WHERE session_id = $1").await?;
    let requests = execute(
        tx,
        of,
        "DELETE FROM idempotency WHERE (org_id, key_mac) IN \
         (SELECT org_id, key_mac FROM idempotency WHERE session_id = $1 LIMIT 500)",
    )
    .await?;
    let numbers = execute(
        tx,
        of,
        "DELETE FROM number_check WHERE (org_id, phone_mac) IN \
         (SELECT org_id, phone_mac FROM number_check WHERE session_id = $1 LIMIT 500)",
    )
    .await?;
    Ok(requests.max(numbers))
}

/// Runs a statement about the session. Returns how many rows it deleted.
async fn execute(tx: &mut SystemTx, of: Erasing, sql: &'static str) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(sql)
        .bind(of.session.to_string())
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests;
