//! Finds a pooler that hands a connection to other clients between transactions.
//!
//! The gateway's roles belong to a connection. Behind such a pooler another client gets a role of
//! ours, and we get connections without one: keys are not found, and locks stay behind. So this is
//! looked for before anything is written.

use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection as _, Executor as _, Row as _};

use super::connect::{PATIENCE, connect};

/// How often the two connections take turns. A pooler that hands out its connections in order is
/// found in the first turn. One that draws them at random passes a turn at most one time in four.
const TURNS: u32 = 8;

/// What the operator reads if the pooler is in the wrong mode.
#[derive(Debug, thiserror::Error)]
pub enum PoolerError {
    /// Transaction or statement mode.
    #[error(
        "--database-url (PASSERELLE_DATABASE_URL) leads to a connection pooler in transaction or statement mode, which gives our connections to other clients between transactions: use its session mode (PgBouncer: pool_mode = session; Supabase: port 5432, not 6543), or the address of PostgreSQL itself"
    )]
    NotSession,
    /// `PgBouncer` refuses a parameter that every connection of ours begins with.
    #[error(
        "--database-url (PASSERELLE_DATABASE_URL) leads to a PgBouncer that refuses the connection ({0}): put ignore_startup_parameters = extra_float_digits into its configuration"
    )]
    Parameter(String),
}

/// Fails with a [`PoolerError`] if connections of this address do not keep their settings.
pub(crate) async fn check(pool: &AnyPool) -> anyhow::Result<()> {
    let mut pair = [opened(pool).await?, opened(pool).await?];
    let kept = tokio::time::timeout(PATIENCE, keep_settings(&mut pair)).await;
    let kept = kept.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
    for conn in pair {
        conn.close().await?;
    }
    anyhow::ensure!(kept, PoolerError::NotSession);
    Ok(())
}

async fn opened(pool: &AnyPool) -> anyhow::Result<AnyConnection> {
    connect(pool).await.map_err(|error| match &error {
        sqlx::Error::Database(refused) if refused.message().contains("startup parameter") => {
            PoolerError::Parameter(refused.message().to_owned()).into()
        }
        _ => error.into(),
    })
}

/// Returns whether each of two connections keeps a setting while the other one sets its own. Every
/// statement is a transaction. Nothing is prepared, because some poolers cannot do that.
async fn keep_settings(pair: &mut [AnyConnection; 2]) -> Result<bool, sqlx::Error> {
    let [one, other] = pair;
    for turn in 0..TURNS {
        let (mine, theirs) = (format!("one {turn}"), format!("other {turn}"));
        set(one, &mine).await?;
        let alone = setting(one).await? == mine;
        set(other, &theirs).await?;
        let both = setting(one).await? == mine && setting(other).await? == theirs;
        if !(alone && both) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn set(conn: &mut AnyConnection, value: &str) -> Result<(), sqlx::Error> {
    let set = format!("SET passerelle.marker = '{value}'");
    conn.execute(AssertSqlSafe(set)).await.map(drop)
}

async fn setting(conn: &mut AnyConnection) -> Result<String, sqlx::Error> {
    let read = "SELECT coalesce(current_setting('passerelle.marker', true), '')";
    conn.fetch_one(read).await?.try_get(0)
}
