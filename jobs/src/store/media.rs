//! Files of one organisation.

use passerelle_engine::{
    clock::Millis,
    content::MediaKind,
    ids::{MediaId, MessageId, ObjectId, OrgId, SessionId},
    store::Tx,
};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::{
    row::{self, Run as _},
    sessions::alive,
};
use crate::model::MediaStatus;

/// A file's row, with sealed values.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) id: MediaId,
    pub(crate) org: OrgId,
    pub(crate) session: Option<SessionId>,
    pub(crate) message: Option<MessageId>,
    pub(crate) kind: MediaKind,
    pub(crate) status: MediaStatus,
    pub(crate) error: Option<String>,
    pub(crate) origin_sealed: Option<Vec<u8>>,
    pub(crate) object: Option<ObjectId>,
    pub(crate) file_sealed: Option<Vec<u8>>,
    pub(crate) attempts: i64,
    pub(crate) created_at: Millis,
    pub(crate) delete_at: Millis,
    /// A waiting message needs the file until then; 0 if none does.
    pub(crate) needed_until: Millis,
}

/// Inserts a file that is already stored, or that has to be fetched.
pub(crate) async fn insert(tx: &mut Tx, new: &Stored) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO media (id, org_id, session_id, message_id, kind, status, error, origin_sealed, object, \
         file_sealed, attempts, due_at, created_at, delete_at, needed_until) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14)",
    )
    .bind(new.id.to_string())
    .bind(new.org.to_string())
    .bind(new.session.map(|id| id.to_string()))
    .bind(new.message.map(|id| id.to_string()))
    .bind(new.kind.as_str())
    .bind(new.status.as_str())
    .bind(new.error.as_deref())
    .bind(new.origin_sealed.as_deref())
    .bind(new.object.map(|id| id.to_string()))
    .bind(new.file_sealed.as_deref())
    .bind(new.attempts)
    .bind(new.created_at)
    .bind(new.delete_at)
    .bind(new.needed_until)
    .run(tx)
    .await
}

/// Reads one file.
pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    id: MediaId,
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT id, org_id, session_id, message_id, kind, status, error, origin_sealed, object, file_sealed, \
         attempts, created_at, delete_at, needed_until FROM media WHERE org_id = $1 AND id = $2 AND ",
        alive!("session_id")
    ))
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await
}

impl FromRow<'_, AnyRow> for Stored {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row::id(row, "id")?,
            org: row::id(row, "org_id")?,
            session: row::id_or_null(row, "session_id")?,
            message: row::id_or_null(row, "message_id")?,
            kind: row::word(row, "kind")?,
            status: row::word(row, "status")?,
            error: row.try_get("error")?,
            origin_sealed: row.try_get("origin_sealed")?,
            object: row::id_or_null(row, "object")?,
            file_sealed: row.try_get("file_sealed")?,
            attempts: row.try_get("attempts")?,
            created_at: row.try_get("created_at")?,
            delete_at: row.try_get("delete_at")?,
            needed_until: row.try_get("needed_until")?,
        })
    }
}

/// Extends the claim of try number `attempts` until `lapse`. Returns false if that try is over.
pub(crate) async fn hold(
    tx: &mut Tx,
    org: OrgId,
    id: MediaId,
    attempts: i64,
    lapse: Millis,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE media SET due_at = $4 WHERE org_id = $1 AND id = $2 AND attempts = $3 AND status = 'fetching'",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(attempts)
    .bind(lapse)
    .changes(tx)
    .await
}

/// The outcome of a try to fetch a file.
#[derive(Clone)]
pub(crate) struct Outcome {
    pub(crate) status: MediaStatus,
    pub(crate) error: Option<String>,
    pub(crate) object: Option<ObjectId>,
    pub(crate) file_sealed: Option<Vec<u8>>,
    /// The new origin, if it changed.
    pub(crate) origin_sealed: Option<Vec<u8>>,
    pub(crate) due_at: Millis,
}

/// Records the outcome of try number `attempts`. Returns false if that try is over: the file was
/// deleted, or another try has begun. The origin is deleted unless another try follows.
pub(crate) async fn settle(
    tx: &mut Tx,
    org: OrgId,
    id: MediaId,
    attempts: i64,
    outcome: &Outcome,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE media SET status = $4, error = $5, object = $6, file_sealed = $7, due_at = $8, \
         origin_sealed = CASE WHEN $4 = 'pending' THEN coalesce($9, origin_sealed) END \
         WHERE org_id = $1 AND id = $2 AND attempts = $3 AND status = 'fetching'",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(attempts)
    .bind(outcome.status.as_str())
    .bind(outcome.error.as_deref())
    .bind(outcome.object.map(|id| id.to_string()))
    .bind(outcome.file_sealed.as_deref())
    .bind(outcome.due_at)
    .bind(outcome.origin_sealed.as_deref())
    .changes(tx)
    .await
}

/// Keeps a file until then, because a message needs it.
pub(crate) async fn keep_until(
    tx: &mut Tx,
    org: OrgId,
    id: MediaId,
    at: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE media SET needed_until = $3, delete_at = CASE WHEN delete_at < $3 THEN $3 ELSE delete_at END \
         WHERE org_id = $1 AND id = $2 AND needed_until < $3",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(at)
    .run(tx)
    .await
}

/// Keeps every file of the organisation for `kept` milliseconds from its creation, and at least as long
/// as a message needs it.
pub(crate) async fn keep(tx: &mut Tx, org: OrgId, kept: Millis) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE media SET delete_at = CASE WHEN created_at + $2 < needed_until THEN needed_until ELSE created_at + $2 END \
         WHERE org_id = $1",
    )
    .bind(org.to_string())
    .bind(kept)
    .run(tx)
    .await
}

/// Deletes the row. Returns `None` if there is none, else the name of its object if it was stored.
pub(crate) async fn delete(
    tx: &mut Tx,
    org: OrgId,
    id: MediaId,
) -> Result<Option<Option<ObjectId>>, sqlx::Error> {
    let row = sqlx::query("DELETE FROM media WHERE org_id = $1 AND id = $2 RETURNING object")
        .bind(org.to_string())
        .bind(id.to_string())
        .fetch_optional(tx.conn())
        .await?;
    // The reconciler deletes an object whose name cannot be read.
    Ok(row.map(|row| row::id_or_null(&row, "object").unwrap_or_default()))
}

/// Deletes the file of this inbound message. Nothing can decrypt its object any more; the reconciler
/// deletes it.
pub(crate) async fn delete_of(
    tx: &mut Tx,
    org: OrgId,
    message: MessageId,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM media WHERE org_id = $1 AND message_id = $2")
        .bind(org.to_string())
        .bind(message.to_string())
        .run(tx)
        .await
}

/// Records that the file's object is missing. Returns false if the file was deleted, too.
pub(crate) async fn lose(
    tx: &mut Tx,
    org: OrgId,
    id: MediaId,
    object: ObjectId,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE media SET status = 'failed', error = 'media_lost', object = NULL, file_sealed = NULL \
         WHERE org_id = $1 AND id = $2 AND object = $3",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(object.to_string())
    .changes(tx)
    .await
}
