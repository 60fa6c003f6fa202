//! Rules for automatic replies, and what the messages of a chat say about them.

use passerelle_engine::{
    clock::Millis,
    ids::{AutoReplyId, ContactId, MediaId, MessageId, OrgId, SessionId},
    store::Tx,
};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::{
    organisations,
    row::{self, Run as _},
    sessions::alive,
};
use crate::model::{Direction, Listed, Page, auto_reply::RULES_MAX};

/// A rule, sealed.
#[derive(Clone)]
pub(crate) struct AutoReplyRow {
    pub(crate) id: AutoReplyId,
    pub(crate) session: Option<SessionId>,
    pub(crate) position: i64,
    pub(crate) rule_sealed: Vec<u8>,
    pub(crate) media: Option<MediaId>,
    pub(crate) hits: i64,
    pub(crate) last_hit_at: Option<Millis>,
    pub(crate) created_at: Millis,
    pub(crate) updated_at: Millis,
}

impl FromRow<'_, AnyRow> for AutoReplyRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row::id(row, "id")?,
            session: row::id_or_null(row, "session_id")?,
            position: row.try_get("position")?,
            rule_sealed: row.try_get("rule_sealed")?,
            media: row::id_or_null(row, "media_id")?,
            hits: row.try_get("hits")?,
            last_hit_at: row.try_get("last_hit_at")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

macro_rules! columns {
    () => {
        "id, session_id, position, rule_sealed, media_id, hits, last_hit_at, created_at, updated_at"
    };
}

/// Counts the organisation's rules. No other rule of it is created until the transaction ends.
pub(crate) async fn count(tx: &mut Tx, org: OrgId) -> Result<i64, sqlx::Error> {
    organisations::lock(tx, org).await?;
    sqlx::query_scalar(concat!(
        "SELECT count(*) FROM auto_reply WHERE org_id = $1 AND ",
        alive!("session_id")
    ))
    .bind(org.to_string())
    .fetch_one(tx.conn())
    .await
}

pub(crate) async fn insert(tx: &mut Tx, org: OrgId, new: &AutoReplyRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO auto_reply (id, org_id, session_id, position, rule_sealed, media_id, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(new.id.to_string())
    .bind(org.to_string())
    .bind(new.session.map(|id| id.to_string()))
    .bind(new.position)
    .bind(new.rule_sealed.as_slice())
    .bind(new.media.map(|id| id.to_string()))
    .bind(new.created_at)
    .bind(new.updated_at)
    .run(tx)
    .await
}

/// Replaces what the tenant decides of a rule. Returns false if there is no such rule.
pub(crate) async fn replace(
    tx: &mut Tx,
    org: OrgId,
    new: &AutoReplyRow,
) -> Result<bool, sqlx::Error> {
    sqlx::query(concat!(
        "UPDATE auto_reply SET session_id = $3, position = $4, rule_sealed = $5, media_id = $6, updated_at = $7 \
         WHERE org_id = $1 AND id = $2 AND ",
        alive!("session_id")
    ))
    .bind(org.to_string())
    .bind(new.id.to_string())
    .bind(new.session.map(|id| id.to_string()))
    .bind(new.position)
    .bind(new.rule_sealed.as_slice())
    .bind(new.media.map(|id| id.to_string()))
    .bind(new.updated_at)
    .changes(tx)
    .await
}

pub(crate) async fn delete(tx: &mut Tx, org: OrgId, id: AutoReplyId) -> Result<bool, sqlx::Error> {
    sqlx::query(concat!(
        "DELETE FROM auto_reply WHERE org_id = $1 AND id = $2 AND ",
        alive!("session_id")
    ))
    .bind(org.to_string())
    .bind(id.to_string())
    .changes(tx)
    .await
}

pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    id: AutoReplyId,
) -> Result<Option<AutoReplyRow>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM auto_reply WHERE org_id = $1 AND id = $2 AND ",
        alive!("session_id")
    ))
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await
}

pub(crate) async fn list(
    conn: &mut AnyConnection,
    org: OrgId,
    page: &Page<AutoReplyId>,
) -> Result<Listed<AutoReplyRow>, sqlx::Error> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM auto_reply WHERE org_id = $1 AND id < $2 AND ",
        alive!("session_id"),
        " ORDER BY id DESC LIMIT $3"
    ))
    .bind(org.to_string())
    .bind(page.below())
    .bind(page.fetch())
    .fetch_all(conn)
    .await?;
    Ok(row::page_as("auto_reply", rows, page))
}

/// Returns the organisation's rules in the order in which they are tried.
pub(crate) async fn all(
    conn: &mut AnyConnection,
    org: OrgId,
) -> Result<Vec<AutoReplyRow>, sqlx::Error> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM auto_reply WHERE org_id = $1 AND ",
        alive!("session_id"),
        " ORDER BY position, id LIMIT $2"
    ))
    .bind(org.to_string())
    .bind(RULES_MAX)
    .fetch_all(conn)
    .await?;
    Ok(row::each("auto_reply", &rows, |row| {
        AutoReplyRow::from_row(row)
    }))
}

/// Records that the organisation's rules have changed. `stamp` is a text that was never used before.
pub(crate) async fn changed(tx: &mut Tx, org: OrgId, stamp: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE organisation SET auto_replies = CASE WHEN EXISTS (SELECT 1 FROM auto_reply WHERE org_id = $1) \
         THEN $2 END WHERE id = $1",
    )
    .bind(org.to_string())
    .bind(stamp)
    .run(tx)
    .await
}

/// Returns the text that changes with the organisation's rules; `None` if it has none.
pub(crate) async fn stamp(
    conn: &mut AnyConnection,
    org: OrgId,
) -> Result<Option<String>, sqlx::Error> {
    let stamp: Option<Option<String>> =
        sqlx::query_scalar("SELECT auto_replies FROM organisation WHERE id = $1")
            .bind(org.to_string())
            .fetch_optional(conn)
            .await?;
    Ok(stamp.flatten())
}

/// Returns when the contact wrote before this message, outside of groups.
pub(crate) async fn heard_before(
    tx: &mut Tx,
    org: OrgId,
    contact: ContactId,
    message: MessageId,
) -> Result<Option<Millis>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT max(created_at) FROM message WHERE org_id = $1 AND contact_id IN \
         (SELECT id FROM contact WHERE org_id = $1 AND (id = $2 OR merged_into = $2)) AND id < $3 \
         AND direction = 'inbound' AND to_mac IS NULL",
    )
    .bind(org.to_string())
    .bind(contact.to_string())
    .bind(message.to_string())
    .fetch_one(tx.conn())
    .await
}

/// Counts that a rule fired.
pub(crate) async fn fired(
    tx: &mut Tx,
    org: OrgId,
    id: AutoReplyId,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE auto_reply SET hits = hits + 1, last_hit_at = $3 WHERE org_id = $1 AND id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(now)
    .run(tx)
    .await
}

/// The word for an inbound message at which automatic replies to its chat were stopped.
pub(crate) const LOOP: &str = "loop";

/// Records which rule sends a message, or [`LOOP`].
pub(crate) async fn mark(
    tx: &mut Tx,
    org: OrgId,
    message: MessageId,
    automation: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE message SET automation = $3 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(message.to_string())
        .bind(automation)
        .run(tx)
        .await
}

/// A chat of an organisation: with a contact, over all of its numbers, or in a group.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ChatOf<'c> {
    With(ContactId),
    Group(&'c [u8; 32]),
}

/// What automation and people have done in a chat: the rule or [`LOOP`], and when last; without a word, when a person
/// last wrote from a phone or a linked device.
pub(crate) type Done = (Option<String>, Millis);

pub(in crate::store) const DONE_WITH: &str = "SELECT automation, max(coalesce(sent_at, created_at)) AS at FROM message \
     WHERE org_id = $1 AND contact_id IN (SELECT id FROM contact WHERE org_id = $1 AND (id = $2 OR merged_into = $2)) AND id > $3 \
     AND (automation IS NOT NULL OR source IS NOT NULL) AND (automation IS NOT NULL OR kind NOT IN ('reaction', 'edit', 'delete', 'poll_vote')) \
     AND (direction = 'outbound' OR to_mac IS NULL) GROUP BY automation";
pub(in crate::store) const DONE_IN: &str = "SELECT automation, max(coalesce(sent_at, created_at)) AS at FROM message \
     WHERE org_id = $1 AND to_mac = $2 AND id > $3 AND (automation IS NOT NULL OR source IS NOT NULL) \
     AND (automation IS NOT NULL OR kind NOT IN ('reaction', 'edit', 'delete', 'poll_vote')) GROUP BY automation";

/// Returns what automation and people have done in a chat since then.
pub(crate) async fn done(
    tx: &mut Tx,
    org: OrgId,
    chat: ChatOf<'_>,
    since: Millis,
) -> Result<Vec<Done>, sqlx::Error> {
    let query = match chat {
        ChatOf::With(contact) => sqlx::query(DONE_WITH)
            .bind(org.to_string())
            .bind(contact.to_string()),
        ChatOf::Group(mac) => sqlx::query(DONE_IN)
            .bind(org.to_string())
            .bind(mac.to_vec()),
    };
    let rows = query
        .bind(MessageId::earliest(since).to_string())
        .fetch_all(tx.conn())
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("automation")?, row.try_get("at")?)))
        .collect()
}

/// A message of a chat, as the loop breaker looks at it.
pub(crate) struct TurnRow {
    pub(crate) id: MessageId,
    pub(crate) direction: Direction,
    /// Whether a rule sent it.
    pub(crate) is_automatic: bool,
    /// When it was sent; `None` if it was not yet.
    pub(crate) at: Option<Millis>,
    pub(crate) content_sealed: Vec<u8>,
}

// Ordered by time: by the id alone, SQLite would walk the index of all messages of the organisation.
pub(in crate::store) const TURNS_WITH: &str = "SELECT id, direction, automation, CASE direction WHEN 'outbound' THEN sent_at ELSE coalesce(sent_at, created_at) END AS at, content_sealed \
     FROM message WHERE org_id = $1 AND contact_id IN (SELECT id FROM contact WHERE org_id = $1 AND (id = $2 OR merged_into = $2)) \
     AND id > $3 AND (direction = 'outbound' OR to_mac IS NULL) ORDER BY created_at DESC, id DESC LIMIT 32";
pub(in crate::store) const TURNS_IN: &str = "SELECT id, direction, automation, CASE direction WHEN 'outbound' THEN sent_at ELSE coalesce(sent_at, created_at) END AS at, content_sealed \
     FROM message WHERE org_id = $1 AND to_mac = $2 AND id > $3 ORDER BY created_at DESC, id DESC LIMIT 32";

/// Returns the last messages of a chat since then, the newest first.
pub(crate) async fn turns(
    tx: &mut Tx,
    org: OrgId,
    chat: ChatOf<'_>,
    since: Millis,
) -> Result<Vec<TurnRow>, sqlx::Error> {
    let query = match chat {
        ChatOf::With(contact) => sqlx::query(TURNS_WITH)
            .bind(org.to_string())
            .bind(contact.to_string()),
        ChatOf::Group(mac) => sqlx::query(TURNS_IN)
            .bind(org.to_string())
            .bind(mac.to_vec()),
    };
    let rows = query
        .bind(MessageId::earliest(since).to_string())
        .fetch_all(tx.conn())
        .await?;
    let turn = |row: &AnyRow| {
        let automation: Option<String> = row.try_get("automation")?;
        Ok(TurnRow {
            id: row::id(row, "id")?,
            direction: row::word(row, "direction")?,
            is_automatic: automation.is_some_and(|word| word != LOOP),
            at: row.try_get("at")?,
            content_sealed: row.try_get("content_sealed")?,
        })
    };
    Ok(row::each("message", &rows, turn))
}
