//! When a message is sent: not before a time, and before or after others.

use passerelle_jobs::{
    model,
    outbound::schedule::{self, ChangeError},
};
use poem_openapi::{Enum, Object, types::MaybeUndefined};
use serde::{Deserialize, Serialize};

use crate::{
    patch::given,
    problem::{Code, Problem},
    routes::not_found,
    types::{Timestamp, same_variants},
};

/// Whether a message goes before or after the others that may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before all others of its session.
    High,
    /// In its turn.
    Normal,
    /// After all others of its session.
    Low,
}

same_variants!(Priority => model::Priority: High Normal Low);

/// A change of a message that is still queued. A field that is absent stays as it is.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct MessageChange {
    /// It is not sent before this time, at most 30 days from now. Its `expires_at` moves with it. `null` sends it in its
    /// turn.
    #[serde(default)]
    pub send_at: MaybeUndefined<Timestamp>,
    /// Whether it goes before or after the others that may go.
    #[serde(default, deserialize_with = "given")]
    pub priority: Option<Priority>,
}

impl MessageChange {
    pub(super) fn parse(self) -> schedule::Change {
        schedule::Change {
            send_at: match self.send_at {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(at) => Some(Some(at.0)),
            },
            priority: self.priority.map(Into::into),
        }
    }
}

/// Returns the problem for a `send_at` that the message cannot have.
pub(super) fn invalid_send_at() -> Problem {
    Problem::new(Code::InvalidSendAt).at(
        "/send_at",
        "invalid_send_at",
        "a time from now on, at most 30 days ahead; a reaction, an edit and a deletion have none",
    )
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotFound => not_found(),
            ChangeError::TooLate(status) => Self::new(Code::MessageNotQueued).detail(format!(
                "Only a queued message can be changed. This one is {}.",
                status.as_str()
            )),
            ChangeError::SendAt => invalid_send_at(),
            ChangeError::Fault(fault) => fault.into(),
        }
    }
}
