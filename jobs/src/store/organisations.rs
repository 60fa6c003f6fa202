//! Organisations.

use passerelle_engine::{ids::OrgId, store::Tx};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::row;
use crate::model::Organisation;

pub(crate) async fn insert(tx: &mut Tx, organisation: &Organisation) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO organisation (id, name, created_at) VALUES ($1, $2, $3)")
        .bind(organisation.id.to_string())
        .bind(organisation.name.as_str())
        .bind(organisation.created_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
) -> Result<Option<Organisation>, sqlx::Error> {
    sqlx::query("SELECT id, name, created_at FROM organisation WHERE id = $1")
        .bind(org.to_string())
        .fetch_optional(conn)
        .await?
        .as_ref()
        .map(from_row)
        .transpose()
}

pub(super) fn from_row(row: &AnyRow) -> Result<Organisation, sqlx::Error> {
    Ok(Organisation {
        id: row::id(row, "id")?,
        name: row.try_get("name")?,
        created_at: row.try_get("created_at")?,
    })
}
