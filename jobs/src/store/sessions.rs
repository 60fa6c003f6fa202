//! Sessions: what the tenant wants, together with the link and the lane.

use passerelle_engine::{
    clock::Millis,
    ids::{OrgId, SessionId},
    store::Tx,
};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::{
    live::told,
    organisations,
    row::{self, Run as _},
};
use crate::{
    model::Purpose,
    model::{Desired, Listed, Page, Presence, Uncertain},
};

/// The row of a session, its link and its lane, with sealed values.
pub(crate) struct Stored {
    pub(crate) id: SessionId,
    pub(crate) name: String,
    pub(crate) client_sealed: Option<Vec<u8>>,
    pub(crate) auto_reject_sealed: Option<Vec<u8>>,
    pub(crate) desired: Desired,
    pub(crate) uncertain: Uncertain,
    pub(crate) presence: Presence,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) created_at: Millis,
    pub(crate) linked_at: Option<Millis>,
    pub(crate) me_sealed: Option<Vec<u8>>,
    pub(crate) ended: Option<String>,
    pub(crate) banned_until: Option<Millis>,
    pub(crate) pending: i64,
    /// The state that its host published, if that host is alive.
    pub(crate) told: Option<String>,
}

macro_rules! listed {
    () => {
        concat!(
            "SELECT s.id, s.name, s.client_sealed, s.auto_reject_sealed, s.desired, s.uncertain, coalesce(s.presence, 'phone_first') AS presence, s.purpose, s.created_at, k.linked_at, k.me_sealed, k.ended, k.banned_until, l.pending, ",
            told!("coalesce(v.state, 'connecting')"),
            " AS told FROM session s JOIN link k ON k.session_id = s.id JOIN lane l ON l.session_id = s.id "
        )
    };
}

/// SQL that is true unless the row's session is deleted. `$1` is the organisation. The rows of a deleted
/// session are erased step by step, and nobody sees them in between.
macro_rules! alive {
    () => {
        "session_id NOT IN (SELECT id FROM session WHERE org_id = $1 AND deleted_at IS NOT NULL)"
    };
    // A column that is null for a row of no session.
    ($session:literal) => {
        concat!(
            "coalesce(",
            $session,
            ", '') NOT IN (SELECT id FROM session WHERE org_id = $1 AND deleted_at IS NOT NULL)"
        )
    };
}
pub(in crate::store) use alive;

/// Counts the organisation's sessions. No other session of it is created until the transaction ends.
pub(crate) async fn count(tx: &mut Tx, org: OrgId) -> Result<i64, sqlx::Error> {
    organisations::lock(tx, org).await?;
    sqlx::query_scalar("SELECT count(*) FROM session WHERE org_id = $1 AND deleted_at IS NULL")
        .bind(org.to_string())
        .fetch_one(tx.conn())
        .await
}

/// Returns whether there is such a session.
pub(crate) async fn exists(tx: &mut Tx, org: OrgId, id: SessionId) -> Result<bool, sqlx::Error> {
    let found: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM session WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_one(tx.conn())
    .await?;
    Ok(found > 0)
}

/// A session to insert.
pub(crate) struct New<'a> {
    pub(crate) name: &'a str,
    pub(crate) client_sealed: Option<&'a [u8]>,
    pub(crate) auto_reject_sealed: Option<&'a [u8]>,
    pub(crate) presence: Presence,
    pub(crate) purpose: Option<Purpose>,
}

/// Inserts the session with its link, lease and lane, all inactive.
pub(crate) async fn insert(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    new: New<'_>,
    now: Millis,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO session (id, org_id, name, desired, created_at, client_sealed, presence, auto_reject_sealed, purpose) \
         VALUES ($1, $2, $3, 'stopped', $4, $5, $6, $7, $8)",
    )
    .bind(id.to_string())
    .bind(org.to_string())
    .bind(new.name)
    .bind(now)
    .bind(new.client_sealed)
    .bind(new.presence.as_str())
    .bind(new.auto_reject_sealed)
    .bind(new.purpose.map(Purpose::as_str))
    .execute(tx.conn())
    .await?;
    for sql in [
        "INSERT INTO link (session_id, org_id) VALUES ($1, $2)",
        "INSERT INTO lease (session_id, org_id, epoch) VALUES ($1, $2, 0)",
        "INSERT INTO lane (session_id, org_id, last_seq, pending, next_at, open_epoch, last_event) VALUES ($1, $2, 0, 0, 0, 0, 0)",
    ] {
        sqlx::query(sql)
            .bind(id.to_string())
            .bind(org.to_string())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

pub(crate) async fn read(
    conn: &mut AnyConnection,
    org: OrgId,
    id: SessionId,
    seen_since: Millis,
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as(concat!(listed!(), "WHERE s.org_id = $1 AND s.id = $2"))
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(seen_since)
        .fetch_optional(conn)
        .await
}

pub(crate) async fn list(
    conn: &mut AnyConnection,
    org: OrgId,
    page: &Page<SessionId>,
    seen_since: Millis,
) -> Result<Listed<Stored>, sqlx::Error> {
    let rows = sqlx::query(concat!(
        listed!(),
        "WHERE s.org_id = $1 AND s.id < $2 ORDER BY s.id DESC LIMIT $4"
    ))
    .bind(org.to_string())
    .bind(page.below())
    .bind(seen_since)
    .bind(page.fetch())
    .fetch_all(conn)
    .await?;
    Ok(row::page_as("session", rows, page))
}

/// Renames a session, if there is a name, and locks it until the transaction ends. Returns whether there is such a session.
pub(crate) async fn rename(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    name: Option<&str>,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE session SET name = coalesce($3, name) WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(name)
    .changes(tx)
    .await
}

/// Returns what the tenant attached to the session.
pub(crate) async fn client(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let row = sqlx::query("SELECT client_sealed FROM session WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .fetch_optional(tx.conn())
        .await?;
    row.map_or(Ok(None), |row| row.try_get("client_sealed"))
}

/// Stores what the tenant attached to the session.
pub(crate) async fn set_client(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    client_sealed: Option<&[u8]>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE session SET client_sealed = $3 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(client_sealed)
        .run(tx)
        .await
}

/// Stores what the tenant wants. Returns whether there is such a session.
pub(crate) async fn want(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    desired: Desired,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE session SET desired = $3 WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(desired.as_str())
    .changes(tx)
    .await
}

/// Sets what happens to its uncertain sends. Returns whether there is such a session.
pub(crate) async fn set_uncertain(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    uncertain: Uncertain,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE session SET uncertain = $3 WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(uncertain.as_str())
    .changes(tx)
    .await
}

/// Returns what happens to its uncertain sends.
pub(crate) async fn uncertain(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
) -> Result<Uncertain, sqlx::Error> {
    let row = sqlx::query("SELECT uncertain FROM session WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .fetch_one(tx.conn())
        .await?;
    row::word(&row, "uncertain")
}

/// Sets whether it shows as online. Returns whether there is such a session.
pub(crate) async fn set_presence(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    presence: Presence,
) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "UPDATE session SET presence = $3 WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(presence.as_str())
    .changes(tx)
    .await
}

/// Returns whether it shows as online.
pub(crate) async fn presence(
    conn: &mut AnyConnection,
    org: OrgId,
    id: SessionId,
) -> Result<Presence, sqlx::Error> {
    let row = sqlx::query(
        "SELECT coalesce(presence, 'phone_first') AS presence FROM session WHERE org_id = $1 AND id = $2",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .fetch_one(conn)
    .await?;
    row::word(&row, "presence")
}

/// Sets the purpose of its messages that name none.
pub(crate) async fn set_purpose(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    purpose: Option<Purpose>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE session SET purpose = $3 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(purpose.map(Purpose::as_str))
        .run(tx)
        .await
}

/// Sets what it does with calls.
pub(crate) async fn set_auto_reject(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    auto_reject_sealed: Option<&[u8]>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE session SET auto_reject_sealed = $3 WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .bind(auto_reject_sealed)
        .run(tx)
        .await
}

/// Returns what it does with calls.
pub(crate) async fn auto_reject(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let row = sqlx::query("SELECT auto_reject_sealed FROM session WHERE org_id = $1 AND id = $2")
        .bind(org.to_string())
        .bind(id.to_string())
        .fetch_optional(tx.conn())
        .await?;
    row.map_or(Ok(None), |row| row.try_get("auto_reject_sealed"))
}

/// Deletes the session with its link, lease and lane, so that nothing runs it and nothing is added to it.
/// What remains is erased step by step ([`erasures`](super::system::erasures)). Returns whether there was
/// such a session.
pub(crate) async fn delete(
    tx: &mut Tx,
    org: OrgId,
    id: SessionId,
    now: Millis,
) -> Result<bool, sqlx::Error> {
    // The lease and the lane first, in the order in which a host locks them.
    for sql in [
        "DELETE FROM lease WHERE org_id = $1 AND session_id = $2",
        "UPDATE lane SET open_epoch = 0 WHERE org_id = $1 AND session_id = $2",
        "DELETE FROM acquaintance WHERE org_id = $1 AND number_mac = (SELECT l.number_mac FROM lane l WHERE l.org_id = $1 AND l.session_id = $2)",
        "DELETE FROM lane WHERE org_id = $1 AND session_id = $2",
        "DELETE FROM link WHERE org_id = $1 AND session_id = $2",
        "DELETE FROM live WHERE org_id = $1 AND session_id = $2",
        "DELETE FROM command WHERE org_id = $1 AND session_id = $2",
        "DELETE FROM opt_in_link WHERE org_id = $1 AND session_id = $2",
    ] {
        sqlx::query(sql)
            .bind(org.to_string())
            .bind(id.to_string())
            .run(tx)
            .await?;
    }
    sqlx::query(
        "UPDATE session SET deleted_at = $3, name = '', client_sealed = NULL, auto_reject_sealed = NULL, desired = 'stopped' \
         WHERE org_id = $1 AND id = $2 AND deleted_at IS NULL",
    )
    .bind(org.to_string())
    .bind(id.to_string())
    .bind(now)
    .changes(tx)
    .await
}

impl FromRow<'_, AnyRow> for Stored {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let desired: String = row.try_get("desired")?;
        Ok(Self {
            id: row::id(row, "id")?,
            name: row.try_get("name")?,
            client_sealed: row.try_get("client_sealed")?,
            auto_reject_sealed: row.try_get("auto_reject_sealed")?,
            // A word of a later version must not start a session.
            desired: desired.parse().unwrap_or(Desired::Stopped),
            uncertain: row::word(row, "uncertain")?,
            presence: row::word(row, "presence")?,
            purpose: {
                let word: Option<String> = row.try_get("purpose")?;
                word.and_then(|word| word.parse().ok())
            },
            created_at: row.try_get("created_at")?,
            linked_at: row.try_get("linked_at")?,
            me_sealed: row.try_get("me_sealed")?,
            ended: row.try_get("ended")?,
            banned_until: row.try_get("banned_until")?,
            pending: row.try_get("pending")?,
            told: row.try_get("told")?,
        })
    }
}
