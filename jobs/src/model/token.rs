//! What a token of the queue says.

/// What a token says that this process can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowToken<Id> {
    /// The row.
    pub(crate) id: Id,
    /// Attempts made before.
    pub(crate) attempts: i64,
    /// Which of the row's tokens this is.
    pub(crate) generation: i64,
}
