//! Consents of contacts, and what decides whether a message may be accepted.

use passerelle_engine::{
    clock::Millis,
    ids::{ConsentId, ContactId, OptInLinkId, OrgId, SessionId},
    store::Tx,
};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::row::{self, Run as _};
use crate::{
    model::Purpose,
    model::{Listed, Page},
};

/// What is known of a session and a contact when a message is accepted.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// The session's number, in look-up form; `None` if it was never linked.
    pub(crate) number: Option<Vec<u8>>,
    /// The purpose of messages that name none.
    pub(crate) purpose: Option<Purpose>,
    /// The contact's last message to the number.
    pub(crate) last_inbound_at: Option<Millis>,
    /// When messages of the number went that the contact has not answered, oldest first.
    pub(crate) unanswered: Vec<Millis>,
    /// The contact is one of the first people that the number wrote to.
    pub(crate) is_trial: bool,
    /// How many these are.
    pub(crate) trials: i64,
    /// The contact's last opt-out.
    pub(crate) refused_at: Option<Millis>,
    /// The contact's newest consent that counts.
    pub(crate) consent: Option<(ConsentId, Vec<u8>)>,
}

/// SQL that is true for a consent `n` that counts, of the contact `r`.
macro_rules! counts {
    () => {
        "n.contact_id = r.id AND n.revoked_at IS NULL AND n.given_at > coalesce(r.refused_at, 0)"
    };
}

pub(in crate::store) const STANDING: &str = concat!(
    "SELECT l.number_mac, s.purpose, a.last_inbound_at, a.unanswered, coalesce(a.trial, 0) AS trial, \
     (SELECT count(*) FROM acquaintance t WHERE t.org_id = $1 AND t.number_mac = l.number_mac AND t.trial = 1) AS trials, \
     r.refused_at, k.id AS consent_id, k.sealed AS consent_sealed \
     FROM lane l JOIN session s ON s.id = l.session_id \
     LEFT JOIN contact r ON r.org_id = $1 AND r.id = \
     coalesce((SELECT c.merged_into FROM contact c WHERE c.org_id = $1 AND c.id = $3), $3) \
     LEFT JOIN acquaintance a ON a.org_id = $1 AND a.number_mac = l.number_mac AND a.contact_id = r.id \
     LEFT JOIN consent k ON k.id = (SELECT max(n.id) FROM consent n WHERE ",
    counts!(),
    ") WHERE l.org_id = $1 AND l.session_id = $2"
);

/// Returns it; `None` if there is no such session. One statement, because every accept pays for it.
pub(crate) async fn standing(
    conn: &mut AnyConnection,
    org: OrgId,
    session: SessionId,
    contact: Option<ContactId>,
) -> Result<Option<Standing>, sqlx::Error> {
    sqlx::query_as(STANDING)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(contact.map(|id| id.to_string()))
        .fetch_optional(conn)
        .await
}

impl FromRow<'_, AnyRow> for Standing {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let purpose: Option<String> = row.try_get("purpose")?;
        let unanswered: Option<String> = row.try_get("unanswered")?;
        let id: Option<ConsentId> = row::id_or_null(row, "consent_id")?;
        let sealed: Option<Vec<u8>> = row.try_get("consent_sealed")?;
        Ok(Self {
            number: row.try_get("number_mac")?,
            purpose: purpose.and_then(|word| word.parse().ok()),
            last_inbound_at: row.try_get("last_inbound_at")?,
            unanswered: row::unanswered(unanswered.as_deref())?,
            is_trial: row.try_get::<i64, _>("trial")? == 1,
            trials: row.try_get("trials")?,
            refused_at: row.try_get("refused_at")?,
            consent: id.zip(sealed),
        })
    }
}

/// A consent to insert.
#[derive(Clone)]
pub(crate) struct NewRow {
    pub(crate) id: ConsentId,
    pub(crate) contact: ContactId,
    pub(crate) link: Option<OptInLinkId>,
    pub(crate) sealed: Vec<u8>,
    pub(crate) given_at: Millis,
    pub(crate) now: Millis,
}

/// Inserts a consent of the contact, or of the one that it was merged into.
pub(crate) async fn insert(tx: &mut Tx, org: OrgId, new: &NewRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO consent (id, org_id, contact_id, link_id, sealed, given_at, created_at) \
         SELECT $1, $2, coalesce(c.merged_into, c.id), $4, $5, $6, $7 FROM contact c WHERE c.org_id = $2 AND c.id = $3",
    )
    .bind(new.id.to_string())
    .bind(org.to_string())
    .bind(new.contact.to_string())
    .bind(new.link.map(|id| id.to_string()))
    .bind(new.sealed.as_slice())
    .bind(new.given_at)
    .bind(new.now)
    .run(tx)
    .await
}

/// Returns whether the contact has a consent that was given with this link and counts.
pub(crate) async fn is_given_with(
    tx: &mut Tx,
    org: OrgId,
    contact: ContactId,
    link: OptInLinkId,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query(concat!(
        "SELECT n.id FROM contact r JOIN consent n ON ",
        counts!(),
        " WHERE r.org_id = $1 AND r.id = $2 AND n.link_id = $3 LIMIT 1"
    ))
    .bind(org.to_string())
    .bind(contact.to_string())
    .bind(link.to_string())
    .fetch_optional(tx.conn())
    .await?;
    Ok(found.is_some())
}

/// A consent, with sealed values.
pub(crate) struct ConsentRow {
    pub(crate) id: ConsentId,
    pub(crate) contact: ContactId,
    pub(crate) link: Option<OptInLinkId>,
    pub(crate) sealed: Vec<u8>,
    pub(crate) given_at: Millis,
    pub(crate) revoked_at: Option<Millis>,
    /// The contact's last opt-out.
    pub(crate) refused_at: Option<Millis>,
    pub(crate) created_at: Millis,
}

impl FromRow<'_, AnyRow> for ConsentRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row::id(row, "id")?,
            contact: row::id(row, "contact_id")?,
            link: row::id_or_null(row, "link_id")?,
            sealed: row.try_get("sealed")?,
            given_at: row.try_get("given_at")?,
            revoked_at: row.try_get("revoked_at")?,
            refused_at: row.try_get("refused_at")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

macro_rules! listed {
    ($of:literal) => {
        concat!(
            "SELECT n.id, n.contact_id, n.link_id, n.sealed, n.given_at, n.revoked_at, r.refused_at, n.created_at \
             FROM contact r JOIN consent n ON n.contact_id = r.id WHERE r.org_id = $1 AND r.id = \
             coalesce((SELECT c.merged_into FROM contact c WHERE c.org_id = $1 AND c.id = $2), $2) AND ",
            $of
        )
    };
}

pub(in crate::store) const OF_CONTACT: &str = listed!("n.id < $3 ORDER BY n.id DESC LIMIT $4");

/// Returns the consents of this contact, or of the one that it was merged into, the newest first.
pub(crate) async fn list(
    conn: &mut AnyConnection,
    org: OrgId,
    contact: ContactId,
    page: &Page<ConsentId>,
) -> Result<Listed<ConsentRow>, sqlx::Error> {
    let rows = sqlx::query(OF_CONTACT)
        .bind(org.to_string())
        .bind(contact.to_string())
        .bind(page.below())
        .bind(page.fetch())
        .fetch_all(conn)
        .await?;
    Ok(row::page_as("consent", rows, page))
}

/// Returns one of them.
pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    contact: ContactId,
    id: ConsentId,
) -> Result<Option<ConsentRow>, sqlx::Error> {
    sqlx::query_as(listed!("n.id = $3"))
        .bind(org.to_string())
        .bind(contact.to_string())
        .bind(id.to_string())
        .fetch_optional(conn)
        .await
}

/// Revokes a consent of this contact, or of the one that it was merged into. Returns false if there is none that is not
/// revoked.
pub(crate) async fn revoke(
    tx: &mut Tx,
    org: OrgId,
    contact: ContactId,
    id: ConsentId,
    now: Millis,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE consent SET revoked_at = $4 WHERE org_id = $1 AND id = $3 AND revoked_at IS NULL AND contact_id = \
         coalesce((SELECT c.merged_into FROM contact c WHERE c.org_id = $1 AND c.id = $2), $2)",
    )
    .bind(org.to_string())
    .bind(contact.to_string())
    .bind(id.to_string())
    .bind(now)
    .changes(tx)
    .await
}

#[cfg(test)]
mod tests;
