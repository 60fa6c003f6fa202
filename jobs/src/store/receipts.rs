//! What each member of a group did with a message. A row belongs to its message and is deleted with it.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, MessageId, OrgId, ReceiptId, SessionId},
    over_list,
    store::{Dialect, Tx},
};
use serde_json::json;
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::{
    contacts::people::NamesRow,
    row::{self, Run as _},
};
use crate::model::{Listed, Page, Status, receipt::MEMBERS_MAX};

/// The most rows of a message. A member may have two: one by LID, and one by phone if the two names were not yet
/// known to be of one person.
const ROWS_MAX: i64 = 2 * MEMBERS_MAX;

/// A member of a group, in look-up form and sealed.
pub(crate) struct MemberRow {
    /// The member as contacts are found by their LID, or by their phone if the LID is not known.
    pub(crate) mac: [u8; 32],
    pub(crate) phone_mac: Option<[u8; 32]>,
    pub(crate) sealed: Vec<u8>,
}

/// Stores what a member of the group did with these messages, each given with the id of a new row. What is known of a
/// step stays. Nothing is stored of a group with more than [`MEMBERS_MAX`] members.
pub(crate) async fn keep(
    tx: &mut Tx,
    (org, session): (OrgId, SessionId),
    group_mac: &[u8; 32],
    of: &[(ReceiptId, &str)],
    by: &MemberRow,
    (did, at): (Status, Millis),
) -> Result<(), sqlx::Error> {
    sqlx::query(keep_text(tx.dialect()))
        .bind(json!(of).to_string())
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(group_mac.to_vec())
        .bind(by.mac.to_vec())
        .bind(by.phone_mac.map(|mac| mac.to_vec()))
        .bind(by.sealed.as_slice())
        .bind(at)
        .bind((did == Status::Read).then_some(at))
        .bind((did == Status::Played).then_some(at))
        .bind(MEMBERS_MAX)
        .bind(ROWS_MAX)
        .run(tx)
        .await
}

/// `CROSS JOIN` equals `JOIN` on PostgreSQL; on SQLite it looks up each named message, instead of walking all of them.
/// A receipt has whole seconds, so it may seem to be earlier than the message. A message that was read or played was also
/// delivered.
pub(super) fn keep_text(dialect: Dialect) -> &'static str {
    over_list!(
        dialect,
        "INSERT INTO receipt (id, org_id, message_id, member_mac, phone_mac, member_sealed, delivered_at, read_at, played_at) \
         SELECT named.value ->> 0, m.org_id, m.id, $5, $6, $7, CASE WHEN m.sent_at > $8 THEN m.sent_at ELSE $8 END, \
         CASE WHEN m.sent_at > $9 THEN m.sent_at ELSE $9 END, CASE WHEN m.sent_at > $10 THEN m.sent_at ELSE $10 END FROM",
        "named CROSS JOIN message m WHERE m.session_id = $3 AND m.org_id = $2 AND m.wa_id = named.value ->> 1 \
         AND m.direction = 'outbound' AND m.to_mac = $4 AND (m.members IS NULL OR m.members <= $11) \
         AND (SELECT count(*) FROM receipt r WHERE r.message_id = m.id) < $12 \
         ON CONFLICT (message_id, member_mac) DO UPDATE SET phone_mac = coalesce(receipt.phone_mac, excluded.phone_mac), \
         member_sealed = CASE WHEN receipt.phone_mac IS NULL THEN excluded.member_sealed ELSE receipt.member_sealed END, \
         delivered_at = coalesce(receipt.delivered_at, excluded.delivered_at), \
         read_at = coalesce(receipt.read_at, excluded.read_at), played_at = coalesce(receipt.played_at, excluded.played_at)"
    )
}

/// Stores how many members the group of a message had when it was sent.
pub(crate) async fn count(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    members: u32,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE message SET members = $3 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(i64::from(members))
        .run(tx)
        .await
}

/// Returns how many members the group of a message had, or as many as there are rows if that is not known.
pub(crate) async fn members(
    conn: &mut AnyConnection,
    org: OrgId,
    id: MessageId,
) -> Result<i64, sqlx::Error> {
    let members = sqlx::query_scalar(
        "SELECT coalesce(m.members, (SELECT count(*) FROM receipt r WHERE r.message_id = m.id) + 1) \
         FROM message m WHERE m.org_id = $1 AND m.id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    Ok(members.unwrap_or(0))
}

/// What a member did with a message, with sealed values.
pub(crate) struct ReceiptRow {
    pub(crate) id: ReceiptId,
    pub(crate) member_mac: Vec<u8>,
    pub(crate) member_sealed: Vec<u8>,
    /// The member's contact, if there is one.
    pub(crate) contact: Option<ContactId>,
    pub(crate) phone_sealed: Option<Vec<u8>>,
    pub(crate) lid_sealed: Option<Vec<u8>>,
    pub(crate) names: NamesRow,
    pub(crate) delivered_at: Option<Millis>,
    pub(crate) read_at: Option<Millis>,
    pub(crate) played_at: Option<Millis>,
}

/// A person with two rows, by LID and by phone, is listed once. The contact is looked up when the list is read, so
/// contacts that were merged later are one.
pub(super) const LIST: &str = "WITH named AS (SELECT r.id, r.delivered_at, r.read_at, r.played_at, coalesce(\
       (SELECT coalesce(c.merged_into, c.id) FROM contact c WHERE c.org_id = r.org_id AND c.lid_mac = r.member_mac), \
       (SELECT coalesce(c.merged_into, c.id) FROM contact c WHERE c.org_id = r.org_id AND c.phone_mac = r.phone_mac)) AS contact_id \
     FROM receipt r WHERE r.message_id = $2 AND r.org_id = $1), \
     member AS (SELECT max(id) AS id, contact_id, min(delivered_at) AS delivered_at, min(read_at) AS read_at, \
       min(played_at) AS played_at FROM named GROUP BY contact_id, CASE WHEN contact_id IS NULL THEN id END) \
     SELECT member.id, member.contact_id, member.delivered_at, member.read_at, member.played_at, r.member_mac, r.member_sealed, \
     c.phone_sealed, c.lid_sealed, c.name_sealed, c.push_name_sealed, c.verified_name_sealed \
     FROM member JOIN receipt r ON r.id = member.id LEFT JOIN contact c ON c.id = member.contact_id \
     WHERE member.id < $3 ORDER BY member.id DESC LIMIT $4";

/// Returns the members who have the message, the one whose first receipt is the newest first.
pub(crate) async fn list(
    conn: &mut AnyConnection,
    org: OrgId,
    id: MessageId,
    page: &Page<ReceiptId>,
) -> Result<Listed<ReceiptRow>, sqlx::Error> {
    let rows = sqlx::query(LIST)
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(page.below())
        .bind(page.fetch())
        .fetch_all(conn)
        .await?;
    Ok(row::page_as("receipt", rows, page))
}

impl FromRow<'_, AnyRow> for ReceiptRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row::id(row, "id")?,
            member_mac: row.try_get("member_mac")?,
            member_sealed: row.try_get("member_sealed")?,
            contact: row::id_or_null(row, "contact_id")?,
            phone_sealed: row.try_get("phone_sealed")?,
            lid_sealed: row.try_get("lid_sealed")?,
            names: NamesRow::from_row(row)?,
            delivered_at: row.try_get("delivered_at")?,
            read_at: row.try_get("read_at")?,
            played_at: row.try_get("played_at")?,
        })
    }
}

#[cfg(test)]
mod tests;
