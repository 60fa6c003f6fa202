//! The contacts whom a message mentions: one statement for all of them.

use passerelle_engine::{
    ids::OrgId,
    store::{Dialect, Tx},
};
use serde_json::json;
use sqlx::{FromRow as _, Row as _, any::AnyRow};

use super::ContactRow;
use crate::store::row;

macro_rules! mentioned {
    ($asked:literal, $lid:literal, $phone:literal) => {
        concat!(
            "SELECT asked.value ->> 0 AS place, m.id, m.phone_sealed, m.lid_sealed FROM ",
            $asked,
            " asked CROSS JOIN contact c JOIN contact m ON m.id = coalesce(c.merged_into, c.id) \
             WHERE c.org_id = $2 AND (c.lid_mac = ",
            $lid,
            " OR c.phone_mac = ",
            $phone,
            ") ORDER BY CASE WHEN c.lid_mac = ",
            $lid,
            " THEN 1 ELSE 0 END"
        )
    };
}

pub(in crate::store) const MENTIONED: &str = mentioned!(
    "json_each($1)",
    "unhex(asked.value ->> 1)",
    "unhex(asked.value ->> 2)"
);
const MENTIONED_ON_POSTGRES: &str = mentioned!(
    "json_array_elements(CAST($1 AS json))",
    "decode(asked.value ->> 1, 'hex')",
    "decode(asked.value ->> 2, 'hex')"
);

/// The LID and the phone of a person in look-up form, in hex.
pub(crate) type Asked = (Option<String>, Option<String>);

/// Returns the contacts with these LIDs and phones, each with its place in the list. For one place there may be two:
/// then the one with the LID comes later, because a LID identifies a person.
pub(crate) async fn find(
    tx: &mut Tx,
    org: OrgId,
    asked: &[Asked],
) -> Result<Vec<(usize, ContactRow)>, sqlx::Error> {
    let sql = match tx.dialect() {
        Dialect::Sqlite => MENTIONED,
        Dialect::Postgres => MENTIONED_ON_POSTGRES,
    };
    let placed = asked.iter().enumerate();
    let placed: Vec<_> = placed
        .map(|(place, (lid, phone))| (place.to_string(), lid, phone))
        .collect();
    let rows = sqlx::query(sql)
        .bind(json!(placed).to_string())
        .bind(org.to_string())
        .fetch_all(tx.conn())
        .await?;
    let found = |row: &AnyRow| {
        let place: String = row.try_get("place")?;
        let place = place
            .parse::<usize>()
            .map_err(|error| row::unreadable("place", error));
        Ok((place?, ContactRow::from_row(row)?))
    };
    Ok(row::each("contact", &rows, found))
}
