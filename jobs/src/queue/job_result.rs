//! What becomes of a job. One type serves all queues.
//!
//! The handler decides at each step that can fail. A step that ends in a [`Fault`] says [`Doing::doing`]: the
//! fault knows whether trying again can help. Any other error needs [`OrNotDone::or_retry`] or
//! [`OrNotDone::or_fail`] before its `?`.
//!
//! The row is the truth. `Done`, `Snooze` and a `Fail` without a cause describe what the handler has
//! committed. `Retry` and a `Fail` with a cause mean that it committed nothing: the claim lapses, and the
//! row is claimed again.

use std::{borrow::Cow, time::Duration};

use crate::error::Fault;

/// The code of a row whose stored or sealed values cannot be read.
pub(crate) const UNREADABLE: &str = "unreadable_row";

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
        /// A stable code: the row's, or [`UNREADABLE`] if nothing was recorded.
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

    /// Splits off what committed nothing: its error, with the code of a permanent failure.
    pub(crate) fn unrecorded(self) -> Result<Self, (anyhow::Error, Option<Cow<'static, str>>)> {
        match self {
            Self::Retry(error) => Err((error, None)),
            Self::Fail {
                code,
                cause: Some(error),
            } => Err((error, Some(code))),
            recorded => Ok(recorded),
        }
    }
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
    fn what_may_work_later_is_retried() {
        for fault in [
            Fault::Store(sqlx::Error::PoolTimedOut),
            Fault::Vault(VaultError::Store(sqlx::Error::PoolTimedOut)),
            Fault::LeaseLost,
        ] {
            let (error, code) = result(fault).unrecorded().unwrap_err();
            assert_eq!((error.to_string().as_str(), code), ("a step", None));
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
            Fault::Json(serde_json::from_str::<u8>("x").unwrap_err()),
        ] {
            let (_, code) = result(fault).unrecorded().unwrap_err();
            assert_eq!(code.as_deref(), Some(UNREADABLE));
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
