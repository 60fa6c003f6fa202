//! Idempotency keys. Each is written in the transaction of its effect.

use passerelle_engine::{
    clock::Millis,
    ids::{OrgId, SessionId},
    store::Tx,
};
use sqlx::{AnyConnection, Row as _};

use super::row::Run as _;

/// The earlier answer under a key.
pub(crate) struct Earlier {
    pub(crate) request_mac: Vec<u8>,
    pub(crate) answer_sealed: Vec<u8>,
}

pub(crate) async fn find(
    conn: &mut AnyConnection,
    org: OrgId,
    key_mac: &[u8; 32],
) -> Result<Option<Earlier>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT request_mac, answer_sealed FROM idempotency WHERE org_id = $1 AND key_mac = $2",
    )
    .bind(org.to_string())
    .bind(key_mac.to_vec())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Earlier {
            request_mac: row.try_get("request_mac")?,
            answer_sealed: row.try_get("answer_sealed")?,
        })
    })
    .transpose()
}

/// Stores the answer to a request about this session. Returns whether the key was free; false if a
/// concurrent request took it.
pub(crate) async fn insert(
    tx: &mut Tx,
    (org, session): (OrgId, SessionId),
    key_mac: &[u8; 32],
    request_mac: &[u8; 32],
    answer_sealed: Vec<u8>,
    now: Millis,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "INSERT INTO idempotency (org_id, key_mac, request_mac, answer_sealed, created_at, session_id) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (org_id, key_mac) DO NOTHING",
    )
    .bind(org.to_string())
    .bind(key_mac.to_vec())
    .bind(request_mac.to_vec())
    .bind(answer_sealed)
    .bind(now)
    .bind(session.to_string())
    .changes(tx)
    .await
}
