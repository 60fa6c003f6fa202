//! What decides which message of a lane goes next: the first one of each class, and what the number knows of its
//! recipient.

use std::collections::HashMap;

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, MessageId, SessionId},
    over_list,
    store::{Dialect, SystemTx},
};
use serde_json::json;
use sqlx::{Row as _, any::AnyRow};

use crate::{
    model::{Class, Decided, Priority},
    store::row,
};

/// The first message of its class in a lane.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) message: MessageId,
    /// `None` is for a group, or of an earlier version.
    pub(crate) class: Option<Class>,
    pub(crate) purpose: Option<String>,
    pub(crate) priority: Priority,
    pub(crate) accepted_at: Millis,
    pub(crate) calling_code: Option<String>,
    pub(crate) typing_ms: i64,
    /// The time that the tenant asked for.
    pub(crate) wanted_at: Option<Millis>,
    pub(crate) expires_at: Option<Millis>,
    /// It was claimed before, and counts already.
    pub(crate) is_counted: bool,
    /// `None` for a group.
    pub(crate) contact: Option<ContactId>,
    pub(crate) last_inbound_at: Option<Millis>,
    pub(crate) unanswered: Vec<Millis>,
    pub(crate) is_trial: bool,
}

/// What may be next in a lane.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heads {
    /// The first message of each class, in the order in which they were accepted.
    pub(crate) first: Vec<Head>,
    /// When the next message may go that has a later time of its own.
    pub(crate) later_at: Option<Millis>,
}

macro_rules! first {
    ($class:literal) => {
        concat!(
            "(SELECT m.id FROM message m WHERE m.session_id = l.session_id AND m.status = 'queued' AND m.class ",
            $class,
            " AND m.send_at <= $2 ORDER BY m.priority DESC, m.seq LIMIT 1)"
        )
    };
}

/// Takes a list of `[session]`, and the time.
pub(in crate::store) fn heads_text(dialect: Dialect) -> &'static str {
    over_list!(
        dialect,
        concat!(
            "SELECT h.session_id, h.later_at, m.id, m.class, m.purpose, m.priority, m.created_at, m.calling_code, m.decision, m.typing_ms, m.expires_at, m.wanted_at, m.hold, m.send_at, c.id AS contact, \
             a.last_inbound_at, a.unanswered, a.trial FROM (SELECT l.session_id, l.org_id, l.number_mac, ",
            first!("= 'reply'"),
            " AS reply, ",
            first!("= 'warm'"),
            " AS warm, ",
            first!("= 'cold'"),
            " AS cold, ",
            first!("IS NULL"),
            " AS other, (SELECT min(m.send_at) FROM message m WHERE m.session_id = l.session_id AND m.status = 'queued' AND m.send_at > $2) AS later_at FROM"
        ),
        "due JOIN lane l ON l.session_id = due.value ->> 0) h JOIN message m ON m.id IN (h.reply, h.warm, h.cold, h.other) \
         LEFT JOIN contact c ON c.id = (SELECT coalesce(k.merged_into, k.id) FROM contact k WHERE k.id = m.contact_id) \
         LEFT JOIN acquaintance a ON a.org_id = h.org_id AND a.number_mac = h.number_mac AND a.contact_id = c.id \
         ORDER BY m.seq"
    )
}

/// Forgets people whom a number has not known since then, some at a time. The first five stay, because they are counted.
pub(crate) async fn forget_acquaintances(
    tx: &mut SystemTx,
    before: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM acquaintance WHERE (org_id, number_mac, contact_id) IN (SELECT org_id, number_mac, contact_id \
         FROM acquaintance WHERE used_at < $1 AND trial = 0 ORDER BY used_at LIMIT 1000)",
    )
    .bind(before)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Returns the first message of each class of these lanes that may go by its own time.
pub(crate) async fn heads(
    tx: &mut SystemTx,
    lanes: &[SessionId],
    now: Millis,
) -> Result<HashMap<SessionId, Heads>, sqlx::Error> {
    let lanes: Vec<_> = lanes.iter().map(|id| [id]).collect();
    let rows = sqlx::query(heads_text(tx.dialect()))
        .bind(json!(lanes).to_string())
        .bind(now)
        .fetch_all(tx.conn())
        .await?;
    let mut heads: HashMap<SessionId, Heads> = HashMap::new();
    for (session, later_at, head) in row::each("message", &rows, head) {
        let heads = heads.entry(session).or_default();
        heads.later_at = later_at;
        heads.first.push(head);
    }
    Ok(heads)
}

fn head(row: &AnyRow) -> Result<(SessionId, Option<Millis>, Head), sqlx::Error> {
    let unanswered: Option<String> = row.try_get("unanswered")?;
    let class: Option<String> = row.try_get("class")?;
    let is_held = row.try_get::<Option<String>, _>("hold")?.is_some();
    let send_at = Some(row.try_get("send_at")?).filter(|at| *at > 0 && !is_held);
    let head = Head {
        typing_ms: row.try_get("typing_ms")?,
        wanted_at: row.try_get::<Option<Millis>, _>("wanted_at")?.or(send_at),
        expires_at: row.try_get("expires_at")?,
        message: row::id(row, "id")?,
        class: class
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|_| row::unreadable("class", "unknown"))?,
        purpose: row.try_get("purpose")?,
        priority: Priority::of_store(row.try_get("priority")?),
        accepted_at: row.try_get("created_at")?,
        calling_code: row.try_get("calling_code")?,
        is_counted: {
            let decision: Option<String> = row.try_get("decision")?;
            let decided = decision.as_deref().and_then(Decided::read);
            decided.is_some_and(|decided| decided.class.is_some())
        },
        contact: row::id_or_null(row, "contact")?,
        unanswered: row::json_or_default(unanswered.as_deref(), "unanswered")?,
        last_inbound_at: row.try_get("last_inbound_at")?,
        is_trial: row.try_get::<Option<i64>, _>("trial")? == Some(1),
    };
    Ok((row::id(row, "session_id")?, row.try_get("later_at")?, head))
}

/// Messages of a number that a contact has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    contact: ContactId,
    /// As it is stored.
    text: String,
    /// When the messages went, oldest first, and whether the answer was the contact's first message to the number.
    pub(crate) each: Vec<(Vec<Millis>, bool)>,
}

/// Returns the answers that the states of these lanes' numbers do not know yet, from all who linked the numbers.
pub(crate) async fn answered(
    tx: &mut SystemTx,
    lanes: &[SessionId],
) -> Result<HashMap<SessionId, Vec<Answered>>, sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "SELECT l.session_id, a.contact_id, a.answered FROM",
        "asked JOIN lane l ON l.session_id = asked.value ->> 0 JOIN acquaintance a ON a.number_mac = l.number_mac AND a.answered IS NOT NULL"
    );
    let lanes: Vec<_> = lanes.iter().map(|id| [id]).collect();
    let rows = sqlx::query(sql)
        .bind(json!(lanes).to_string())
        .fetch_all(tx.conn())
        .await?;
    let read = |row: &AnyRow| {
        let text: String = row.try_get("answered")?;
        let answered = Answered {
            contact: row::id(row, "contact_id")?,
            each: answers(&text)?,
            text,
        };
        Ok((row::id(row, "session_id")?, answered))
    };
    let mut found: HashMap<SessionId, Vec<Answered>> = HashMap::new();
    for (session, answered) in row::each("acquaintance", &rows, read) {
        found.entry(session).or_default().push(answered);
    }
    Ok(found)
}

/// Forgets answers that a number's state knows now. One that came meanwhile stays, and so do the earlier ones of its contact.
pub(crate) async fn forget_answered(
    tx: &mut SystemTx,
    known: &[(SessionId, Vec<Answered>)],
) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "UPDATE acquaintance SET answered = NULL FROM",
        "known JOIN lane l ON l.session_id = known.value ->> 0 WHERE acquaintance.number_mac = l.number_mac \
         AND acquaintance.contact_id = known.value ->> 1 AND acquaintance.answered = known.value ->> 2"
    );
    let each = known.iter().flat_map(|(session, answered)| {
        answered
            .iter()
            .map(move |one| json!([session, one.contact, one.text]))
    });
    sqlx::query(sql)
        .bind(json!(each.collect::<Vec<_>>()).to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

fn answers(text: &str) -> Result<Vec<(Vec<Millis>, bool)>, sqlx::Error> {
    let answer = |part: &str| {
        let first = part.strip_prefix('!');
        let times = row::json_or_default(Some(first.unwrap_or(part)), "answered")?;
        Ok((times, first.is_some()))
    };
    text.split(';').map(answer).collect()
}

/// A message that a limit of its recipient holds: until when, and which limit.
pub(crate) type Held = (MessageId, Millis, &'static str);

/// Has each of these messages wait until its time, and notes why. The tenant's own time for it is kept.
pub(crate) async fn hold(tx: &mut SystemTx, held: &[Held], now: Millis) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "UPDATE message SET wanted_at = CASE WHEN message.hold IS NULL AND message.send_at > 0 THEN message.send_at \
         ELSE message.wanted_at END, send_at = CAST(held.value ->> 1 AS bigint), hold = held.value ->> 2, \
         waits = CASE WHEN message.hold = held.value ->> 2 OR length(coalesce(message.waits, '')) > 2000 THEN message.waits \
         ELSE coalesce(message.waits || ',', '') || (held.value ->> 3) END FROM",
        "held WHERE message.id = held.value ->> 0 AND message.status = 'queued'"
    );
    let list = held.iter().map(|(message, until, why)| {
        let wait = json!([why, now, until]).to_string();
        json!([message, until, why, wait])
    });
    sqlx::query(sql)
        .bind(json!(list.collect::<Vec<_>>()).to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A message that goes to somebody who has not written since the last one: session, recipient, when the messages
/// went that are unanswered with it, and whether the number writes to them for the first time.
pub(crate) type Met = (SessionId, ContactId, Vec<Millis>, bool);

/// Records what each number knows of the recipients of these messages, now that they go.
pub(crate) async fn met(tx: &mut SystemTx, met: &[Met], now: Millis) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "INSERT INTO acquaintance (org_id, number_mac, contact_id, opened_at, unanswered, used_at) \
         SELECT l.org_id, l.number_mac, met.value ->> 1, CASE WHEN met.value ->> 3 = '1' THEN $2 END, met.value ->> 2, $2 FROM",
        "met JOIN lane l ON l.session_id = met.value ->> 0 WHERE l.number_mac IS NOT NULL \
         ON CONFLICT (org_id, number_mac, contact_id) DO UPDATE SET opened_at = coalesce(acquaintance.opened_at, excluded.opened_at), \
         unanswered = excluded.unanswered, used_at = excluded.used_at"
    );
    let list: Vec<_> = met
        .iter()
        .map(|(session, contact, unanswered, is_new)| {
            let times = json!(unanswered).to_string();
            let is_new = if *is_new { "1" } else { "0" };
            json!([session, contact, times, is_new])
        })
        .collect();
    sqlx::query(sql)
        .bind(json!(list).to_string())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}
