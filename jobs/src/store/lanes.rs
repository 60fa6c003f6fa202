//! Lanes: the send queue of one session, which sends one message at a time.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, MessageId, OrgId, SessionId},
    store::{Dialect, Tx},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::row::Run as _;
use crate::model::{Ahead, Later};

/// A place in a lane.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) seq: i64,
    /// How many messages are before this one.
    pub(crate) position: i64,
    /// When the lane may send next.
    pub(crate) next_at: Millis,
    /// What waits, at most [`COUNTED`] of a class, and of what may go later. Nothing if classes do not count.
    pub(crate) ahead: Ahead,
    /// The messages before it to the same contact or group.
    pub(crate) same: i64,
    /// How many of them may go now by their own times.
    pub(crate) same_now: i64,
    /// The queue is paused.
    pub(crate) is_paused: bool,
    /// A message is being sent.
    pub(crate) is_sending: bool,
}

/// More messages of a class are not counted one by one.
pub(crate) const COUNTED: i64 = 1000;

/// What has to be known of a message to give it a place.
pub(crate) struct Entrant<'m> {
    /// The recipient, in look-up form.
    pub(crate) to: &'m [u8; 32],
    /// The contact, if messages to the same one are to be counted; `None` for a group.
    pub(crate) contact: Option<ContactId>,
    /// It is not sent before this time; 0 if it may be sent at once.
    pub(crate) send_at: Millis,
    pub(crate) now: Millis,
    /// Whether what waits is counted by class.
    pub(crate) counts: bool,
}

macro_rules! waiting {
    ($class:literal) => {
        concat!(
            "(SELECT count(*) FROM (SELECT 1 FROM message m WHERE m.session_id = $2 AND m.status = 'queued' AND m.class ",
            $class,
            " AND m.send_at <= $6 LIMIT $8) q)"
        )
    };
}

/// Counts the messages to the same contact or group, as far as they go before a new one. A group has no contact, and what goes
/// there has no class.
macro_rules! same {
    ($until:literal) => {
        concat!(
            "CASE WHEN $7 = 0 THEN 0 WHEN $9 = '' THEN (SELECT count(*) FROM message m WHERE m.session_id = $2 AND m.status = 'queued' \
             AND m.class IS NULL AND m.contact_id IS NULL AND m.to_mac = $4 AND (",
            $until,
            ")) ELSE (SELECT count(*) FROM message m WHERE m.contact_id = $9 AND m.status = 'queued' AND m.session_id = $2 AND (",
            $until,
            ")) END"
        )
    };
}

/// Takes the next place in the lane for a message. Returns `None` if there is no such session, `limit` messages already
/// wait, or the recipient has opted out. One statement, because every accept pays for it.
///
/// A lane whose only message is scheduled rests until then. One that rests goes on if the new message may go earlier.
pub(crate) async fn enter(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    limit: i64,
    new: &Entrant<'_>,
) -> Result<Option<Place>, sqlx::Error> {
    let row = sqlx::query(concat!(
        "UPDATE lane SET last_seq = last_seq + 1, pending = pending + 1, \
         rests = CASE WHEN pending = 0 AND $5 > next_at THEN 1 ELSE rests END, \
         next_at = CASE WHEN pending = 0 AND $5 > next_at THEN $5 WHEN rests = 0 OR next_at <= $5 THEN next_at \
         WHEN paced_until > $5 THEN paced_until ELSE $5 END \
         WHERE org_id = $1 AND session_id = $2 AND pending < $3 AND NOT EXISTS \
         (SELECT 1 FROM contact c JOIN contact m ON m.id = coalesce(c.merged_into, c.id) \
         WHERE c.org_id = $1 AND (c.phone_mac = $4 OR c.lid_mac = $4) AND m.opted_out_at IS NOT NULL) \
         RETURNING last_seq, next_at, paused_at, running_id, CASE WHEN EXISTS (SELECT 1 FROM message m WHERE m.session_id = $2 AND m.status = 'queued' AND m.send_at > $6) \
         THEN (SELECT count(*) FROM message m WHERE m.session_id = $2 AND m.status = 'queued' AND m.send_at <= CASE WHEN $5 > $6 THEN $5 ELSE $6 END) \
         + CASE WHEN running_id IS NULL THEN 0 ELSE 1 END ELSE pending - 1 END AS position, ",
        "CASE WHEN $7 = 0 THEN 0 ELSE ",
        waiting!("= 'reply'"),
        " END AS replies, CASE WHEN $7 = 0 THEN 0 ELSE ",
        waiting!("= 'warm'"),
        " + ",
        waiting!("IS NULL"),
        " END AS warm, CASE WHEN $7 = 0 THEN 0 ELSE ",
        waiting!("= 'cold'"),
        " END AS cold, ",
        same!("m.send_at <= $6 OR m.send_at <= $5 OR m.hold IS NOT NULL"),
        " AS same, ",
        same!("m.send_at <= $6"),
        " AS same_now, CASE WHEN $7 = 0 THEN NULL ELSE (SELECT string_agg(q.send_at || ' ' || q.class || ' ' || q.messages, ',') \
         FROM (SELECT w.send_at, w.class, count(*) AS messages FROM (SELECT m.send_at, coalesce(m.class, 'warm') AS class FROM message m \
         WHERE m.session_id = $2 AND m.status = 'queued' AND m.send_at > $6 ORDER BY m.send_at LIMIT $8) w GROUP BY w.send_at, w.class) q) END AS later"
    ))
    .bind(org.to_string())
    .bind(session.to_string())
    .bind(limit)
    .bind(new.to.to_vec())
    .bind(new.send_at)
    .bind(new.now)
    .bind(i64::from(new.counts))
    .bind(COUNTED)
    .bind(new.contact.map(|id| id.to_string()).unwrap_or_default())
    .fetch_optional(tx.conn())
    .await?;
    let ahead = |row: &AnyRow| {
        let now = [
            row.try_get("replies")?,
            row.try_get("warm")?,
            row.try_get("cold")?,
        ];
        let listed: Option<String> = row.try_get("later")?;
        let each = listed.iter().flat_map(|listed| listed.split(','));
        Ok(Place {
            ahead: Ahead::new(now, each.map(later).collect::<Result<_, _>>()?),
            same: row.try_get("same")?,
            same_now: row.try_get("same_now")?,
            ..place(row)?
        })
    };
    row.as_ref().map(ahead).transpose()
}

/// Reads `time class count`.
fn later(text: &str) -> Result<Later, sqlx::Error> {
    let mut parts = text.split(' ');
    let mut part = || parts.next().unwrap_or_default();
    let read = (
        part().parse().ok(),
        part().parse().ok(),
        part().parse().ok(),
    );
    let (Some(at), Some(class), Some(count)) = read else {
        return Err(super::row::unreadable("later", "unknown"));
    };
    Ok(Later { at, class, count })
}

/// Takes the next place in the lane, whatever waits there and whoever the message is for, and lets a lane that rests go on.
/// Returns `None` if there is no such session.
pub(crate) async fn append(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
) -> Result<Option<Place>, sqlx::Error> {
    let row = sqlx::query(
        "UPDATE lane SET last_seq = last_seq + 1, pending = pending + 1, \
         next_at = CASE WHEN rests = 0 THEN next_at ELSE paced_until END \
         WHERE org_id = $1 AND session_id = $2 RETURNING last_seq, pending - 1 AS position, next_at, paused_at, running_id",
    )
    .bind(org.to_string())
    .bind(session.to_string())
    .fetch_optional(tx.conn())
    .await?;
    row.as_ref().map(place).transpose()
}

fn place(row: &AnyRow) -> Result<Place, sqlx::Error> {
    Ok(Place {
        seq: row.try_get("last_seq")?,
        position: row.try_get("position")?,
        next_at: row.try_get("next_at")?,
        ahead: Ahead::default(),
        same: 0,
        same_now: 0,
        is_sending: row.try_get::<Option<String>, _>("running_id")?.is_some(),
        is_paused: row.try_get::<Option<Millis>, _>("paused_at")?.is_some(),
    })
}

/// Lets a lane that rests go on at this time, if that is earlier: one of its messages may go then.
pub(crate) async fn resume(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    at: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE lane SET next_at = CASE WHEN paced_until > $3 THEN paced_until ELSE $3 END \
         WHERE org_id = $1 AND session_id = $2 AND rests = 1 AND next_at > $3",
    )
    .bind(org.to_string())
    .bind(session.to_string())
    .bind(at)
    .run(tx)
    .await
}

/// Returns whether the session exists. Called when [`enter`] found no place, and before something of its number is shown.
pub(crate) async fn exists(
    conn: &mut AnyConnection,
    org: OrgId,
    session: SessionId,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query("SELECT pending FROM lane WHERE org_id = $1 AND session_id = $2")
        .bind(org.to_string())
        .bind(session.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

/// Locks the lane until the transaction ends, so that its messages can be read and changed. SQLite needs
/// no lock because it has one writer.
pub(crate) async fn lock(tx: &mut Tx, org: OrgId, session: SessionId) -> Result<(), sqlx::Error> {
    if tx.dialect() == Dialect::Postgres {
        sqlx::query("SELECT pending FROM lane WHERE org_id = $1 AND session_id = $2 FOR UPDATE")
            .bind(org.to_string())
            .bind(session.to_string())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// Counts one waiting message less: it was cancelled or expired without having been claimed. Call this
/// before changing the message's row, because the lane is always locked first.
pub(crate) async fn leave(tx: &mut Tx, org: OrgId, session: SessionId) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE lane SET pending = pending - 1 WHERE org_id = $1 AND session_id = $2")
        .bind(org.to_string())
        .bind(session.to_string())
        .run(tx)
        .await
}

/// Ends the message in flight. The lane may take the next one from `not_before` on.
pub(crate) async fn release(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    running: MessageId,
    not_before: Millis,
) -> Result<bool, sqlx::Error> {
    // Neither engine has the other's two-argument maximum (`max` / `greatest`).
    sqlx::query(
        "UPDATE lane SET running_id = NULL, pending = pending - 1, \
         next_at = CASE WHEN next_at > $4 THEN next_at ELSE $4 END, \
         paced_until = CASE WHEN paced_until > $4 THEN paced_until ELSE $4 END \
         WHERE org_id = $1 AND session_id = $2 AND running_id = $3",
    )
    .bind(org.to_string())
    .bind(session.to_string())
    .bind(running.to_string())
    .bind(not_before)
    .changes(tx)
    .await
}

/// Puts the message in flight back at the head of the lane, which may take it from `not_before` on. If it may
/// have been `written`, the other lanes of the number wait as long.
pub(crate) async fn put_back(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    running: MessageId,
    not_before: Millis,
    written: bool,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE lane SET running_id = NULL, next_at = CASE WHEN next_at > $4 THEN next_at ELSE $4 END, \
         paced_until = CASE WHEN paced_until > $5 THEN paced_until ELSE $5 END \
         WHERE org_id = $1 AND session_id = $2 AND running_id = $3",
    )
    .bind(org.to_string())
    .bind(session.to_string())
    .bind(running.to_string())
    .bind(not_before)
    .bind(if written { not_before } else { 0 })
    .changes(tx)
    .await
}

/// Returns the message in flight, if there is one.
pub(crate) async fn running(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
) -> Result<Option<MessageId>, sqlx::Error> {
    let row = sqlx::query("SELECT running_id FROM lane WHERE org_id = $1 AND session_id = $2 AND running_id IS NOT NULL")
        .bind(org.to_string())
        .bind(session.to_string())
        .fetch_optional(tx.conn())
        .await?;
    row.map(|row| super::row::id(&row, "running_id"))
        .transpose()
}

/// Opens the lane to claims under this epoch: the session is connected.
pub(crate) async fn open(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    epoch: i64,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE lane SET open_epoch = $3, opened_at = $4 WHERE org_id = $1 AND session_id = $2",
    )
    .bind(org.to_string())
    .bind(session.to_string())
    .bind(epoch)
    .bind(now)
    .run(tx)
    .await
}

/// Closes the lane to claims.
pub(crate) async fn close(tx: &mut Tx, org: OrgId, session: SessionId) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE lane SET open_epoch = 0 WHERE org_id = $1 AND session_id = $2")
        .bind(org.to_string())
        .bind(session.to_string())
        .run(tx)
        .await
}

/// Returns whether the session is linked, and whether its lane knows the number.
pub(crate) async fn knows_number(
    conn: &mut AnyConnection,
    org: OrgId,
    session: SessionId,
) -> Result<(bool, bool), sqlx::Error> {
    let row = sqlx::query(
        "SELECT k.linked_at, l.number_mac FROM lane l JOIN link k ON k.session_id = l.session_id \
         WHERE l.org_id = $1 AND l.session_id = $2",
    )
    .bind(org.to_string())
    .bind(session.to_string())
    .fetch_one(conn)
    .await?;
    let linked_at: Option<Millis> = row.try_get("linked_at")?;
    let number: Option<Vec<u8>> = row.try_get("number_mac")?;
    Ok((linked_at.is_some(), number.is_some()))
}

/// Records the number that the session is linked to.
pub(crate) async fn set_number(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    mac: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE lane SET number_mac = $3 WHERE org_id = $1 AND session_id = $2")
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(mac.to_vec())
        .run(tx)
        .await
}
