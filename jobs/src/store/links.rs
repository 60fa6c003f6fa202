//! What the connection learned about a session's link. Called under the lease, except `clear_end`, which
//! is part of the tenant's request to connect.

use passerelle_engine::{
    clock::Millis,
    ids::{OrgId, SessionId},
    store::Tx,
};

use super::{organisations, row::Run as _};

/// The label under which the linked number of a session is encrypted.
pub(crate) const ME: &str = "link.me";

/// Records that the device was linked. `me_sealed` is the number's own
/// [`Peer`](passerelle_engine::content::Peer).
pub(crate) async fn linked(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    me_sealed: Vec<u8>,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE link SET linked_at = coalesce(linked_at, $3), me_sealed = $4, ended = NULL, ended_at = NULL, banned_until = NULL \
         WHERE org_id = $1 AND session_id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(now)
    .bind(me_sealed)
    .run(tx)
    .await
}

/// Records that the run ended for good; the link stays.
pub(crate) async fn ended(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    why: &str,
    until: Option<Millis>,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE link SET ended = $3, ended_at = $4, banned_until = $5 WHERE org_id = $1 AND session_id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(why)
        .bind(now)
        .bind(until)
        .run(tx)
        .await
}

/// Records that the link is gone: a new one needs a new QR.
pub(crate) async fn unlinked(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    why: &str,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE link SET linked_at = NULL, me_sealed = NULL, ended = $3, ended_at = $4 WHERE org_id = $1 AND session_id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(why)
    .bind(now)
    .run(tx)
    .await
}

/// Forgets why the last run ended, because the tenant asked to connect again.
pub(crate) async fn clear_end(tx: &mut Tx, org: OrgId, id: SessionId) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE link SET ended = NULL, ended_at = NULL, banned_until = NULL WHERE org_id = $1 AND session_id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .run(tx)
        .await
}

/// Returns whether another session of the organisation is linked to this number. The links of
/// an organisation wait for each other, so that two sessions never link one number at once.
pub(crate) async fn is_linked_elsewhere(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    number_mac: &[u8],
) -> Result<bool, sqlx::Error> {
    organisations::lock(tx, org).await?;
    let others: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM lane l JOIN link k ON k.session_id = l.session_id \
         WHERE l.org_id = $1 AND l.number_mac = $3 AND l.session_id <> $2 AND k.linked_at IS NOT NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(number_mac.to_vec())
    .fetch_one(tx.conn())
    .await?;
    Ok(others > 0)
}
