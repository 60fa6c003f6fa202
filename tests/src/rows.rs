//! What is in the tables of a database, whatever tables there are.

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use std::collections::BTreeMap;

use crate::backing::{Backing, Database};

impl Database {
    /// Returns the tables that have rows with this text in any column, and how many rows.
    pub async fn rows_with(&self, text: &str) -> Result<BTreeMap<String, u64>> {
        let mut found = BTreeMap::new();
        for table in self.tables().await? {
            let row = match self.backing {
                Backing::Sqlite => self.columns_of(&table).await?,
                Backing::Postgres | Backing::Cluster => "t::text".to_owned(),
            };
            let count = format!("SELECT count(*) FROM \"{table}\" t WHERE {row} LIKE '%{text}%'");
            let rows = u64::try_from(self.number(&count).await?)?;
            if rows > 0 {
                found.insert(table, rows);
            }
        }
        Ok(found)
    }

    /// Returns the names of all tables.
    pub async fn tables(&self) -> Result<Vec<String>> {
        self.texts(match self.backing {
            Backing::Sqlite => {
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            }
            Backing::Postgres | Backing::Cluster => {
                "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
            }
        })
        .await
    }

    /// Returns the names of the columns of a table.
    pub async fn columns(&self, table: &str) -> Result<Vec<String>> {
        self.texts(&match self.backing {
            Backing::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
            Backing::Postgres | Backing::Cluster => format!(
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name = '{table}'"
            ),
        })
        .await
    }

    /// Returns the number that a statement selects.
    pub async fn number(&self, select: &str) -> Result<i64> {
        let select = AssertSqlSafe(select.to_owned());
        Ok(match self.backing {
            Backing::Sqlite => {
                let mut conn = SqliteConnection::connect(&self.url).await?;
                sqlx::query_scalar(select).fetch_one(&mut conn).await?
            }
            Backing::Postgres | Backing::Cluster => {
                let mut conn = PgConnection::connect(&self.url).await?;
                sqlx::query_scalar(select).fetch_one(&mut conn).await?
            }
        })
    }

    /// Returns the bytes that a statement selects.
    pub async fn blob(&self, select: &str) -> Result<Vec<u8>> {
        let select = AssertSqlSafe(select.to_owned());
        Ok(match self.backing {
            Backing::Sqlite => {
                let mut conn = SqliteConnection::connect(&self.url).await?;
                sqlx::query_scalar(select).fetch_one(&mut conn).await?
            }
            Backing::Postgres | Backing::Cluster => {
                let mut conn = PgConnection::connect(&self.url).await?;
                sqlx::query_scalar(select).fetch_one(&mut conn).await?
            }
        })
    }

    async fn texts(&self, select: &str) -> Result<Vec<String>> {
        let select = AssertSqlSafe(select.to_owned());
        Ok(match self.backing {
            Backing::Sqlite => {
                let mut conn = SqliteConnection::connect(&self.url).await?;
                sqlx::query_scalar(select).fetch_all(&mut conn).await?
            }
            Backing::Postgres | Backing::Cluster => {
                let mut conn = PgConnection::connect(&self.url).await?;
                sqlx::query_scalar(select).fetch_all(&mut conn).await?
            }
        })
    }

    async fn columns_of(&self, table: &str) -> Result<String> {
        let columns = self.columns(table).await?;
        let quoted = columns.iter().map(|column| format!("quote(\"{column}\")"));
        let row = quoted.reduce(|row, next| format!("{row} || ',' || {next}"));
        row.context("a table has columns")
    }
}
