//! Contacts: a stable id of ours for a phone number and a LID.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, OrgId},
    store::{Dialect, Tx},
};

use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::row::{self, Run as _};

/// A phone or a LID of a contact: its look-up form and its sealed form.
pub(crate) struct Address {
    pub(crate) mac: [u8; 32],
    pub(crate) sealed: Vec<u8>,
}

/// Returns the contacts with this phone or this LID: none, one, or two if they are not yet known to be
/// one person. The one with the phone comes first. On PostgreSQL the lock keeps them from being erased until the
/// transaction ends, because a message is about to name them. A transaction that may learn a name takes
/// the larger lock from the start: two that hold the smaller one, and both learn a name, would wait for each other.
pub(crate) async fn find(
    tx: &mut Tx,
    org: OrgId,
    phone_mac: Option<[u8; 32]>,
    lid_mac: Option<[u8; 32]>,
) -> Result<Vec<ContactMatch>, sqlx::Error> {
    const FIND: &str = "SELECT id, phone_mac, lid_mac FROM contact WHERE org_id = $1 AND (phone_mac = $2 OR lid_mac = $3) \
         ORDER BY phone_mac IS NULL, id LIMIT 2";
    const WHOLE: &str = "SELECT id, phone_mac, lid_mac FROM contact WHERE org_id = $1 AND phone_mac = $2 AND lid_mac = $3 \
         FOR KEY SHARE";
    const BY_ONE: &str = "SELECT id, phone_mac, lid_mac FROM contact WHERE org_id = $1 AND (phone_mac = $2 OR lid_mac = $3) \
         FOR KEY SHARE";
    const TO_LEARN: &str = "SELECT id, phone_mac, lid_mac FROM contact WHERE org_id = $1 AND (phone_mac = $2 OR lid_mac = $3) \
         ORDER BY phone_mac IS NULL, id LIMIT 2 FOR UPDATE";
    let statements: &[&'static str] = match (tx.dialect(), phone_mac.zip(lid_mac)) {
        (Dialect::Sqlite, _) => &[FIND],
        (Dialect::Postgres, None) => &[BY_ONE],
        (Dialect::Postgres, Some(_)) => &[WHOLE, TO_LEARN],
    };
    let mut found = Vec::new();
    for statement in statements {
        found = sqlx::query_as(*statement)
            .bind(org.to_string())
            .bind(phone_mac.map(|mac| mac.to_vec()))
            .bind(lid_mac.map(|mac| mac.to_vec()))
            .fetch_all(tx.conn())
            .await?;
        if !found.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// A contact, and whether its phone and its LID are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ContactMatch {
    pub(crate) id: ContactId,
    pub(crate) has_phone: bool,
    pub(crate) has_lid: bool,
}

impl FromRow<'_, AnyRow> for ContactMatch {
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

/// Stores the phone of a contact that was known by a LID alone.
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
        .run(tx)
        .await
}

/// Stores the LID of a contact that was known by a phone alone.
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
        .run(tx)
        .await
}

/// A contact as it is looked up for a recipient, with sealed values.
pub(crate) struct ContactRow {
    pub(crate) id: ContactId,
    pub(crate) phone_sealed: Option<Vec<u8>>,
    pub(crate) lid_sealed: Option<Vec<u8>>,
}

impl FromRow<'_, AnyRow> for ContactRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row::id(row, "id")?,
            phone_sealed: row.try_get("phone_sealed")?,
            lid_sealed: row.try_get("lid_sealed")?,
        })
    }
}

/// Returns the contact with this id, or the one that it was merged into.
pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    id: ContactId,
) -> Result<Option<ContactRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, phone_sealed, lid_sealed FROM contact WHERE org_id = $1 AND id = coalesce(\
         (SELECT merged_into FROM contact WHERE org_id = $1 AND id = $2), $2)",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await
}

/// Returns the contact with this phone.
pub(crate) async fn by_phone(
    conn: &mut AnyConnection,
    org: OrgId,
    phone_mac: &[u8; 32],
) -> Result<Option<ContactRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, phone_sealed, lid_sealed FROM contact WHERE org_id = $1 AND phone_mac = $2",
    )
    .bind(org.to_string())
    .bind(phone_mac.to_vec())
    .fetch_optional(conn)
    .await
}

/// Stores the contact of a phone that is written to for the first time, with this id, unless another
/// contact took the phone in the meantime.
pub(crate) async fn write_to(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    phone: &Address,
    now: Millis,
) -> Result<ContactId, sqlx::Error> {
    let made = sqlx::query(
        "INSERT INTO contact (id, org_id, phone_mac, phone_sealed, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (org_id, phone_mac) DO NOTHING",
    )
    .bind(id.to_string())
    .bind(org.to_string())
    .bind(phone.mac.to_vec())
    .bind(phone.sealed.as_slice())
    .bind(now)
    .execute(tx.conn())
    .await?;
    if made.rows_affected() == 1 {
        return Ok(id);
    }
    let there = by_phone(tx.conn(), org, &phone.mac).await?;
    Ok(there.map_or(id, |known| known.id))
}

/// Merges two contacts that are one person: `one` stands for both from now on. It takes what `other`
/// knew except phone and LID, which the caller gives it.
pub(crate) async fn merge(
    tx: &mut Tx,
    org: OrgId,
    one: ContactId,
    other: ContactId,
) -> Result<(), sqlx::Error> {
    refuse_alike(tx, org, one, other).await?;
    for sql in [
        "UPDATE contact SET last_inbound_at = (SELECT max(c.last_inbound_at) FROM contact c \
         WHERE c.org_id = $1 AND c.id IN ($2, $3)) WHERE org_id = $1 AND id = $2",
        "UPDATE contact SET merged_into = $2 WHERE org_id = $1 AND merged_into = $3",
        "UPDATE contact SET merged_into = $2, phone_mac = NULL, phone_sealed = NULL, lid_mac = NULL, lid_sealed = NULL \
         WHERE org_id = $1 AND id = $3",
    ] {
        sqlx::query(sql)
            .bind(org.to_string())
            .bind(one.to_string())
            .bind(other.to_string())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// If one of the two has opted out, opts out both.
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
    .run(tx)
    .await
}

/// Inserts a contact.
pub(crate) async fn insert(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    phone: Option<&Address>,
    lid: Option<&Address>,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO contact (id, org_id, phone_mac, phone_sealed, lid_mac, lid_sealed, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id.to_string())
    .bind(org.to_string())
    .bind(phone.map(|address| address.mac.to_vec()))
    .bind(phone.map(|address| address.sealed.clone()))
    .bind(lid.map(|address| address.mac.to_vec()))
    .bind(lid.map(|address| address.sealed.clone()))
    .bind(now)
    .run(tx)
    .await
}

/// Records that the contact wrote to the number in a one-to-one chat: the customer-service window opens
/// again.
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
        .run(tx)
        .await
}

/// Opts the contact out; returns whether that is new.
pub(crate) async fn opt_out(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    now: Millis,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE contact SET opted_out_at = $3 WHERE org_id = $1 AND id = $2 AND opted_out_at IS NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(now)
    .changes(tx)
    .await
}

/// Opts the contact in; returns whether that is new.
pub(crate) async fn opt_in(tx: &mut Tx, org: OrgId, id: ContactId) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE contact SET opted_out_at = NULL WHERE org_id = $1 AND id = $2 AND opted_out_at IS NOT NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .changes(tx)
    .await
}

/// Returns whether the owner of this phone or LID has opted out.
pub(crate) async fn is_opted_out(
    conn: &mut AnyConnection,
    org: OrgId,
    to_mac: &[u8; 32],
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query(
        "SELECT id FROM contact WHERE org_id = $1 AND (phone_mac = $2 OR lid_mac = $2) AND opted_out_at IS NOT NULL",
    )
    .bind(org.to_string())
    .bind(to_mac.to_vec())
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}
