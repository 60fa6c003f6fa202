//! Phone numbers and their pace. A number may be linked to several sessions, also of several
//! organisations, and no organisation may see that; so its row is of the system alone.

use std::collections::HashMap;

use passerelle_engine::{
    clock::Millis,
    ids::SessionId,
    over_list,
    store::{Dialect, SystemRead, SystemTx},
};
use serde_json::json;
use sqlx::{Row as _, any::AnyRow};

use super::Claim;
use crate::{model::number::NumberRow, store::row};

/// A number that several sessions are linked to, as one of its due lanes sees it.
#[derive(Debug, Clone)]
pub(crate) struct SharedNumber {
    /// When the number may send next, by what all its lanes have sent.
    pub(crate) next_at: Millis,
    /// When the gap after the last message of its other lanes ends.
    pub(crate) paced_until: Millis,
    /// What the number has sent, as JSON.
    pub(crate) state: Option<String>,
    /// The session that was claimed last.
    pub(crate) last_sent_by: Option<SessionId>,
    /// Another lane of the number has a message in flight.
    pub(crate) is_busy: bool,
    /// Another lane of the number waits for its turn and is due.
    pub(crate) is_awaited: bool,
}

/// Makes the number's row, unless there is one.
pub(crate) async fn meet(tx: &mut SystemTx, mac: &[u8]) -> Result<(), sqlx::Error> {
    // The row counts as used now, so that the sweep leaves it until a lane has the number.
    let now = tx.now().await?;
    // Nothing reads `sent` any more. An older version that still runs counts in it, so it is not dropped yet.
    sqlx::query(
        "INSERT INTO number (mac, next_at, sent, first_linked_at) VALUES ($1, $2, 0, $2) ON CONFLICT (mac) DO UPDATE \
         SET next_at = CASE WHEN number.next_at > $2 THEN number.next_at ELSE $2 END, \
         first_linked_at = coalesce(number.first_linked_at, $2)",
    )
    .bind(mac.to_vec())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Keeps the gap after the session's last message, because its lane is about to be deleted, and forgets the
/// session.
pub(crate) async fn keep(tx: &mut SystemTx, session: SessionId) -> Result<(), sqlx::Error> {
    for sql in [
        "UPDATE number SET next_at = lane.paced_until FROM lane \
         WHERE lane.session_id = $1 AND number.mac = lane.number_mac AND number.next_at < lane.paced_until",
        "UPDATE number SET last_sent_by = NULL WHERE last_sent_by = $1",
    ] {
        sqlx::query(sql)
            .bind(session.to_string())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// Returns what decides when a session's number sends; `None` if the session never knew its number.
pub(crate) async fn known(
    conn: &mut SystemRead,
    session: SessionId,
) -> Result<Option<NumberRow>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT n.state, n.health, n.joined, n.first_linked_at, l.opened_at, (SELECT g.policy FROM organisation g WHERE g.id = l.org_id) AS policy FROM lane l JOIN number n ON n.mac = l.number_mac \
         WHERE l.session_id = $1",
    )
    .bind(session.to_string())
    .fetch_optional(&mut **conn)
    .await?;
    row.as_ref().map(read).transpose()
}

pub(super) fn read(row: &AnyRow) -> Result<NumberRow, sqlx::Error> {
    Ok(NumberRow {
        state: row.try_get("state")?,
        health: row.try_get("health")?,
        joined: row.try_get("joined")?,
        first_linked_at: row.try_get("first_linked_at")?,
        opened_at: row.try_get("opened_at")?,
        policy: row.try_get("policy")?,
    })
}

/// What decides whether a lane of a shared number may send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Lanes that may send by this time are due.
    pub(crate) until: Millis,
    /// A message in flight whose gap ended before this keeps no other lane waiting.
    pub(crate) busy_since: Millis,
    /// A host that was not seen since this claims nothing.
    pub(crate) seen_since: Millis,
}

/// Locks the numbers of these due lanes, all of them shared, until the transaction ends, and returns how
/// each of the lanes sees its number.
pub(crate) async fn shared(
    tx: &mut SystemTx,
    due: &[SessionId],
    look: Look,
) -> Result<HashMap<SessionId, SharedNumber>, sqlx::Error> {
    let due = json!(due.iter().map(|id| [id]).collect::<Vec<_>>()).to_string();
    // Two statements, because on PostgreSQL the second one sees what was committed while the first one waited.
    if tx.dialect() == Dialect::Postgres {
        sqlx::query(
            "SELECT n.mac FROM number n WHERE n.mac IN (SELECT l.number_mac FROM json_array_elements(CAST($1 AS json)) due \
             JOIN lane l ON l.session_id = due.value ->> 0) ORDER BY n.mac FOR UPDATE",
        )
        .bind(due.clone())
        .fetch_all(tx.conn())
        .await?;
    }
    let sql = over_list!(
        tx.dialect(),
        "SELECT l.session_id, n.next_at, n.state, n.last_sent_by, max(o.paced_until) AS paced_until, \
         CAST(max(CASE WHEN o.running_id IS NOT NULL AND o.paced_until > $2 THEN 1 ELSE 0 END) AS bigint) AS busy, \
         CAST(max(CASE WHEN o.running_id IS NULL AND o.pending > 0 AND o.paused_at IS NULL AND o.next_at <= $3 AND EXISTS \
         (SELECT 1 FROM lease e JOIN host h ON h.id = e.host_id WHERE e.session_id = o.session_id \
         AND e.epoch = o.open_epoch AND h.seen_at >= $4) THEN 1 ELSE 0 END) AS bigint) AS awaited FROM",
        "due JOIN lane l ON l.session_id = due.value ->> 0 JOIN number n ON n.mac = l.number_mac \
         JOIN lane o ON o.number_mac = l.number_mac AND o.session_id <> l.session_id \
         GROUP BY l.session_id, n.mac, n.next_at, n.state, n.last_sent_by"
    );
    let rows = sqlx::query(sql)
        .bind(due)
        .bind(look.busy_since)
        .bind(look.until)
        .bind(look.seen_since)
        .fetch_all(tx.conn())
        .await?;
    let number = |row: &AnyRow| {
        let paced_until: Millis = row.try_get("paced_until")?;
        let shared = SharedNumber {
            next_at: row.try_get::<Millis, _>("next_at")?.max(paced_until),
            paced_until,
            state: row.try_get("state")?,
            last_sent_by: row::id_or_null(row, "last_sent_by")?,
            is_busy: row.try_get::<i64, _>("busy")? != 0,
            is_awaited: row.try_get::<i64, _>("awaited")? != 0,
        };
        Ok((row::id(row, "session_id")?, shared))
    };
    Ok(row::each("number", &rows, number).into_iter().collect())
}

/// Has each of these lanes wait until the given time.
pub(crate) async fn put_off(
    tx: &mut SystemTx,
    lanes: &[(SessionId, Millis)],
) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "UPDATE lane SET next_at = CAST(later.value ->> 1 AS bigint), rests = 0 FROM",
        "later WHERE lane.session_id = later.value ->> 0 AND lane.next_at < CAST(later.value ->> 1 AS bigint)"
    );
    sqlx::query(sql)
        .bind(json!(lanes).to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Commits the gap after each of these claims for its number, and what the number has sent with it.
pub(crate) async fn claimed(tx: &mut SystemTx, claims: &[Claim]) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "UPDATE number SET next_at = CAST(claimed.value ->> 'next_at' AS bigint), last_sent_by = claimed.value ->> 'session', \
         state = coalesce(claimed.value ->> 'state', number.state) FROM",
        "claimed JOIN lane l ON l.session_id = claimed.value ->> 'session' WHERE number.mac = l.number_mac"
    );
    sqlx::query(sql)
        .bind(json!(claims).to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Locks the number of a session until the transaction ends, and returns it with what it knows of groups, as JSON. Returns `None`
/// if the session never knew its number.
pub(crate) async fn joined(
    tx: &mut SystemTx,
    session: SessionId,
) -> Result<Option<(Vec<u8>, Option<String>)>, sqlx::Error> {
    let sql = match tx.dialect() {
        Dialect::Postgres => {
            "SELECT n.mac, n.joined FROM number n WHERE n.mac = (SELECT l.number_mac FROM lane l WHERE l.session_id = $1) FOR UPDATE"
        }
        Dialect::Sqlite => {
            "SELECT n.mac, n.joined FROM number n WHERE n.mac = (SELECT l.number_mac FROM lane l WHERE l.session_id = $1)"
        }
    };
    let row = sqlx::query(sql)
        .bind(session.to_string())
        .fetch_optional(tx.conn())
        .await?;
    row.map(|row| Ok((row.try_get("mac")?, row.try_get("joined")?)))
        .transpose()
}

/// Stores what a number knows of groups.
pub(crate) async fn set_joined(
    tx: &mut SystemTx,
    mac: &[u8],
    joined: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE number SET joined = $2 WHERE mac = $1")
        .bind(mac.to_vec())
        .bind(joined)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Deletes numbers that no lane has and whose last gap ended before `before`, unless they still recover: deleting a session
/// makes no number healthy.
pub(crate) async fn forget(tx: &mut SystemTx, before: Millis) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM number WHERE next_at < $1 AND health_due_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM lane l WHERE l.number_mac = number.mac)",
    )
    .bind(before)
    .execute(tx.conn())
    .await?;
    Ok(())
}
