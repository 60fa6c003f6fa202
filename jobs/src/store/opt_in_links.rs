//! Opt-in links of sessions.

use passerelle_engine::{
    clock::Millis,
    ids::{OptInLinkId, OrgId, SessionId},
    store::Tx,
};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::row::{self, Run as _};
use crate::model::{Listed, Page};

/// A link, with sealed values.
#[derive(Clone)]
pub(crate) struct LinkRow {
    pub(crate) id: OptInLinkId,
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at: Millis,
    pub(crate) expires_at: Option<Millis>,
}

impl FromRow<'_, AnyRow> for LinkRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row::id(row, "id")?,
            sealed: row.try_get("sealed")?,
            created_at: row.try_get("created_at")?,
            expires_at: row.try_get("expires_at")?,
        })
    }
}

/// Counts the links of a session.
pub(crate) async fn count(tx: &mut Tx, org: OrgId, session: SessionId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM opt_in_link WHERE org_id = $1 AND session_id = $2")
        .bind(org.to_string())
        .bind(session.to_string())
        .fetch_one(tx.conn())
        .await
}

/// Inserts a link, unless the session is deleted. Returns false then.
pub(crate) async fn insert(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    code_mac: &[u8; 32],
    new: &LinkRow,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "INSERT INTO opt_in_link (id, org_id, session_id, code_mac, sealed, created_at, expires_at) \
         SELECT $1, $2, l.session_id, $4, $5, $6, $7 FROM lane l WHERE l.org_id = $2 AND l.session_id = $3",
    )
    .bind(new.id.to_string())
    .bind(org.to_string())
    .bind(session.to_string())
    .bind(code_mac.to_vec())
    .bind(new.sealed.as_slice())
    .bind(new.created_at)
    .bind(new.expires_at)
    .changes(tx)
    .await
}

pub(in crate::store) const OF_SESSION: &str = "SELECT id, sealed, created_at, expires_at FROM opt_in_link \
     WHERE session_id = $2 AND org_id = $1 AND id < $3 ORDER BY id DESC LIMIT $4";

/// Returns the links of a session, the newest first.
pub(crate) async fn list(
    conn: &mut AnyConnection,
    org: OrgId,
    session: SessionId,
    page: &Page<OptInLinkId>,
) -> Result<Listed<LinkRow>, sqlx::Error> {
    let rows = sqlx::query(OF_SESSION)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(page.below())
        .bind(page.fetch())
        .fetch_all(conn)
        .await?;
    Ok(row::page_as("opt_in_link", rows, page))
}

pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    session: SessionId,
    id: OptInLinkId,
) -> Result<Option<LinkRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, sealed, created_at, expires_at FROM opt_in_link WHERE org_id = $1 AND session_id = $2 AND id = $3",
    )
    .bind(org.to_string())
    .bind(session.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await
}

pub(in crate::store) const BY_CODE: &str = "SELECT id FROM opt_in_link WHERE session_id = $2 AND code_mac = $3 AND org_id = $1 \
     AND (expires_at IS NULL OR expires_at > $4)";

/// Returns the session's link with this code, unless it has expired.
pub(crate) async fn by_code(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    code_mac: &[u8; 32],
    now: Millis,
) -> Result<Option<OptInLinkId>, sqlx::Error> {
    let row = sqlx::query(BY_CODE)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(code_mac.to_vec())
        .bind(now)
        .fetch_optional(tx.conn())
        .await?;
    row.map(|row| row::id(&row, "id")).transpose()
}

/// Deletes a link. Returns whether there was one.
pub(crate) async fn delete(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    id: OptInLinkId,
) -> Result<bool, sqlx::Error> {
    sqlx::query("DELETE FROM opt_in_link WHERE org_id = $1 AND session_id = $2 AND id = $3")
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(id.to_string())
        .changes(tx)
        .await
}
