//! What a number knows of the people it writes to.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, OrgId, SessionId},
    over_list,
    store::Tx,
};
use serde_json::json;
use sqlx::{AnyConnection, Row as _};

use super::row::{self, Run as _};

/// What a session's number knows of a contact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Acquaintance {
    /// The contact's last message to the number.
    pub(crate) last_inbound_at: Option<Millis>,
    /// The contact is one of the first people that the number wrote to.
    pub(crate) is_trial: bool,
    /// When messages went out that the contact has not answered, oldest first.
    pub(crate) unanswered: Vec<Millis>,
}

/// Returns what the session's number knows of a contact; `None` if they never wrote to each other, or the session was
/// never linked.
pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    session: SessionId,
    contact: ContactId,
) -> Result<Option<Acquaintance>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT a.last_inbound_at, a.trial, a.unanswered FROM lane l JOIN acquaintance a \
         ON a.org_id = l.org_id AND a.number_mac = l.number_mac AND a.contact_id = \
         coalesce((SELECT c.merged_into FROM contact c WHERE c.org_id = $1 AND c.id = $3), $3) \
         WHERE l.org_id = $1 AND l.session_id = $2",
    )
    .bind(org.to_string())
    .bind(session.to_string())
    .bind(contact.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        let unanswered: Option<String> = row.try_get("unanswered")?;
        Ok(Acquaintance {
            last_inbound_at: row.try_get("last_inbound_at")?,
            is_trial: row.try_get::<i64, _>("trial")? == 1,
            unanswered: row::unanswered(unanswered.as_deref())?,
        })
    })
    .transpose()
}

/// Makes the acquaintance of a session's number with a contact, and lets nobody else change it until the transaction ends.
/// A session that never knew its number makes none.
pub(crate) async fn meet(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    contact: ContactId,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO acquaintance (org_id, number_mac, contact_id, used_at) \
         SELECT l.org_id, l.number_mac, coalesce(c.merged_into, c.id), $4 FROM lane l JOIN contact c ON c.org_id = $1 AND c.id = $3 \
         WHERE l.org_id = $1 AND l.session_id = $2 AND l.number_mac IS NOT NULL \
         ON CONFLICT (org_id, number_mac, contact_id) DO UPDATE SET used_at = \
         CASE WHEN acquaintance.used_at > excluded.used_at THEN acquaintance.used_at ELSE excluded.used_at END",
    )
    .bind(org.to_string())
    .bind(session.to_string())
    .bind(contact.to_string())
    .bind(now)
    .run(tx)
    .await
}

/// Makes a contact whom the number has [met](meet) one of the first people that it writes to, if there are fewer than `most`.
/// The caller has locked the lane, so that nobody else counts at the same time.
pub(crate) async fn try_out(
    tx: &mut Tx,
    org: OrgId,
    number: &[u8],
    contact: ContactId,
    most: i64,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE acquaintance SET trial = 1 WHERE org_id = $1 AND number_mac = $2 AND contact_id = \
         coalesce((SELECT c.merged_into FROM contact c WHERE c.org_id = $1 AND c.id = $3), $3) AND (\
         SELECT count(*) FROM acquaintance t WHERE t.org_id = $1 AND t.number_mac = $2 AND t.trial = 1) < $4",
    )
    .bind(org.to_string())
    .bind(number.to_vec())
    .bind(contact.to_string())
    .bind(most)
    .changes(tx)
    .await
}

/// Counts the first people that the number wrote to.
pub(crate) async fn trials(tx: &mut Tx, org: OrgId, number: &[u8]) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT count(*) FROM acquaintance WHERE org_id = $1 AND number_mac = $2 AND trial = 1",
    )
    .bind(org.to_string())
    .bind(number.to_vec())
    .fetch_one(tx.conn())
    .await
}

/// Records which contacts wrote to the session's number, and when each did last. A session that never knew its number records
/// nothing.
///
/// A claim locks the lane first and these rows later. So whoever needs the lane, too, does this last.
pub(crate) async fn heard(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    wrote: &HashMap<ContactId, Millis>,
) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "INSERT INTO acquaintance (org_id, number_mac, contact_id, last_inbound_at, used_at) \
         SELECT l.org_id, l.number_mac, wrote.value ->> 0, CAST(wrote.value ->> 1 AS bigint), CAST(wrote.value ->> 1 AS bigint) FROM",
        "wrote JOIN lane l ON l.org_id = $2 AND l.session_id = $3 AND l.number_mac IS NOT NULL WHERE 1 = 1 \
         ON CONFLICT (org_id, number_mac, contact_id) DO UPDATE SET unanswered = NULL, \
         answered = CASE WHEN acquaintance.unanswered IS NULL THEN acquaintance.answered ELSE coalesce(acquaintance.answered || ';', '') || \
         CASE WHEN acquaintance.last_inbound_at IS NULL THEN '!' ELSE '' END || acquaintance.unanswered END, \
         last_inbound_at = CASE WHEN acquaintance.last_inbound_at > excluded.last_inbound_at \
         THEN acquaintance.last_inbound_at ELSE excluded.last_inbound_at END, \
         used_at = CASE WHEN acquaintance.used_at > excluded.used_at THEN acquaintance.used_at ELSE excluded.used_at END"
    );
    let list: Vec<_> = wrote.iter().collect();
    sqlx::query(sql)
        .bind(json!(list).to_string())
        .bind(org.to_string())
        .bind(session.to_string())
        .run(tx)
        .await
}

/// Gives a contact (`$2`) what numbers knew of another one (`$3`) that is the same person. What either of
/// them has not answered stays unanswered, unless the other one wrote after it.
pub(super) const MERGE: [&str; 2] = [
    "INSERT INTO acquaintance (org_id, number_mac, contact_id, last_inbound_at, trial, opened_at, unanswered, answered, used_at) \
     SELECT org_id, number_mac, $2, last_inbound_at, trial, opened_at, unanswered, answered, used_at FROM acquaintance \
     WHERE org_id = $1 AND contact_id = $3 \
     ON CONFLICT (org_id, number_mac, contact_id) DO UPDATE SET \
     last_inbound_at = CASE WHEN acquaintance.last_inbound_at IS NULL OR excluded.last_inbound_at > acquaintance.last_inbound_at \
     THEN excluded.last_inbound_at ELSE acquaintance.last_inbound_at END, \
     trial = CASE WHEN acquaintance.trial = 1 THEN 1 ELSE excluded.trial END, \
     opened_at = coalesce(acquaintance.opened_at, excluded.opened_at), \
     unanswered = CASE \
     WHEN excluded.unanswered IS NULL OR acquaintance.last_inbound_at > excluded.used_at THEN \
     CASE WHEN excluded.last_inbound_at > acquaintance.used_at THEN NULL ELSE acquaintance.unanswered END \
     WHEN acquaintance.unanswered IS NULL OR excluded.last_inbound_at > acquaintance.used_at THEN excluded.unanswered \
     ELSE substr(acquaintance.unanswered, 1, length(acquaintance.unanswered) - 1) || ',' || substr(excluded.unanswered, 2) END, \
     answered = coalesce(acquaintance.answered || ';' || excluded.answered, acquaintance.answered, excluded.answered), \
     used_at = CASE WHEN acquaintance.used_at > excluded.used_at THEN acquaintance.used_at ELSE excluded.used_at END",
    "DELETE FROM acquaintance WHERE org_id = $1 AND contact_id = $3",
];
