//! Tokens of rows: which rows are dispatched, and the claim with a token. For every tenant at once, and
//! on PostgreSQL only, because only a cluster has tokens.
//!
//! A row with `dispatched_at` waits for its last token. A claim clears that column, with a token or
//! without, so every other token of the row is stale.

use std::fmt::Display;

use passerelle_engine::{
    clock::Millis,
    ids::OrgId,
    store::{SystemRead, SystemTx},
};
use sqlx::{Row as _, any::AnyRow, query::Query};

use super::{
    delivery_claims::{chosen, first_due, limits, open_endpoints, running, with_room},
    media_claims,
};
use crate::{model::token::RowToken, store::row};

/// A row whose token has to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dispatched {
    pub(crate) id: String,
    /// How many attempts were made before.
    pub(crate) attempts: i64,
    /// The generation of this token.
    pub(crate) generation: i64,
    /// Whether the previous token was lost.
    pub(crate) again: bool,
}

/// How much may be dispatched now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) now: Millis,
    /// A token that was pushed before this time and has claimed nothing is lost.
    pub(crate) lost_before: Millis,
    /// The most tokens on their way.
    pub(crate) most: i64,
    /// The most tokens to push now.
    pub(crate) pushed: i64,
}

/// The token statements of one table. They limit how many rows of a group are claimed or dispatched at once:
/// deliveries as [`limits`] says, files by `limits`, which are bound last.
///
/// Nothing else in this database uses the advisory lock numbers of `alone` and `reserve`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    limits: &'static [i64],
    alone: &'static str,
    next_at: &'static str,
    dispatch: &'static str,
    reserve: &'static str,
    claim: &'static str,
    take_back: &'static str,
    take_back_all: &'static str,
}

/// SQL for the deliveries that run at `$1`, and those whose token was pushed after `$2`.
macro_rules! under_way {
    () => {
        concat!(
            running!(),
            " UNION ALL SELECT endpoint_id, org_id FROM delivery WHERE dispatched_at > $2"
        )
    };
}

/// Deliveries of webhooks.
pub(crate) const DELIVERIES: Rows = Rows {
    limits: &[],
    alone: "SELECT CASE WHEN pg_try_advisory_xact_lock(7030261) THEN 1 ELSE 0 END::bigint",
    next_at: concat!(
        with_room!(under_way!()),
        open_endpoints!(),
        "
        SELECT n.due_at FROM open o CROSS JOIN LATERAL (
          SELECT d.due_at FROM delivery d
          WHERE d.endpoint_id = o.endpoint_id AND d.status IN ('due', 'running')
            AND (d.dispatched_at IS NULL OR d.dispatched_at <= $2)
          ORDER BY d.due_at LIMIT 1) n
        ORDER BY n.due_at LIMIT 1"
    ),
    dispatch: concat!(
        with_room!(under_way!()),
        first_due!(
            " AND (d.dispatched_at IS NULL OR d.dispatched_at <= $2)",
            "least($4, greatest(0, $3 - (SELECT count(*) FROM delivery WHERE dispatched_at > $2)))"
        ),
        ",
        due AS (
          SELECT d.id, d.org_id, d.endpoint_id, d.due_at,
            CASE WHEN d.dispatched_at IS NULL THEN 0 ELSE 1 END AS again
          FROM delivery d
          WHERE d.id IN (SELECT id FROM first) AND d.status IN ('due', 'running') AND d.due_at <= $1
            AND (d.dispatched_at IS NULL OR d.dispatched_at <= $2)
          FOR UPDATE SKIP LOCKED),
        ",
        chosen!(),
        "
        UPDATE delivery d SET dispatched_at = $1, generation = d.generation + 1
        FROM chosen c WHERE d.id = c.id
        RETURNING d.id, d.attempts, d.generation, c.again::bigint AS again"
    ),
    reserve: "SELECT pg_advisory_xact_lock(7030262, hashtext(org_id))::text FROM delivery WHERE id = $1",
    claim: concat!(
        with_room!(running!()),
        "
        UPDATE delivery SET status = 'running', due_at = $5, dispatched_at = NULL
        WHERE id = $2 AND attempts = $3 AND generation = $4 AND dispatched_at IS NOT NULL
          AND status IN ('due', 'running') AND endpoint_id NOT IN (SELECT endpoint_id FROM no_room)
        RETURNING org_id"
    ),
    take_back: "UPDATE delivery SET dispatched_at = NULL WHERE id = $1 AND generation = $2",
    // Rows that another transaction has locked now are claimed or ended by it.
    take_back_all: "
        UPDATE delivery SET dispatched_at = NULL
        WHERE id IN (SELECT id FROM delivery WHERE dispatched_at IS NOT NULL FOR UPDATE SKIP LOCKED)",
};

/// Files to fetch. Their claim counts a try.
pub(crate) const FILES: Rows = Rows {
    limits: &[media_claims::PER_ORG],
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
            AND d.org_id NOT IN (SELECT group_id FROM busy WHERE under_way >= $5)
          ORDER BY d.due_at
          LIMIT least($4, greatest(0, $3 - (SELECT count(*) FROM media WHERE dispatched_at > $2)))
          FOR UPDATE SKIP LOCKED),
        placed AS (
          SELECT id, group_id, again, row_number() OVER (PARTITION BY group_id ORDER BY due_at) AS place
          FROM due)
        UPDATE media d SET dispatched_at = $1, generation = d.generation + 1
        FROM placed p LEFT JOIN busy b ON b.group_id = p.group_id
        WHERE d.id = p.id AND p.place + coalesce(b.under_way, 0) <= $5
        RETURNING d.id, d.attempts, d.generation, p.again::bigint AS again",
    reserve: "SELECT pg_advisory_xact_lock(7030264, hashtext(org_id))::text FROM media WHERE id = $1",
    claim: "
        UPDATE media SET status = 'fetching', due_at = $5, dispatched_at = NULL, attempts = attempts + 1
        WHERE id = $2 AND attempts = $3 AND generation = $4 AND dispatched_at IS NOT NULL
          AND status IN ('pending', 'deferred', 'fetching') AND (
            SELECT count(*) FROM media r
            WHERE r.org_id = media.org_id AND r.status = 'fetching' AND r.due_at > $1) < $6
        RETURNING org_id",
    take_back: "UPDATE media SET dispatched_at = NULL WHERE id = $1 AND generation = $2",
    // Rows that another transaction has locked now are claimed or ended by it.
    take_back_all: "
        UPDATE media SET dispatched_at = NULL
        WHERE id IN (SELECT id FROM media WHERE dispatched_at IS NOT NULL FOR UPDATE SKIP LOCKED)",
};

impl Rows {
    /// Makes this the only process that dispatches these rows until the transaction ends. Returns false
    /// if another process already is.
    pub(crate) async fn alone(&self, tx: &mut SystemTx) -> Result<bool, sqlx::Error> {
        let taken: i64 = sqlx::query_scalar(self.alone).fetch_one(tx.conn()).await?;
        Ok(taken == 1)
    }

    /// Marks rows that are due, or whose claim lapsed, as dispatched: the longest due first, and of each
    /// group no more than its limit allows.
    pub(crate) async fn dispatch(
        &self,
        tx: &mut SystemTx,
        room: Room,
    ) -> Result<Vec<Dispatched>, sqlx::Error> {
        let query = sqlx::query(self.dispatch)
            .bind(room.now)
            .bind(room.lost_before)
            .bind(room.most)
            .bind(room.pushed);
        let query = self.limits.iter().fold(query, Query::bind);
        let rows = query.fetch_all(tx.conn()).await?;
        rows.iter().map(dispatched).collect()
    }

    /// Returns when the next row of a group with room can be dispatched.
    pub(crate) async fn next_at(
        &self,
        conn: &mut SystemRead,
        now: Millis,
        lost_before: Millis,
    ) -> Result<Option<Millis>, sqlx::Error> {
        let query = sqlx::query(self.next_at).bind(now).bind(lost_before);
        let query = self.limits.iter().fold(query, Query::bind);
        let row = query.fetch_optional(&mut **conn).await?;
        row.map(|row| row.try_get("due_at")).transpose()
    }

    /// Claims a row with its token from `now` until `lapse`. Returns the row's organisation; `None` if
    /// the token is stale or the row is already claimed. If the group has no room, the token is taken
    /// back and the row is dispatched again later.
    pub(crate) async fn claim(
        &self,
        tx: &mut SystemTx,
        token: RowToken<impl Display>,
        (now, lapse): (Millis, Millis),
    ) -> Result<Option<OrgId>, sqlx::Error> {
        let id = token.id.to_string();
        // A statement after this one sees all earlier claims.
        sqlx::query(self.reserve)
            .bind(&id)
            .execute(tx.conn())
            .await?;
        let query = sqlx::query(self.claim)
            .bind(now)
            .bind(&id)
            .bind(token.attempts)
            .bind(token.generation)
            .bind(lapse);
        let query = self.limits.iter().fold(query, Query::bind);
        let row = query.fetch_optional(tx.conn()).await?;
        match row {
            Some(row) => row::id(&row, "org_id").map(Some),
            // A stale token changes nothing here.
            None => self
                .take_back(tx, &id, token.generation)
                .await
                .map(|()| None),
        }
    }

    /// Takes back a token that could not be pushed.
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

    /// Takes back every token, because the transport lost them all. Returns how many there were.
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
