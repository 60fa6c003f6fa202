//! Organisations.

use passerelle_engine::{
    clock::Millis,
    ids::OrgId,
    store::{Dialect, Tx},
};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::row::{self, Run as _};
use crate::model::Organisation;

pub(crate) async fn insert(tx: &mut Tx, organisation: &Organisation) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO organisation (id, name, media_retention_hours, created_at) VALUES ($1, $2, $3, $4)")
        .bind(organisation.id.to_string())
        .bind(organisation.name.as_str())
        .bind(organisation.media_retention_hours.map(i64::from))
        .bind(organisation.created_at)
        .run(tx)
        .await
}

pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
) -> Result<Option<Organisation>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, media_retention_hours, suspended_at, created_at FROM organisation WHERE id = $1",
    )
    .bind(org.to_string())
    .fetch_optional(conn)
    .await
}

impl FromRow<'_, AnyRow> for Organisation {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let hours: Option<i64> = row.try_get("media_retention_hours")?;
        Ok(Self {
            id: row::id(row, "id")?,
            name: row.try_get("name")?,
            media_retention_hours: hours.and_then(|hours| u32::try_from(hours).ok()),
            suspended_at: row.try_get("suspended_at")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// Locks the organisation until the transaction ends, so that what is counted against a limit of it stays true: others who
/// lock it wait. On SQLite there is one writer, and nothing to do.
pub(crate) async fn lock(tx: &mut Tx, org: OrgId) -> Result<(), sqlx::Error> {
    if tx.dialect() == Dialect::Postgres {
        sqlx::query("SELECT id FROM organisation WHERE id = $1 FOR NO KEY UPDATE")
            .bind(org.to_string())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// Suspends the organisation, or ends its suspension. A second suspension keeps the time of the first.
pub(crate) async fn set_suspended(
    tx: &mut Tx,
    org: OrgId,
    at: Option<Millis>,
) -> Result<(), sqlx::Error> {
    let query = match at {
        Some(at) => sqlx::query(
            "UPDATE organisation SET suspended_at = coalesce(suspended_at, $2) WHERE id = $1",
        )
        .bind(org.to_string())
        .bind(at),
        None => sqlx::query("UPDATE organisation SET suspended_at = NULL WHERE id = $1")
            .bind(org.to_string()),
    };
    query.run(tx).await
}

/// Returns what the organisation does about opt-outs, sealed; `None` means the defaults.
pub(crate) async fn opt_out_settings(
    conn: &mut AnyConnection,
    org: OrgId,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let sealed: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("SELECT opt_out_sealed FROM organisation WHERE id = $1")
            .bind(org.to_string())
            .fetch_optional(conn)
            .await?;
    Ok(sealed.flatten())
}

/// Stores what the organisation does about opt-outs.
pub(crate) async fn set_opt_out_settings(
    tx: &mut Tx,
    org: OrgId,
    sealed: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE organisation SET opt_out_sealed = $2 WHERE id = $1")
        .bind(org.to_string())
        .bind(sealed)
        .run(tx)
        .await
}

/// Returns the limits that the organisation set itself, as JSON; `None` if it set none.
pub(crate) async fn policy(
    conn: &mut AnyConnection,
    org: OrgId,
) -> Result<Option<String>, sqlx::Error> {
    let policy: Option<Option<String>> =
        sqlx::query_scalar("SELECT policy FROM organisation WHERE id = $1")
            .bind(org.to_string())
            .fetch_optional(conn)
            .await?;
    Ok(policy.flatten())
}

/// Stores the limits that the organisation set itself.
pub(crate) async fn set_policy(
    tx: &mut Tx,
    org: OrgId,
    policy: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE organisation SET policy = $2 WHERE id = $1")
        .bind(org.to_string())
        .bind(policy)
        .run(tx)
        .await
}

/// Sets how long the organisation's files are kept; `None` means as long as the gateway's own setting.
/// Returns false if there is no such organisation.
pub(crate) async fn keep_media(
    tx: &mut Tx,
    org: OrgId,
    hours: Option<u32>,
) -> Result<bool, sqlx::Error> {
    sqlx::query("UPDATE organisation SET media_retention_hours = $2 WHERE id = $1")
        .bind(org.to_string())
        .bind(hours.map(i64::from))
        .changes(tx)
        .await
}

/// Returns how long files are kept, for a file that is created in this transaction; `None` means as long
/// as the gateway's own setting. On PostgreSQL the lock makes a concurrent change wait, so that the
/// change also covers this file.
pub(crate) async fn media_retention(tx: &mut Tx, org: OrgId) -> Result<Option<u32>, sqlx::Error> {
    const HOURS: &str = "SELECT media_retention_hours FROM organisation WHERE id = $1";
    const HOURS_LOCKED: &str =
        "SELECT media_retention_hours FROM organisation WHERE id = $1 FOR SHARE";
    let sql = match tx.dialect() {
        Dialect::Sqlite => HOURS,
        Dialect::Postgres => HOURS_LOCKED,
    };
    let hours: Option<Option<i64>> = sqlx::query_scalar(sql)
        .bind(org.to_string())
        .fetch_optional(tx.conn())
        .await?;
    Ok(hours.flatten().and_then(|hours| u32::try_from(hours).ok()))
}
