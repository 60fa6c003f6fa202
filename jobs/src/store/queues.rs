//! The queue of a session, for its tenant: what waits, why, and in which order.
//!
//! Of the messages that wait, replies go first, then warm and cold ones; a message without a class counts as warm. Within a
//! class the highest priority goes first, then the oldest. Where messages go in their order, the class does not count.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, MessageId, OrgId, SessionId},
    store::Tx,
};
use sqlx::{AnyConnection, FromRow as _, Row as _, any::AnyRow};

use super::{
    messages::{Stored, columns},
    row::{self, Run as _},
};
use crate::model::{Ahead, Class, Later, Listed, Page};

/// A lane, as far as it decides when its messages go.
#[derive(Debug, Clone)]
pub(crate) struct LaneRow {
    /// How many messages are queued or being sent.
    pub(crate) pending: i64,
    /// A message is being sent.
    pub(crate) is_sending: bool,
    /// When it may send next.
    pub(crate) next_at: Millis,
    /// What it waits for, and since when.
    pub(crate) hold: Option<String>,
    pub(crate) hold_since: Option<Millis>,
    pub(crate) paused_at: Option<Millis>,
    /// The session is connected.
    pub(crate) is_open: bool,
    /// The organisation's own limits, as JSON.
    pub(crate) policy: Option<String>,
}

/// Reads the lane of a session; `None` if there is no such session.
pub(crate) async fn lane(
    conn: &mut AnyConnection,
    org: OrgId,
    session: SessionId,
) -> Result<Option<LaneRow>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT l.pending, l.running_id, l.next_at, l.hold, l.hold_since, l.paused_at, l.open_epoch, \
         (SELECT g.policy FROM organisation g WHERE g.id = l.org_id) AS policy \
         FROM lane l WHERE l.org_id = $1 AND l.session_id = $2",
    )
    .bind(org.to_string())
    .bind(session.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let running: Option<String> = row.try_get("running_id")?;
        Ok(LaneRow {
            pending: row.try_get("pending")?,
            is_sending: running.is_some(),
            next_at: row.try_get("next_at")?,
            hold: row.try_get("hold")?,
            hold_since: row.try_get("hold_since")?,
            paused_at: row.try_get("paused_at")?,
            is_open: row.try_get::<i64, _>("open_epoch")? > 0,
            policy: row.try_get("policy")?,
        })
    })
    .transpose()
}

/// Pauses the queue, or lets it go on from `now`. A second pause keeps the time of the first. Returns whether there is such
/// a session.
pub(crate) async fn pause(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    (pauses, now): (bool, Millis),
) -> Result<bool, sqlx::Error> {
    let sql = if pauses {
        "UPDATE lane SET paused_at = coalesce(paused_at, $3) WHERE org_id = $1 AND session_id = $2"
    } else {
        "UPDATE lane SET opened_at = CASE WHEN paused_at IS NULL OR opened_at > $3 THEN opened_at ELSE $3 END, paused_at = NULL \
         WHERE org_id = $1 AND session_id = $2"
    };
    sqlx::query(sql)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(now)
        .changes(tx)
        .await
}

/// Has the organisation's lanes look again at what they wait for, and at what limits of recipients hold, because its limits
/// have changed.
pub(crate) async fn look_again(tx: &mut Tx, org: OrgId) -> Result<(), sqlx::Error> {
    for sql in [
        "UPDATE lane SET next_at = paced_until WHERE org_id = $1 AND rests = 1 AND next_at > paced_until",
        "UPDATE message SET send_at = coalesce(wanted_at, 0), hold = NULL, wanted_at = NULL \
         WHERE org_id = $1 AND status = 'queued' AND hold IS NOT NULL AND session_id IN (SELECT session_id FROM lane WHERE org_id = $1)",
    ] {
        sqlx::query(sql).bind(org.to_string()).run(tx).await?;
    }
    Ok(())
}

/// Messages that wait for the same.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) class: Class,
    /// What holds them; `schedule` is the time that the tenant asked for. `None` are those that may go in their turn.
    pub(crate) hold: Option<String>,
    pub(crate) messages: i64,
    /// When the first of them may go.
    pub(crate) first_at: Millis,
    /// When the oldest of them was accepted.
    pub(crate) oldest_at: Millis,
}

pub(in crate::store) const WAITING: &str = "SELECT w.class, w.hold, count(*) AS messages, min(w.send_at) AS first_at, min(w.created_at) AS oldest_at FROM \
     (SELECT coalesce(m.class, 'warm') AS class, CASE WHEN m.send_at > $3 THEN coalesce(m.hold, 'schedule') END AS hold, m.send_at, m.created_at \
     FROM message m WHERE m.org_id = $1 AND m.session_id = $2 AND m.status = 'queued') w GROUP BY w.class, w.hold";

/// Counts the queued messages of a session by their class and what holds them.
pub(crate) async fn waiting(
    conn: &mut AnyConnection,
    org: OrgId,
    session: SessionId,
    now: Millis,
) -> Result<Vec<Waiting>, sqlx::Error> {
    let rows = sqlx::query(WAITING)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(now)
        .fetch_all(conn)
        .await?;
    let waiting = |row: &AnyRow| {
        Ok(Waiting {
            class: row::word(row, "class")?,
            hold: row.try_get("hold")?,
            messages: row.try_get("messages")?,
            first_at: row.try_get("first_at")?,
            oldest_at: row.try_get("oldest_at")?,
        })
    };
    rows.iter().map(waiting).collect()
}

/// The place of a queued message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) class: Class,
    pub(crate) priority: i64,
    pub(crate) seq: i64,
    /// It waits until this time.
    pub(crate) send_at: Millis,
    /// The group that it goes to, in look-up form.
    pub(crate) group: Option<[u8; 32]>,
}

/// Selects what [`Rank`] has of a message `m`, beside its class.
macro_rules! ranked {
    () => {
        "m.priority, m.seq, m.send_at, CASE WHEN m.contact_id IS NULL THEN m.to_mac END AS group_mac"
    };
}

fn rank(row: &AnyRow) -> Result<Rank, sqlx::Error> {
    Ok(Rank {
        class: row::word(row, "class")?,
        priority: row.try_get("priority")?,
        seq: row.try_get("seq")?,
        send_at: row.try_get("send_at")?,
        group: group(row)?,
    })
}

fn group(row: &AnyRow) -> Result<Option<[u8; 32]>, sqlx::Error> {
    let mac: Option<Vec<u8>> = row.try_get("group_mac")?;
    Ok(mac.and_then(|mac| mac.try_into().ok()))
}

/// Returns the place of a queued message, and what holds it; `None` if it is no longer queued.
pub(crate) async fn rank_of(
    conn: &mut AnyConnection,
    org: OrgId,
    id: MessageId,
) -> Result<Option<(Rank, Option<String>)>, sqlx::Error> {
    let row = sqlx::query(concat!(
        "SELECT coalesce(m.class, 'warm') AS class, m.hold, ",
        ranked!(),
        " FROM message m \
         WHERE m.org_id = $1 AND m.id = $2 AND m.status = 'queued'"
    ))
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((rank(&row)?, row.try_get("hold")?)))
        .transpose()
}

pub(in crate::store) const AHEAD: &str = "SELECT a.class, a.later, count(*) AS messages FROM (SELECT coalesce(m.class, 'warm') AS class, CASE WHEN m.send_at > $7 THEN m.send_at ELSE 0 END AS later FROM message m \
     WHERE m.session_id = $2 AND m.org_id = $1 AND m.status = 'queued' AND (coalesce(m.class, 'warm') <> $4 \
     OR ($3 > $7 AND m.send_at <= $7) OR m.priority > $5 OR (m.priority = $5 AND m.seq < $6))) a GROUP BY a.class, a.later";

pub(in crate::store) const AHEAD_IN_ORDER: &str = "SELECT CAST($4 AS text) AS class, CASE WHEN m.send_at > $7 THEN m.send_at ELSE 0 END AS later, count(*) AS messages FROM message m \
     WHERE m.session_id = $2 AND m.org_id = $1 AND m.status = 'queued' \
     AND (($3 > $7 AND m.send_at <= $7) OR m.priority > $5 OR (m.priority = $5 AND m.seq < $6)) GROUP BY 2";

/// Counts the other messages of a lane, by class and by when they may go. Of its own class only those before it.
pub(crate) async fn ahead(
    conn: &mut AnyConnection,
    (org, session): (OrgId, SessionId),
    of: &Rank,
    (by_class, now): (bool, Millis),
) -> Result<Ahead, sqlx::Error> {
    // Where the class does not count, all are of one.
    let sql = if by_class { AHEAD } else { AHEAD_IN_ORDER };
    let rows = sqlx::query(sql)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(of.send_at.max(now))
        .bind(of.class.as_str())
        .bind(of.priority)
        .bind(of.seq)
        .bind(now)
        .fetch_all(conn)
        .await?;
    let (mut open, mut later) = ([0; 3], Vec::new());
    for row in rows {
        let class: Class = row::word(&row, "class")?;
        let (at, count) = (row.try_get("later")?, row.try_get("messages")?);
        if at == 0 {
            open[class.place()] += count;
        } else {
            later.push(Later { at, class, count });
        }
    }
    Ok(Ahead::new(open, later))
}

pub(in crate::store) const SAME_GROUP: &str = "SELECT count(*) FROM message m WHERE m.session_id = $2 AND m.org_id = $1 AND m.status = 'queued' \
     AND m.contact_id IS NULL AND m.to_mac = $3 AND m.send_at <= $4 AND (m.priority > $5 OR (m.priority = $5 AND m.seq < $6))";

/// Counts the messages to the same group that go before this one.
pub(crate) async fn same_group(
    conn: &mut AnyConnection,
    (org, session): (OrgId, SessionId),
    of: &Rank,
    now: Millis,
) -> Result<i64, sqlx::Error> {
    let Some(group) = of.group else { return Ok(0) };
    sqlx::query_scalar(SAME_GROUP)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(group.to_vec())
        .bind(of.send_at.max(now))
        .bind(of.priority)
        .bind(of.seq)
        .fetch_one(conn)
        .await
}

pub(in crate::store) const RANKS: &str = concat!(
    "SELECT coalesce(m.class, 'warm') AS class, ",
    ranked!(),
    " FROM message m \
     WHERE m.session_id = $2 AND m.org_id = $1 AND m.status = 'queued' LIMIT $3"
);

/// Returns the places of all queued messages of a session, in any order; at most `limit`.
pub(crate) async fn ranks(
    conn: &mut AnyConnection,
    org: OrgId,
    session: SessionId,
    limit: i64,
) -> Result<Vec<Rank>, sqlx::Error> {
    let rows = sqlx::query(RANKS)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(rank).collect()
}

/// A message that waits, with its place.
pub(crate) struct Queued {
    pub(crate) stored: Stored,
    pub(crate) rank: Rank,
    pub(crate) hold: Option<String>,
}

/// The turn of a message: `$5` is 1 where the class counts.
macro_rules! turn {
    ($of:literal) => {
        concat!(
            "CASE WHEN CAST($5 AS bigint) = 0 THEN 0 WHEN ",
            $of,
            ".class = 'reply' THEN 0 WHEN ",
            $of,
            ".class = 'cold' THEN 2 ELSE 1 END"
        )
    };
}

pub(in crate::store) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    ", coalesce(class, 'warm') AS queue_class, seq, hold, message.send_at AS waits_until, \
     CASE WHEN message.contact_id IS NULL THEN message.to_mac END AS group_mac FROM message JOIN (SELECT m.id AS queued_id, ",
    turn!("m"),
    " AS turn FROM message m WHERE m.org_id = $1 AND m.session_id = $2 AND m.status = 'queued' AND ($3 = '' OR (",
    turn!("m"),
    ", -m.priority, m.seq) > (SELECT ",
    turn!("a"),
    ", -a.priority, a.seq FROM message a WHERE a.org_id = $1 AND a.session_id = $2 AND a.id = $3)) ORDER BY turn, m.priority DESC, m.seq LIMIT $4) q \
     ON q.queued_id = message.id ORDER BY q.turn, priority DESC, seq"
);

/// Returns the queued messages of a session in the order in which they go.
pub(crate) async fn list(
    conn: &mut AnyConnection,
    (org, session): (OrgId, SessionId),
    by_class: bool,
    page: &Page<MessageId>,
) -> Result<Listed<Queued>, sqlx::Error> {
    let after = page.after.as_ref().map(ToString::to_string);
    let rows = sqlx::query(LIST)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(after.unwrap_or_default())
        .bind(page.fetch())
        .bind(i64::from(by_class))
        .fetch_all(conn)
        .await?;
    let queued = |row: &AnyRow| {
        Ok(Queued {
            stored: Stored::from_row(row)?,
            rank: Rank {
                class: row::word(row, "queue_class")?,
                priority: row.try_get("priority")?,
                seq: row.try_get("seq")?,
                send_at: row.try_get("waits_until")?,
                group: group(row)?,
            },
            hold: row.try_get("hold")?,
        })
    };
    Ok(row::page("message", rows, page, queued))
}

/// Which queued messages are meant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meant {
    /// Only those to this contact.
    pub(crate) contact: Option<ContactId>,
    /// Only those with this reference, in look-up form.
    pub(crate) client_ref: Option<[u8; 32]>,
}

macro_rules! cancelable {
    ($of:literal) => {
        concat!(
            "SELECT id FROM message WHERE org_id = $1 AND session_id = $2 AND status = 'queued' AND id < $3 AND resends = 0",
            $of,
            " ORDER BY id DESC LIMIT $4"
        )
    };
}

pub(in crate::store) const CANCELABLE: &str = cancelable!("");
pub(in crate::store) const CANCELABLE_OF: &str = cancelable!(
    " AND ($5 = '' OR contact_id IN (SELECT c.id FROM contact c WHERE c.org_id = $1 AND (c.id = $5 OR c.merged_into = $5))) \
     AND (CAST($6 AS bigint) = 0 OR client_ref_mac = $7)"
);

/// Returns queued messages of a session that can be canceled, the newest first, from below `below` on.
pub(crate) async fn cancelable(
    conn: &mut AnyConnection,
    (org, session): (OrgId, SessionId),
    meant: &Meant,
    below: &str,
    limit: i64,
) -> Result<Vec<MessageId>, sqlx::Error> {
    let is_all = meant.contact.is_none() && meant.client_ref.is_none();
    let sql = if is_all { CANCELABLE } else { CANCELABLE_OF };
    let mut query = sqlx::query(sql)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(below)
        .bind(limit);
    if !is_all {
        let contact = meant.contact.map(|id| id.to_string());
        query = query
            .bind(contact.unwrap_or_default())
            .bind(i64::from(meant.client_ref.is_some()))
            .bind(meant.client_ref.unwrap_or_default().to_vec());
    }
    let rows = query.fetch_all(conn).await?;
    Ok(row::each("message", &rows, |row| row::id(row, "id")))
}

/// What was decided about a message, as it is stored.
pub(crate) struct DecidedRow {
    /// The outcome of its claim, as JSON.
    pub(crate) decision: Option<String>,
    /// What held it.
    pub(crate) waits: Option<String>,
    pub(crate) is_trial: bool,
    /// When it ended without being sent.
    pub(crate) ended_at: Option<Millis>,
}

/// Reads what was decided about a message.
pub(crate) async fn decided(
    conn: &mut AnyConnection,
    org: OrgId,
    id: MessageId,
) -> Result<Option<DecidedRow>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT decision, waits, trial, ended_at FROM message WHERE org_id = $1 AND id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(DecidedRow {
            decision: row.try_get("decision")?,
            waits: row.try_get("waits")?,
            is_trial: row.try_get::<Option<i64>, _>("trial")? == Some(1),
            ended_at: row.try_get("ended_at")?,
        })
    })
    .transpose()
}
