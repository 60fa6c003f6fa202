//! Link previews of one organisation that have to be fetched. The message's row is the job.

use passerelle_engine::{
    clock::Millis,
    ids::{MessageId, OrgId},
    store::Tx,
};
use sqlx::AnyConnection;

use super::row::Run as _;

/// Marks the message's preview as due.
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
        .run(tx)
        .await
}

/// Returns whether the preview still has to be fetched.
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

/// Ends the fetch and stores the content with its preview, if there is one. Does nothing if the fetch
/// was already over: the message was sent, or another fetch was faster.
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
    .run(tx)
    .await
}
