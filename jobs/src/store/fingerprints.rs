//! Fingerprints of first messages.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, MessageId, OrgId},
    store::Tx,
};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::row::{self, Run as _};

/// The fingerprint of a first message.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) contact: ContactId,
    pub(crate) value: Vec<u8>,
    pub(crate) at: Millis,
    pub(crate) is_sent: bool,
}

impl FromRow<'_, AnyRow> for Known {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            contact: row::id(row, "contact_id")?,
            value: row.try_get("value")?,
            at: row.try_get("at")?,
            is_sent: row.try_get::<i64, _>("sent")? == 1,
        })
    }
}

pub(super) const RECENT: &str =
    "SELECT contact_id, value, at, sent FROM fingerprint WHERE org_id = $1 AND at > $2 ORDER BY at";

/// Returns the organisation's fingerprints since then, oldest first.
pub(crate) async fn recent(
    conn: &mut AnyConnection,
    org: OrgId,
    since: Millis,
) -> Result<Vec<Known>, sqlx::Error> {
    sqlx::query_as(RECENT)
        .bind(org.to_string())
        .bind(since)
        .fetch_all(conn)
        .await
}

/// Keeps the fingerprint of a message that was accepted.
pub(crate) async fn insert(
    tx: &mut Tx,
    org: OrgId,
    message: MessageId,
    contact: ContactId,
    value: &[u8],
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO fingerprint (message_id, org_id, contact_id, value, at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(message.to_string())
    .bind(org.to_string())
    .bind(contact.to_string())
    .bind(value)
    .bind(now)
    .run(tx)
    .await
}
