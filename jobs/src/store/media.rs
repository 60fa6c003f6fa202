//! Files of one organisation.

use passerelle_engine::{
    clock::Millis,
    content::MediaKind,
    ids::{MediaId, MessageId, OrgId, SessionId},
    store::Tx,
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::row;
use crate::model::MediaStatus;

/// A file's row, sealed values still sealed.
pub(crate) struct Stored {
    pub(crate) id: MediaId,
    pub(crate) org: OrgId,
    pub(crate) session: Option<SessionId>,
    pub(crate) message: Option<MessageId>,
    pub(crate) kind: MediaKind,
    pub(crate) status: MediaStatus,
    pub(crate) error: Option<String>,
    pub(crate) origin_sealed: Option<Vec<u8>>,
    pub(crate) file_sealed: Option<Vec<u8>>,
    pub(crate) attempts: i64,
    pub(crate) created_at: Millis,
    pub(crate) delete_at: Millis,
}

/// A new file: of which the bytes are here already, or which is to be fetched.
pub(crate) async fn insert(tx: &mut Tx, new: &Stored) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO media (id, org_id, session_id, message_id, kind, status, error, origin_sealed, file_sealed, \
         attempts, due_at, created_at, delete_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $10, $11)",
    )
    .bind(new.id.to_string())
    .bind(new.org.to_string())
    .bind(new.session.map(|id| id.to_string()))
    .bind(new.message.map(|id| id.to_string()))
    .bind(new.kind.as_str())
    .bind(new.status.as_str())
    .bind(new.error.as_deref())
    .bind(new.origin_sealed.as_deref())
    .bind(new.file_sealed.as_deref())
    .bind(new.created_at)
    .bind(new.delete_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// One file.
pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    id: MediaId,
) -> Result<Option<Stored>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT id, org_id, session_id, message_id, kind, status, error, origin_sealed, file_sealed, attempts, \
         created_at, delete_at FROM media WHERE org_id = $1 AND id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(stored).transpose()
}

fn stored(row: &AnyRow) -> Result<Stored, sqlx::Error> {
    Ok(Stored {
        id: row::id(row, "id")?,
        org: row::id(row, "org_id")?,
        session: row::id_or_null(row, "session_id")?,
        message: row::id_or_null(row, "message_id")?,
        kind: row::word(row, "kind", MediaKind::parse)?,
        status: row::word(row, "status", MediaStatus::parse)?,
        error: row.try_get("error")?,
        origin_sealed: row.try_get("origin_sealed")?,
        file_sealed: row.try_get("file_sealed")?,
        attempts: row.try_get("attempts")?,
        created_at: row.try_get("created_at")?,
        delete_at: row.try_get("delete_at")?,
    })
}

/// Where a try to fetch it ended.
pub(crate) struct Outcome {
    pub(crate) status: MediaStatus,
    pub(crate) error: Option<&'static str>,
    pub(crate) file_sealed: Option<Vec<u8>>,
    pub(crate) due_at: Millis,
}

/// Records try number `attempts` to fetch it. False when that is over: the file was deleted, or
/// another try has begun since.
pub(crate) async fn settle(
    tx: &mut Tx,
    org: OrgId,
    id: MediaId,
    attempts: i64,
    outcome: &Outcome,
) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query(
        "UPDATE media SET status = $4, error = $5, file_sealed = $6, due_at = $7, \
         origin_sealed = CASE WHEN $4 = 'pending' THEN origin_sealed END \
         WHERE org_id = $1 AND id = $2 AND attempts = $3 AND status = 'fetching'",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(attempts)
    .bind(outcome.status.as_str())
    .bind(outcome.error)
    .bind(outcome.file_sealed.as_deref())
    .bind(outcome.due_at)
    .execute(tx.conn())
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Keeps a file that a message will need until then.
pub(crate) async fn keep_until(
    tx: &mut Tx,
    org: OrgId,
    id: MediaId,
    at: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE media SET delete_at = $3 WHERE org_id = $1 AND id = $2 AND delete_at < $3")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Deletes the row; false when there is none.
pub(crate) async fn delete(tx: &mut Tx, org: OrgId, id: MediaId) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query("DELETE FROM media WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .execute(tx.conn())
        .await?;
    Ok(changed.rows_affected() == 1)
}
