//! Commands to a session's connection. The claim of commands serves every tenant at once and is in
//! `system`.

use passerelle_engine::{
    ids::{CommandId, OrgId, SessionId},
    store::Tx,
};
use sqlx::AnyConnection;

use super::row::Run as _;

pub(crate) async fn insert(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    id: CommandId,
    asked_sealed: Vec<u8>,
) -> Result<(), sqlx::Error> {
    let now = tx.now().await?;
    sqlx::query(
        "INSERT INTO command (id, org_id, session_id, asked_sealed, created_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id.to_string())
    .bind(org.to_string())
    .bind(session.to_string())
    .bind(asked_sealed)
    .bind(now)
    .run(tx)
    .await
}

pub(crate) async fn answer(
    tx: &mut Tx,
    org: OrgId,
    id: CommandId,
    answer_sealed: Vec<u8>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE command SET answer_sealed = $3 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(answer_sealed)
        .run(tx)
        .await
}

/// Returns the sealed answer, once there is one.
pub(crate) async fn answered(
    conn: &mut AnyConnection,
    org: OrgId,
    id: CommandId,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let answer: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("SELECT answer_sealed FROM command WHERE org_id = $1 AND id = $2")
            .bind(org.to_string())
            .bind(id.to_string())
            .fetch_optional(conn)
            .await?;
    Ok(answer.flatten())
}

pub(crate) async fn delete(tx: &mut Tx, org: OrgId, id: CommandId) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM command WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .run(tx)
        .await
}
