//! Databases for this crate's tests.

use sqlx::Connection as _;

/// Creates an empty database for one test and returns its address; `None` unless
/// `PASSERELLE_TEST_POSTGRES` names a database beside which others may be created.
pub(crate) async fn database() -> Option<String> {
    let url = std::env::var("PASSERELLE_TEST_POSTGRES").ok()?;
    let name = format!("jobs_{:016x}", rand::random::<u64>());
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    let mut server = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::query(create).execute(&mut server).await.unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    Some(format!("{server}/{name}"))
}
