//! API keys of one organisation. Finding the organisation of a key is in `system`.

use passerelle_engine::{
    clock::Millis,
    ids::{KeyId, OrgId},
    store::Tx,
};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::row::{self, Run as _};
use crate::model::{ApiKey, Listed, Page};

pub(crate) async fn insert(
    tx: &mut Tx,
    org: OrgId,
    key: &ApiKey,
    secret_mac: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO api_key (id, org_id, name, public_id, secret_mac, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(key.id.to_string())
    .bind(org.to_string())
    .bind(key.name.as_str())
    .bind(key.public_id.as_str())
    .bind(secret_mac.to_vec())
    .bind(key.created_at)
    .run(tx)
    .await
}

pub(crate) async fn list(
    conn: &mut AnyConnection,
    org: OrgId,
    page: &Page<KeyId>,
) -> Result<Listed<ApiKey>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, name, public_id, created_at, revoked_at FROM api_key \
         WHERE org_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(org.to_string())
    .bind(page.below())
    .bind(page.fetch())
    .fetch_all(conn)
    .await?;
    Ok(row::page_as("api_key", rows, page))
}

/// Revokes a key. Returns whether there is one. A second call keeps the time of the first.
pub(crate) async fn revoke(
    tx: &mut Tx,
    org: OrgId,
    key: KeyId,
    now: Millis,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE api_key SET revoked_at = coalesce(revoked_at, $3) WHERE id = $1 AND org_id = $2",
    )
    .bind(key.to_string())
    .bind(org.to_string())
    .bind(now)
    .changes(tx)
    .await
}

/// Returns whether there is such a key that is not revoked.
pub(crate) async fn is_valid(
    conn: &mut AnyConnection,
    org: OrgId,
    key: KeyId,
) -> Result<bool, sqlx::Error> {
    let found =
        sqlx::query("SELECT id FROM api_key WHERE id = $1 AND org_id = $2 AND revoked_at IS NULL")
            .bind(key.to_string())
            .bind(org.to_string())
            .fetch_optional(conn)
            .await?;
    Ok(found.is_some())
}

impl FromRow<'_, AnyRow> for ApiKey {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row::id(row, "id")?,
            name: row.try_get("name")?,
            public_id: row.try_get("public_id")?,
            created_at: row.try_get("created_at")?,
            revoked_at: row.try_get("revoked_at")?,
        })
    }
}
