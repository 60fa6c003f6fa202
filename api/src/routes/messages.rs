//! Messages: send one, read them, take one back.

use passerelle_jobs::{
    Services,
    content::{Content, Phone, TEXT_MAX},
    ids::{MessageId, SessionId},
    messages::{self, Filter},
    model::{self, Direction},
    outbound::{self, AcceptError, CancelError},
};
use poem::{Request, web::Data};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Header, Path, Query},
};
use serde::{Deserialize, Serialize};

use super::{Group, not_found};
use crate::{
    auth::Caller,
    body::{Accepted, Body, Found},
    idempotency,
    list::{self, list_of},
    problem::{Code, Problem},
    types::{Id, Timestamp},
};

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Enum)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Sendable {
    /// Plain text.
    Text,
}

/// A text.
#[derive(Debug, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// 1 to 65,536 bytes of UTF-8, and not only white space.
    pub body: String,
}

/// A message to send to one person.
#[derive(Debug, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// Through which session.
    pub session_id: Id<SessionId>,
    /// What it carries; the field of that name holds it.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub kind: Sendable,
    /// To whom, in E.164: `+`, country code and number, 7 to 15 digits.
    pub to: String,
    /// The text.
    pub text: Text,
    /// Not sent after this moment; a day from now when absent.
    #[oai(skip_serializing_if_is_none)]
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// When a message waits its turn.
#[derive(Debug, Serialize, Object)]
pub struct MessageQueue {
    /// Messages before it in the session's lane; 0 when it is next.
    pub position: i64,
    /// When it is likely to be sent, while the session is connected.
    pub estimated_send_at: Timestamp,
    /// By when at the latest, while the session is connected.
    pub estimated_send_by: Timestamp,
}

/// Why a message will not arrive.
#[derive(Debug, Serialize, Object)]
pub struct MessageError {
    /// Stable.
    pub code: String,
}

/// A message this version does not read.
#[derive(Debug, Serialize, Object)]
pub struct Unsupported {
    /// WhatsApp's name of what it carried, such as `imageMessage`.
    pub kind: String,
}

/// A message, out or in.
#[derive(Debug, Serialize, Object)]
pub struct Message {
    /// Its id.
    pub id: Id<MessageId>,
    /// Always `message`.
    pub object: String,
    /// Through which session it goes or came.
    pub session_id: Id<SessionId>,
    /// `outbound` or `inbound`.
    pub direction: String,
    /// What it carries: `text`, or `unsupported` for what this version does not read.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    /// To whom, of an outbound one.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// From whom, of an inbound one, when WhatsApp told the number.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// WhatsApp's own id of the other side, when it is known.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// Our stable id of the other side, when it is known.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<String>,
    /// Outbound: `queued`, `sending`, `unknown` (written, and WhatsApp never said what became of
    /// it), `sent` (WhatsApp's server has it), `delivered`, `read`, `played`, `failed`, `expired`,
    /// `canceled`. Inbound: `received`. A status never goes back.
    pub status: String,
    /// Why it failed.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<MessageError>,
    /// The text, of type `text`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// What it was, of type `unsupported`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<Unsupported>,
    /// When it waits, in the answer that accepts it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<MessageQueue>,
    /// WhatsApp's id of it; the same over every try.
    pub wa_message_id: String,
    /// When it was accepted, or came in.
    pub created_at: Timestamp,
    /// Not sent after this.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When WhatsApp's server acknowledged it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// When it reached a device.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    /// When it was read.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// When it was played.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub played_at: Option<Timestamp>,
}

impl From<model::Message> for Message {
    fn from(message: model::Message) -> Self {
        let kind = message.content.kind().to_owned();
        let phone = message.peer.phone.map(|phone| phone.as_str().to_owned());
        let (to, from) = match message.direction {
            Direction::Outbound => (phone, None),
            Direction::Inbound => (None, phone),
        };
        let (text, unsupported) = match message.content {
            Content::Text { body } => (Some(Text { body }), None),
            Content::Unsupported { kind } => (None, Some(Unsupported { kind })),
            // A content that this page was not taught yet is told by its type alone.
            _ => (None, None),
        };
        Self {
            id: Id(message.id),
            object: "message".to_owned(),
            session_id: Id(message.session),
            direction: message.direction.as_str().to_owned(),
            kind,
            to,
            from,
            lid: message.peer.lid,
            contact_id: message.contact.map(|contact| contact.to_string()),
            status: message.status.as_str().to_owned(),
            error: message.error.map(|code| MessageError { code }),
            text,
            unsupported,
            queue: None,
            wa_message_id: message.wa_id,
            created_at: Timestamp(message.created_at),
            expires_at: message.expires_at.map(Timestamp),
            sent_at: message.sent_at.map(Timestamp),
            delivered_at: message.delivered_at.map(Timestamp),
            read_at: message.read_at.map(Timestamp),
            played_at: message.played_at.map(Timestamp),
        }
    }
}

impl From<outbound::Accepted> for Message {
    fn from(accepted: outbound::Accepted) -> Self {
        Self {
            queue: Some(MessageQueue {
                position: accepted.position,
                estimated_send_at: Timestamp(accepted.estimated_send_at),
                estimated_send_by: Timestamp(accepted.estimated_send_by),
            }),
            ..accepted.message.into()
        }
    }
}

list_of!(
    /// A page of messages.
    MessageList, Message);

/// What is wrong with a message of the right shape: everything at once.
fn parse(new: NewMessage) -> Result<outbound::NewMessage, Problem> {
    let mut flaws = Vec::new();
    let to = Phone::parse(&new.to);
    if to.is_none() {
        flaws.push((
            Code::InvalidRecipient,
            "/to",
            "a phone number in E.164, such as +491510000002",
        ));
    }
    if new.text.body.trim().is_empty() {
        flaws.push((
            Code::TextEmpty,
            "/text/body",
            "at least one character that is not white space",
        ));
    }
    if new.text.body.len() > TEXT_MAX {
        flaws.push((
            Code::TextTooLong,
            "/text/body",
            "at most 65536 bytes of UTF-8",
        ));
    }
    match (to, flaws.first()) {
        (Some(to), None) => Ok(outbound::NewMessage {
            session: new.session_id.0,
            to,
            content: Content::Text {
                body: new.text.body,
            },
            expires_at: new.expires_at.map(|at| at.0),
        }),
        (_, first) => {
            let code = first.map_or(Code::ValidationFailed, |flaw| flaw.0);
            Err(flaws
                .iter()
                .fold(Problem::new(code), |problem, (code, pointer, detail)| {
                    problem.at(pointer, code.as_str(), *detail)
                }))
        }
    }
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::NoSession => {
                not_found().at("/session_id", "not_found", "there is no such session")
            }
            AcceptError::QueueFull => Self::new(Code::QueueFull),
            AcceptError::OptedOut => Self::new(Code::RecipientOptedOut).at(
                "/to",
                "recipient_opted_out",
                "they wrote that they want no more messages",
            ),
            AcceptError::Expired => Self::new(Code::InvalidExpiry).at(
                "/expires_at",
                "invalid_expiry",
                "a moment in the future",
            ),
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
                "Only a queued message can be taken back; this one is {}.",
                status.as_str()
            )),
            CancelError::Fault(fault) => fault.into(),
        }
    }
}

/// Which statuses a list can be asked for.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum MessageStatus {
    /// In its lane.
    Queued,
    /// Claimed by the host.
    Sending,
    /// Written, and never acknowledged.
    Unknown,
    /// WhatsApp's server has it.
    Sent,
    /// On a device.
    Delivered,
    /// Seen.
    Read,
    /// Played.
    Played,
    /// Refused.
    Failed,
    /// It waited too long.
    Expired,
    /// Taken back.
    Canceled,
    /// Inbound.
    Received,
}

impl From<MessageStatus> for model::Status {
    fn from(status: MessageStatus) -> Self {
        match status {
            MessageStatus::Queued => Self::Queued,
            MessageStatus::Sending => Self::Sending,
            MessageStatus::Unknown => Self::Unknown,
            MessageStatus::Sent => Self::Sent,
            MessageStatus::Delivered => Self::Delivered,
            MessageStatus::Read => Self::Read,
            MessageStatus::Played => Self::Played,
            MessageStatus::Failed => Self::Failed,
            MessageStatus::Expired => Self::Expired,
            MessageStatus::Canceled => Self::Canceled,
            MessageStatus::Received => Self::Received,
        }
    }
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum MessageDirection {
    /// From you to a contact.
    Outbound,
    /// From a contact to you.
    Inbound,
}

impl From<MessageDirection> for Direction {
    fn from(direction: MessageDirection) -> Self {
        match direction {
            MessageDirection::Outbound => Self::Outbound,
            MessageDirection::Inbound => Self::Inbound,
        }
    }
}

/// Messages.
pub struct Messages;

#[OpenApi(prefix_path = "/v1/messages", tag = "Group::Messages")]
impl Messages {
    /// Send a message to one person.
    ///
    /// 202 means that it is committed to disk and will be sent in its turn, at the number's pace;
    /// `queue` says about when. Send an `Idempotency-Key` and a repeated request is answered as
    /// the first was, with the header `Idempotency-Replayed`.
    #[oai(path = "/", method = "post", operation_id = "send_message")]
    async fn send_message(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// 1 to 255 printable ASCII characters, new for each message.
        #[oai(name = "Idempotency-Key")]
        _key: Header<Option<String>>,
        request: &Request,
        body: Body<NewMessage>,
    ) -> Result<poem_openapi::payload::Response<Accepted<Message>>, Problem> {
        let idempotency = idempotency::of(request.headers(), "POST /v1/messages", &body.0)?;
        let new = parse(body.0)?;
        let accepted = outbound::accept(&services, caller.0.org, new, idempotency).await?;
        let replayed = accepted.replayed;
        let answer = poem_openapi::payload::Response::new(Accepted::of(accepted.into()));
        Ok(if replayed {
            answer.header(idempotency::REPLAYED, "true")
        } else {
            answer
        })
    }

    /// List the messages, newest first.
    #[oai(path = "/", method = "get", operation_id = "list_messages")]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a query parameter of its own"
    )]
    async fn list_messages(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// Only this session's.
        session_id: Query<Option<Id<SessionId>>>,
        /// Only with this status.
        status: Query<Option<MessageStatus>>,
        /// Only this way.
        direction: Query<Option<MessageDirection>>,
        /// Messages wanted.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// Where the page before ended: its `next_cursor`.
        cursor: Query<Option<String>>,
    ) -> Result<Found<MessageList>, Problem> {
        let page = list::page(&services, limit.0, cursor.as_deref())?;
        let filter = Filter {
            session: session_id.0.map(|id| id.0),
            status: status.0.map(Into::into),
            direction: direction.0.map(Into::into),
        };
        let listed = messages::list(&services, caller.0.org, &filter, &page).await?;
        let next_cursor = list::next(&services, &listed, |one| one.id.to_string());
        let (data, has_more) = (
            listed.items.into_iter().map(Into::into).collect(),
            listed.more,
        );
        Ok(Found::of(MessageList {
            data,
            has_more,
            next_cursor,
        }))
    }

    /// Read a message.
    #[oai(path = "/:id", method = "get", operation_id = "read_message")]
    async fn read_message(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The message.
        id: Path<Id<MessageId>>,
    ) -> Result<Found<Message>, Problem> {
        let message = messages::read(&services, caller.0.org, id.0.0).await?;
        message
            .map(|message| Found::of(message.into()))
            .ok_or_else(not_found)
    }

    /// Take back a message that is still queued.
    #[oai(path = "/:id/cancel", method = "post", operation_id = "cancel_message")]
    async fn cancel_message(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The message.
        id: Path<Id<MessageId>>,
    ) -> Result<Found<Message>, Problem> {
        Ok(Found::of(
            outbound::cancel(&services, caller.0.org, id.0.0)
                .await?
                .into(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use passerelle_jobs::clock::Clock;

    use super::*;

    fn new(to: &str, body: &str) -> NewMessage {
        NewMessage {
            session_id: Id(SessionId::new(&Clock::system())),
            kind: Sendable::Text,
            to: to.to_owned(),
            text: Text {
                body: body.to_owned(),
            },
            expires_at: None,
        }
    }

    #[test]
    fn only_e164_is_a_recipient() {
        assert!(parse(new("+491510000002", "hi")).is_ok());
        for to in [
            "",
            "491510000002",
            "+0151",
            "+49 151 0000002",
            "+123456",
            "+1234567890123456",
            "a@b.c",
            "123@g.us",
        ] {
            assert_eq!(
                parse(new(to, "hi")).unwrap_err().code(),
                Code::InvalidRecipient,
                "{to}"
            );
        }
    }

    #[test]
    fn a_text_has_1_to_65536_bytes() {
        assert!(parse(new("+491510000002", &"x".repeat(TEXT_MAX))).is_ok());
        let long = parse(new("+491510000002", &"ä".repeat(TEXT_MAX / 2 + 1))).unwrap_err();
        assert_eq!(long.code(), Code::TextTooLong);
        assert_eq!(
            parse(new("+491510000002", " \n")).unwrap_err().code(),
            Code::TextEmpty
        );
    }

    #[test]
    fn every_flaw_is_told_at_once() {
        let shown = format!("{:?}", parse(new("nobody", "")).unwrap_err());
        assert!(
            shown.contains("/to") && shown.contains("/text/body"),
            "{shown}"
        );
        assert!(!shown.contains("nobody"), "{shown}");
    }
}
