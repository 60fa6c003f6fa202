//! Contacts: a stable id of ours for a phone number and a LID.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, OrgId},
    store::{Dialect, Tx},
};

use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::{
    acquaintances, chat_timers,
    row::{self, Run as _},
};

pub(crate) mod known;
pub(crate) mod mentioned;
pub(crate) mod opt_outs;
pub(crate) mod people;

/// A phone or a LID of a contact: its look-up form and its sealed form.
pub(crate) struct Address {
    pub(crate) mac: [u8; 32],
    pub(crate) sealed: Vec<u8>,
}

macro_rules! found {
    () => {
        "SELECT m.id, m.phone_mac, m.lid_mac, m.canonical_at FROM contact c \
         JOIN contact m ON m.id = coalesce(c.merged_into, c.id) WHERE c.org_id = $1"
    };
}

/// Returns the contacts with this phone or this LID: none, one, or two if they are not yet known to be
/// one person. The one with the phone comes first; another spelling of a phone leads to its contact. On PostgreSQL the lock
/// keeps them from being erased until the transaction ends, because a message is about to name them. A transaction that may
/// learn a name takes the larger lock from the start: two that hold the smaller one, and both learn a name, would wait for
/// each other.
pub(crate) async fn find(
    tx: &mut Tx,
    org: OrgId,
    phone_mac: Option<[u8; 32]>,
    lid_mac: Option<[u8; 32]>,
) -> Result<Vec<ContactMatch>, sqlx::Error> {
    const FIND: &str = concat!(
        found!(),
        " AND (c.phone_mac = $2 OR c.lid_mac = $3) ORDER BY CASE WHEN c.phone_mac = $2 THEN 0 ELSE 1 END LIMIT 2"
    );
    const WHOLE: &str = concat!(
        found!(),
        " AND c.phone_mac = $2 AND m.lid_mac = $3 LIMIT 1 FOR KEY SHARE"
    );
    let statements: &[&'static str] = match (tx.dialect(), phone_mac.zip(lid_mac)) {
        (Dialect::Sqlite, _) => &[FIND],
        (Dialect::Postgres, None) => &[concat!(
            found!(),
            " AND (c.phone_mac = $2 OR c.lid_mac = $3) LIMIT 1 FOR KEY SHARE"
        )],
        (Dialect::Postgres, Some(_)) => &[
            WHOLE,
            concat!(
                found!(),
                " AND (c.phone_mac = $2 OR c.lid_mac = $3) ORDER BY CASE WHEN c.phone_mac = $2 THEN 0 ELSE 1 END LIMIT 2 FOR UPDATE"
            ),
        ],
    };
    let mut found: Vec<ContactMatch> = Vec::new();
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
    found.dedup_by_key(|contact| contact.id);
    Ok(found)
}

/// A contact, with the look-up forms of its phone and its LID.
#[derive(Debug, Clone)]
pub(crate) struct ContactMatch {
    pub(crate) id: ContactId,
    pub(crate) phone_mac: Option<Vec<u8>>,
    pub(crate) lid_mac: Option<Vec<u8>>,
    /// Whether WhatsApp named the phone as the contact's own.
    pub(crate) is_canonical: bool,
}

impl FromRow<'_, AnyRow> for ContactMatch {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row::id(row, "id")?,
            phone_mac: row.try_get("phone_mac")?,
            lid_mac: row.try_get("lid_mac")?,
            is_canonical: row.try_get::<Option<Millis>, _>("canonical_at")?.is_some(),
        })
    }
}

/// Stores what became known of a contact: a phone, which replaces an earlier one, and a LID. `canonical_at` is when WhatsApp
/// named the phone as the contact's own; `None` if it did not, whatever it said of an earlier one.
pub(crate) async fn learn(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    phone: Option<&Address>,
    lid: Option<&Address>,
    canonical_at: Option<Millis>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE contact SET phone_mac = coalesce($3, phone_mac), phone_sealed = coalesce($4, phone_sealed), \
         lid_mac = coalesce($5, lid_mac), lid_sealed = coalesce($6, lid_sealed), \
         canonical_at = CASE WHEN $3 IS NULL THEN canonical_at ELSE $7 END WHERE org_id = $1 AND id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(phone.map(|address| address.mac.to_vec()))
    .bind(phone.map(|address| address.sealed.clone()))
    .bind(lid.map(|address| address.mac.to_vec()))
    .bind(lid.map(|address| address.sealed.clone()))
    .bind(canonical_at)
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

/// Returns the contact with this phone, or the one of which this is another spelling.
pub(crate) async fn by_phone(
    conn: &mut AnyConnection,
    org: OrgId,
    phone_mac: &[u8; 32],
) -> Result<Option<ContactRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT m.id, m.phone_sealed, m.lid_sealed FROM contact c JOIN contact m ON m.id = coalesce(c.merged_into, c.id) \
         WHERE c.org_id = $1 AND c.phone_mac = $2",
    )
    .bind(org.to_string())
    .bind(phone_mac.to_vec())
    .fetch_optional(conn)
    .await
}

/// Returns the contact with this LID.
pub(crate) async fn by_lid(
    conn: &mut AnyConnection,
    org: OrgId,
    lid_mac: &[u8; 32],
) -> Result<Option<ContactRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, phone_sealed, lid_sealed FROM contact WHERE org_id = $1 AND lid_mac = $2",
    )
    .bind(org.to_string())
    .bind(lid_mac.to_vec())
    .fetch_optional(conn)
    .await
}

/// By what a person is written to for the first time.
pub(crate) enum FirstAddress {
    Phone(Address),
    Lid(Address),
}

/// Stores the contact of a person who is written to for the first time, with this id, unless another contact took the
/// phone or the LID in the meantime.
pub(crate) async fn write_to(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    first: &FirstAddress,
    now: Millis,
) -> Result<ContactId, sqlx::Error> {
    let (sql, address) = match first {
        FirstAddress::Phone(phone) => (
            "INSERT INTO contact (id, org_id, phone_mac, phone_sealed, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (org_id, phone_mac) DO NOTHING",
            phone,
        ),
        FirstAddress::Lid(lid) => (
            "INSERT INTO contact (id, org_id, lid_mac, lid_sealed, created_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (org_id, lid_mac) DO NOTHING",
            lid,
        ),
    };
    let made = sqlx::query(sql)
        .bind(id.to_string())
        .bind(org.to_string())
        .bind(address.mac.to_vec())
        .bind(address.sealed.as_slice())
        .bind(now)
        .execute(tx.conn())
        .await?;
    if made.rows_affected() == 1 {
        return Ok(id);
    }
    let there = match first {
        FirstAddress::Phone(phone) => by_phone(tx.conn(), org, &phone.mac).await?,
        FirstAddress::Lid(lid) => by_lid(tx.conn(), org, &lid.mac).await?,
    };
    Ok(there.map_or(id, |known| known.id))
}

/// Merges two contacts that are one person: `one` stands for both from now on. It takes what `other`
/// knew, and the timers of its chats, except phone and LID, which the caller gives it.
pub(crate) async fn merge(
    tx: &mut Tx,
    org: OrgId,
    one: ContactId,
    other: ContactId,
) -> Result<(), sqlx::Error> {
    unite(
        tx,
        org,
        (one, other),
        &[
        "UPDATE contact SET merged_into = $2 WHERE org_id = $1 AND merged_into = $3",
        "UPDATE contact SET merged_into = $2, phone_mac = NULL, phone_sealed = NULL, lid_mac = NULL, lid_sealed = NULL \
         WHERE org_id = $1 AND id = $3",
    ])
    .await
}

/// Makes `other` a further spelling of `one`'s phone. It keeps its phone, and leads to `one` with it from now on.
pub(crate) async fn merge_spelling(
    tx: &mut Tx,
    org: OrgId,
    one: ContactId,
    other: ContactId,
) -> Result<(), sqlx::Error> {
    unite(
        tx,
        org,
        (one, other),
        &[
        "UPDATE contact SET merged_into = $2 WHERE org_id = $1 AND id IN (\
         SELECT id FROM contact WHERE id = $3 UNION ALL SELECT id FROM contact WHERE merged_into = $3)",
    ])
    .await
}

/// Gives `one` what was known of either contact, and runs the statements that make `other` lead to it.
async fn unite(
    tx: &mut Tx,
    org: OrgId,
    (one, other): (ContactId, ContactId),
    leading: &[&'static str],
) -> Result<(), sqlx::Error> {
    const CONSENTS: &str =
        "UPDATE consent SET contact_id = $2 WHERE org_id = $1 AND contact_id = $3";
    const TIMES: &str = "UPDATE contact SET last_inbound_at = (SELECT max(c.last_inbound_at) FROM contact c \
         WHERE c.org_id = $1 AND c.id IN ($2, $3)), refused_at = (SELECT max(c.refused_at) FROM contact c \
         WHERE c.org_id = $1 AND c.id IN ($2, $3)), automation_rests_until = (SELECT max(c.automation_rests_until) FROM contact c \
         WHERE c.org_id = $1 AND c.id IN ($2, $3)) WHERE org_id = $1 AND id = $2";
    lock(tx, org, one, other).await?;
    opt_outs::refuse_alike(tx, org, one, other).await?;
    chat_timers::merge(tx, org, one, other).await?;
    for sql in acquaintances::MERGE
        .iter()
        .chain(&[CONSENTS, TIMES])
        .chain(leading)
    {
        sqlx::query(*sql)
            .bind(org.to_string())
            .bind(one.to_string())
            .bind(other.to_string())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// Locks two contacts, so that an opt-out of one of them is seen by the statements after this one. SQLite needs no lock
/// because it has one writer.
async fn lock(
    tx: &mut Tx,
    org: OrgId,
    one: ContactId,
    other: ContactId,
) -> Result<(), sqlx::Error> {
    if tx.dialect() == Dialect::Postgres {
        sqlx::query(
            "SELECT id FROM contact WHERE org_id = $1 AND id IN ($2, $3) ORDER BY id FOR UPDATE",
        )
        .bind(org.to_string())
        .bind(one.to_string())
        .bind(other.to_string())
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// Inserts a further spelling of a contact's phone, unless another transaction was faster. It opts out with the contact.
pub(crate) async fn insert_spelling(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    phone: &Address,
    of: ContactId,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO contact (id, org_id, phone_mac, phone_sealed, created_at, merged_into, opted_out_at) \
         SELECT $1, $2, $3, $4, $5, c.id, c.opted_out_at FROM contact c WHERE c.org_id = $2 AND c.id = $6",
    )
    .bind(id.to_string())
    .bind(org.to_string())
    .bind(phone.mac.to_vec())
    .bind(phone.sealed.as_slice())
    .bind(now)
    .bind(of.to_string())
    .run(tx)
    .await
}

/// Takes a phone from the row that has it: a contact, or a spelling that leads to one.
pub(crate) async fn forget_phone(
    tx: &mut Tx,
    org: OrgId,
    phone_mac: &[u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE contact SET phone_mac = NULL, phone_sealed = NULL, canonical_at = NULL WHERE org_id = $1 AND phone_mac = $2",
    )
    .bind(org.to_string())
    .bind(phone_mac.to_vec())
    .run(tx)
    .await
}

/// Inserts a contact. `canonical_at` is when WhatsApp named the phone as the contact's own.
pub(crate) async fn insert(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    phone: Option<&Address>,
    lid: Option<&Address>,
    (now, canonical_at): (Millis, Option<Millis>),
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO contact (id, org_id, phone_mac, phone_sealed, lid_mac, lid_sealed, created_at, canonical_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id.to_string())
    .bind(org.to_string())
    .bind(phone.map(|address| address.mac.to_vec()))
    .bind(phone.map(|address| address.sealed.clone()))
    .bind(lid.map(|address| address.mac.to_vec()))
    .bind(lid.map(|address| address.sealed.clone()))
    .bind(now)
    .bind(canonical_at)
    .run(tx)
    .await
}
