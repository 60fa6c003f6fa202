//! Errors on our side. A mistake of the tenant has an error type of its own where it can happen.

use std::{fmt::Display, time::Duration};

use passerelle_engine::{lease::LeaseError, store, vault::VaultError};

use crate::model::report_unreadable;

/// Our side failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The database cannot be reached, or refused: the same call may work later.
    #[error("the store failed")]
    Store(#[from] sqlx::Error),
    /// A sealed value cannot be decrypted, or a key is missing.
    #[error("the vault failed")]
    Vault(#[from] VaultError),
    /// Another process holds the session now.
    #[error("the lease of the session is lost")]
    LeaseLost,
    /// A stored value cannot be read.
    #[error("a stored value cannot be read")]
    Json(#[from] serde_json::Error),
    /// The query of a tenant took too long and was ended.
    #[error("the query took longer than {} s", store::QUERY_MAX.as_secs())]
    QueryTimeout,
}

/// Why a session's connection did not carry out a request.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No such session.
    #[error("no such session")]
    NotFound,
    /// The session has no connection, or WhatsApp did not answer.
    #[error("not connected")]
    NotConnected,
    /// The session has made too many requests for now.
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

/// Reports a row of `table` that cannot be read, and returns `None` for it, so that the rest goes on. Any other
/// fault is returned.
pub(crate) fn if_readable<T>(
    table: &'static str,
    row: &dyn Display,
    read: Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(fault) if fault.is_permanent() => {
            report_unreadable(table, row, &fault);
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// Returns whether this error, or one that caused it, is a failure of the database.
pub(crate) fn is_outage(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| {
        let fault = cause.downcast_ref().is_some_and(Fault::is_outage);
        fault || cause.downcast_ref().is_some_and(store::is_outage)
    })
}

impl Fault {
    /// Returns whether the database failed: answered with 503, and worth a retry.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Store(error) | Self::Vault(VaultError::Store(error)) => store::is_outage(error),
            Self::Vault(_) | Self::LeaseLost | Self::Json(_) | Self::QueryTimeout => false,
        }
    }

    /// Returns whether no later try can succeed, because a stored value or the key to it cannot be read.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Store(error) | Self::Vault(VaultError::Store(error)) => matches!(
                error,
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_)
            ),
            Self::Vault(error) => {
                matches!(
                    error,
                    VaultError::DoesNotOpen(_) | VaultError::NotJson(_) | VaultError::NoKey(_)
                )
            }
            Self::Json(_) => true,
            Self::LeaseLost | Self::QueryTimeout => false,
        }
    }

    /// Returns whether a tenant's query took too long.
    pub fn is_query_timeout(&self) -> bool {
        match self {
            Self::QueryTimeout => true,
            Self::Store(error) | Self::Vault(VaultError::Store(error)) => {
                store::is_query_timeout(error)
            }
            Self::Vault(_) | Self::LeaseLost | Self::Json(_) => false,
        }
    }

    /// Returns whether the same call may work for other rows: neither the database nor the lease is lost.
    pub(crate) fn is_of_one_row(&self) -> bool {
        !self.is_outage() && !matches!(self, Self::LeaseLost)
    }

    /// Returns whether another transaction wrote the same row first, or waits for what this one has locked (a
    /// deadlock): a retry will find it.
    pub(crate) fn is_race(&self) -> bool {
        const DEADLOCK: &str = "40P01";
        matches!(self, Self::Store(sqlx::Error::Database(error))
            if error.is_unique_violation() || error.code().is_some_and(|code| code == DEADLOCK))
    }
}
