//! The live states of sessions that somebody watches: those of every tenant that is watched in a process, in one
//! statement.

use passerelle_engine::{
    clock::Millis,
    ids::{OrgId, SessionId},
    over_list,
    store::{Dialect, SystemRead},
};
use serde_json::json;
use sqlx::{Row as _, any::AnyRow};

use crate::store::row;

/// What a live host last published of a session.
pub(crate) struct Published {
    pub(crate) org: OrgId,
    pub(crate) session: SessionId,
    pub(crate) state: String,
    pub(crate) qr_sealed: Option<Vec<u8>>,
}

/// Returns what was published of those of these sessions whose host was seen since `seen_since`. A host that has
/// just taken the lease has published nothing yet.
pub(crate) async fn published(
    conn: &mut SystemRead,
    dialect: Dialect,
    sessions: &[SessionId],
    seen_since: Millis,
) -> Result<Vec<Published>, sqlx::Error> {
    let sql = over_list!(
        dialect,
        "SELECT e.org_id, e.session_id, coalesce(v.state, 'connecting') AS state, v.qr_sealed FROM",
        "followed JOIN lease e ON e.session_id = followed.value ->> 0 \
         JOIN host h ON h.id = e.host_id AND h.seen_at >= $2 \
         LEFT JOIN live v ON v.session_id = e.session_id AND v.epoch = e.epoch AND v.boot_id = h.boot_id"
    );
    let sessions: Vec<_> = sessions.iter().map(|id| [id]).collect();
    let rows = sqlx::query(sql)
        .bind(json!(sessions).to_string())
        .bind(seen_since)
        .fetch_all(&mut **conn)
        .await?;
    let read = |row: &AnyRow| {
        Ok(Published {
            org: row::id(row, "org_id")?,
            session: row::id(row, "session_id")?,
            state: row.try_get("state")?,
            qr_sealed: row.try_get("qr_sealed")?,
        })
    };
    Ok(row::each("live", &rows, read))
}
