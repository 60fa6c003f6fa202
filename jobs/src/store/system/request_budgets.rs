//! The requests of all organisations that a process let through, in one statement. PostgreSQL alone: with SQLite
//! there is one process.

use std::time::Duration;

use passerelle_engine::{ids::OrgId, store::SystemTx};
use serde_json::json;
use sqlx::{Row as _, any::AnyRow};

use crate::store::row;

/// What a process let through for an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// The organisation.
    pub org: OrgId,
    /// Its requests since the last report.
    pub requests: u32,
    /// How long ago the first of them came.
    pub since: Duration,
}

/// All is in nanoseconds of the database's clock. A budget that is whole in more than two minutes and a hundred requests was
/// written before that clock went back, and counts anew. Processes that report at once wait for each other, in the order
/// of the organisations, and each adds to what the other one left.
const SPEND: &str = "WITH clock AS (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000000 AS bigint) AS now) \
     INSERT INTO request_budget AS b (org_id, full_at, added) \
     SELECT o.id, clock.now - CAST(spent.value ->> 2 AS bigint) + CAST(spent.value ->> 1 AS bigint) * $2, \
     CAST(spent.value ->> 1 AS bigint) * $2 \
     FROM clock, json_array_elements(CAST($1 AS json)) spent JOIN organisation o ON o.id = spent.value ->> 0 \
     ORDER BY o.id \
     ON CONFLICT (org_id) DO UPDATE SET added = excluded.added, \
     full_at = greatest(CASE WHEN b.full_at - excluded.full_at > 120000000000 + 100 * $2 THEN 0 ELSE b.full_at END, \
     excluded.full_at - excluded.added) + excluded.added \
     RETURNING org_id, full_at - (SELECT now FROM clock) AS left_ns";

/// Adds the requests, each of which takes `every` to come back. Returns how long the budget of each organisation
/// needs until it is whole.
pub(crate) async fn spend(
    tx: &mut SystemTx,
    spent: &[Spent],
    every: Duration,
) -> Result<Vec<(OrgId, Duration)>, sqlx::Error> {
    let age = |spent: &Spent| u64::try_from(spent.since.as_nanos()).unwrap_or(u64::MAX);
    let spent: Vec<_> = spent
        .iter()
        .map(|spent| json!([spent.org.to_string(), spent.requests, age(spent)]))
        .collect();
    let rows = sqlx::query(SPEND)
        .bind(json!(spent).to_string())
        .bind(i64::try_from(every.as_nanos()).unwrap_or(i64::MAX))
        .fetch_all(tx.conn())
        .await?;
    let until_whole = |row: &AnyRow| {
        let left: i64 = row.try_get("left_ns")?;
        let left = u64::try_from(left).unwrap_or_default();
        Ok((row::id(row, "org_id")?, Duration::from_nanos(left)))
    };
    Ok(row::each("request_budget", &rows, until_whole))
}
