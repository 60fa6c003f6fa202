//! Reads our own types from a row, and runs statements that return no rows.

use std::str::FromStr;

use passerelle_engine::{ids::InvalidId, store::Tx};
use sqlx::{
    Any, Row as _,
    any::{AnyArguments, AnyRow},
    query::Query,
};

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
