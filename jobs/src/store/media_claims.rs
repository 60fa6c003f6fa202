//! Files of every organisation: which are to be fetched and which are to go. Like
//! [`system`](super::system), it serves every tenant at once.

use passerelle_engine::{
    clock::Millis,
    ids::{MediaId, OrgId},
    store::{Dialect, Tx},
};
use sqlx::{AnyConnection, any::AnyRow};

use super::row;

/// Claims at most `limit` files to fetch until `lapse`, the longest due first. Due is one whose time
/// has come, and one being fetched whose claim has lapsed: its worker died.
pub(crate) async fn claim(
    tx: &mut Tx,
    now: Millis,
    lapse: Millis,
    limit: i64,
) -> Result<Vec<(OrgId, MediaId)>, sqlx::Error> {
    const SQLITE: &str = "UPDATE media SET status = 'fetching', attempts = attempts + 1, due_at = $2 WHERE id IN \
         (SELECT id FROM media WHERE status IN ('pending', 'fetching') AND due_at <= $1 ORDER BY due_at LIMIT $3) \
         RETURNING org_id, id";
    // PostgreSQL alone has to be told to pass over what others are claiming.
    const POSTGRES: &str = "UPDATE media SET status = 'fetching', attempts = attempts + 1, due_at = $2 WHERE id IN \
         (SELECT id FROM media WHERE status IN ('pending', 'fetching') AND due_at <= $1 ORDER BY due_at LIMIT $3 \
          FOR UPDATE SKIP LOCKED) RETURNING org_id, id";
    let sql = match tx.dialect() {
        Dialect::Sqlite => SQLITE,
        Dialect::Postgres => POSTGRES,
    };
    let rows = sqlx::query(sql)
        .bind(now)
        .bind(lapse)
        .bind(limit)
        .fetch_all(tx.conn())
        .await?;
    rows.iter().map(ids).collect()
}

/// When the next file can be claimed.
pub(crate) async fn next_at(conn: &mut AnyConnection) -> Result<Option<Millis>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT due_at FROM media WHERE status IN ('pending', 'fetching') ORDER BY due_at LIMIT 1",
    )
    .fetch_optional(conn)
    .await
}

/// Files whose time is over.
pub(crate) async fn overdue(
    conn: &mut AnyConnection,
    now: Millis,
) -> Result<Vec<(OrgId, MediaId)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT org_id, id FROM media WHERE delete_at <= $1 ORDER BY delete_at LIMIT 200",
    )
    .bind(now)
    .fetch_all(conn)
    .await?;
    rows.iter().map(ids).collect()
}

/// Whether the file is known.
pub(crate) async fn exists(
    conn: &mut AnyConnection,
    id: MediaId,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query("SELECT id FROM media WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

fn ids(row: &AnyRow) -> Result<(OrgId, MediaId), sqlx::Error> {
    Ok((row::id(row, "org_id")?, row::id(row, "id")?))
}
