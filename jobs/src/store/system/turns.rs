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
    /// The message to the same recipient that has to go before it.
    pub(crate) earlier: Option<Earlier>,
    /// `None` for a group.
    pub(crate) contact: Option<ContactId>,
    /// The group, in look-up form; `None` for a contact.
    pub(crate) group_mac: Option<Vec<u8>>,
    pub(crate) last_inbound_at: Option<Millis>,
    /// When messages went that the contact has not answered, oldest first. Those of warm messages are negative.
    pub(crate) unanswered: Vec<Millis>,
    pub(crate) is_trial: bool,
}

/// A message that was accepted before another one to the same recipient, with at least its priority.
#[derive(Debug, Clone)]
pub(crate) struct Earlier {
    pub(crate) id: MessageId,
    pub(crate) class: Class,
    /// It waits until then.
    pub(crate) send_at: Millis,
    /// What holds it; `None` for one that is sent once more later.
    pub(crate) hold: Option<String>,
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

/// How long a message that WhatsApp refused has the later ones to its recipient wait.
const AGAIN_WITHIN: Millis = 60_000;

/// Of an [`Earlier`]: its parts in one text. Limits that look at the text or at the purpose of a message let others pass, and so
/// does the time that the tenant asked for.
macro_rules! earlier {
    () => {
        "(SELECT e.id || ' ' || coalesce(e.class, 'warm') || ' ' || e.send_at || ' ' || coalesce(e.hold, '') \
         FROM contact k CROSS JOIN message e WHERE (k.id = c.id OR k.merged_into = c.id) AND e.contact_id = k.id AND e.status = 'queued' \
         AND e.session_id || '' = h.session_id AND +e.seq < m.seq AND e.priority >= m.priority AND (e.send_at <= $2 \
         OR (e.hold IS NOT NULL AND e.hold NOT IN ('quiet_hours', 'codes_at_night', 'near_duplicates') AND coalesce(e.wanted_at, 0) <= $2) \
         OR (e.hold IS NULL AND e.resends > 0 AND e.send_at <= $3)) ORDER BY e.seq LIMIT 1) AS earlier"
    };
}

/// Takes a list of `[session]`, the time, and the time until which a message may wait for being sent once more.
pub(in crate::store) fn heads_text(dialect: Dialect) -> &'static str {
    over_list!(
        dialect,
        concat!(
            "SELECT h.session_id, h.later_at, m.id, m.class, m.purpose, m.priority, m.created_at, m.calling_code, m.decision, m.typing_ms, m.expires_at, m.wanted_at, m.hold, m.send_at, c.id AS contact, CASE WHEN m.contact_id IS NULL THEN m.to_mac END AS group_mac, \
             a.last_inbound_at, a.unanswered, a.trial, ",
            earlier!(),
            " FROM (SELECT l.session_id, l.org_id, l.number_mac, ",
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
        .bind(now.saturating_add(AGAIN_WITHIN))
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
    let class: Option<String> = row.try_get("class")?;
    let counted_as = {
        let decision: Option<String> = row.try_get("decision")?;
        let decided = decision.as_deref().and_then(Decided::read);
        decided.and_then(|decided| decided.class)
    };
    let unanswered: Option<String> = row.try_get("unanswered")?;
    let mut unanswered = row::times(unanswered.as_deref(), "unanswered")?;
    // What was claimed before and put back is among them, and does not wait for itself.
    if counted_as.is_some_and(|class| class != Class::Reply) {
        unanswered.pop();
    }
    let earlier: Option<String> = row.try_get("earlier")?;
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
        is_counted: counted_as.is_some(),
        earlier: earlier.as_deref().map(Earlier::read).transpose()?,
        contact: row::id_or_null(row, "contact")?,
        unanswered,
        group_mac: row.try_get("group_mac")?,
        last_inbound_at: row.try_get("last_inbound_at")?,
        is_trial: row.try_get::<Option<i64>, _>("trial")? == Some(1),
    };
    Ok((row::id(row, "session_id")?, row.try_get("later_at")?, head))
}

impl Earlier {
    fn read(text: &str) -> Result<Self, sqlx::Error> {
        let mut parts = text.split(' ');
        let mut part = || parts.next().unwrap_or_default();
        let earlier = (
            part().parse().ok(),
            part().parse().ok(),
            part().parse().ok(),
        );
        let (Some(id), Some(class), Some(send_at)) = earlier else {
            return Err(row::unreadable("earlier", "unknown"));
        };
        Ok(Self {
            id,
            class,
            send_at,
            hold: Some(part().to_owned()).filter(|hold| !hold.is_empty()),
        })
    }
}

/// A message that has to go before another one, and the class of that one.
pub(crate) type Before = (MessageId, Class);

/// Has each of these messages looked at again before the one that follows it: it goes in the class of that one if its own goes
/// later, and what a limit of their recipient holds may have become free.
pub(crate) async fn go_before(tx: &mut SystemTx, before: &[Before]) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "UPDATE message SET class = CASE WHEN follower.value ->> 1 = 'reply' THEN 'reply' \
         WHEN follower.value ->> 1 = 'warm' AND message.class = 'cold' THEN 'warm' ELSE message.class END, \
         send_at = CASE WHEN message.hold IS NULL THEN message.send_at ELSE coalesce(message.wanted_at, 0) END FROM",
        "follower WHERE message.id = follower.value ->> 0 AND message.status = 'queued'"
    );
    sqlx::query(sql)
        .bind(json!(before).to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
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

/// Returns when replies went since then to the recipients of these messages, and were not answered: for each message the
/// times, oldest first.
pub(crate) async fn replied(
    tx: &mut SystemTx,
    messages: &[MessageId],
    since: Millis,
) -> Result<HashMap<MessageId, Vec<Millis>>, sqlx::Error> {
    // A reply is not sent much later than it was accepted.
    let accepted = MessageId::earliest(since.saturating_sub(REPLY_LIVES));
    let sql = over_list!(
        tx.dialect(),
        "SELECT m.id, s.sent_at FROM",
        "asked JOIN message m ON m.id = asked.value ->> 0 JOIN contact k ON k.id = m.contact_id \
         JOIN message s ON s.org_id = m.org_id AND s.contact_id IN (SELECT c.id FROM contact c WHERE c.org_id = m.org_id \
         AND (c.id = coalesce(k.merged_into, k.id) OR c.merged_into = coalesce(k.merged_into, k.id))) AND s.id > $2 \
         JOIN lane l ON l.session_id = m.session_id JOIN lane o ON o.session_id = s.session_id AND o.number_mac = l.number_mac \
         LEFT JOIN acquaintance a ON a.org_id = l.org_id AND a.number_mac = l.number_mac AND a.contact_id = coalesce(k.merged_into, k.id) \
         WHERE s.direction = 'outbound' AND s.class = 'reply' AND s.sent_at > $3 AND s.sent_at > coalesce(a.last_inbound_at, 0) \
         ORDER BY s.sent_at"
    );
    let list: Vec<_> = messages.iter().map(|id| [id]).collect();
    let rows = sqlx::query(sql)
        .bind(json!(list).to_string())
        .bind(accepted.to_string())
        .bind(since)
        .fetch_all(tx.conn())
        .await?;
    let read = |row: &AnyRow| Ok((row::id(row, "id")?, row.try_get("sent_at")?));
    let mut found: HashMap<MessageId, Vec<Millis>> = HashMap::new();
    for (message, at) in row::each("message", &rows, read) {
        found.entry(message).or_default().push(at);
    }
    Ok(found)
}

/// Messages without a purpose live so long at most, in milliseconds, if nobody says otherwise.
const REPLY_LIVES: Millis = 24 * 60 * 60 * 1000;

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
        let mut times: Vec<Millis> = row::json_or_default(Some(first.unwrap_or(part)), "answered")?;
        let is_first = first.is_some() && times.first().is_some_and(|at| *at > 0);
        times.retain(|at| *at > 0);
        Ok((times, is_first))
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
