//! Statements over many rows: fixed texts with one placeholder per value.

use std::sync::Arc;

use sqlx::{Any, AssertSqlSafe, SqlSafeStr as _, SqlStr, any::AnyArguments, query::Query};

use crate::store::Dialect;

/// Maximum number of placeholders in a statement. SQLite's limit is 32,766
/// (<https://sqlite.org/limits.html#max_variable_number>).
const PLACEHOLDERS: usize = 32_000;

/// Statements with more values are not kept prepared, because each number of values is another
/// text.
const KEPT: usize = 64;

/// One value in a row.
#[derive(Clone)]
pub(super) enum Cell {
    Text(String),
    Blob(Vec<u8>),
    MaybeBlob(Option<Vec<u8>>),
    Int(i64),
    MaybeInt(Option<i64>),
}

impl From<[u8; 32]> for Cell {
    fn from(mac: [u8; 32]) -> Self {
        Self::Blob(mac.to_vec())
    }
}

/// A statement with its values. It is kept until its call ends, because it may have to run again.
#[derive(Clone)]
pub(super) struct Statement {
    text: SqlStr,
    cells: Vec<Cell>,
    kept: bool,
}

impl Statement {
    /// Returns the statement, ready to run.
    pub(super) fn query(&self) -> Bound {
        let cells = self.cells.iter().cloned();
        cells
            .fold(sqlx::query(self.text.clone()), bind)
            .persistent(self.kept)
    }
}

/// Makes a statement from a fixed text.
pub(super) fn statement<const N: usize>(text: &'static str, cells: [Cell; N]) -> Statement {
    Statement {
        text: text.into_sql_str(),
        cells: cells.into(),
        kept: true,
    }
}

/// Builds `head VALUES ($1, $2), ($3, $4) tail`. Returns as few statements as the limit allows,
/// usually one.
///
/// SQLite treats each `$n` as a name and searches for it among all names, which is slow for
/// thousands of them. So on SQLite they are plain `?`.
pub(super) fn insert<const N: usize>(
    dialect: Dialect,
    head: &'static str,
    tail: &'static str,
    rows: Vec<[Cell; N]>,
) -> Vec<Statement> {
    chunks(rows, PLACEHOLDERS / N)
        .into_iter()
        .map(|rows| {
            let places: Vec<_> = (0..rows.len())
                .map(|row| match dialect {
                    Dialect::Sqlite => format!("({})", ["?"; N].join(", ")),
                    Dialect::Postgres => format!("({})", placeholders(row * N + 1, N)),
                })
                .collect();
            finish(
                format!("{head} VALUES {} {tail}", places.join(", ")),
                rows.into_iter().flatten(),
            )
        })
        .collect()
}

/// Builds `head ($3, $4, …)`. `head` ends in `IN` and has its own placeholders for `fixed`.
pub(super) fn among<const N: usize>(
    head: &'static str,
    fixed: &[Cell; N],
    of: Vec<Cell>,
) -> Vec<Statement> {
    chunks(of, PLACEHOLDERS - N)
        .into_iter()
        .map(|of| {
            let text = format!("{head} ({})", placeholders(N + 1, of.len()));
            finish(text, fixed.iter().cloned().chain(of))
        })
        .collect()
}

fn finish(text: String, cells: impl Iterator<Item = Cell>) -> Statement {
    let cells: Vec<_> = cells.collect();
    // The text has only fixed parts and placeholders; every value is bound.
    Statement {
        text: AssertSqlSafe(Arc::<str>::from(text)).into_sql_str(),
        kept: cells.len() <= KEPT,
        cells,
    }
}

type Bound = Query<'static, Any, AnyArguments>;

fn bind(statement: Bound, cell: Cell) -> Bound {
    match cell {
        Cell::Text(value) => statement.bind(value),
        Cell::Blob(value) => statement.bind(value),
        Cell::MaybeBlob(value) => statement.bind(value),
        Cell::Int(value) => statement.bind(value),
        Cell::MaybeInt(value) => statement.bind(value),
    }
}

fn placeholders(first: usize, count: usize) -> String {
    let places: Vec<_> = (first..first + count).map(|n| format!("${n}")).collect();
    places.join(", ")
}

fn chunks<T>(mut rows: Vec<T>, size: usize) -> Vec<Vec<T>> {
    let mut parts = Vec::new();
    while rows.len() > size {
        let rest = rows.split_off(size);
        parts.push(std::mem::replace(&mut rows, rest));
    }
    if !rows.is_empty() {
        parts.push(rows);
    }
    parts
}
