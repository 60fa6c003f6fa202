//! Tokens of rows: which are under way, and the claim by one. Of every tenant at once, and
//! PostgreSQL's alone: only a cluster has tokens.
//!
//! A row with `dispatched_at` waits for its last token. Whoever claims it clears that, by token or
//! without, so every other token of it finds nothing to change.

use std::fmt::Display;

use passerelle_engine::{
    clock::Millis,
    ids::OrgId,
    store::{SystemRead, SystemTx},
};
use sqlx::{Row as _, any::AnyRow};

use super::{delivery_claims, media_claims};
use crate::{model::token::RowToken, store::row};

/// A row whose token is to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dispatched {
    pub(crate) id: String,
    /// Attempts made before.
    pub(crate) attempts: i64,
    /// Which of the row's tokens this is.
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

/// The rows of one table, as tokens have them. No more than `per_group` rows of a group (the deliveries
/// to an endpoint, the files of an organisation) are under way at once.
///
/// `alone` and `reserve` lock numbers that no other use of advisory locks in this database takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    per_group: i64,
    alone: &'static str,
    next_at: &'static str,
    dispatch: &'static str,
    reserve: &'static str,
    claim: &'static str,
    take_back: &'static str,
    take_back_all: &'static str,
}

/// Deliveries of webhooks.
pub(crate) const DELIVERIES: Rows = Rows {
    per_group: delivery_claims::PER_ENDPOINT,
    alone: "SELECT CASE WHEN pg_try_advisory_xact_lock(7030261) THEN 1 ELSE 0 END::bigint",
    next_at: "
        SELECT due_at FROM delivery
        WHERE status IN ('due', 'running') AND (dispatched_at IS NULL OR dispatched_at <= $2)
          AND endpoint_id NOT IN (
            SELECT endpoint_id FROM (
              SELECT endpoint_id FROM delivery WHERE status = 'running' AND due_at > $1
              UNION ALL SELECT endpoint_id FROM delivery WHERE dispatched_at > $2) u
            GROUP BY endpoint_id HAVING count(*) >= $3)
        ORDER BY due_at LIMIT 1",
    dispatch: "
        WITH busy AS (
          SELECT group_id, count(*) AS under_way FROM (
            SELECT endpoint_id AS group_id FROM delivery WHERE status = 'running' AND due_at > $1
            UNION ALL SELECT endpoint_id FROM delivery WHERE dispatched_at > $2) u GROUP BY group_id),
        due AS (
          SELECT d.id, d.endpoint_id AS group_id, d.due_at,
            CASE WHEN d.dispatched_at IS NULL THEN 0 ELSE 1 END AS again
          FROM delivery d
          WHERE d.status IN ('due', 'running') AND d.due_at <= $1
            AND (d.dispatched_at IS NULL OR d.dispatched_at <= $2)
            AND d.endpoint_id NOT IN (SELECT group_id FROM busy WHERE under_way >= $3)
          ORDER BY d.due_at
          LIMIT least($5, greatest(0, $4 - (SELECT count(*) FROM delivery WHERE dispatched_at > $2)))
          FOR UPDATE SKIP LOCKED),
        placed AS (
          SELECT id, group_id, again, row_number() OVER (PARTITION BY group_id ORDER BY due_at) AS place
          FROM due)
        UPDATE delivery d SET dispatched_at = $1, generation = d.generation + 1
        FROM placed p LEFT JOIN busy b ON b.group_id = p.group_id
        WHERE d.id = p.id AND p.place + coalesce(b.under_way, 0) <= $3
        RETURNING d.id, d.attempts, d.generation, p.again::bigint AS again",
    reserve: "SELECT pg_advisory_xact_lock(7030262, hashtext(endpoint_id))::text FROM delivery WHERE id = $1",
    claim: "
        UPDATE delivery SET status = 'running', due_at = $4, dispatched_at = NULL
        WHERE id = $1 AND attempts = $2 AND generation = $3 AND dispatched_at IS NOT NULL
          AND status IN ('due', 'running') AND (
            SELECT count(*) FROM delivery r
            WHERE r.endpoint_id = delivery.endpoint_id AND r.status = 'running' AND r.due_at > $5) < $6
        RETURNING org_id",
    take_back: "UPDATE delivery SET dispatched_at = NULL WHERE id = $1 AND generation = $2",
    // What another transaction holds at this moment, it claims or ends.
    take_back_all: "
        UPDATE delivery SET dispatched_at = NULL
        WHERE id IN (SELECT id FROM delivery WHERE dispatched_at IS NOT NULL FOR UPDATE SKIP LOCKED)",
};

/// Files to fetch. Their claim counts the try.
pub(crate) const FILES: Rows = Rows {
    per_group: media_claims::PER_ORG,
    alone: "SELECT CASE WHEN pg_try_advisory_xact_lock(7030263) THEN 1 ELSE 0 END::bigint",
    next_at: "
        SELECT due_at FROM media
        WHERE status IN ('pending', 'deferred', 'fetching') AND (dispatched_at IS NULL OR dispatched_at <= $2)
          AND org_id NOT IN (
            SELECT org_id FROM (
              SELECT org_id FROM media WHERE status = 'fetching' AND due_at > $1
              UNION ALL SELECT org_id FROM media WHERE dispatched_at > $2) u
            GROUP BY org_id HAVING count(*) >= $3)
        ORDER BY due_at LIMIT 1",
    dispatch: "
        WITH busy AS (
          SELECT group_id, count(*) AS under_way FROM (
            SELECT org_id AS group_id FROM media WHERE status = 'fetching' AND due_at > $1
            UNION ALL SELECT org_id FROM media WHERE dispatched_at > $2) u GROUP BY group_id),
        due AS (
          SELECT d.id, d.org_id AS group_id, d.due_at,
            CASE WHEN d.dispatched_at IS NULL THEN 0 ELSE 1 END AS again
          FROM media d
          WHERE d.status IN ('pending', 'deferred', 'fetching') AND d.due_at <= $1
            AND (d.dispatched_at IS NULL OR d.dispatched_at <= $2)
            AND d.org_id NOT IN (SELECT group_id FROM busy WHERE under_way >= $3)
          ORDER BY d.due_at
          LIMIT least($5, greatest(0, $4 - (SELECT count(*) FROM media WHERE dispatched_at > $2)))
          FOR UPDATE SKIP LOCKED),
        placed AS (
          SELECT id, group_id, again, row_number() OVER (PARTITION BY group_id ORDER BY due_at) AS place
          FROM due)
        UPDATE media d SET dispatched_at = $1, generation = d.generation + 1
        FROM placed p LEFT JOIN busy b ON b.group_id = p.group_id
        WHERE d.id = p.id AND p.place + coalesce(b.under_way, 0) <= $3
        RETURNING d.id, d.attempts, d.generation, p.again::bigint AS again",
    reserve: "SELECT pg_advisory_xact_lock(7030264, hashtext(org_id))::text FROM media WHERE id = $1",
    claim: "
        UPDATE media SET status = 'fetching', due_at = $4, dispatched_at = NULL, attempts = attempts + 1
        WHERE id = $1 AND attempts = $2 AND generation = $3 AND dispatched_at IS NOT NULL
          AND status IN ('pending', 'deferred', 'fetching') AND (
            SELECT count(*) FROM media r
            WHERE r.org_id = media.org_id AND r.status = 'fetching' AND r.due_at > $5) < $6
        RETURNING org_id",
    take_back: "UPDATE media SET dispatched_at = NULL WHERE id = $1 AND generation = $2",
    // What another transaction holds at this moment, it claims or ends.
    take_back_all: "
        UPDATE media SET dispatched_at = NULL
        WHERE id IN (SELECT id FROM media WHERE dispatched_at IS NOT NULL FOR UPDATE SKIP LOCKED)",
};

impl Rows {
    /// Makes this the one process that dispatches them until the transaction ends; false when another
    /// does.
    pub(crate) async fn alone(&self, tx: &mut SystemTx) -> Result<bool, sqlx::Error> {
        let taken: i64 = sqlx::query_scalar(self.alone).fetch_one(tx.conn()).await?;
        Ok(taken == 1)
    }

    /// Marks rows that are due, or whose claim lapsed, as dispatched, the longest due first; of a group
    /// no more than may be under way at once.
    pub(crate) async fn dispatch(
        &self,
        tx: &mut SystemTx,
        room: Room,
    ) -> Result<Vec<Dispatched>, sqlx::Error> {
        let rows = sqlx::query(self.dispatch)
            .bind(room.now)
            .bind(room.lost_before)
            .bind(self.per_group)
            .bind(room.most)
            .bind(room.pushed)
            .fetch_all(tx.conn())
            .await?;
        rows.iter().map(dispatched).collect()
    }

    /// When the next row of a group with room can be dispatched.
    pub(crate) async fn next_at(
        &self,
        conn: &mut SystemRead,
        now: Millis,
        lost_before: Millis,
    ) -> Result<Option<Millis>, sqlx::Error> {
        sqlx::query_scalar(self.next_at)
            .bind(now)
            .bind(lost_before)
            .bind(self.per_group)
            .fetch_optional(&mut **conn)
            .await
    }

    /// Claims a row by its token from `now` until `lapse`: whose it is, or none when the token is not
    /// the last one or the row is claimed already. Where its group has no room the token is taken back:
    /// the row is dispatched again when there is.
    pub(crate) async fn claim(
        &self,
        tx: &mut SystemTx,
        token: RowToken<impl Display>,
        (now, lapse): (Millis, Millis),
    ) -> Result<Option<OrgId>, sqlx::Error> {
        let id = token.id.to_string();
        // What was claimed before is seen by a statement after this one.
        sqlx::query(self.reserve)
            .bind(&id)
            .execute(tx.conn())
            .await?;
        let row = sqlx::query(self.claim)
            .bind(&id)
            .bind(token.attempts)
            .bind(token.generation)
            .bind(lapse)
            .bind(now)
            .bind(self.per_group)
            .fetch_optional(tx.conn())
            .await?;
        match row {
            Some(row) => row::id(&row, "org_id").map(Some),
            // Of a token that is not the last one this finds nothing.
            None => self
                .take_back(tx, &id, token.generation)
                .await
                .map(|()| None),
        }
    }

    /// Takes back what could not be pushed.
    pub(crate) async fn take_back(
        &self,
        tx: &mut SystemTx,
        id: &str,
        generation: i64,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(self.take_back)
            .bind(id)
            .bind(generation)
            .execute(tx.conn())
            .await?;
        Ok(())
    }

    /// Takes back everything that is under way: the transport lost it all. How much that was.
    pub(crate) async fn take_back_all(&self, tx: &mut SystemTx) -> Result<u64, sqlx::Error> {
        let taken = sqlx::query(self.take_back_all).execute(tx.conn()).await?;
        Ok(taken.rows_affected())
    }
}

fn dispatched(row: &AnyRow) -> Result<Dispatched, sqlx::Error> {
    Ok(Dispatched {
        id: row.try_get("id")?,
        attempts: row.try_get("attempts")?,
        generation: row.try_get("generation")?,
        again: row.try_get::<i64, _>("again")? == 1,
    })
}
