//! The shapes a black-box test runs in, and their databases.

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};
use std::path::Path;

use crate::proxy::Proxy;

/// Which shape a gateway under test has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// SQLite, in a file of the test's own.
    Sqlite,
    /// PostgreSQL, in a database of the test's own on the server in `PASSERELLE_TEST_POSTGRES`.
    Postgres,
    /// Like `Postgres`, but the gateway is five processes (an api, two hosts, two workers), which wake
    /// each other through the Redis in `PASSERELLE_TEST_REDIS`.
    Cluster,
}

/// Like [`on_both_stores!`], with a third test of each function on a cluster.
#[macro_export]
macro_rules! on_every_shape {
    ($($name:ident),+ $(,)?) => {
        $crate::on_both_stores!($($name),+);
        mod cluster {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> ::anyhow::Result<()> {
                let _finished: $crate::world::Finished = super::$name($crate::Backing::Cluster).await?;
                Ok(())
            })+
        }
    };
}

/// Makes two tests of each function: one on SQLite, one on PostgreSQL.
///
/// Each function takes a [`Backing`] and returns `Result<Finished>`. Only a finished world returns
/// `Finished`.
#[macro_export]
macro_rules! on_both_stores {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> ::anyhow::Result<()> {
                let _finished: $crate::world::Finished = super::$name($crate::Backing::Sqlite).await?;
                Ok(())
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> ::anyhow::Result<()> {
                let _finished: $crate::world::Finished = super::$name($crate::Backing::Postgres).await?;
                Ok(())
            })+
        }
    };
}

/// A private, empty database.
#[derive(Debug, Clone)]
pub struct Database {
    /// The value of `--database-url`.
    pub url: String,
    /// Its kind.
    pub backing: Backing,
}

impl Database {
    /// Creates one, in `folder` or on the server.
    pub async fn create(backing: Backing, folder: &Path) -> Result<Self> {
        let url = match backing {
            Backing::Sqlite => format!("sqlite:{}", folder.join("passerelle.db").display()),
            Backing::Postgres | Backing::Cluster => {
                let server = std::env::var("PASSERELLE_TEST_POSTGRES").context(
                    "PASSERELLE_TEST_POSTGRES is not set: start the tests with tests/run",
                )?;
                return Self::on(&server, backing).await;
            }
        };
        Ok(Self { url, backing })
    }

    /// Creates one on the PostgreSQL server of this database.
    pub async fn on(server: &str, backing: Backing) -> Result<Self> {
        let url = create_on(server).await?;
        Ok(Self { url, backing })
    }

    /// Starts a proxy to its server, which can fail on demand. Nothing uses it yet.
    pub async fn road(&self) -> Result<Proxy> {
        let (_, server, _) = self.parts()?;
        Proxy::to(server.to_owned()).await
    }

    /// Returns the same database, reached through the proxy.
    pub fn through(&self, road: &Proxy) -> Result<Self> {
        let (login, _, name) = self.parts()?;
        Ok(Self {
            url: format!("{login}@{}/{name}", road.address),
            backing: self.backing,
        })
    }

    /// Splits a PostgreSQL address into login, host with port, and name.
    fn parts(&self) -> Result<(&str, &str, &str)> {
        let (login, rest) = self.url.split_once('@').context("the address has a user")?;
        let (server, name) = rest.split_once('/').context("the address has a database")?;
        Ok((login, server, name))
    }

    /// Returns everything the database holds, as bytes to search for canaries: the raw files of SQLite
    /// with its log, or every row of every table of PostgreSQL.
    pub async fn dump(&self, folder: &Path) -> Result<Vec<u8>> {
        match self.backing {
            Backing::Sqlite => {
                let mut all = Vec::new();
                for file in std::fs::read_dir(folder)? {
                    let path = file?.path();
                    if path
                        .file_name()
                        .is_some_and(|name| name.to_string_lossy().starts_with("passerelle.db"))
                    {
                        all.extend(std::fs::read(path)?);
                    }
                }
                Ok(all)
            }
            Backing::Postgres | Backing::Cluster => postgres_rows(&self.url).await,
        }
    }

    /// Returns every row of every table. Unlike the raw files of [`Self::dump`], it does not change when
    /// SQLite moves its log into its main file.
    pub async fn rows(&self) -> Result<Vec<u8>> {
        match self.backing {
            Backing::Sqlite => sqlite_rows(&self.url).await,
            Backing::Postgres | Backing::Cluster => postgres_rows(&self.url).await,
        }
    }
}

impl Database {
    /// Runs a statement on the database, without the gateway.
    pub async fn execute(&self, statement: &'static str) -> Result<u64> {
        let done = match self.backing {
            Backing::Sqlite => {
                let mut conn = SqliteConnection::connect(&self.url).await?;
                sqlx::query(statement)
                    .execute(&mut conn)
                    .await?
                    .rows_affected()
            }
            Backing::Postgres | Backing::Cluster => {
                let mut conn = PgConnection::connect(&self.url).await?;
                sqlx::query(statement)
                    .execute(&mut conn)
                    .await?
                    .rows_affected()
            }
        };
        Ok(done)
    }
}

impl Database {
    /// Runs all statements of a dump on this database, which is empty.
    pub async fn load(&self, dump: &'static str) -> Result<()> {
        match self.backing {
            Backing::Sqlite => {
                let url = format!("{}?mode=rwc", self.url);
                let mut conn = SqliteConnection::connect(&url).await?;
                sqlx::raw_sql(dump).execute(&mut conn).await?;
                conn.close().await?;
            }
            Backing::Postgres | Backing::Cluster => {
                let mut conn = PgConnection::connect(&self.url).await?;
                sqlx::raw_sql(dump).execute(&mut conn).await?;
                conn.close().await?;
            }
        }
        Ok(())
    }

    /// Changes one byte of a sealed value, as a disk or a hand might: of the column `table.column`, in the row
    /// whose column `by` is `id`.
    pub async fn damage(&self, column: &str, by: &str, id: &str) -> Result<()> {
        let (table, column) = column.split_once('.').context("table.column")?;
        let select = format!("SELECT {column} FROM {table} WHERE {by} = $1");
        let update = format!("UPDATE {table} SET {column} = $2 WHERE {by} = $1");
        let changed = match self.backing {
            Backing::Sqlite => {
                let mut conn = SqliteConnection::connect(&self.url).await?;
                let found = sqlx::query_scalar(AssertSqlSafe(select)).bind(id);
                let sealed = found.fetch_one(&mut conn).await?;
                let update = sqlx::query(AssertSqlSafe(update)).bind(id);
                let update = update.bind(turned(sealed)).execute(&mut conn).await?;
                update.rows_affected()
            }
            Backing::Postgres | Backing::Cluster => {
                let mut conn = PgConnection::connect(&self.url).await?;
                let found = sqlx::query_scalar(AssertSqlSafe(select)).bind(id);
                let sealed = found.fetch_one(&mut conn).await?;
                let update = sqlx::query(AssertSqlSafe(update)).bind(id);
                let update = update.bind(turned(sealed)).execute(&mut conn).await?;
                update.rows_affected()
            }
        };
        anyhow::ensure!(changed == 1, "{changed} rows of {table} were damaged");
        Ok(())
    }

    /// Returns the one text that a query finds, without the gateway.
    pub async fn text(&self, query: &'static str) -> Result<String> {
        let found = match self.backing {
            Backing::Sqlite => {
                let mut conn = SqliteConnection::connect(&self.url).await?;
                sqlx::query_scalar(query).fetch_one(&mut conn).await?
            }
            Backing::Postgres | Backing::Cluster => {
                let mut conn = PgConnection::connect(&self.url).await?;
                sqlx::query_scalar(query).fetch_one(&mut conn).await?
            }
        };
        Ok(found)
    }

    /// Runs a statement about one row, without the gateway. `$1` is `id`. Returns how many rows it changed.
    pub async fn execute_on(&self, statement: &'static str, id: &str) -> Result<u64> {
        let done = match self.backing {
            Backing::Sqlite => {
                let mut conn = SqliteConnection::connect(&self.url).await?;
                let done = sqlx::query(statement).bind(id).execute(&mut conn).await?;
                done.rows_affected()
            }
            Backing::Postgres | Backing::Cluster => {
                let mut conn = PgConnection::connect(&self.url).await?;
                let done = sqlx::query(statement).bind(id).execute(&mut conn).await?;
                done.rows_affected()
            }
        };
        Ok(done)
    }
}

/// Returns the value with its middle byte changed.
fn turned(mut sealed: Vec<u8>) -> Vec<u8> {
    let middle = sealed.len() / 2;
    if let Some(byte) = sealed.get_mut(middle) {
        *byte ^= 0xff;
    }
    sealed
}

async fn create_on(server: &str) -> Result<String> {
    let name = format!("t{:032x}", rand::random::<u128>());
    let mut conn = PgConnection::connect(server).await?;
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&mut conn)
        .await?;
    conn.close().await?;
    let (base, _) = server
        .rsplit_once('/')
        .context("the server's address has no database")?;
    Ok(format!("{base}/{name}"))
}

async fn sqlite_rows(url: &str) -> Result<Vec<u8>> {
    let mut conn = SqliteConnection::connect(url).await?;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .fetch_all(&mut conn)
            .await?;
    let mut all = Vec::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)")
            .bind(&table)
            .fetch_all(&mut conn)
            .await?;
        let quoted: Vec<String> = columns
            .iter()
            .map(|column| format!("quote(\"{column}\")"))
            .collect();
        let select = format!(
            "SELECT {} FROM \"{table}\" ORDER BY 1",
            quoted.join(" || ',' || ")
        );
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(select))
            .fetch_all(&mut conn)
            .await?;
        all.extend(table.into_bytes());
        all.extend(rows.join("\n").into_bytes());
    }
    conn.close().await?;
    Ok(all)
}

async fn postgres_rows(url: &str) -> Result<Vec<u8>> {
    let mut conn = PgConnection::connect(url).await?;
    let tables = sqlx::query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        .fetch_all(&mut conn)
        .await?;
    let mut all = Vec::new();
    for table in tables {
        let table: String = table.try_get(0)?;
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT t::text FROM \"{table}\" t ORDER BY 1"
        )))
        .fetch_all(&mut conn)
        .await?;
        for row in rows {
            let row: String = row.try_get(0)?;
            all.extend(unhex(row.as_bytes()));
            all.extend(row.into_bytes());
        }
    }
    Ok(all)
}

/// Decodes every `\x…` value in a row's text.
fn unhex(row: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::new();
    let mut at = 0;
    while at + 1 < row.len() {
        match (digit(row[at]), digit(row[at + 1])) {
            (Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 2;
            }
            _ => at += 1,
        }
    }
    bytes
}
