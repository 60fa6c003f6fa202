//! Reads our own types from a row, and runs statements that return no rows.

use std::str::FromStr;

use passerelle_engine::{clock::Millis, ids::InvalidId, store::Tx};
use sqlx::{
    Any, FromRow, Row as _,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use crate::model::{Listed, Page, report_unreadable};

/// Runs a statement that returns no rows.
pub(super) trait Run: Sized {
    /// Runs the statement, however many rows it changes.
    async fn run(self, tx: &mut Tx) -> Result<(), sqlx::Error> {
        self.changes(tx).await.map(drop)
    }

    /// Runs the statement. Returns whether it changed exactly one row.
    async fn changes(self, tx: &mut Tx) -> Result<bool, sqlx::Error>;
}

impl Run for Query<'_, Any, AnyArguments> {
    async fn changes(self, tx: &mut Tx) -> Result<bool, sqlx::Error> {
        let changed = self.execute(tx.conn()).await?;
        Ok(changed.rows_affected() == 1)
    }
}

/// Reads an id.
pub(super) fn id<T: FromStr<Err = InvalidId>>(
    row: &AnyRow,
    column: &str,
) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error| unreadable(column, error))
}

/// Reads an id that may be null.
pub(super) fn id_or_null<T: FromStr<Err = InvalidId>>(
    row: &AnyRow,
    column: &str,
) -> Result<Option<T>, sqlx::Error> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|error| unreadable(column, error)))
        .transpose()
}

/// Reads a text that is one of a closed list.
pub(super) fn word<T: FromStr>(row: &AnyRow, column: &str) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(column)?;
    text.parse()
        .map_err(|_| unreadable(column, "not a value that this version knows"))
}

/// Reads the times of messages that a contact has not answered. Those of warm messages are stored negative.
pub(crate) fn unanswered(text: Option<&str>) -> Result<Vec<Millis>, sqlx::Error> {
    let times = times(text, "unanswered")?;
    Ok(times.into_iter().map(Millis::abs).collect())
}

/// Reads a JSON value; null is the default.
pub(super) fn json_or_default<T: serde::de::DeserializeOwned + Default>(
    json: Option<&str>,
    column: &str,
) -> Result<T, sqlx::Error> {
    json.map_or_else(
        || Ok(T::default()),
        |json| serde_json::from_str(json).map_err(|error| unreadable(column, error)),
    )
}

/// Reads a JSON array of times, oldest first. It may be made of two. Those of warm messages are negative.
pub(super) fn times(json: Option<&str>, column: &str) -> Result<Vec<Millis>, sqlx::Error> {
    let mut times: Vec<Millis> = json_or_default(json, column)?;
    times.sort_unstable_by_key(|at| at.abs());
    Ok(times)
}

/// Reads each row with `read`. Leaves out a row of `table` that cannot be read, so that it does not hold up
/// those of others.
pub(super) fn each<T>(
    table: &'static str,
    rows: &[AnyRow],
    read: impl Fn(&AnyRow) -> Result<T, sqlx::Error>,
) -> Vec<T> {
    let known = |row| match read(row) {
        Ok(read) => Some(read),
        Err(error) => {
            report_unreadable(table, &name(row), &error);
            None
        }
    };
    rows.iter().filter_map(known).collect()
}

/// Reads the rows of a page of `table`.
pub(super) fn page<T, Id: ToString>(
    table: &'static str,
    rows: Vec<AnyRow>,
    page: &Page<Id>,
    read: impl Fn(&AnyRow) -> Result<T, sqlx::Error>,
) -> Listed<T> {
    Listed::read(table, rows, page, name, |row| read(&row))
}

/// Reads the rows of a page of `table` into a type that says itself how it is read.
pub(super) fn page_as<T: for<'r> FromRow<'r, AnyRow>, Id: ToString>(
    table: &'static str,
    rows: Vec<AnyRow>,
    of: &Page<Id>,
) -> Listed<T> {
    page(table, rows, of, |row| T::from_row(row))
}

/// Returns the row's id, or that of its session; empty if it has none.
fn name(row: &AnyRow) -> String {
    let id = row.try_get("id").or_else(|_| row.try_get("session_id"));
    id.unwrap_or_default()
}

/// Returns the error for a column that cannot be decrypted, or that this version does not know.
pub(super) fn unreadable(
    column: &str,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: why.into(),
    }
}

/// Returns the error for a value that cannot be encoded.
pub(super) fn unwritable(why: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Encode(why.into())
}
