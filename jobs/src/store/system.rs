//! The few statements that serve every tenant at once: finding the organisation of a key, leases,
//! claims, sweeps. They return sealed values only to the code that acts on them.
//!
//! They need a [`SystemTx`] or a [`SystemRead`], which see every row on PostgreSQL. All other statements
//! see the rows of one organisation. Only this module and its pages use these two.

pub(crate) mod delivery_claims;
pub(crate) mod dispatches;
pub(crate) mod erasures;
pub(crate) mod fingerprints;
pub(crate) mod followed;
pub(crate) mod health;
pub(crate) mod hosts;
pub(crate) mod media_claims;
pub(crate) mod numbers;
pub(crate) mod opt_outs;
pub(crate) mod preview_claims;
pub(crate) mod request_budgets;
pub(crate) mod settlements;
pub(crate) mod turns;

use std::{collections::HashMap, time::Duration};

use passerelle_engine::{
    clock::Millis,
    ids::{CommandId, KeyId, MessageId, OrgId, SessionId},
    over_list,
    store::{Dialect, SystemRead, SystemTx},
};
use serde::Serialize;
use serde_json::json;
use sqlx::{Row as _, any::AnyRow};

use super::row;
use crate::model::{Listed, Organisation, Page, millis, number::NumberRow};

/// A key that is not revoked, found by its public part.
pub(crate) struct FoundKey {
    pub(crate) id: KeyId,
    pub(crate) org: OrgId,
    pub(crate) secret_mac: Vec<u8>,
    /// Whether its organisation is suspended.
    pub(crate) is_suspended: bool,
}

pub(crate) async fn find_key(
    conn: &mut SystemRead,
    public_id: &str,
) -> Result<Option<FoundKey>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT k.id, k.org_id, k.secret_mac, o.suspended_at FROM api_key k JOIN organisation o ON o.id = k.org_id \
         WHERE k.public_id = $1 AND k.revoked_at IS NULL",
    )
    .bind(public_id)
    .fetch_optional(&mut **conn)
    .await?;
    row.map(|row| {
        let suspended_at: Option<Millis> = row.try_get("suspended_at")?;
        Ok(FoundKey {
            is_suspended: suspended_at.is_some(),
            id: row::id(&row, "id")?,
            org: row::id(&row, "org_id")?,
            secret_mac: row.try_get("secret_mac")?,
        })
    })
    .transpose()
}

/// Returns every organisation, for the operator only.
pub(crate) async fn organisations(
    conn: &mut SystemRead,
    page: &Page<OrgId>,
) -> Result<Listed<Organisation>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, name, media_retention_hours, suspended_at, created_at FROM organisation WHERE id < $1 ORDER BY id DESC LIMIT $2",
    )
    .bind(page.below())
    .bind(page.fetch())
    .fetch_all(&mut **conn)
    .await?;
    Ok(row::page_as("organisation", rows, page))
}

/// Returns the admin key's HMAC, if one was stored at the first start.
pub(crate) async fn admin_key(conn: &mut SystemRead) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar("SELECT secret_mac FROM admin_key WHERE id = 'admin'")
        .fetch_optional(&mut **conn)
        .await
}

/// Stores the admin key's HMAC unless there is one. Returns whether it was stored.
pub(crate) async fn keep_admin_key(
    tx: &mut SystemTx,
    secret_mac: &[u8],
    now: Millis,
) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query(
        "INSERT INTO admin_key (id, secret_mac, created_at) VALUES ('admin', $1, $2) ON CONFLICT (id) DO NOTHING",
    )
    .bind(secret_mac.to_vec())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// A command that was taken, still sealed.
pub(crate) type TakenCommand = (OrgId, SessionId, CommandId, Vec<u8>);

/// Takes the open commands for this host's sessions, except those whose caller no longer waits.
pub(crate) async fn take_commands(
    tx: &mut SystemTx,
    host: &str,
    waited_for: Duration,
) -> Result<Vec<TakenCommand>, sqlx::Error> {
    let asked_since = tx.now().await?.saturating_sub(millis(waited_for));
    let rows = sqlx::query(
        "UPDATE command SET taken_epoch = (SELECT e.epoch FROM lease e WHERE e.session_id = command.session_id) \
         WHERE taken_epoch IS NULL AND created_at > $2 AND session_id IN (SELECT session_id FROM lease WHERE host_id = $1) \
         RETURNING org_id, session_id, id, asked_sealed",
    )
    .bind(host)
    .bind(asked_since)
    .fetch_all(tx.conn())
    .await?;
    let taken = |row: &AnyRow| {
        let (org, session) = (row::id(row, "org_id")?, row::id(row, "session_id")?);
        Ok((
            org,
            session,
            row::id(row, "id")?,
            row.try_get("asked_sealed")?,
        ))
    };
    Ok(row::each("command", &rows, taken))
}

/// Deletes number checks made before `before`, some at a time.
pub(crate) async fn forget_number_checks(
    tx: &mut SystemTx,
    before: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM number_check WHERE (org_id, phone_mac) IN \
         (SELECT org_id, phone_mac FROM number_check WHERE checked_at < $1 ORDER BY checked_at LIMIT 1000)",
    )
    .bind(before)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Deletes what is known of pairing codes requested before `before`.
pub(crate) async fn forget_pairing_codes(
    tx: &mut SystemTx,
    before: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM pairing_code WHERE asked_at < $1")
        .bind(before)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Deletes commands older than `age`, whose callers died.
pub(crate) async fn forget_commands(tx: &mut SystemTx, age: Duration) -> Result<(), sqlx::Error> {
    let before = tx.now().await?.saturating_sub(millis(age));
    sqlx::query("DELETE FROM command WHERE created_at < $1")
        .bind(before)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A lane that may be claimed.
pub(crate) struct DueLane {
    pub(crate) org: OrgId,
    pub(crate) session: SessionId,
    pub(crate) epoch: i64,
    /// When the lane and its number may send.
    pub(crate) next_at: Millis,
    /// When the gap after the last message ends: of this lane, or of another one of its number if that is later.
    pub(crate) paced_until: Millis,
    /// The number that the session is or was last linked to; `None` if it has not connected since the gateway knows
    /// numbers.
    pub(crate) number: Option<Vec<u8>>,
    /// Other lanes have the same number.
    pub(crate) is_shared: bool,
    /// What decides when the number sends.
    pub(crate) known: NumberRow,
    /// When the first of its messages may go; `None` if there are none.
    pub(crate) head_at: Option<Millis>,
    /// What it waited for, and since when.
    pub(crate) hold: Option<(String, Millis)>,
}

// `CROSS JOIN` equals `JOIN` on PostgreSQL. On SQLite it fixes the order of the tables: the due lanes
// first, instead of all leases of this host, sorted at every look.
pub(super) const DUE: &str = "SELECT l.org_id, l.session_id, l.next_at, e.epoch, l.number_mac, coalesce(n.next_at, 0) AS number_next_at, n.health, n.state, n.joined, n.first_linked_at, l.opened_at, l.paced_until, l.hold, l.hold_since, \
     (SELECT g.policy FROM organisation g WHERE g.id = l.org_id) AS policy, \
     (SELECT count(*) FROM lane o WHERE o.number_mac = l.number_mac) AS linked, \
     (SELECT min(m.send_at) FROM message m WHERE m.session_id = l.session_id AND m.status = 'queued') AS head_at \
     FROM lane l CROSS JOIN lease e LEFT JOIN number n ON n.mac = l.number_mac \
     WHERE e.session_id = l.session_id AND e.host_id = $1 AND l.open_epoch = e.epoch AND l.open_epoch > 0 \
     AND l.running_id IS NULL AND l.pending > 0 AND l.paused_at IS NULL AND l.next_at <= $2 ORDER BY l.next_at LIMIT $3";
const DUE_LOCKED: &str = "SELECT l.org_id, l.session_id, l.next_at, e.epoch, l.number_mac, coalesce(n.next_at, 0) AS number_next_at, n.health, n.state, n.joined, n.first_linked_at, l.opened_at, l.paced_until, l.hold, l.hold_since, \
     (SELECT g.policy FROM organisation g WHERE g.id = l.org_id) AS policy, \
     (SELECT count(*) FROM lane o WHERE o.number_mac = l.number_mac) AS linked, \
     (SELECT min(m.send_at) FROM message m WHERE m.session_id = l.session_id AND m.status = 'queued') AS head_at \
     FROM lane l CROSS JOIN lease e LEFT JOIN number n ON n.mac = l.number_mac \
     WHERE e.session_id = l.session_id AND e.host_id = $1 AND l.open_epoch = e.epoch AND l.open_epoch > 0 \
     AND l.running_id IS NULL AND l.pending > 0 AND l.paused_at IS NULL AND l.next_at <= $2 ORDER BY l.next_at LIMIT $3 \
     FOR UPDATE OF l SKIP LOCKED";

/// Returns lanes of this host that are connected and not paused, have nothing in flight, and may send by `until`, if their
/// numbers may; the longest due first. On PostgreSQL the rows stay locked, and rows locked by other transactions are
/// skipped.
pub(crate) async fn due_lanes(
    tx: &mut SystemTx,
    host: &str,
    until: Millis,
    limit: i64,
) -> Result<Vec<DueLane>, sqlx::Error> {
    let sql = match tx.dialect() {
        Dialect::Sqlite => DUE,
        Dialect::Postgres => DUE_LOCKED,
    };
    let rows = sqlx::query(sql)
        .bind(host)
        .bind(until)
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    let lane = |row: &AnyRow| {
        Ok(DueLane {
            org: row::id(row, "org_id")?,
            session: row::id(row, "session_id")?,
            epoch: row.try_get("epoch")?,
            next_at: row
                .try_get::<Millis, _>("next_at")?
                .max(row.try_get("number_next_at")?),
            paced_until: row.try_get("paced_until")?,
            number: row.try_get("number_mac")?,
            is_shared: row.try_get::<i64, _>("linked")? > 1,
            known: numbers::read(row)?,
            head_at: row.try_get("head_at")?,
            hold: {
                let hold: Option<String> = row.try_get("hold")?;
                hold.zip(row.try_get("hold_since")?)
            },
        })
    };
    Ok(row::each("lane", &rows, lane))
}

/// Has each of these lanes rest until the given time, because the limit that is named holds it; `None` if it has only
/// scheduled messages.
pub(crate) async fn rest(
    tx: &mut SystemTx,
    lanes: &[(SessionId, Millis, Option<&str>)],
    now: Millis,
) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "UPDATE lane SET rests = 1, next_at = CAST(resting.value ->> 1 AS bigint), hold = resting.value ->> 2, \
         hold_since = CASE WHEN resting.value ->> 2 IS NULL THEN NULL WHEN lane.hold = resting.value ->> 2 THEN coalesce(lane.hold_since, $2) ELSE $2 END FROM",
        "resting WHERE lane.session_id = resting.value ->> 0"
    );
    sqlx::query(sql)
        .bind(json!(lanes).to_string())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The next message of a lane.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Claim {
    pub(crate) session: SessionId,
    /// When the message after it may be written, at the earliest.
    pub(crate) next_at: Millis,
    /// The message. `None` takes the head: of the messages that may go now the one of the highest priority, and of these
    /// the oldest.
    pub(crate) message: Option<MessageId>,
    /// What the number has sent with it, as JSON; `None` leaves it.
    pub(crate) state: Option<String>,
    /// Why it goes, as JSON.
    pub(crate) decision: Option<String>,
}

/// Takes a list of [`Claim`], and the time. Without the `+`, SQLite would sort all of a lane's messages.
pub(super) fn claim_text(dialect: Dialect) -> &'static str {
    over_list!(
        dialect,
        "UPDATE lane SET next_at = CAST(claimed.value ->> 'next_at' AS bigint), paced_until = CAST(claimed.value ->> 'next_at' AS bigint), \
         rests = 0, hold = NULL, hold_since = NULL, \
         running_id = coalesce(claimed.value ->> 'message', \
         (SELECT m.id FROM message m WHERE m.session_id = lane.session_id AND m.status = 'queued' AND +m.send_at <= $2 \
         ORDER BY m.priority DESC, m.seq LIMIT 1)) FROM",
        "claimed WHERE lane.session_id = claimed.value ->> 'session' RETURNING session_id, running_id"
    )
}

/// Claims the next message of each of these lanes. Returns it, or `None` for a lane that counts messages that do not
/// exist.
pub(crate) async fn claim(
    tx: &mut SystemTx,
    lanes: &[Claim],
    now: Millis,
) -> Result<HashMap<SessionId, Option<MessageId>>, sqlx::Error> {
    let rows = sqlx::query(claim_text(tx.dialect()))
        .bind(json!(lanes).to_string())
        .bind(now)
        .fetch_all(tx.conn())
        .await?;
    let next = |row: &AnyRow| {
        let next: Option<MessageId> = row::id_or_null(row, "running_id")?;
        Ok((row::id(row, "session_id")?, next))
    };
    let next: HashMap<SessionId, _> = row::each("lane", &rows, next).into_iter().collect();
    let decided =
        |claim: &Claim| Some((next.get(&claim.session).copied()??, claim.decision.clone()));
    sending(tx, &lanes.iter().filter_map(decided).collect::<Vec<_>>()).await?;
    Ok(next)
}

/// Marks the messages as being sent, with the timers of their chats. The kinds that are named cannot carry one.
async fn sending(
    tx: &mut SystemTx,
    messages: &[(MessageId, Option<String>)],
) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "UPDATE message SET status = 'sending', expires_in = CASE WHEN message.kind IN ('reaction', 'edit', 'delete', 'poll_vote') THEN NULL ELSE \
         (SELECT t.seconds FROM chat_timer t WHERE t.session_id = message.session_id AND t.seconds > 0 AND (t.group_mac = message.to_mac OR t.contact_id \
         IN (message.contact_id, (SELECT c.merged_into FROM contact c WHERE c.id = message.contact_id))) LIMIT 1) END, send_at = CASE WHEN message.hold IS NULL THEN message.send_at ELSE coalesce(message.wanted_at, 0) END, wanted_at = NULL, hold = NULL, decision = coalesce(head.value ->> 1, message.decision) FROM",
        "head WHERE message.id = head.value ->> 0"
    );
    sqlx::query(sql)
        .bind(json!(messages).to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Returns the messages in flight in this host's open lanes, each with its session's lease.
pub(crate) async fn running_here(
    conn: &mut SystemRead,
    host: &str,
) -> Result<Vec<((OrgId, SessionId, i64), MessageId)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT l.org_id, l.session_id, l.running_id, e.epoch FROM lane l CROSS JOIN lease e \
         WHERE l.running_id IS NOT NULL AND e.session_id = l.session_id AND e.host_id = $1 \
         AND l.open_epoch = e.epoch LIMIT 20000",
    )
    .bind(host)
    .fetch_all(&mut **conn)
    .await?;
    let running = |row: &AnyRow| {
        let lease = (
            row::id(row, "org_id")?,
            row::id(row, "session_id")?,
            row.try_get("epoch")?,
        );
        Ok((lease, row::id(row, "running_id")?))
    };
    Ok(row::each("lane", &rows, running))
}

/// Counts a lane's messages again: its counter said that some wait, but none does.
pub(crate) async fn recount(tx: &mut SystemTx, session: SessionId) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE lane SET pending = (SELECT count(*) FROM message WHERE session_id = $1 AND status IN ('queued', 'sending')) \
         WHERE session_id = $1",
    )
    .bind(session.to_string())
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) const NEXT_AT: &str = "SELECT l.next_at FROM lane l CROSS JOIN lease e \
     WHERE e.session_id = l.session_id AND e.host_id = $1 AND l.open_epoch = e.epoch AND l.open_epoch > 0 \
     AND l.running_id IS NULL AND l.pending > 0 AND l.paused_at IS NULL ORDER BY l.next_at LIMIT 1";

/// Returns when the next lane of this host may send, if a message waits.
pub(crate) async fn next_lane_at(
    conn: &mut SystemRead,
    host: &str,
) -> Result<Option<Millis>, sqlx::Error> {
    sqlx::query_scalar(NEXT_AT)
        .bind(host)
        .fetch_optional(&mut **conn)
        .await
}

/// Returns queued messages past their time, and whether each may have been sent before. Those of deleted
/// sessions are erased, not expired.
pub(crate) async fn overdue(
    conn: &mut SystemRead,
    now: Millis,
) -> Result<Vec<(OrgId, SessionId, MessageId, bool)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT org_id, session_id, id, resends FROM message WHERE status = 'queued' AND expires_at < $1 \
         AND session_id NOT IN (SELECT id FROM session WHERE deleted_at IS NOT NULL) ORDER BY expires_at LIMIT 200",
    )
    .bind(now)
    .fetch_all(&mut **conn)
    .await?;
    let overdue = |row: &AnyRow| {
        let resends: i64 = row.try_get("resends")?;
        let (org, session) = (row::id(row, "org_id")?, row::id(row, "session_id")?);
        Ok((org, session, row::id(row, "id")?, resends > 0))
    };
    Ok(row::each("message", &rows, overdue))
}

/// Deletes idempotency keys older than `before`, some at a time.
pub(crate) async fn forget_idempotency(
    tx: &mut SystemTx,
    before: Millis,
) -> Result<u64, sqlx::Error> {
    let oldest = "DELETE FROM idempotency WHERE (org_id, key_mac) IN \
         (SELECT org_id, key_mac FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT 1000)";
    let changed = sqlx::query(oldest).bind(before).execute(tx.conn()).await?;
    Ok(changed.rows_affected())
}
