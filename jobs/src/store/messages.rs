//! Messages of one organisation.

use std::time::Duration;

use passerelle_engine::{
    clock::Millis,
    ids::{ConsentId, ContactId, MessageId, OrgId, SessionId},
    store::Tx,
};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::{
    row::{self, Run as _},
    sessions::alive,
};
use crate::{
    model::Purpose,
    model::{Class, Direction, OptOutCheck, Permission, Priority, Source, Status, millis},
};

/// A message's row, with sealed values.
pub(crate) struct Stored {
    pub(crate) id: MessageId,
    pub(crate) org: OrgId,
    pub(crate) session: SessionId,
    pub(crate) direction: Direction,
    pub(crate) source: Source,
    pub(crate) status: Status,
    pub(crate) wa_id: String,
    pub(crate) contact: Option<ContactId>,
    pub(crate) peer_sealed: Vec<u8>,
    pub(crate) content_sealed: Vec<u8>,
    pub(crate) context_sealed: Option<Vec<u8>>,
    pub(crate) client_sealed: Option<Vec<u8>>,
    pub(crate) resends: i64,
    pub(crate) error: Option<String>,
    pub(crate) expires_in: Option<i64>,
    pub(crate) class: Option<Class>,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) consent: Option<ConsentId>,
    pub(crate) created_at: Millis,
    pub(crate) send_at: Millis,
    pub(crate) priority: i64,
    pub(crate) expires_at: Option<Millis>,
    pub(crate) sent_at: Option<Millis>,
    pub(crate) delivered_at: Option<Millis>,
    pub(crate) read_at: Option<Millis>,
    pub(crate) played_at: Option<Millis>,
    pub(crate) edited_at: Option<Millis>,
    pub(crate) deleted_at: Option<Millis>,
}

/// The columns of [`Stored`]. A merged contact is shown as the one that it was merged into.
macro_rules! columns {
    () => {
        "id, org_id, session_id, direction, coalesce(source, 'gateway') AS source, status, wa_id, \
         coalesce((SELECT c.merged_into FROM contact c WHERE c.id = message.contact_id), contact_id) AS contact_id, \
         peer_sealed, content_sealed, context_sealed, client_sealed, resends, error, expires_in, class, purpose, consent_id, created_at, CASE WHEN hold IS NULL THEN send_at ELSE coalesce(wanted_at, 0) END AS send_at, priority, expires_at, sent_at, delivered_at, read_at, played_at, edited_at, deleted_at"
    };
}
pub(super) use columns;

pub(crate) mod chats;
pub(crate) mod classes;
pub(crate) mod lists;
pub(crate) mod own;

/// The sealed parts of a new message, and its ids.
#[derive(Clone)]
pub(crate) struct New {
    pub(crate) id: MessageId,
    pub(crate) org: OrgId,
    pub(crate) session: SessionId,
    pub(crate) kind: &'static str,
    pub(crate) wa_id: String,
    pub(crate) peer_sealed: Vec<u8>,
    pub(crate) content_sealed: Vec<u8>,
    pub(crate) context_sealed: Option<Vec<u8>>,
    /// What the tenant attached, and its reference in look-up form.
    pub(crate) client_sealed: Option<Vec<u8>>,
    pub(crate) client_ref_mac: Option<[u8; 32]>,
    /// The message that this one edits.
    pub(crate) edit_of: Option<MessageId>,
    /// It disappears from the chat so many seconds after it was sent.
    pub(crate) expires_in: Option<i64>,
    pub(crate) created_at: Millis,
}

/// An outbound message's recipient in look-up form, and its place in the lane.
pub(crate) struct Outward {
    pub(crate) to_mac: [u8; 32],
    pub(crate) contact: Option<ContactId>,
    pub(crate) seq: i64,
    pub(crate) permission: Permission,
    pub(crate) when: When,
    pub(crate) way: Way,
}

/// How an outbound message is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// The calling code of the recipient's phone number, if it has one that is known.
    pub(crate) calling_code: Option<&'static str>,
    /// How long typing is shown before it.
    pub(crate) typing: Duration,
}

impl Way {
    /// Returns the way of a message whose recipient and length do not matter.
    pub(crate) fn short() -> Self {
        Self {
            calling_code: None,
            typing: Duration::from_secs(1),
        }
    }
}

/// When an outbound message is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When {
    /// Not before this; 0 if it may be sent at once.
    pub(crate) send_at: Millis,
    pub(crate) expires_at: Millis,
    pub(crate) priority: Priority,
}

/// Inserts an outbound message at its place in the lane.
pub(crate) async fn insert_outbound(
    tx: &mut Tx,
    new: &New,
    outward: &Outward,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO message (id, org_id, session_id, direction, status, kind, wa_id, seq, to_mac, peer_sealed, \
         content_sealed, resends, created_at, expires_at, context_sealed, contact_id, edit_of, client_sealed, client_ref_mac, send_at, priority, \
         class, purpose, consent_id, trial, calling_code, typing_ms) VALUES ($1, $2, $3, 'outbound', 'queued', $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, \
         $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)",
    )
    .bind(new.id.to_string())
    .bind(new.org.to_string())
    .bind(new.session.to_string())
    .bind(new.kind)
    .bind(new.wa_id.as_str())
    .bind(outward.seq)
    .bind(outward.to_mac.to_vec())
    .bind(new.peer_sealed.as_slice())
    .bind(new.content_sealed.as_slice())
    .bind(new.created_at)
    .bind(outward.when.expires_at)
    .bind(new.context_sealed.as_deref())
    .bind(outward.contact.map(|id| id.to_string()))
    .bind(new.edit_of.map(|id| id.to_string()))
    .bind(new.client_sealed.as_deref())
    .bind(new.client_ref_mac.map(|mac| mac.to_vec()))
    .bind(outward.when.send_at)
    .bind(outward.when.priority.to_store())
    .bind(outward.permission.class.map(Class::as_str))
    .bind(outward.permission.purpose.map(Purpose::as_str))
    .bind(outward.permission.consent.map(|id| id.to_string()))
    .bind(outward.permission.is_trial.then_some(1_i64))
    .bind(outward.way.calling_code)
    .bind(millis(outward.way.typing))
    .run(tx)
    .await
}

/// Where an inbound message came from, in look-up form.
pub(crate) struct Origin {
    pub(crate) chat_mac: [u8; 32],
    pub(crate) sender_mac: [u8; 32],
    pub(crate) group_mac: Option<[u8; 32]>,
    pub(crate) contact: ContactId,
}

/// The seconds after which a chat's messages are known to disappear; 0 if they stay. `None` if that was not read.
pub(crate) type KnownTimer = Option<i64>;

/// What was known when an inbound message was stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before {
    pub(crate) timer: KnownTimer,
    /// What changes with the organisation's rules for automatic replies; `None` if it has none.
    pub(crate) rules: Option<String>,
    /// When the contact wrote before, outside of groups.
    pub(crate) last_inbound_at: Option<Millis>,
}

/// Stores an inbound message once per (session, chat, sender, WhatsApp id). Returns what was known before it if it was
/// new.
pub(crate) async fn insert_inbound(
    tx: &mut Tx,
    new: &New,
    origin: &Origin,
    sent_at: Millis,
) -> Result<Option<Before>, sqlx::Error> {
    let row = sqlx::query(
        "INSERT INTO message (id, org_id, session_id, direction, status, kind, wa_id, chat_mac, sender_mac, contact_id, \
         peer_sealed, content_sealed, resends, created_at, sent_at, context_sealed, to_mac, edit_of, expires_in) \
         VALUES ($1, $2, $3, 'inbound', 'received', $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, $13, $14, $15, $16) \
         ON CONFLICT (session_id, chat_mac, sender_mac, wa_id) WHERE direction = 'inbound' DO NOTHING \
         RETURNING coalesce((SELECT t.seconds FROM chat_timer t WHERE t.session_id = $3 AND \
         (t.group_mac = $14 OR ($14 IS NULL AND t.contact_id = $8)) LIMIT 1), 0) AS timer, \
         (SELECT o.auto_replies FROM organisation o WHERE o.id = $2) AS rules, \
         (SELECT c.last_inbound_at FROM contact c WHERE c.id = $8) AS last_inbound_at",
    )
    .bind(new.id.to_string())
    .bind(new.org.to_string())
    .bind(new.session.to_string())
    .bind(new.kind)
    .bind(new.wa_id.as_str())
    .bind(origin.chat_mac.to_vec())
    .bind(origin.sender_mac.to_vec())
    .bind(origin.contact.to_string())
    .bind(new.peer_sealed.as_slice())
    .bind(new.content_sealed.as_slice())
    .bind(new.created_at)
    .bind(sent_at)
    .bind(new.context_sealed.as_deref())
    .bind(origin.group_mac.map(|mac| mac.to_vec()))
    .bind(new.edit_of.map(|id| id.to_string()))
    .bind(new.expires_in)
    .fetch_optional(tx.conn())
    .await?;
    row.map(|row| {
        Ok(Before {
            timer: Some(row.try_get("timer")?),
            rules: row.try_get("rules")?,
            last_inbound_at: row.try_get("last_inbound_at")?,
        })
    })
    .transpose()
}

/// The id of a message that could not be decrypted at first, when it was received, and when it was sent.
pub(crate) type First = (MessageId, Millis, Option<Millis>);

/// Finds a message that could not be decrypted at first.
pub(crate) async fn undecryptable(
    tx: &mut Tx,
    new: &New,
    origin: &Origin,
) -> Result<Option<First>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT id, created_at, sent_at FROM message WHERE org_id = $1 AND session_id = $2 AND chat_mac = $3 AND sender_mac = $4 \
         AND wa_id = $5 AND direction = 'inbound' AND kind = 'undecryptable'",
    )
    .bind(new.org.to_string())
    .bind(new.session.to_string())
    .bind(origin.chat_mac.to_vec())
    .bind(origin.sender_mac.to_vec())
    .bind(new.wa_id.as_str())
    .fetch_optional(tx.conn())
    .await?;
    row.map(|row| {
        let (created_at, sent_at) = (row.try_get("created_at")?, row.try_get("sent_at")?);
        Ok((row::id(&row, "id")?, created_at, sent_at))
    })
    .transpose()
}

// Ordered by time: by the id alone, SQLite would walk the index of the list of the contact.
pub(in crate::store) const OF_CONTACT: &str = "SELECT id, kind, created_at, sent_at FROM message WHERE org_id = $1 AND session_id = $2 AND wa_id = $3 \
         AND contact_id = $4 AND direction = 'inbound' ORDER BY created_at, id LIMIT 1";

/// Finds a message of this contact by WhatsApp's id, however chat and sender were named. Returns whether it
/// still waits for its content, and otherwise the same as [`undecryptable`].
pub(crate) async fn of_contact(
    tx: &mut Tx,
    new: &New,
    origin: &Origin,
) -> Result<Option<(bool, First)>, sqlx::Error> {
    let row = sqlx::query(OF_CONTACT)
        .bind(new.org.to_string())
        .bind(new.session.to_string())
        .bind(new.wa_id.as_str())
        .bind(origin.contact.to_string())
        .fetch_optional(tx.conn())
        .await?;
    row.map(|row| {
        let kind: String = row.try_get("kind")?;
        let (created_at, sent_at) = (row.try_get("created_at")?, row.try_get("sent_at")?);
        Ok((
            kind == "undecryptable",
            (row::id(&row, "id")?, created_at, sent_at),
        ))
    })
    .transpose()
}

/// Stores the content of a message that could not be decrypted at first. Returns false if it has its content by now: on
/// PostgreSQL its two repeats, of the sender's phone and of this number's phone, may be stored at the same time.
pub(crate) async fn decrypted(tx: &mut Tx, new: &New) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE message SET kind = $3, peer_sealed = $4, content_sealed = $5, context_sealed = $6, edit_of = $7, expires_in = $8 \
         WHERE org_id = $1 AND id = $2 AND kind = 'undecryptable'",
    )
    .bind(new.org.to_string())
    .bind(new.id.to_string())
    .bind(new.kind)
    .bind(new.peer_sealed.as_slice())
    .bind(new.content_sealed.as_slice())
    .bind(new.context_sealed.as_deref())
    .bind(new.edit_of.map(|id| id.to_string()))
    .bind(new.expires_in)
    .changes(tx)
    .await
}

pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    id: MessageId,
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM message WHERE org_id = $1 AND id = $2 AND ",
        alive!()
    ))
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await
}

/// What is stored unencrypted of an outbound message.
pub(crate) struct Plain {
    /// The status as it is written; a later version may know more of them.
    pub(crate) status: String,
    pub(crate) resends: i64,
    pub(crate) wa_id: String,
    pub(crate) created_at: Millis,
    pub(crate) expires_at: Option<Millis>,
}

/// Reads the unencrypted part of an outbound message. A column that cannot be read counts as empty, so that
/// every message can be ended.
pub(crate) async fn plain(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
) -> Result<Option<Plain>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT status, resends, wa_id, created_at, expires_at FROM message \
         WHERE org_id = $1 AND id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Plain {
        status: row.try_get("status").unwrap_or_default(),
        resends: row.try_get("resends").unwrap_or_default(),
        wa_id: row.try_get("wa_id").unwrap_or_default(),
        created_at: row.try_get("created_at").unwrap_or_default(),
        expires_at: row.try_get("expires_at").unwrap_or_default(),
    }))
}

/// Returns a message that a claim set to `sending`, and its recipient's contact. `None` if it is deleted or no longer
/// `sending`.
pub(crate) async fn claimed(
    conn: &mut AnyConnection,
    org: OrgId,
    id: MessageId,
) -> Result<Option<(Stored, Addressee)>, sqlx::Error> {
    let row = sqlx::query(concat!(
        "SELECT s.*, k.phone_mac, k.phone_sealed, k.lid_sealed, k.canonical_at, coalesce(k.opted_out_at, \
         (SELECT max(m.opted_out_at) FROM contact c JOIN contact m ON m.id = coalesce(c.merged_into, c.id) \
         WHERE c.org_id = $1 AND (c.phone_mac = s.to_mac OR c.lid_mac = s.to_mac))) AS opted_out_at FROM (SELECT ",
        columns!(),
        ", to_mac, confirms_opt_out FROM message WHERE org_id = $1 AND id = $2 AND status = 'sending') s \
         LEFT JOIN contact k ON k.id = s.contact_id",
    ))
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((Stored::from_row(&row)?, Addressee::from_row(&row)?)))
        .transpose()
}

/// The contact that a claimed message goes to.
pub(crate) struct Addressee {
    pub(crate) opt_out: OptOutCheck,
    /// Whether WhatsApp named the contact's phone as its own.
    pub(crate) is_canonical: bool,
    /// The message goes to the contact's phone, not to another one that it was accepted for.
    pub(crate) is_addressed: bool,
    pub(crate) phone_sealed: Option<Vec<u8>>,
    pub(crate) lid_sealed: Option<Vec<u8>>,
}

impl FromRow<'_, AnyRow> for Addressee {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let (phone, to): (Option<Vec<u8>>, Option<Vec<u8>>) =
            (row.try_get("phone_mac")?, row.try_get("to_mac")?);
        let at = |column| row.try_get::<Option<Millis>, _>(column);
        let confirms: Option<i64> = row.try_get("confirms_opt_out")?;
        let opt_out = match (confirms, at("opted_out_at")?) {
            (Some(_), _) => OptOutCheck::ConfirmsOptOut,
            (None, Some(_)) => OptOutCheck::OptedOut,
            (None, None) => OptOutCheck::Passed,
        };
        Ok(Self {
            opt_out,
            is_canonical: at("canonical_at")?.is_some(),
            is_addressed: phone == to,
            phone_sealed: row.try_get("phone_sealed")?,
            lid_sealed: row.try_get("lid_sealed")?,
        })
    }
}

/// Addresses a claimed message to this contact.
pub(crate) async fn address(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    contact: Option<ContactId>,
    to_mac: &[u8; 32],
    peer_sealed: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE message SET contact_id = $3, to_mac = $4, peer_sealed = $5 \
         WHERE org_id = $1 AND id = $2 AND status = 'sending'",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(contact.map(|id| id.to_string()))
    .bind(to_mac.to_vec())
    .bind(peer_sealed)
    .run(tx)
    .await
}

pub(in crate::store) const BY_WA_ID: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM message WHERE org_id = $1 AND session_id = $2 AND wa_id = $3 AND direction = 'outbound' LIMIT 1"
);

/// Returns the outbound message with this WhatsApp id.
pub(crate) async fn by_wa_id(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    wa_id: &str,
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as(BY_WA_ID)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(wa_id)
        .fetch_optional(tx.conn())
        .await
}

/// Sets the status of a message and the time that belongs to it. The caller has checked
/// [`Status::may_become`].
pub(crate) async fn advance(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    status: Status,
    at: Millis,
) -> Result<(), sqlx::Error> {
    let sql = match status {
        Status::Delivered => {
            "UPDATE message SET status = $3, delivered_at = coalesce(delivered_at, $4) WHERE org_id = $1 AND id = $2"
        }
        Status::Read => {
            "UPDATE message SET status = $3, read_at = coalesce(read_at, $4) WHERE org_id = $1 AND id = $2"
        }
        Status::Played => {
            "UPDATE message SET status = $3, played_at = coalesce(played_at, $4) WHERE org_id = $1 AND id = $2"
        }
        _ => {
            "UPDATE message SET status = $3, sent_at = coalesce(sent_at, $4) WHERE org_id = $1 AND id = $2"
        }
    };
    sqlx::query(sql)
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(status.as_str())
        .bind(at)
        .run(tx)
        .await
}

/// Ends a message that is not known to be sent: `failed` with its code, `unknown` or `expired`.
pub(crate) async fn end(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    (status, error): (Status, Option<&str>),
    at: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE message SET status = $3, error = $4, ended_at = $5 WHERE org_id = $1 AND id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(status.as_str())
    .bind(error)
    .bind(at)
    .run(tx)
    .await
}

/// Puts a claimed message back at the head of its lane and counts the resend.
pub(crate) async fn requeue(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    resends: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE message SET status = 'queued', resends = $3 WHERE org_id = $1 AND id = $2 AND status = 'sending'")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(resends)
        .run(tx)
        .await
}

/// Has a claimed message wait until `send_at`, if it is put back.
pub(crate) async fn put_off(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    send_at: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE message SET send_at = $3 WHERE org_id = $1 AND id = $2 AND status = 'sending'",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(send_at)
    .run(tx)
    .await
}

/// Returns the class that the message was given when it was accepted, if it was.
pub(crate) async fn class(
    conn: &mut AnyConnection,
    org: OrgId,
    id: MessageId,
) -> Result<Option<Class>, sqlx::Error> {
    let class: Option<Option<String>> =
        sqlx::query_scalar("SELECT class FROM message WHERE org_id = $1 AND id = $2")
            .bind(org.to_string())
            .bind(id.to_string())
            .fetch_optional(conn)
            .await?;
    // One that this version does not know says nothing.
    Ok(class.flatten().and_then(|class| class.parse().ok()))
}

/// Takes a message out of the queue. Returns whether it was still queued. A message that was sent before
/// and waits for its resend can only become `unknown`.
pub(crate) async fn unqueue(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    (status, at): (Status, Millis),
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE message SET status = $3, ended_at = $4 WHERE org_id = $1 AND id = $2 AND status = 'queued' \
         AND (resends = 0 OR $3 = 'unknown')",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(status.as_str())
    .bind(at)
    .changes(tx)
    .await
}

/// Changes when a message is sent that no host has claimed yet. Returns false if one has.
pub(crate) async fn reschedule(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    when: When,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE message SET send_at = $3, priority = $4, expires_at = $5, hold = NULL, wanted_at = NULL \
         WHERE org_id = $1 AND id = $2 AND status = 'queued' AND resends = 0",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(when.send_at)
    .bind(when.priority.to_store())
    .bind(when.expires_at)
    .changes(tx)
    .await
}

fn word_or_none<T: std::str::FromStr>(
    row: &AnyRow,
    column: &str,
) -> Result<Option<T>, sqlx::Error> {
    let word: Option<String> = row.try_get(column)?;
    Ok(word.and_then(|word| word.parse().ok()))
}

impl FromRow<'_, AnyRow> for Stored {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row::id(row, "id")?,
            org: row::id(row, "org_id")?,
            session: row::id(row, "session_id")?,
            direction: row::word(row, "direction")?,
            source: row::word(row, "source")?,
            status: row::word(row, "status")?,
            wa_id: row.try_get("wa_id")?,
            contact: row::id_or_null(row, "contact_id")?,
            peer_sealed: row.try_get("peer_sealed")?,
            content_sealed: row.try_get("content_sealed")?,
            context_sealed: row.try_get("context_sealed")?,
            client_sealed: row.try_get("client_sealed")?,
            resends: row.try_get("resends")?,
            error: row.try_get("error")?,
            expires_in: row.try_get("expires_in")?,
            // A word of a later version is left out.
            class: word_or_none(row, "class")?,
            purpose: word_or_none(row, "purpose")?,
            consent: row::id_or_null(row, "consent_id")?,
            created_at: row.try_get("created_at")?,
            send_at: row.try_get("send_at")?,
            priority: row.try_get("priority")?,
            expires_at: row.try_get("expires_at")?,
            sent_at: row.try_get("sent_at")?,
            delivered_at: row.try_get("delivered_at")?,
            read_at: row.try_get("read_at")?,
            played_at: row.try_get("played_at")?,
            edited_at: row.try_get("edited_at")?,
            deleted_at: row.try_get("deleted_at")?,
        })
    }
}
