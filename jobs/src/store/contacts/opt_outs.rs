//! Opt-outs of contacts, and the messages that are still queued for them.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, MessageId, OrgId, SessionId},
    store::Tx,
};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::ContactRow;
use crate::{
    model::{Listed, OptOutSource, Page},
    store::{
        row::{self, Run as _},
        sessions::alive,
        system::opt_outs::Marked,
    },
};

/// Opts the contact out, with every spelling of its phone, which ends its consents, and marks that its queued messages have to be ended. Returns
/// whether the contact had not opted out before.
pub(crate) async fn opt_out(
    tx: &mut Tx,
    org: OrgId,
    id: ContactId,
    by: OptOutSource,
    now: Millis,
) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query(
        "UPDATE contact SET opted_out_at = $3, refused_at = $3, opted_out_by = $4, dequeue_since = $3 WHERE org_id = $1 AND id IN (\
         SELECT id FROM contact WHERE id = $2 UNION ALL SELECT id FROM contact WHERE merged_into = $2) \
         AND opted_out_at IS NULL RETURNING id",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(now)
    .bind(by.as_str())
    .fetch_all(tx.conn())
    .await?;
    let is_new = has(&changed, id);
    if !is_new {
        // Said again, it ends the consents that were given in between.
        sqlx::query("UPDATE contact SET refused_at = $3 WHERE org_id = $1 AND id = $2")
            .bind(org.to_string())
            .bind(id.to_string())
            .bind(now)
            .run(tx)
            .await?;
    }
    Ok(is_new)
}

/// Opts the contact in, with every spelling of its phone. Returns whether the contact had opted out before.
pub(crate) async fn opt_in(tx: &mut Tx, org: OrgId, id: ContactId) -> Result<bool, sqlx::Error> {
    let changed = sqlx::query(
        "UPDATE contact SET opted_out_at = NULL, opted_out_by = NULL, dequeue_since = NULL WHERE org_id = $1 AND id IN (\
         SELECT id FROM contact WHERE id = $2 UNION ALL SELECT id FROM contact WHERE merged_into = $2) \
         AND opted_out_at IS NOT NULL RETURNING id",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_all(tx.conn())
    .await?;
    Ok(has(&changed, id))
}

/// Returns whether the contact's own row is one of these. A spelling alone may lag behind.
fn has(rows: &[AnyRow], id: ContactId) -> bool {
    rows.iter()
        .any(|row| row::id(row, "id").is_ok_and(|changed: ContactId| changed == id))
}

/// If one of the two has opted out, opts out both, with every spelling of their phones. What is queued for the other one
/// has to be ended, too.
pub(crate) async fn refuse_alike(
    tx: &mut Tx,
    org: OrgId,
    one: ContactId,
    other: ContactId,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE contact SET opted_out_at = (SELECT max(c.opted_out_at) FROM contact c WHERE c.org_id = $1 AND c.id IN ($2, $3)), \
         refused_at = (SELECT max(c.refused_at) FROM contact c WHERE c.org_id = $1 AND c.id IN ($2, $3)), \
         dequeue_since = (SELECT max(c.opted_out_at) FROM contact c WHERE c.org_id = $1 AND c.id IN ($2, $3)), \
         opted_out_by = (SELECT max(c.opted_out_by) FROM contact c WHERE c.org_id = $1 AND c.id IN ($2, $3) AND c.opted_out_at IS NOT NULL) \
         WHERE org_id = $1 AND id IN (\
         SELECT id FROM contact WHERE id IN ($2, $3) UNION ALL SELECT id FROM contact WHERE merged_into IN ($2, $3)) AND opted_out_at IS NULL",
    )
    .bind(org.to_string())
    .bind(one.to_string())
    .bind(other.to_string())
    .execute(tx.conn())
    .await
    .map(drop)
}

/// Returns whether the owner of this phone or LID has opted out.
pub(crate) async fn is_opted_out(
    conn: &mut AnyConnection,
    org: OrgId,
    to_mac: &[u8; 32],
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query(
        "SELECT c.id FROM contact c JOIN contact m ON m.id = coalesce(c.merged_into, c.id) \
         WHERE c.org_id = $1 AND (c.phone_mac = $2 OR c.lid_mac = $2) AND m.opted_out_at IS NOT NULL",
    )
    .bind(org.to_string())
    .bind(to_mac.to_vec())
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// An opt-out, with the sealed names of its contact.
pub(crate) struct OptOutRow {
    pub(crate) contact: ContactRow,
    pub(crate) at: Millis,
    /// `None` if an earlier version wrote it.
    pub(crate) by: Option<OptOutSource>,
}

impl FromRow<'_, AnyRow> for OptOutRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let by: Option<String> = row.try_get("opted_out_by")?;
        Ok(Self {
            contact: ContactRow::from_row(row)?,
            at: row.try_get("opted_out_at")?,
            by: by.and_then(|by| by.parse().ok()),
        })
    }
}

macro_rules! listed {
    ($of:literal) => {
        concat!(
            "SELECT c.id, c.phone_sealed, c.lid_sealed, c.opted_out_at, c.opted_out_by FROM contact c \
             WHERE c.org_id = $1 AND c.id < $2 AND c.opted_out_at IS NOT NULL AND c.merged_into IS NULL",
            $of,
            " ORDER BY c.id DESC LIMIT $3"
        )
    };
}

pub(in crate::store) const ALL: &str = listed!("");
pub(in crate::store) const BY_PHONE: &str = listed!(
    " AND c.id = (SELECT coalesce(s.merged_into, s.id) FROM contact s WHERE s.org_id = $1 AND s.phone_mac = $4)"
);
pub(in crate::store) const BY_CONTACT: &str = listed!(
    " AND c.id = coalesce((SELECT s.merged_into FROM contact s WHERE s.org_id = $1 AND s.id = $4), $4)"
);

/// Which opt-outs a list shows.
#[derive(Debug, Clone)]
pub(crate) enum Narrowed {
    No,
    /// That of the contact with this phone, in look-up form.
    Phone([u8; 32]),
    Contact(ContactId),
}

pub(crate) async fn list(
    conn: &mut AnyConnection,
    org: OrgId,
    narrowed: &Narrowed,
    page: &Page<ContactId>,
) -> Result<Listed<OptOutRow>, sqlx::Error> {
    let sql = match narrowed {
        Narrowed::No => ALL,
        Narrowed::Phone(_) => BY_PHONE,
        Narrowed::Contact(_) => BY_CONTACT,
    };
    let query = sqlx::query(sql)
        .bind(org.to_string())
        .bind(page.below())
        .bind(page.fetch());
    let query = match narrowed {
        Narrowed::No => query,
        Narrowed::Phone(mac) => query.bind(mac.to_vec()),
        Narrowed::Contact(id) => query.bind(id.to_string()),
    };
    let rows = query.fetch_all(conn).await?;
    Ok(row::page_as("contact", rows, page))
}

/// Returns the opt-out of this contact, or of the one that it was merged into.
pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    id: ContactId,
) -> Result<Option<OptOutRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, phone_sealed, lid_sealed, opted_out_at, opted_out_by FROM contact WHERE org_id = $1 \
         AND id = coalesce((SELECT merged_into FROM contact WHERE org_id = $1 AND id = $2), $2) AND opted_out_at IS NOT NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_optional(conn)
    .await
}

/// Removes the mark, unless the contact opted out anew.
pub(crate) async fn unmark(tx: &mut Tx, marked: Marked) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE contact SET dequeue_since = NULL WHERE org_id = $1 AND id = $2 AND dequeue_since = $3",
    )
    .bind(marked.org.to_string())
    .bind(marked.row.to_string())
    .bind(marked.since)
    .execute(tx.conn())
    .await
    .map(drop)
}

pub(in crate::store) const QUEUED: &str = concat!(
    "SELECT id, session_id FROM message WHERE org_id = $1 AND contact_id = $2 AND id > $3 \
     AND direction = 'outbound' AND status = 'queued' AND resends = 0 AND confirms_opt_out IS NULL AND ",
    alive!(),
    " ORDER BY id LIMIT $4"
);

/// Returns messages that are queued for this contact, the oldest first, after `after`. Those that were sent before and wait
/// for their resend are not among them: they may have been shown.
pub(crate) async fn queued(
    conn: &mut AnyConnection,
    org: OrgId,
    contact: ContactId,
    after: &str,
    limit: i64,
) -> Result<Vec<(SessionId, MessageId)>, sqlx::Error> {
    let rows = sqlx::query(QUEUED)
        .bind(org.to_string())
        .bind(contact.to_string())
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    let ids = |row: &AnyRow| Ok((row::id(row, "session_id")?, row::id(row, "id")?));
    Ok(row::each("message", &rows, ids))
}

/// Fails a queued message whose recipient has opted out. Returns false if it is no longer queued, or the recipient opted in.
/// The caller has locked the lane.
pub(crate) async fn fail(
    tx: &mut Tx,
    org: OrgId,
    id: MessageId,
    code: &str,
    at: Millis,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE message SET status = 'failed', error = $3, ended_at = $4 WHERE org_id = $1 AND id = $2 AND status = 'queued' AND resends = 0 \
         AND EXISTS (SELECT 1 FROM contact c JOIN contact m ON m.id = coalesce(c.merged_into, c.id) \
         WHERE c.id = message.contact_id AND m.opted_out_at IS NOT NULL)",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(code)
    .bind(at)
    .changes(tx)
    .await
}

/// Marks a new message as the confirmation of an opt-out: it is sent although the contact opted out.
pub(crate) async fn confirms(tx: &mut Tx, org: OrgId, id: MessageId) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE message SET confirms_opt_out = 1 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .run(tx)
        .await
}
