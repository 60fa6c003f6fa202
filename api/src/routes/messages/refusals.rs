//! The refusals of `jobs`, as problems.

use passerelle_jobs::{
    ids::SessionId,
    media::SourceError,
    messages::target::TargetError,
    model::Purpose,
    outbound::{AcceptError, CancelError, To},
    safety::hold::Refusal,
    sessions::read_receipts::MarkError,
};

use serde_json::{Value, json};

use super::schedule::invalid_send_at;
use crate::{
    problem::{Code, Problem},
    routes::{consents, media::of_file, not_found},
};

/// Returns the problem for a message of this type. `asked` is the session and the recipient.
pub(super) fn of_kind(error: AcceptError, kind: &str, asked: &(SessionId, To)) -> Problem {
    match error {
        AcceptError::PurposeRequired => needs_purpose(asked),
        AcceptError::ConsentRequired(purpose) => needs_consent(asked, purpose),
        AcceptError::Target(error) => of_target(error, &format!("/{kind}/message_id")),
        AcceptError::Source(error) => of_source_at(&error, &format!("/{kind}")),
        other => other.into(),
    }
}

/// Returns the smallest body that is accepted.
fn smallest((session, to): &(SessionId, To), more: &[(&str, Value)]) -> String {
    let to = match to {
        To::Phone(phone) => phone.as_str().to_owned(),
        To::Lid(lid) => format!("{lid}@lid"),
        To::Contact(id) => id.to_string(),
        To::Group(group) => group.as_str().to_owned(),
    };
    let text = json!({ "body": "Hello" });
    let mut body = json!({ "session_id": session, "to": to, "type": "text", "text": text });
    for (name, value) in more {
        body[name] = value.clone();
    }
    format!("The smallest body of POST /v1/messages that works: {body}")
}

fn needs_purpose(asked: &(SessionId, To)) -> Problem {
    let (code, words) = (
        Code::PurposeRequired,
        Purpose::ALL
            .iter()
            .map(|one| one.as_str())
            .collect::<Vec<_>>(),
    );
    let body = smallest(asked, &[("purpose", json!(Purpose::Order))]);
    let detail = format!(
        "The contact has not written to the session's number in the last 24 hours, so the message says what it is for: {}. {body}",
        words.join(", ")
    );
    Problem::new(code)
        .detail(detail)
        .at("/purpose", code.as_str(), words.join(", "))
}

fn needs_consent(asked: &(SessionId, To), purpose: Option<Purpose>) -> Problem {
    let code = Code::ConsentRequired;
    let purpose = json!(purpose.unwrap_or(Purpose::Order));
    let consent = json!({ "source": "checkout" });
    let body = smallest(asked, &[("purpose", purpose), ("consent", consent)]);
    let detail = format!(
        "The contact has not written to the session's number in the last 180 days, so the message needs a purpose, and says how the \
         contact agreed to it. {body}"
    );
    let wanted = "how the contact agreed, or a consent of the contact that you stored before";
    Problem::new(code)
        .detail(detail)
        .at("/consent", code.as_str(), wanted)
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

/// Returns the problem for the file of a content that is at this place in the body.
pub(in crate::routes) fn of_source_at(error: &SourceError, place: &str) -> Problem {
    let (code, field) = match error {
        SourceError::NotFound => (Code::MediaNotFound, "media_id"),
        SourceError::NotAvailable => (Code::MediaUnavailable, "media_id"),
        SourceError::Kind(_) => (Code::MediaKindMismatch, "media_id"),
        SourceError::Url(_) => (Code::UrlNotAllowed, "url"),
        SourceError::Bad(bad) => {
            let problem = of_file(bad);
            let (code, detail) = (problem.code().as_str(), bad.to_string());
            return problem.at(&format!("{place}/base64"), code, detail);
        }
    };
    Problem::new(code).at(&format!("{place}/{field}"), code.as_str(), code.title())
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
            AcceptError::PurposeRequired => Self::new(Code::PurposeRequired),
            AcceptError::ConsentRequired(_) | AcceptError::Refused(Refusal::ConsentRequired) => {
                Self::new(Code::ConsentRequired)
            }
            AcceptError::ConsentAt => consents::from_the_future("/consent"),
            AcceptError::SendAt => invalid_send_at(),
            AcceptError::Expired => Self::new(Code::InvalidExpiry).at(
                "/expires_at",
                "invalid_expiry",
                "a time in the future, after `send_at`",
            ),
            AcceptError::Refused(Refusal::WouldExpire) => Self::new(Code::WouldExpire),
            AcceptError::Refused(Refusal::NearDuplicates) => Self::new(Code::NearDuplicates),
            AcceptError::ReplyTo(error) => of_target(error, "/reply_to"),
            AcceptError::Target(error) => of_target(error, "/"),
            AcceptError::Source(error) => of_source_at(&error, ""),
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
