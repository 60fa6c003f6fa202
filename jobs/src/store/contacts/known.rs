//! Looks up many people at once, without a lock.

use passerelle_engine::ids::OrgId;
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::people::PersonRow;

/// How many phones and LIDs one statement looks up.
pub(crate) const AT_ONCE: usize = 16;

macro_rules! known_by {
    ($column:literal) => {
        concat!(
            "SELECT s.phone_mac, s.lid_mac, c.id, c.phone_sealed, c.lid_sealed, c.name_sealed, c.push_name_sealed, \
             c.verified_name_sealed, c.metadata_sealed, c.opted_out_at, c.last_inbound_at, c.automation_rests_until, c.created_at \
             FROM contact s JOIN contact c ON c.id = coalesce(s.merged_into, s.id) WHERE s.org_id = $1 AND ",
            $column,
            " IN ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
        )
    };
}

/// Two statements in one, because each walks an index of its own.
pub(in crate::store) const KNOWN: &str = concat!(
    known_by!("s.phone_mac"),
    " UNION ALL ",
    known_by!("s.lid_mac")
);

/// A contact that was found, with the phone and the LID by which it may have been.
pub(crate) struct KnownRow {
    pub(crate) phone_mac: Option<Vec<u8>>,
    pub(crate) lid_mac: Option<Vec<u8>>,
    pub(crate) person: PersonRow,
}

impl FromRow<'_, AnyRow> for KnownRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            phone_mac: row.try_get("phone_mac")?,
            lid_mac: row.try_get("lid_mac")?,
            person: PersonRow::from_row(row)?,
        })
    }
}

/// Returns the contacts with one of these phones or LIDs, of which the first [`AT_ONCE`] count. Another spelling of a
/// phone leads to its contact.
pub(crate) async fn known(
    conn: &mut AnyConnection,
    org: OrgId,
    macs: &[[u8; 32]],
) -> Result<Vec<KnownRow>, sqlx::Error> {
    let mut query = sqlx::query_as(KNOWN).bind(org.to_string());
    for place in 0..AT_ONCE {
        query = query.bind(macs.get(place).map(|mac| mac.to_vec()));
    }
    query.fetch_all(conn).await
}
