//! The content of a queue token.

/// The content of a token that this process can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowToken<Id> {
    /// The row.
    pub(crate) id: Id,
    /// How many attempts were made before.
    pub(crate) attempts: i64,
    /// The generation of this token.
    pub(crate) generation: i64,
}
