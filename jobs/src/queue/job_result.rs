//! What becomes of a job. One type serves all queues.
//!
//! The handler decides at each step that can fail. A step that ends in a [`Fault`] says [`Doing::doing`]: the
//! fault knows whether trying again can help. Any other error needs [`OrNotDone::or_retry`] or
//! [`OrNotDone::or_fail`] before its `?`.
//!
//! The row is the truth. `Done`, `Snooze` and a `Fail` without a cause describe what the handler has
//! committed. `Retry` and a `Fail` with a cause mean that it committed nothing. Then the worker has the queue
//! commit a [`Failure`], so that a row that always fails comes to an end. Only an outage of the database counts
//! as nothing: the claim lapses, and the row is claimed again.

use std::{borrow::Cow, time::Duration};

use crate::{
    error::{Fault, is_outage},
    model::UNREADABLE,
};

/// What a handler returns.
pub type JobResult = Result<Done, NotDone>;

/// Nothing more is to be done by this run: the row is settled or gone, or its claim is lost or lapses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done;

/// Why a job is not done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// Something outside failed, and a later try may succeed.
    #[error("the job is tried again")]
    Retry(#[source] anyhow::Error),
    /// The row is due again after this time. Zero: as soon as it can be claimed.
    #[error("the job is due again in {0:?}")]
    Snooze(Duration),
    /// The handler found that no further try can succeed.
    #[error("the job failed: {code}")]
    Fail {
        /// A stable code: the row's, or [`UNREADABLE`] if the handler recorded nothing.
        code: Cow<'static, str>,
        /// What went wrong, if the handler could not record the failure.
        #[source]
        cause: Option<anyhow::Error>,
    },
}

impl NotDone {
    /// A failure that the handler has recorded under `code`.
    pub(crate) fn failed(code: impl Into<Cow<'static, str>>) -> Self {
        Self::Fail {
            code: code.into(),
            cause: None,
        }
    }

    /// Splits off what committed nothing: its error, and what its queue has to commit. That is `None` during
    /// an outage of the database.
    pub(crate) fn unrecorded(self) -> Result<Self, (anyhow::Error, Option<Failure>)> {
        match self {
            Self::Retry(error) => {
                let counts = !is_outage(&error);
                Err((error, counts.then_some(Failure::Counted)))
            }
            Self::Fail {
                code,
                cause: Some(error),
            } => Err((error, Some(Failure::Final(code)))),
            recorded => Ok(recorded),
        }
    }
}

/// A failed run whose handler committed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No later run can succeed. The row ends with this code.
    Final(Cow<'static, str>),
    /// A later run may succeed. The run counts as a try; after the last one the row ends as `internal`.
    Counted,
}

/// The decision at a step that ends in a [`Fault`].
pub(crate) trait Doing<T> {
    /// Retries the job if the step failed, or fails it if what is stored cannot be read.
    fn doing(self, what: &'static str) -> Result<T, NotDone>;
}

impl<T, E: Into<Fault>> Doing<T> for Result<T, E> {
    fn doing(self, what: &'static str) -> Result<T, NotDone> {
        match self.map_err(Into::into) {
            Ok(done) => Ok(done),
            Err(fault) if fault.is_permanent() => Err(fault).or_fail(what),
            Err(fault) => Err(fault).or_retry(what),
        }
    }
}

/// The decision at a step whose error does not say whether trying again can help.
pub(crate) trait OrNotDone<T> {
    /// Retries the job if the step failed.
    fn or_retry(self, doing: &'static str) -> Result<T, NotDone>;

    /// Fails the job as [`UNREADABLE`] if the step failed.
    fn or_fail(self, doing: &'static str) -> Result<T, NotDone>;
}

impl<T, E: Into<anyhow::Error>> OrNotDone<T> for Result<T, E> {
    fn or_retry(self, doing: &'static str) -> Result<T, NotDone> {
        self.map_err(|error| NotDone::Retry(error.into().context(doing)))
    }

    fn or_fail(self, doing: &'static str) -> Result<T, NotDone> {
        self.map_err(|error| NotDone::Fail {
            code: UNREADABLE.into(),
            cause: Some(error.into().context(doing)),
        })
    }
}

#[cfg(test)]
mod tests {
    use passerelle_engine::vault::VaultError;

    use super::*;

    fn result(fault: impl Into<Fault>) -> NotDone {
        Err::<(), _>(fault).doing("a step").unwrap_err()
    }

    #[test]
    fn an_outage_is_retried_and_counts_as_nothing() {
        for fault in [
            Fault::Store(sqlx::Error::PoolTimedOut),
            Fault::Vault(VaultError::Store(sqlx::Error::PoolTimedOut)),
        ] {
            let (error, failure) = result(fault).unrecorded().unwrap_err();
            assert_eq!((error.to_string().as_str(), failure), ("a step", None));
        }
    }

    #[test]
    fn what_may_work_later_is_retried_and_counted() {
        for fault in [
            Fault::Store(sqlx::Error::RowNotFound),
            Fault::Vault(VaultError::MissingKek("k2".to_owned())),
            Fault::LeaseLost,
        ] {
            let (_, failure) = result(fault).unrecorded().unwrap_err();
            assert_eq!(failure, Some(Failure::Counted));
        }
    }

    #[test]
    fn what_cannot_be_read_fails_for_good() {
        let unreadable = sqlx::Error::ColumnDecode {
            index: "body".to_owned(),
            source: "not ours".into(),
        };
        for fault in [
            Fault::Store(unreadable),
            Fault::Vault(VaultError::DoesNotOpen("message.content")),
            Fault::Vault(VaultError::NoKey("org_1".to_owned())),
            Fault::Json(serde_json::from_str::<u8>("x").unwrap_err()),
        ] {
            let (_, failure) = result(fault).unrecorded().unwrap_err();
            assert_eq!(failure, Some(Failure::Final(UNREADABLE.into())));
        }
    }

    #[test]
    fn what_the_handler_recorded_is_no_error() {
        for recorded in [
            NotDone::Snooze(Duration::ZERO),
            NotDone::failed("media_damaged"),
        ] {
            assert!(recorded.unrecorded().is_ok());
        }
    }
}
