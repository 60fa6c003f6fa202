//! idle: the work of Redis and PostgreSQL for a cluster whose sessions are linked and idle. It includes
//! what the processes do without any session.

use anyhow::{Context as _, Result};
use passerelle_tests::{Setup, redis::Redis};
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

use super::fleet::{self, Fleet};
use crate::report::Row;

const SPAN: Duration = Duration::from_secs(30);

/// Operations until now.
struct Done {
    transactions: f64,
    commands: f64,
}

pub(crate) async fn measure(sessions: u32) -> Result<[Row; 2]> {
    // A Redis of its own, so that only this cluster's commands are counted.
    let folder = TempDir::with_prefix("passerelle-bench-")?;
    let redis = Redis::start(folder.path()).await?;
    let setup = Setup {
        redis: Some(redis.url()),
        ..fleet::setup()
    };
    let fleet = Fleet::shared_out(sessions, setup).await?;
    let linking = fleet.linking.as_secs_f64();
    let database = fleet.world.gateway.database.url.clone();
    let (before, began) = (done(&database, &redis).await?, Instant::now());
    tokio::time::sleep(SPAN).await;
    let (after, took) = (done(&database, &redis).await?, began.elapsed());
    fleet.world.end().await?;
    let row = |of: &str, unit, operations: f64, goal| {
        let per_second = operations / took.as_secs_f64();
        Row {
            bench: format!("idle-{sessions}-{of}"),
            value: per_second,
            unit,
            reference: None,
            goal,
            more: vec![
                // One second would give too few digits.
                (
                    "per_session_minute",
                    per_second * 60.0 / f64::from(sessions),
                ),
                ("linking_s", linking),
            ],
        }
    };
    Ok([
        row(
            "postgres",
            "transactions/s",
            after.transactions - before.transactions,
            "≤ 50/s: the processes' own looks, nothing for each session",
        ),
        row(
            "redis",
            "commands/s",
            after.commands - before.commands,
            "≤ 100/s: the processes' own, nothing for each session",
        ),
    ])
}

async fn done(database: &str, redis: &Redis) -> Result<Done> {
    let (server, name) = database
        .rsplit_once('/')
        .context("the address has a database")?;
    // Connects to another database, so that this query is not counted.
    let mut conn = PgConnection::connect(&format!("{server}/postgres")).await?;
    let transactions = sqlx::query_scalar(
        "SELECT (xact_commit + xact_rollback)::float8 FROM pg_stat_database WHERE datname = $1",
    );
    let transactions = transactions.bind(name).fetch_one(&mut conn).await?;
    conn.close().await?;
    Ok(Done {
        transactions,
        commands: redis.commands().await?,
    })
}
