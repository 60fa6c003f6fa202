//! Link previews that are still to be fetched, of one organisation. The message's row is the job.

use passerelle_engine::{
    clock::Millis,
    ids::{MessageId, OrgId},
    store::Tx,
};
use sqlx::AnyConnection;

/// The message's preview is to be fetched, from then on.
pub(crate) async fn want(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    at: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE message SET preview_due_at = $3 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Whether it is still to be fetched.
pub(crate) async fn is_wanted(
    conn: &mut AnyConnection,
    org: OrgId,
    id: MessageId,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query(
        "SELECT id FROM message WHERE org_id = $1 AND id = $2 AND preview_due_at IS NOT NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Ends it, with the message's content as it is with its preview, or without one; unless that was over:
/// the message has gone out, or another fetch was faster.
pub(crate) async fn settle(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    content_sealed: Option<Vec<u8>>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE message SET preview_due_at = NULL, content_sealed = coalesce($3, content_sealed) \
         WHERE org_id = $1 AND id = $2 AND preview_due_at IS NOT NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(content_sealed)
    .execute(tx.conn())
    .await?;
    Ok(())
}
