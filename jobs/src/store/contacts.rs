//! Contacts: our own stable id over a phone number and a LID.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, OrgId},
    store::Tx,
};

use sqlx::AnyConnection;

use super::row;

/// One side of a contact: its look-up form and its sealed form.
pub(crate) struct Address {
    pub(crate) mac: [u8; 32],
    pub(crate) sealed: Vec<u8>,
}

/// Finds the contact by phone or LID.
pub(crate) async fn find(
    tx: &mut Tx,
    org: OrgId,
    phone_mac: Option<[u8; 32]>,
    lid_mac: Option<[u8; 32]>,
) -> Result<Option<ContactId>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT id FROM contact WHERE org_id = $1 AND (phone_mac = $2 OR lid_mac = $3) ORDER BY id LIMIT 1",
    )
    .bind(org.to_string())
    .bind(phone_mac.map(|mac| mac.to_vec()))
    .bind(lid_mac.map(|mac| mac.to_vec()))
    .fetch_optional(tx.conn())
    .await?;
    row.map(|row| row::id(&row, "id")).transpose()
}

/// Whether the contact was new.
pub(crate) async fn insert(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    phone: Option<&Address>,
    lid: Option<&Address>,
    now: Millis,
) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query(
        "INSERT INTO contact (id, org_id, phone_mac, phone_sealed, lid_mac, lid_sealed, last_inbound_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT DO NOTHING",
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
    Ok(changed.rows_affected() == 1)
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
