//! When pairing codes were requested, to limit them.

use passerelle_engine::{
    clock::Millis,
    ids::{OrgId, SessionId},
    store::Tx,
};
use sqlx::{Row as _, any::AnyRow};

use super::{organisations, row::Run as _};

/// Returns the organisation's latest codes since `since`, at most `limit`, the newest first. A concurrent
/// request of the organisation waits until this transaction ends.
pub(crate) async fn latest(
    tx: &mut Tx,
    org: OrgId,
    since: Millis,
    limit: i64,
) -> Result<Vec<(String, Millis)>, sqlx::Error> {
    organisations::lock(tx, org).await?;
    let rows = sqlx::query(
        "SELECT session_id, asked_at FROM pairing_code WHERE org_id = $1 AND asked_at > $2 \
         ORDER BY asked_at DESC LIMIT $3",
    )
    .bind(org.to_string())
    .bind(since)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    let asked = |row: &AnyRow| Ok((row.try_get("session_id")?, row.try_get("asked_at")?));
    rows.iter().map(asked).collect()
}

/// Counts a code.
pub(crate) async fn count(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO pairing_code (org_id, session_id, asked_at) VALUES ($1, $2, $3)")
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(now)
        .run(tx)
        .await
}
