//! The refusals of `jobs`, as problems.

use passerelle_jobs::{
    media::SourceError,
    messages::target::TargetError,
    outbound::{AcceptError, CancelError},
    sessions::read_receipts::MarkError,
};

use super::schedule::invalid_send_at;
use crate::{
    problem::{Code, Problem},
    routes::{media::of_file, not_found},
};

/// Returns the problem for a message of this type.
pub(super) fn of_kind(error: AcceptError, kind: &str) -> Problem {
    match error {
        AcceptError::Target(error) => of_target(error, &format!("/{kind}/message_id")),
        AcceptError::Source(error) => of_source(&error, kind),
        other => other.into(),
    }
}

/// Returns the problem for a `to` that is the id of no contact.
pub(in crate::routes) fn no_contact() -> Problem {
    let code = Code::ContactNotFound;
    Problem::new(code).at("/to", code.as_str(), "there is no such contact")
}

/// Returns the problem for a recipient who opted out.
pub(in crate::routes) fn opted_out() -> Problem {
    let (code, why) = (
        Code::RecipientOptedOut,
        "the recipient wrote that they want no more messages",
    );
    Problem::new(code).at("/to", code.as_str(), why)
}

fn of_source(error: &SourceError, kind: &str) -> Problem {
    let (code, field) = match error {
        SourceError::NotFound => (Code::MediaNotFound, "media_id"),
        SourceError::NotAvailable => (Code::MediaUnavailable, "media_id"),
        SourceError::Kind(_) => (Code::MediaKindMismatch, "media_id"),
        SourceError::Url(_) => (Code::UrlNotAllowed, "url"),
        SourceError::Bad(bad) => {
            let problem = of_file(bad);
            let (code, detail) = (problem.code().as_str(), bad.to_string());
            return problem.at(&format!("/{kind}/base64"), code, detail);
        }
    };
    Problem::new(code).at(&format!("/{kind}/{field}"), code.as_str(), code.title())
}

fn of_target(error: TargetError, pointer: &str) -> Problem {
    let code = match error {
        TargetError::NotFound => Code::TargetNotFound,
        TargetError::NotSent => Code::TargetNotSent,
        TargetError::Deleted => Code::TargetDeleted,
        TargetError::NotEditable => Code::TargetNotEditable,
        TargetError::EditWindowOver => Code::EditWindowOver,
        TargetError::NotDeletable => Code::TargetNotDeletable,
        TargetError::DeleteWindowOver => Code::DeleteWindowOver,
    };
    Problem::new(code).at(pointer, code.as_str(), code.title())
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::NoSession => {
                not_found().at("/session_id", "not_found", "there is no such session")
            }
            AcceptError::NoContact => no_contact(),
            AcceptError::QueueFull(most) => Self::new(Code::QueueFull).detail(format!(
                "In the queue of a session {most} messages may wait (--lane-limit). Wait, or cancel some (POST \
                 /v1/messages/{{id}}/cancel)."
            )),
            AcceptError::OptedOut => opted_out(),
            AcceptError::SendAt => invalid_send_at(),
            AcceptError::Expired => Self::new(Code::InvalidExpiry).at(
                "/expires_at",
                "invalid_expiry",
                "a time in the future, after `send_at`",
            ),
            AcceptError::ReplyTo(error) => of_target(error, "/reply_to"),
            AcceptError::Target(error) => of_target(error, "/"),
            AcceptError::Source(error) => of_source(&error, ""),
            AcceptError::Ingest(error) => error.into(),
            AcceptError::KeyReused => Self::new(Code::IdempotencyKeyReused),
            AcceptError::KeyInUse => Self::new(Code::IdempotencyInProgress),
            AcceptError::Fault(fault) => fault.into(),
        }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::NotFound => not_found(),
            CancelError::TooLate(status) => Self::new(Code::MessageNotCancelable).detail(format!(
                "Only a queued message can be canceled. This one is {}.",
                status.as_str()
            )),
            CancelError::Fault(fault) => fault.into(),
        }
    }
}

impl From<MarkError> for Problem {
    fn from(error: MarkError) -> Self {
        match error {
            MarkError::NotFound => not_found(),
            MarkError::NotMarkable => Self::new(Code::MessageNotMarkable),
            MarkError::NotConnected => Self::new(Code::SessionNotReady),
            MarkError::Fault(fault) => fault.into(),
        }
    }
}
