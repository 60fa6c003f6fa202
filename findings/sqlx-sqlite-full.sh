#!/usr/bin/env bash
# sqlx counts a transaction that SQLite has already rolled back
#
# With:      sqlx 0.9.0 with SQLite, in a file that may have 50 pages
# Expected:  a transaction that fails with "database or disk is full" (code 13) is over. Once there is room,
#            the same connection begins the next one
# Seen:      SQLite rolls such a transaction back by itself. sqlx's own ROLLBACK then fails, and sqlx goes on to
#            count one open transaction: every later begin_with fails on this connection, for ever, and the pool
#            lends it again
#
# Output on 2026-11-29:
#   the write:                  error returned from database: (code: 13) database or disk is full
#   is a transaction open?      no (BEGIN works)
#   begin_with once more:       attempted to call begin_with at non-zero transaction depth
#   from the pool, once more:   attempted to call begin_with at non-zero transaction depth
#
# Exits 0 while that is so, 1 when it has changed, 2 when it could not be tried.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir src
cat >Cargo.toml <<'END'
[package]
name = "finding"
version = "0.1.0"
edition = "2024"

[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["sqlite", "runtime-tokio"] }
tokio = { version = "1", features = ["rt", "macros"] }
END
cat >src/main.rs <<'END'
use sqlx::{Executor as _, Pool, Sqlite, sqlite::SqlitePoolOptions};

async fn fill(pool: &Pool<Sqlite>) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    for _ in 0..200 {
        transaction.execute("INSERT INTO t VALUES (zeroblob(4000))").await?;
    }
    transaction.commit().await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), sqlx::Error> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite:t.db?mode=rwc").await?;
    pool.execute("CREATE TABLE t (b BLOB)").await?;
    pool.execute("PRAGMA max_page_count = 50").await?;
    let full = fill(&pool).await.expect_err("the file is full");
    println!("the write:                  {full}");
    pool.execute("PRAGMA max_page_count = 100000").await?;
    let open = match pool.execute("BEGIN").await {
        Ok(_) => {
            pool.execute("ROLLBACK").await?;
            "no (BEGIN works)".to_owned()
        }
        Err(error) => format!("yes: {error}"),
    };
    println!("is a transaction open?      {open}");
    let mut again = Vec::new();
    for when in ["begin_with once more:      ", "from the pool, once more:  "] {
        let begun = pool.begin_with("BEGIN IMMEDIATE").await.map(drop);
        println!("{when} {}", begun.as_ref().map_or_else(ToString::to_string, |()| "it begins".to_owned()));
        again.push(begun.is_err());
    }
    std::process::exit(if again == [true, true] { 0 } else { 1 });
}
END
cargo build --quiet --release || exit 2
cargo run --quiet --release
