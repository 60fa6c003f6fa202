//! Contacts: our own stable id over a phone number and a LID.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, OrgId},
    store::Tx,
};

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::row;

/// One side of a contact: its look-up form and its sealed form.
pub(crate) struct Address {
    pub(crate) mac: [u8; 32],
    pub(crate) sealed: Vec<u8>,
}

/// Who has this phone or this LID: none, one, or two of whom nobody knew that they are one. The one
/// with the phone first.
pub(crate) async fn find(
    tx: &mut Tx,
    org: OrgId,
    phone_mac: Option<[u8; 32]>,
    lid_mac: Option<[u8; 32]>,
) -> Result<Vec<Found>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, phone_mac, lid_mac FROM contact WHERE org_id = $1 AND (phone_mac = $2 OR lid_mac = $3) \
         ORDER BY phone_mac IS NULL, id LIMIT 2",
    )
    .bind(org.to_string())
    .bind(phone_mac.map(|mac| mac.to_vec()))
    .bind(lid_mac.map(|mac| mac.to_vec()))
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(Found::from_row).collect()
}

/// A contact, and which of its names are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) id: ContactId,
    pub(crate) has_phone: bool,
    pub(crate) has_lid: bool,
}

impl Found {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let known = |column| {
            let mac: Option<Vec<u8>> = row.try_get(column)?;
            Ok::<_, sqlx::Error>(mac.is_some())
        };
        Ok(Self {
            id: row::id(row, "id")?,
            has_phone: known("phone_mac")?,
            has_lid: known("lid_mac")?,
        })
    }
}

/// The phone of a contact who was known by a LID alone.
pub(crate) async fn learn_phone(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    phone: &Address,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE contact SET phone_mac = $3, phone_sealed = $4 WHERE org_id = $1 AND id = $2 AND phone_mac IS NULL")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(phone.mac.to_vec())
        .bind(phone.sealed.as_slice())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The LID of a contact who was known by a phone alone.
pub(crate) async fn learn_lid(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    lid: &Address,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE contact SET lid_mac = $3, lid_sealed = $4 WHERE org_id = $1 AND id = $2 AND lid_mac IS NULL")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(lid.mac.to_vec())
        .bind(lid.sealed.as_slice())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The two are one person: what one of them refused, both refuse.
pub(crate) async fn refuse_alike(
    tx: &mut Tx,
    org: OrgId,
    one: ContactId,
    other: ContactId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE contact SET opted_out_at = (SELECT max(c.opted_out_at) FROM contact c WHERE c.org_id = $1 AND c.id IN ($2, $3)) \
         WHERE org_id = $1 AND id IN ($2, $3) AND opted_out_at IS NULL",
    )
    .bind(org.to_string())
    .bind(one.to_string())
    .bind(other.to_string())
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A new contact.
pub(crate) async fn insert(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    phone: Option<&Address>,
    lid: Option<&Address>,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO contact (id, org_id, phone_mac, phone_sealed, lid_mac, lid_sealed, last_inbound_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
    )
    .bind(id.to_string())
    .bind(org.to_string())
    .bind(phone.map(|address| address.mac.to_vec()))
    .bind(phone.map(|address| address.sealed.clone()))
    .bind(lid.map(|address| address.mac.to_vec()))
    .bind(lid.map(|address| address.sealed.clone()))
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The contact wrote: the customer-service window opens again.
pub(crate) async fn touch(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE contact SET last_inbound_at = $3 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The contact wants no more messages; whether that is new.
pub(crate) async fn opt_out(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    now: Millis,
) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query(
        "UPDATE contact SET opted_out_at = $3 WHERE org_id = $1 AND id = $2 AND opted_out_at IS NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// The contact wants messages again; whether that is new.
pub(crate) async fn opt_in(tx: &mut Tx, org: OrgId, id: ContactId) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query(
        "UPDATE contact SET opted_out_at = NULL WHERE org_id = $1 AND id = $2 AND opted_out_at IS NOT NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .execute(tx.conn())
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Whether this phone's owner wants no more messages.
pub(crate) async fn is_opted_out(
    conn: &mut AnyConnection,
    org: OrgId,
    phone_mac: &[u8; 32],
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query(
        "SELECT id FROM contact WHERE org_id = $1 AND phone_mac = $2 AND opted_out_at IS NOT NULL",
    )
    .bind(org.to_string())
    .bind(phone_mac.to_vec())
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}
