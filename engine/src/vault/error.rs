//! Why the vault did not open, or did not open something.

/// Why the vault did not open or did not open something. Never holds a key or a plain text.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The given key of this id is not the one this store was sealed with.
    #[error("the key-encryption key `{0}` is not the one this store was sealed with")]
    WrongKek(String),
    /// The store was sealed with a key that was not given.
    #[error("the store needs the key-encryption key `{0}`, which was not given")]
    MissingKek(String),
    /// The owner has no data key: deleted, never made, or another organisation's.
    #[error("no data key for `{0}`")]
    NoKey(String),
    /// A sealed value in this column was altered, moved, or sealed under another key.
    #[error("a sealed value in {0} does not open")]
    DoesNotOpen(&'static str),
    /// A value for or from this column is not the JSON it should be.
    #[error("a sealed value in {0} is not the JSON it should be")]
    NotJson(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] sqlx::Error),
}
