//! Why a call of the brain could not be done. What a tenant did wrong has an error of its own
//! where it can happen; this is what went wrong on our side.

use std::time::Duration;

use passerelle_engine::{lease::LeaseError, store, vault::VaultError};

/// Our side failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The database cannot be reached or refused: the same call may work later.
    #[error("the store failed")]
    Store(#[from] sqlx::Error),
    /// A sealed value does not open, or a key is missing.
    #[error("the vault failed")]
    Vault(#[from] VaultError),
    /// Another process holds the session now.
    #[error("the lease of the session is lost")]
    LeaseLost,
    /// A stored value does not read.
    #[error("a stored value does not read")]
    Json(#[from] serde_json::Error),
}

/// Why a session's connection did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No such session.
    #[error("no such session")]
    NotFound,
    /// The session has no connection, or WhatsApp did not answer.
    #[error("not connected")]
    NotConnected,
    /// The session has asked enough for now.
    #[error("the session may ask again in {0:?}")]
    Paced(Duration),
    /// Our side failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for AskError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl From<LeaseError> for Fault {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Lost => Self::LeaseLost,
            LeaseError::Store(error) => Self::Store(error),
        }
    }
}

impl Fault {
    /// Whether the database is what failed: answered 503, and worth another try.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Store(error) | Self::Vault(VaultError::Store(error)) => store::is_outage(error),
            Self::Vault(_) | Self::LeaseLost | Self::Json(_) => false,
        }
    }

    /// Whether no later try can succeed: what is stored cannot be read.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::Store(error) | Self::Vault(VaultError::Store(error)) => matches!(
                error,
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_)
            ),
            Self::Vault(error) => {
                matches!(error, VaultError::DoesNotOpen(_) | VaultError::NotJson(_))
            }
            Self::Json(_) => true,
            Self::LeaseLost => false,
        }
    }

    /// Whether another transaction wrote the same thing first: the next try finds it.
    pub(crate) fn is_race(&self) -> bool {
        matches!(self, Self::Store(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}
