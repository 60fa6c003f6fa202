//! Errors of the vault.

/// Why the vault or a sealed value could not be opened. Never contains a key or plain text.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key-encryption key given under this id is not the one that this store uses.
    #[error("the key-encryption key `{0}` is not the one that this store uses")]
    WrongKek(String),
    /// The store uses a key-encryption key that was not given.
    #[error("the store needs the key-encryption key `{0}`, which is missing")]
    MissingKek(String),
    /// The owner has no data key: it was deleted, never made, or belongs to another organisation.
    #[error("no data key for `{0}`")]
    NoKey(String),
    /// A sealed value in this column was changed, moved, or sealed under another key.
    #[error("a sealed value in {0} cannot be opened")]
    DoesNotOpen(&'static str),
    /// A value of this column could not be written or read as JSON.
    #[error("a sealed value in {0} is not valid JSON for its type")]
    NotJson(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] sqlx::Error),
}
