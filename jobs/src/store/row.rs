//! Reads our own types from a row.

use std::str::FromStr;

use passerelle_engine::ids::InvalidId;
use sqlx::{Row as _, any::AnyRow};

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
