//! Contacts who opted out, and whose queued messages have to be ended.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, OrgId},
    store::SystemRead,
};
use sqlx::{Row as _, any::AnyRow};

use crate::store::row;

/// A contact whose queued messages have to be ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marked {
    pub(crate) org: OrgId,
    /// The contact; if it was merged, the one that stays.
    pub(crate) contact: ContactId,
    /// The row with the mark: the contact's own, or that of an id or a spelling that leads to it.
    pub(crate) row: ContactId,
    pub(crate) since: Millis,
}

/// Contacts of one look.
const MARKED: i64 = 100;

pub(in crate::store) const DUE: &str = "SELECT id, org_id, coalesce(merged_into, id) AS contact_id, dequeue_since FROM contact \
     WHERE dequeue_since IS NOT NULL ORDER BY dequeue_since LIMIT $1";

/// Returns contacts whose queued messages have to be ended, the longest marked first.
pub(crate) async fn marked(conn: &mut SystemRead) -> Result<Vec<Marked>, sqlx::Error> {
    let rows = sqlx::query(DUE).bind(MARKED).fetch_all(&mut **conn).await?;
    let marked = |row: &AnyRow| {
        Ok(Marked {
            org: row::id(row, "org_id")?,
            contact: row::id(row, "contact_id")?,
            row: row::id(row, "id")?,
            since: row.try_get("dequeue_since")?,
        })
    };
    Ok(row::each("contact", &rows, marked))
}
