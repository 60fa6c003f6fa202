//! Hosts, and which host may run which session. For every tenant at once, because a host runs the
//! sessions of all.

use std::{collections::HashMap, sync::Arc};

use passerelle_engine::{
    clock::Millis,
    ids::{MessageId, OrgId, SessionId},
    lease::Lease,
    over_list,
    store::{Dialect, SystemRead, SystemTx},
    whatsapp::Urgency,
};
use serde_json::json;
use sqlx::{Row as _, any::AnyRow};

use crate::store::{lanes, row};

/// Registers the process `boot` under this host's name, connecting from the address `egress`.
pub(crate) async fn register(
    tx: &mut SystemTx,
    host: &str,
    boot: &str,
    egress: &str,
) -> Result<(), sqlx::Error> {
    let now = tx.now().await?;
    sqlx::query(
        "INSERT INTO host (id, boot_id, seen_at, egress) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE \
         SET boot_id = excluded.boot_id, seen_at = excluded.seen_at, egress = excluded.egress, draining = 0",
    )
    .bind(host)
    .bind(boot)
    .bind(now)
    .bind(egress)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes the host's heartbeat with the database's clock. Returns false if another process has taken the
/// name.
pub(crate) async fn beat(tx: &mut SystemTx, host: &str, boot: &str) -> Result<bool, sqlx::Error> {
    let now = tx.now().await?;
    let changed = sqlx::query("UPDATE host SET seen_at = $3 WHERE id = $1 AND boot_id = $2")
        .bind(host)
        .bind(boot)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(changed.rows_affected() == 1)
}

/// Marks the host as draining: it takes no more sessions. Does nothing if another process has taken its
/// name.
pub(crate) async fn drain(tx: &mut SystemTx, host: &str, boot: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE host SET draining = 1 WHERE id = $1 AND boot_id = $2")
        .bind(host)
        .bind(boot)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Returns how many live hosts connect from this address.
pub(crate) async fn sharing(
    conn: &mut SystemRead,
    egress: &str,
    seen_since: Millis,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM host WHERE egress = $1 AND seen_at >= $2")
        .bind(egress)
        .bind(seen_since)
        .fetch_one(&mut **conn)
        .await
}

/// Returns the hosts that take sessions.
pub(crate) async fn open(
    conn: &mut SystemRead,
    seen_since: Millis,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM host WHERE seen_at >= $1 AND draining = 0 LIMIT 1000")
        .bind(seen_since)
        .fetch_all(&mut **conn)
        .await
}

/// Returns how many leases each host has.
pub(crate) async fn loads(conn: &mut SystemRead) -> Result<HashMap<String, i64>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT host_id, count(*) AS held FROM lease WHERE host_id IS NOT NULL GROUP BY host_id LIMIT 1000",
    )
    .fetch_all(&mut **conn)
    .await?;
    let load = |row: &AnyRow| Ok((row.try_get("host_id")?, row.try_get("held")?));
    rows.iter().map(load).collect()
}

/// From when something counts as recent: the time, and the smallest message id of that time.
#[derive(Clone, Copy)]
pub(crate) struct Since {
    pub(crate) at: Millis,
    pub(crate) message: MessageId,
}

/// SQL for how soon the session `e` with its link `k` needs its connection, as [`urgency`] reads it. The
/// bound parameters are those of [`Since`].
macro_rules! urgency {
    ($at:literal, $message:literal) => {
        concat!(
            "CAST(CASE WHEN k.linked_at IS NOT NULL \
               AND EXISTS (SELECT 1 FROM lane l WHERE l.session_id = e.session_id AND l.pending > 0) THEN 0 \
             WHEN coalesce(k.linked_at, ", $at, ") >= ", $at, " THEN 1 \
             WHEN EXISTS (SELECT 1 FROM message m WHERE m.session_id = e.session_id AND m.org_id = e.org_id \
               AND m.id >= ", $message, " AND m.direction = 'inbound') THEN 2 ELSE 3 END AS bigint) AS urgency"
        )
    };
}

fn urgency(row: &AnyRow) -> Result<Urgency, sqlx::Error> {
    Ok(match row.try_get::<i64, _>("urgency")? {
        0 => Urgency::Waiting,
        1 => Urgency::Watched,
        2 => Urgency::Recent,
        _ => Urgency::Idle,
    })
}

/// Returns how soon each of these sessions needs its connection.
pub(crate) async fn urgencies(
    conn: &mut SystemRead,
    dialect: Dialect,
    sessions: &[SessionId],
    since: Since,
) -> Result<Vec<(SessionId, Urgency)>, sqlx::Error> {
    let sql = over_list!(
        dialect,
        concat!("SELECT e.session_id, ", urgency!("$2", "$3"), " FROM"),
        "waiting JOIN lease e ON e.session_id = waiting.value ->> 0 JOIN link k ON k.session_id = e.session_id"
    );
    let sessions: Vec<_> = sessions.iter().map(|id| [id]).collect();
    let rows = sqlx::query(sql)
        .bind(json!(sessions).to_string())
        .bind(since.at)
        .bind(since.message.to_string())
        .fetch_all(&mut **conn)
        .await?;
    let read = |row: &AnyRow| Ok((row::id(row, "session_id")?, urgency(row)?));
    Ok(row::each("lease", &rows, read))
}

/// A session that should run and that a host may take.
pub(crate) struct Free {
    pub(crate) org: OrgId,
    pub(crate) session: SessionId,
    pub(crate) epoch: i64,
    /// The host that had it last and did not release it.
    pub(crate) host: Option<String>,
    pub(crate) urgency: Urgency,
}

/// Returns sessions that should run and that this host may take, unless their organisation is suspended:
/// those without a host, its own from an earlier boot, and those of a host not seen since `dead_before`.
/// The most urgent first, among equals the organisations in turn.
pub(crate) async fn wanting_a_host(
    conn: &mut SystemRead,
    host: &str,
    dead_before: Millis,
    since: Since,
) -> Result<Vec<Free>, sqlx::Error> {
    let rows = sqlx::query(concat!(
        "SELECT * FROM (SELECT e.org_id, e.session_id, e.epoch, e.host_id, ",
        urgency!("$3", "$4"),
        " FROM lease e \
         JOIN session s ON s.id = e.session_id JOIN link k ON k.session_id = e.session_id \
         JOIN organisation o ON o.id = e.org_id LEFT JOIN host h ON h.id = e.host_id \
         WHERE s.desired = 'running' AND k.ended IS NULL AND o.suspended_at IS NULL \
         AND (e.host_id IS NULL OR e.host_id = $1 OR h.id IS NULL OR h.seen_at < $2)) free \
         ORDER BY urgency, row_number() OVER (PARTITION BY urgency, org_id ORDER BY session_id), session_id LIMIT 20000",
    ))
    .bind(host)
    .bind(dead_before)
    .bind(since.at)
    .bind(since.message.to_string())
    .fetch_all(&mut **conn)
    .await?;
    let free = |row: &AnyRow| {
        Ok(Free {
            org: row::id(row, "org_id")?,
            session: row::id(row, "session_id")?,
            epoch: row.try_get("epoch")?,
            host: row.try_get("host_id")?,
            urgency: urgency(row)?,
        })
    };
    Ok(row::each("lease", &rows, free))
}

/// Takes the lease if its epoch is still `epoch`. Returns the new epoch; `None` if another host was
/// faster. The lane is closed until the session is connected.
pub(crate) async fn take_lease(
    tx: &mut SystemTx,
    host: &Arc<str>,
    org: OrgId,
    session: SessionId,
    epoch: i64,
) -> Result<Option<Lease>, sqlx::Error> {
    let taken: Option<i64> = sqlx::query_scalar(
        "UPDATE lease SET host_id = $1, epoch = epoch + 1 WHERE session_id = $2 AND org_id = $3 AND epoch = $4 RETURNING epoch",
    )
    .bind(host.as_ref())
    .bind(session.to_string())
    .bind(org.to_string())
    .bind(epoch)
    .fetch_optional(tx.conn())
    .await?;
    let Some(epoch) = taken else { return Ok(None) };
    lanes::close(tx, org, session).await?;
    Ok(Some(Lease {
        org,
        session,
        host: Arc::clone(host),
        epoch,
    }))
}

/// Releases the lease, if it is still this one.
pub(crate) async fn release_lease(tx: &mut SystemTx, lease: &Lease) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE lease SET host_id = NULL WHERE session_id = $1 AND host_id = $2 AND epoch = $3",
    )
    .bind(lease.session.to_string())
    .bind(lease.host.as_ref())
    .bind(lease.epoch)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Returns this host's sessions that should run, with their epochs.
pub(crate) async fn still_wanted(
    conn: &mut SystemRead,
    host: &str,
) -> Result<Vec<(SessionId, i64)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT e.session_id, e.epoch FROM lease e JOIN session s ON s.id = e.session_id \
         JOIN organisation o ON o.id = e.org_id \
         WHERE e.host_id = $1 AND s.desired = 'running' AND o.suspended_at IS NULL",
    )
    .bind(host)
    .fetch_all(&mut **conn)
    .await?;
    let wanted = |row: &AnyRow| Ok((row::id(row, "session_id")?, row.try_get("epoch")?));
    Ok(row::each("lease", &rows, wanted))
}
