//! Tokens of deliveries: which are under way, and the claim by one. Of every
//! tenant at once, and PostgreSQL's alone: only a cluster has tokens.
//!
//! A delivery with `dispatched_at` waits for its last token. Whoever claims it clears that, by token
//! or without, so every other token of it finds nothing to change.

use passerelle_engine::{
    clock::Millis,
    ids::{DeliveryId, OrgId},
    store::{SystemRead, SystemTx},
};
use sqlx::{Row as _, any::AnyRow};

use super::delivery_claims::{self, PER_ENDPOINT};
use crate::store::row;

/// A delivery whose token is to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dispatched {
    pub(crate) delivery: DeliveryId,
    /// Attempts made before.
    pub(crate) attempts: i64,
    /// Which of the delivery's tokens this is.
    pub(crate) generation: i64,
    /// Whether the token before was lost.
    pub(crate) again: bool,
}

/// What may be dispatched now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) now: Millis,
    /// A token that was pushed before this and claimed nothing is lost.
    pub(crate) lost_before: Millis,
    /// Tokens under way at most.
    pub(crate) most: i64,
    /// Tokens pushed now at most.
    pub(crate) pushed: i64,
}

/// Makes this the one process that dispatches until the transaction ends; false when another does.
pub(crate) async fn alone(tx: &mut SystemTx) -> Result<bool, sqlx::Error> {
    // Any number that no other use of advisory locks in this database takes.
    let taken: i64 = sqlx::query_scalar(
        "SELECT CASE WHEN pg_try_advisory_xact_lock(7030261) THEN 1 ELSE 0 END::bigint",
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(taken == 1)
}

/// Marks deliveries that are due, or whose claim lapsed, as dispatched, the longest due first; of an
/// endpoint no more than may be under way at once.
pub(crate) async fn dispatch(
    tx: &mut SystemTx,
    room: Room,
) -> Result<Vec<Dispatched>, sqlx::Error> {
    let rows = sqlx::query(
        "WITH busy AS (\
           SELECT endpoint_id, count(*) AS under_way FROM (\
             SELECT endpoint_id FROM delivery WHERE status = 'running' AND due_at > $1 \
             UNION ALL SELECT endpoint_id FROM delivery WHERE dispatched_at > $2) u GROUP BY endpoint_id), \
         due AS (\
           SELECT d.id, d.endpoint_id, d.due_at, CASE WHEN d.dispatched_at IS NULL THEN 0 ELSE 1 END AS again \
           FROM delivery d \
           WHERE d.status IN ('due', 'running') AND d.due_at <= $1 \
             AND (d.dispatched_at IS NULL OR d.dispatched_at <= $2) \
             AND d.endpoint_id NOT IN (SELECT endpoint_id FROM busy WHERE under_way >= $3) \
           ORDER BY d.due_at \
           LIMIT least($5, greatest(0, $4 - (SELECT count(*) FROM delivery WHERE dispatched_at > $2))) \
           FOR UPDATE SKIP LOCKED), \
         placed AS (\
           SELECT id, endpoint_id, again, row_number() OVER (PARTITION BY endpoint_id ORDER BY due_at) AS place FROM due) \
         UPDATE delivery d SET dispatched_at = $1, generation = d.generation + 1 \
         FROM placed p LEFT JOIN busy b ON b.endpoint_id = p.endpoint_id \
         WHERE d.id = p.id AND p.place + coalesce(b.under_way, 0) <= $3 \
         RETURNING d.id, d.attempts, d.generation, p.again::bigint AS again",
    )
    .bind(room.now)
    .bind(room.lost_before)
    .bind(PER_ENDPOINT)
    .bind(room.most)
    .bind(room.pushed)
    .fetch_all(tx.conn())
    .await?;
    rows.iter().map(dispatched).collect()
}

/// When the next delivery to an endpoint with room can be dispatched.
pub(crate) async fn next_at(
    conn: &mut SystemRead,
    now: Millis,
    lost_before: Millis,
) -> Result<Option<Millis>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT due_at FROM delivery WHERE status IN ('due', 'running') \
           AND (dispatched_at IS NULL OR dispatched_at <= $2) \
           AND endpoint_id NOT IN (\
             SELECT endpoint_id FROM (\
               SELECT endpoint_id FROM delivery WHERE status = 'running' AND due_at > $1 \
               UNION ALL SELECT endpoint_id FROM delivery WHERE dispatched_at > $2) u \
             GROUP BY endpoint_id HAVING count(*) >= $3) \
         ORDER BY due_at LIMIT 1",
    )
    .bind(now)
    .bind(lost_before)
    .bind(PER_ENDPOINT)
    .fetch_optional(&mut **conn)
    .await
}

/// Claims a delivery by its token from `now` until `lapse`: whose it is, or none when the token is not
/// the last one or the delivery is claimed already. Where its endpoint has no room the token is taken
/// back: the delivery is dispatched again when there is.
pub(crate) async fn claim(
    tx: &mut SystemTx,
    id: DeliveryId,
    attempts: i64,
    generation: i64,
    (now, lapse): (Millis, Millis),
) -> Result<Option<OrgId>, sqlx::Error> {
    delivery_claims::reserve(tx, id).await?;
    let row = sqlx::query(
        "UPDATE delivery SET status = 'running', due_at = $4, dispatched_at = NULL \
         WHERE id = $1 AND attempts = $2 AND generation = $3 AND dispatched_at IS NOT NULL \
           AND status IN ('due', 'running') AND (\
             SELECT count(*) FROM delivery r WHERE r.endpoint_id = delivery.endpoint_id \
             AND r.status = 'running' AND r.due_at > $5) < $6 RETURNING org_id",
    )
    .bind(id.to_string())
    .bind(attempts)
    .bind(generation)
    .bind(lapse)
    .bind(now)
    .bind(PER_ENDPOINT)
    .fetch_optional(tx.conn())
    .await?;
    match row {
        Some(row) => row::id(&row, "org_id").map(Some),
        // Of a token that is not the last one this finds nothing.
        None => take_back(tx, id, generation).await.map(|()| None),
    }
}

/// Takes back what could not be pushed.
pub(crate) async fn take_back(
    tx: &mut SystemTx,
    id: DeliveryId,
    generation: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE delivery SET dispatched_at = NULL WHERE id = $1 AND generation = $2")
        .bind(id.to_string())
        .bind(generation)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Takes back everything that is under way: the transport lost it all. How much that was.
pub(crate) async fn take_back_all(tx: &mut SystemTx) -> Result<u64, sqlx::Error> {
    // What another transaction holds at this moment, it claims or ends.
    let taken = sqlx::query(
        "UPDATE delivery SET dispatched_at = NULL WHERE id IN \
         (SELECT id FROM delivery WHERE dispatched_at IS NOT NULL FOR UPDATE SKIP LOCKED)",
    )
    .execute(tx.conn())
    .await?;
    Ok(taken.rows_affected())
}

fn dispatched(row: &AnyRow) -> Result<Dispatched, sqlx::Error> {
    Ok(Dispatched {
        delivery: row::id(row, "id")?,
        attempts: row.try_get("attempts")?,
        generation: row.try_get("generation")?,
        again: row.try_get::<i64, _>("again")? == 1,
    })
}
