//! What contacts are called, and their lists: a statement and an index for each filter.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, OrgId},
    store::Tx,
};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use crate::{
    model::{Listed, Page},
    store::row::{self, Run as _},
};

/// The sealed names of a contact.
#[derive(Clone)]
pub(crate) struct NamesRow {
    /// The tenant's own name for the contact.
    pub(crate) own: Option<Vec<u8>>,
    pub(crate) push_name: Option<Vec<u8>>,
    pub(crate) verified_name: Option<Vec<u8>>,
}

impl FromRow<'_, AnyRow> for NamesRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            own: row.try_get("name_sealed")?,
            push_name: row.try_get("push_name_sealed")?,
            verified_name: row.try_get("verified_name_sealed")?,
        })
    }
}

/// A contact, with sealed values.
#[derive(Clone)]
pub(crate) struct PersonRow {
    pub(crate) id: ContactId,
    pub(crate) phone_sealed: Option<Vec<u8>>,
    pub(crate) lid_sealed: Option<Vec<u8>>,
    pub(crate) names: NamesRow,
    pub(crate) metadata_sealed: Option<Vec<u8>>,
    pub(crate) opted_out_at: Option<Millis>,
    pub(crate) last_inbound_at: Option<Millis>,
    /// No automatic reply to the contact before then.
    pub(crate) automation_rests_until: Option<Millis>,
    pub(crate) created_at: Millis,
}

impl FromRow<'_, AnyRow> for PersonRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row::id(row, "id")?,
            phone_sealed: row.try_get("phone_sealed")?,
            lid_sealed: row.try_get("lid_sealed")?,
            names: NamesRow::from_row(row)?,
            metadata_sealed: row.try_get("metadata_sealed")?,
            opted_out_at: row.try_get("opted_out_at")?,
            last_inbound_at: row.try_get("last_inbound_at")?,
            automation_rests_until: row.try_get("automation_rests_until")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

macro_rules! person {
    () => {
        "c.id, c.phone_sealed, c.lid_sealed, c.name_sealed, c.push_name_sealed, c.verified_name_sealed, \
         c.metadata_sealed, c.opted_out_at, c.last_inbound_at, c.automation_rests_until, c.created_at"
    };
}

macro_rules! listed {
    ($of:literal) => {
        concat!(
            "SELECT ",
            person!(),
            " FROM contact c WHERE c.org_id = $1 AND c.id < $2 AND c.merged_into IS NULL",
            $of,
            " ORDER BY c.id DESC LIMIT $3"
        )
    };
}

pub(in crate::store) const ALL: &str = listed!("");
pub(in crate::store) const BY_PHONE: &str = listed!(
    " AND c.id = (SELECT coalesce(s.merged_into, s.id) FROM contact s WHERE s.org_id = $1 AND s.phone_mac = $4)"
);
pub(in crate::store) const BY_LID: &str = listed!(" AND c.lid_mac = $4");
/// A contact is found by up to three words. The first one has the index; fewer words are bound again.
pub(in crate::store) const BY_NAME: &str = concat!(
    "SELECT ",
    person!(),
    " FROM contact_word w JOIN contact c ON c.id = w.contact_id \
     WHERE w.org_id = $1 AND w.word_mac = $4 AND w.contact_id < $2 AND c.merged_into IS NULL \
     AND EXISTS (SELECT 1 FROM contact_word v WHERE v.org_id = $1 AND v.word_mac = $5 AND v.contact_id = w.contact_id) \
     AND EXISTS (SELECT 1 FROM contact_word v WHERE v.org_id = $1 AND v.word_mac = $6 AND v.contact_id = w.contact_id) \
     ORDER BY w.contact_id DESC LIMIT $3"
);

/// What a list is narrowed to, in look-up form.
#[derive(Debug, Clone)]
pub(crate) enum Narrowed {
    No,
    Phone([u8; 32]),
    Lid([u8; 32]),
    Words([[u8; 32]; 3]),
}

pub(crate) async fn list(
    conn: &mut AnyConnection,
    org: OrgId,
    narrowed: &Narrowed,
    page: &Page<ContactId>,
) -> Result<Listed<PersonRow>, sqlx::Error> {
    let (sql, macs): (_, &[[u8; 32]]) = match narrowed {
        Narrowed::No => (ALL, &[]),
        Narrowed::Phone(mac) => (BY_PHONE, std::slice::from_ref(mac)),
        Narrowed::Lid(mac) => (BY_LID, std::slice::from_ref(mac)),
        Narrowed::Words(macs) => (BY_NAME, macs),
    };
    let mut query = sqlx::query(sql)
        .bind(org.to_string())
        .bind(page.below())
        .bind(page.fetch());
    for mac in macs {
        query = query.bind(mac.to_vec());
    }
    let rows = query.fetch_all(conn).await?;
    Ok(row::page_as("contact", rows, page))
}

/// Returns the contact with this id, or the one that it was merged into.
pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    id: ContactId,
) -> Result<Option<PersonRow>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        person!(),
        " FROM contact c WHERE c.org_id = $1 AND c.id = coalesce(\
         (SELECT merged_into FROM contact WHERE org_id = $1 AND id = $2), $2)"
    ))
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await
}

/// Returns the contact with this id, or the one that it was merged into, and lets nobody else change it until the
/// transaction ends.
pub(crate) async fn hold(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
) -> Result<Option<PersonRow>, sqlx::Error> {
    sqlx::query(
        "UPDATE contact SET created_at = created_at WHERE org_id = $1 AND id = coalesce(\
         (SELECT merged_into FROM contact WHERE org_id = $1 AND id = $2), $2)",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .execute(tx.conn())
    .await?;
    read(tx.conn(), org, id).await
}

/// Returns the contact with this id, also if it was merged into another one.
pub(crate) async fn own_row(
    conn: &mut AnyConnection,
    org: OrgId,
    id: ContactId,
) -> Result<Option<PersonRow>, sqlx::Error> {
    sqlx::query_as(concat!(
        "SELECT ",
        person!(),
        " FROM contact c WHERE c.org_id = $1 AND c.id = $2"
    ))
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await
}

/// Records that the contact wrote to the number in a one-to-one chat: the customer-service window opens
/// again. Returns the names that are known.
pub(crate) async fn touch(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    now: Millis,
) -> Result<Option<NamesRow>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE contact SET last_inbound_at = $3 WHERE org_id = $1 AND id = $2 \
         RETURNING name_sealed, push_name_sealed, verified_name_sealed",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(now)
    .fetch_optional(tx.conn())
    .await
}

/// Returns the names of a contact.
pub(crate) async fn names(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
) -> Result<Option<NamesRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT name_sealed, push_name_sealed, verified_name_sealed FROM contact WHERE org_id = $1 AND id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(tx.conn())
    .await
}

/// Stores the names of a contact, and the words by which it is found.
pub(crate) async fn describe(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    names: &NamesRow,
    words: &[[u8; 32]],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE contact SET name_sealed = $3, push_name_sealed = $4, verified_name_sealed = $5 \
         WHERE org_id = $1 AND id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(names.own.as_deref())
    .bind(names.push_name.as_deref())
    .bind(names.verified_name.as_deref())
    .run(tx)
    .await?;
    sqlx::query("DELETE FROM contact_word WHERE contact_id = $1 AND org_id = $2")
        .bind(id.to_string())
        .bind(org.to_string())
        .execute(tx.conn())
        .await?;
    for word in words {
        sqlx::query(
            "INSERT INTO contact_word (org_id, word_mac, contact_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(org.to_string())
        .bind(word.to_vec())
        .bind(id.to_string())
        .run(tx)
        .await?;
    }
    Ok(())
}

/// Lets automatic replies to a contact rest until then, or go on.
pub(crate) async fn rest_automation(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    until: Option<Millis>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE contact SET automation_rests_until = $3 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(until)
        .run(tx)
        .await
}

/// Stores the metadata of a contact.
pub(crate) async fn set_metadata(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    metadata_sealed: Option<&[u8]>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE contact SET metadata_sealed = $3 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(metadata_sealed)
        .run(tx)
        .await
}
