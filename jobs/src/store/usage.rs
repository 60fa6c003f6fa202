//! What an organisation uses of its limits.

use passerelle_engine::{
    clock::Millis,
    ids::{OrgId, SessionId},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::row;

/// How many of each an organisation has.
pub(crate) struct Counts {
    pub(crate) sessions: u64,
    pub(crate) endpoints: u64,
    pub(crate) auto_replies: u64,
    pub(crate) media_bytes: u64,
    pub(crate) pairing_codes: u64,
}

fn number(row: &AnyRow, column: &str) -> Result<u64, sqlx::Error> {
    Ok(row.try_get::<i64, _>(column)?.unsigned_abs())
}

/// Counts what the organisation has, and its pairing codes since `since`. Returns `None` if there is no such
/// organisation.
pub(crate) async fn counts(
    conn: &mut AnyConnection,
    org: OrgId,
    since: Millis,
) -> Result<Option<Counts>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM session WHERE org_id = $1 AND deleted_at IS NULL) AS sessions, \
         (SELECT count(*) FROM endpoint WHERE org_id = $1) AS endpoints, \
         (SELECT count(*) FROM auto_reply WHERE org_id = $1) AS auto_replies, \
         (SELECT CAST(coalesce(sum(size), 0) AS bigint) FROM media WHERE org_id = $1) AS media_bytes, \
         (SELECT count(*) FROM pairing_code WHERE org_id = $1 AND asked_at > $2) AS pairing_codes \
         FROM organisation WHERE id = $1",
    )
    .bind(org.to_string())
    .bind(since)
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Counts {
            sessions: number(&row, "sessions")?,
            endpoints: number(&row, "endpoints")?,
            auto_replies: number(&row, "auto_replies")?,
            media_bytes: number(&row, "media_bytes")?,
            pairing_codes: number(&row, "pairing_codes")?,
        })
    })
    .transpose()
}

/// Returns the lanes in which messages wait, the fullest first, and how many wait there; at most `limit`.
pub(crate) async fn fullest_lanes(
    conn: &mut AnyConnection,
    org: OrgId,
    limit: i64,
) -> Result<Vec<(SessionId, u64)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT lane.session_id, lane.pending FROM session s JOIN lane ON lane.session_id = s.id \
         WHERE s.org_id = $1 AND s.deleted_at IS NULL AND lane.org_id = $1 AND lane.pending > 0 \
         ORDER BY lane.pending DESC, lane.session_id LIMIT $2",
    )
    .bind(org.to_string())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    let lane = |row: &AnyRow| Ok((row::id(row, "session_id")?, number(row, "pending")?));
    Ok(row::each("lane", &rows, lane))
}
