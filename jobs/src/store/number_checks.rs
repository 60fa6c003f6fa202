//! The last answer to whether a phone number has WhatsApp.

use passerelle_engine::{
    clock::Millis,
    ids::{OrgId, SessionId},
    store::Tx,
};
use sqlx::{AnyConnection, Row as _};

use super::row::Run as _;

/// Returns the last answer and its time, if it is not older than `since`.
pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    phone_mac: &[u8; 32],
    since: Millis,
) -> Result<Option<(Vec<u8>, Millis)>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT answer_sealed, checked_at FROM number_check WHERE org_id = $1 AND phone_mac = $2 AND checked_at >= $3",
    )
    .bind(org.to_string())
    .bind(phone_mac.to_vec())
    .bind(since)
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((row.try_get("answer_sealed")?, row.try_get("checked_at")?)))
        .transpose()
}

/// Stores an answer that came through this session, and replaces an older one.
pub(crate) async fn keep(
    tx: &mut Tx,
    (org, session): (OrgId, SessionId),
    phone_mac: &[u8; 32],
    answer_sealed: &[u8],
    at: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO number_check (org_id, phone_mac, answer_sealed, checked_at, session_id) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (org_id, phone_mac) DO UPDATE SET answer_sealed = $3, checked_at = $4, session_id = $5",
    )
    .bind(org.to_string())
    .bind(phone_mac.to_vec())
    .bind(answer_sealed)
    .bind(at)
    .bind(session.to_string())
    .run(tx)
    .await
}
