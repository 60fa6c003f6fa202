//! Rows that cannot be read: a sealed value that does not open, or a value that this version does not know. Such
//! a row ends with a code of its own, and no other row waits for it.

use std::fmt::Display;

/// The code of a row whose stored or sealed values cannot be read.
pub const UNREADABLE: &str = "unreadable_row";

/// The code of a row that was given up because each try failed inside the gateway.
pub(crate) const INTERNAL: &str = "internal";

/// Logs and counts a row of `table` that cannot be read. Call this where the row is given up or left out.
pub(crate) fn report_unreadable(table: &'static str, row: &dyn Display, error: &dyn Display) {
    metrics::counter!("passerelle_unreadable_rows_total", "table" => table).increment(1);
    tracing::error!(table, row.id = %row, %error, "a row cannot be read");
}
