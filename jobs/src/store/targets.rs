//! Messages that other messages refer to: finding them and changing them.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, MessageId, OrgId, SessionId},
    store::Tx,
};
use sqlx::AnyConnection;

use super::messages::{Stored, columns};
use super::row::{self, Run as _};

/// Returns the message if it is in the session's chat with this recipient: a person, whatever name or spelling
/// the message was sent to, or a group.
pub(crate) async fn in_chat(
    conn: &mut AnyConnection,
    org: OrgId,
    session: SessionId,
    id: MessageId,
    (to_mac, contact): (&[u8; 32], Option<ContactId>),
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM message WHERE org_id = $1 AND session_id = $2 AND id = $3 \
         AND (to_mac = $4 OR ((direction = 'outbound' OR to_mac IS NULL) AND contact_id IN (\
           SELECT id FROM contact WHERE id = $5 UNION ALL SELECT id FROM contact WHERE merged_into = $5)))"
    ))
    .bind(org.to_string())
    .bind(session.to_string())
    .bind(id.to_string())
    .bind(to_mac.to_vec())
    .bind(contact.map(|id| id.to_string()))
    .fetch_optional(conn)
    .await
}

pub(in crate::store) const WRITTEN_BY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM message WHERE org_id = $1 AND session_id = $2 AND wa_id = $3 AND direction = 'inbound' \
         AND to_mac IS NULL AND contact_id IN (\
         SELECT id FROM contact WHERE id = $4 UNION ALL SELECT id FROM contact WHERE merged_into = $4) LIMIT 1"
);

/// Returns the inbound message with this WhatsApp id that this contact wrote in a one-to-one chat.
pub(crate) async fn written_by(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    wa_id: &str,
    contact: ContactId,
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as(WRITTEN_BY)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(wa_id)
        .bind(contact.to_string())
        .fetch_optional(tx.conn())
        .await
}

pub(in crate::store) const WRITTEN_IN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM message WHERE org_id = $1 AND session_id = $2 AND wa_id = $3 AND direction = 'inbound' \
         AND to_mac = $4 AND sender_mac = $5 LIMIT 1"
);

/// Returns the inbound message with this WhatsApp id that this member wrote in a group.
pub(crate) async fn written_in(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    wa_id: &str,
    (group_mac, sender_mac): (&[u8; 32], &[u8; 32]),
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as(WRITTEN_IN)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(wa_id)
        .bind(group_mac.to_vec())
        .bind(sender_mac.to_vec())
        .fetch_optional(tx.conn())
        .await
}

pub(in crate::store) const WRITTEN_TO: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM message WHERE org_id = $1 AND session_id = $2 AND wa_id = $3 AND direction = 'outbound' \
         AND (to_mac = $4 OR contact_id IN (\
           SELECT id FROM contact WHERE id = $5 UNION ALL SELECT id FROM contact WHERE merged_into = $5)) LIMIT 1"
);

/// Returns the outbound message with this WhatsApp id to this recipient: a group, or a person, whatever name or spelling
/// it was sent to.
pub(crate) async fn written_to(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    wa_id: &str,
    (to_mac, contact): (&[u8; 32], Option<ContactId>),
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as(WRITTEN_TO)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(wa_id)
        .bind(to_mac.to_vec())
        .bind(contact.map(|id| id.to_string()))
        .fetch_optional(tx.conn())
        .await
}

/// Stores an edit, unless the message is deleted or a later edit was stored first.
pub(crate) async fn edit(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    content_sealed: &[u8],
    by: MessageId,
    at: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE message SET content_sealed = $3, edited_at = $4, edited_by = $5 WHERE org_id = $1 AND id = $2 \
         AND deleted_at IS NULL AND (edited_by IS NULL OR edited_by < $5)",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(content_sealed)
    .bind(at)
    .bind(by.to_string())
    .run(tx)
    .await
}

/// Returns the messages that edited this one.
pub(crate) async fn edits_of(
    conn: &mut AnyConnection,
    org: OrgId,
    id: MessageId,
) -> Result<Vec<MessageId>, sqlx::Error> {
    let rows = sqlx::query("SELECT id FROM message WHERE org_id = $1 AND edit_of = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    Ok(row::each("message", &rows, |row| row::id(row, "id")))
}

/// Marks the message as deleted for everybody, and deletes its content and context.
pub(crate) async fn delete(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    content_sealed: &[u8],
    at: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE message SET kind = 'deleted', content_sealed = $3, context_sealed = NULL, deleted_at = $4 \
         WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(content_sealed)
    .bind(at)
    .run(tx)
    .await
}

/// Records that a read receipt was written for an inbound message.
pub(crate) async fn seen(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    at: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE message SET read_at = coalesce(read_at, $3) WHERE org_id = $1 AND id = $2 AND direction = 'inbound'",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(at)
    .run(tx)
    .await
}

/// Like [`seen`], and that it was played.
pub(crate) async fn played(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    at: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE message SET read_at = coalesce(read_at, $3), played_at = coalesce(played_at, $3) \
         WHERE org_id = $1 AND id = $2 AND direction = 'inbound'",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(at)
    .run(tx)
    .await
}
