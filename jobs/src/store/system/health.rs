//! The health of phone numbers. It belongs to the number, whichever organisations have linked it.

use passerelle_engine::{
    clock::Millis,
    ids::{OrgId, SessionId},
    store::{Dialect, SystemRead, SystemTx},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use crate::{model::number::FirstMessage, store::row};

/// A number, by one of its sessions or by itself.
#[derive(Debug, Clone)]
pub(crate) enum Of {
    Session(SessionId),
    Number(Vec<u8>),
}

/// A number whose row and lanes are locked until the transaction ends.
pub(crate) struct Held {
    pub(crate) mac: Vec<u8>,
    /// The stored health; `None` if nothing was ever wrong.
    pub(crate) health: Option<String>,
    /// The sessions that are or were last linked to it.
    pub(crate) sessions: Vec<(OrgId, SessionId)>,
}

/// Returns the stored health of a session's number. The outer `None` is a session that never knew its number.
pub(crate) async fn read(
    conn: &mut SystemRead,
    session: SessionId,
) -> Result<Option<Option<String>>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT n.health FROM lane l JOIN number n ON n.mac = l.number_mac WHERE l.session_id = $1",
    )
    .bind(session.to_string())
    .fetch_optional(&mut **conn)
    .await
}

async fn mac(conn: &mut AnyConnection, of: &Of) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let session = match of {
        Of::Number(mac) => return Ok(Some(mac.clone())),
        Of::Session(session) => session,
    };
    let mac: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("SELECT number_mac FROM lane WHERE session_id = $1")
            .bind(session.to_string())
            .fetch_optional(conn)
            .await?;
    Ok(mac.flatten())
}

/// Returns the sessions of a number.
pub(crate) async fn sessions(
    conn: &mut SystemRead,
    of: &Of,
) -> Result<Vec<(OrgId, SessionId)>, sqlx::Error> {
    match mac(conn, of).await? {
        Some(mac) => linked(conn, &mac, false).await,
        None => Ok(Vec::new()),
    }
}

async fn linked(
    conn: &mut AnyConnection,
    mac: &[u8],
    lock: bool,
) -> Result<Vec<(OrgId, SessionId)>, sqlx::Error> {
    let sql = if lock {
        "SELECT org_id, session_id FROM lane WHERE number_mac = $1 ORDER BY session_id FOR UPDATE"
    } else {
        "SELECT org_id, session_id FROM lane WHERE number_mac = $1 ORDER BY session_id"
    };
    let rows = sqlx::query(sql).bind(mac.to_vec()).fetch_all(conn).await?;
    let linked = |row: &AnyRow| Ok((row::id(row, "org_id")?, row::id(row, "session_id")?));
    Ok(row::each("lane", &rows, linked))
}

/// Locks a number with its lanes, in the order that a claim takes them. Returns `None` if the session never knew its
/// number.
pub(crate) async fn hold(tx: &mut SystemTx, of: &Of) -> Result<Option<Held>, sqlx::Error> {
    let locks = tx.dialect() == Dialect::Postgres;
    let Some(mac) = mac(tx.conn(), of).await? else {
        return Ok(None);
    };
    let sessions = linked(tx.conn(), &mac, locks).await?;
    let sql = if locks {
        "SELECT health FROM number WHERE mac = $1 FOR UPDATE"
    } else {
        "SELECT health FROM number WHERE mac = $1"
    };
    let health: Option<Option<String>> = sqlx::query_scalar(sql)
        .bind(mac.clone())
        .fetch_optional(tx.conn())
        .await?;
    Ok(health.map(|health| Held {
        mac,
        health,
        sessions,
    }))
}

/// Stores the health of a number, and when it may recover.
pub(crate) async fn keep(
    tx: &mut SystemTx,
    mac: &[u8],
    health: &str,
    due_at: Option<Millis>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE number SET health = $2, health_due_at = $3 WHERE mac = $1")
        .bind(mac.to_vec())
        .bind(health)
        .bind(due_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Has the lanes of a number look again at what they wait for, and at the new conversations that a limit holds, because its
/// health has changed. The caller has locked them.
pub(crate) async fn look_again(tx: &mut SystemTx, mac: &[u8]) -> Result<(), sqlx::Error> {
    for sql in [
        "UPDATE lane SET next_at = paced_until WHERE number_mac = $1 AND rests = 1 AND next_at > paced_until",
        "UPDATE message SET send_at = coalesce(wanted_at, 0), hold = NULL, wanted_at = NULL WHERE status = 'queued' \
         AND hold = 'new_conversations' AND session_id IN (SELECT session_id FROM lane WHERE number_mac = $1)",
    ] {
        sqlx::query(sql)
            .bind(mac.to_vec())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

pub(in crate::store) const DUE: &str =
    "SELECT mac FROM number WHERE health_due_at <= $1 ORDER BY health_due_at LIMIT 100";

/// Returns numbers that may have recovered by now.
pub(crate) async fn due(conn: &mut SystemRead, now: Millis) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar(DUE)
        .bind(now)
        .fetch_all(&mut **conn)
        .await
}

pub(in crate::store) const FIRST_MESSAGES: &str = "SELECT m.created_at, m.sent_at, m.delivered_at, m.read_at, c.id AS contact_id, c.opted_out_at \
     FROM message m LEFT JOIN contact k ON k.id = m.contact_id LEFT JOIN contact c ON c.id = coalesce(k.merged_into, k.id) \
     WHERE m.session_id = $1 AND m.class = 'cold' AND m.created_at >= $2 AND m.direction = 'outbound' AND m.sent_at IS NOT NULL \
     ORDER BY m.created_at DESC LIMIT $3";

/// Returns the last messages of a session to people who never wrote, the newest first. Those accepted before `since` are
/// left out.
pub(crate) async fn first_messages(
    conn: &mut SystemRead,
    session: SessionId,
    since: Millis,
    limit: i64,
) -> Result<Vec<FirstMessage>, sqlx::Error> {
    let rows = sqlx::query(FIRST_MESSAGES)
        .bind(session.to_string())
        .bind(since)
        .bind(limit)
        .fetch_all(&mut **conn)
        .await?;
    let first = |row: &AnyRow| {
        let received: [Option<Millis>; 2] = [row.try_get("delivered_at")?, row.try_get("read_at")?];
        Ok(FirstMessage {
            accepted_at: row.try_get("created_at")?,
            sent_at: row.try_get("sent_at")?,
            is_received: received.iter().any(Option::is_some),
            contact: row.try_get("contact_id")?,
            opted_out_at: row.try_get("opted_out_at")?,
        })
    };
    Ok(row::each("message", &rows, first))
}
