//! A connection of the store's user, outside of the pools.

use std::time::Duration;

use sqlx::{AnyConnection, AnyPool, Connection as _, Executor as _};

/// Maximum time to wait for a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Returns a connection as the store's user, without any role set. A pooler may accept it before
/// it has one of the server's to lend, so the server is asked for an answer.
pub(super) async fn connect(pool: &AnyPool) -> Result<AnyConnection, sqlx::Error> {
    let options = pool.connect_options();
    let connect = async {
        let mut conn = AnyConnection::connect_with(&options).await?;
        conn.execute("SELECT 1").await?;
        Ok(conn)
    };
    let connected = tokio::time::timeout(PATIENCE, connect).await;
    connected.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
