//! Problem bodies: what every refusal looks like (RFC 9457), each with a stable `code`.
//!
//! A detail never repeats what the caller sent: no message text, number, key or file path.

use std::fmt;

use passerelle_jobs::error::Fault;
use poem::{
    IntoResponse, Response,
    error::ResponseError,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use poem_openapi::{ApiResponse, Object, registry::MetaResponses, registry::Registry};
use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $status:literal $code:literal $title:literal;)*) => {
        /// The stable codes. A code keeps its meaning and its status for ever.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of their statuses.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As it stands in the body.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status that always goes with it.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// One line for people.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The body is not JSON.
    MalformedJson 400 "malformed_json" "The body is not valid JSON";
    /// A field this operation does not have.
    UnknownField 400 "unknown_field" "The body has a field that is not known";
    /// A field or parameter is missing or of the wrong shape.
    ValidationFailed 400 "validation_failed" "The request does not have the right shape";
    /// Not an id of the wanted kind.
    InvalidId 400 "invalid_id" "That is not an id of this kind";
    /// Not a cursor this API gave.
    InvalidCursor 400 "invalid_cursor" "The cursor was not made by this API";
    /// The `Idempotency-Key` header is empty, too long or not printable ASCII.
    IdempotencyKeyInvalid 400 "idempotency_key_invalid" "The idempotency key cannot be used";
    /// The body ended too early or could not be read.
    IncompleteBody 400 "incomplete_body" "The request ended before its body did";
    /// No `Authorization: Bearer` header.
    MissingCredentials 401 "missing_credentials" "An API key is needed";
    /// The key is not one of ours, or was revoked.
    InvalidApiKey 401 "invalid_api_key" "The API key is not valid";
    /// The key is valid and not for this operation.
    InsufficientScope 403 "insufficient_scope" "This key may not do that";
    /// No such thing, or it belongs to somebody else: the answer is the same.
    NotFound 404 "not_found" "Not found";
    /// The path exists, the method does not.
    MethodNotAllowed 405 "method_not_allowed" "This method is not allowed here";
    /// None of the accepted media types can be made.
    NotAcceptable 406 "not_acceptable" "None of the accepted media types is offered";
    /// The request did not arrive in time.
    RequestTimeout 408 "request_timeout" "The request took too long to arrive";
    /// The session has no QR at this moment.
    QrNotAvailable 409 "qr_not_available" "There is no QR code to scan now";
    /// The session is linked already.
    SessionAlreadyLinked 409 "session_already_linked" "The session is linked already";
    /// The session is not running, or not as far as this needs.
    SessionNotReady 409 "session_not_ready" "The session is not ready for this";
    /// The message was claimed or is done.
    MessageNotCancelable 409 "message_not_cancelable" "The message can no longer be taken back";
    /// It did not come in, or is nothing that could be marked so.
    MessageNotMarkable 409 "message_not_markable" "Only a message that came in can be marked, as played only one that plays";
    /// The first request with this key has not finished.
    IdempotencyInProgress 409 "idempotency_in_progress" "The first request with this key is still running";
    /// The file is being fetched; `Retry-After` says when to ask again.
    MediaPending 409 "media_pending" "The file is not here yet";
    /// It failed or expired; the file's `error` says why.
    MediaUnavailable 410 "media_unavailable" "The file cannot be had";
    /// More than the limit of bytes.
    BodyTooLarge 413 "body_too_large" "The body is too large";
    /// Not `application/json`.
    UnsupportedMediaType 415 "unsupported_media_type" "The body must be application/json";
    /// The file has fewer bytes than the range begins at.
    RangeNotSatisfiable 416 "range_not_satisfiable" "The file has no such part";
    /// The same key came with another request before.
    IdempotencyKeyReused 422 "idempotency_key_reused" "The idempotency key was used for another request";
    /// `to` is no phone number in E.164, no id of a contact and none of a group.
    InvalidRecipient 422 "invalid_recipient" "The recipient is no phone number, contact or group";
    /// No contact with this id.
    ContactNotFound 422 "contact_not_found" "There is no such contact";
    /// The recipient wrote a word such as "stop" and wants no more messages from you.
    RecipientOptedOut 422 "recipient_opted_out" "The recipient opted out";
    /// Nothing to say.
    TextEmpty 422 "text_empty" "The text is empty";
    /// More than 65,536 bytes.
    TextTooLong 422 "text_too_long" "The text is too long";
    /// `to` is a channel, status or a call; this version writes to persons and groups.
    RecipientKindUnsupported 422 "recipient_kind_unsupported" "This kind of recipient is not sent to yet";
    /// `mentions` holds more than 100, or something that is no phone number in E.164.
    InvalidMention 422 "invalid_mention" "The mentions cannot be used";
    /// A place off the map, or a name that is too long.
    InvalidLocation 422 "invalid_location" "The location cannot be used";
    /// No card, more than ten, or one whose name or numbers cannot be used.
    InvalidContact 422 "invalid_contact" "The contact cards cannot be used";
    /// A poll wants a question, 2 to 12 different options, and no more choices than options.
    InvalidPoll 422 "invalid_poll" "The poll cannot be used";
    /// More than one of `media_id`, `url` and `base64`, or none.
    MediaSource 422 "media_source" "A file comes from exactly one of media_id, url and base64";
    /// Not base64 with padding.
    InvalidBase64 422 "invalid_base64" "That is not base64";
    /// No file with this id.
    MediaNotFound 422 "media_not_found" "There is no such file";
    /// The file was uploaded, or came in, as another kind.
    MediaKindMismatch 422 "media_kind_mismatch" "The file is of another kind than the message";
    /// The file has no bytes.
    MediaEmpty 422 "media_empty" "The file is empty";
    /// More bytes than a file of its kind may have.
    MediaTooLarge 422 "media_too_large" "The file is too large for its kind";
    /// Its bytes are of a type that a message of this kind does not carry.
    MediaTypeNotSupported 422 "media_type_not_supported" "The file is not of a type that this kind carries";
    /// It would have to be converted, and this gateway cannot; the detail says what is needed.
    TranscodingUnavailable 422 "transcoding_unavailable" "The file would have to be converted";
    /// Converting it takes more time or memory than this gateway gives; the detail says what is needed.
    TranscodingLimit 422 "transcoding_limit" "Converting the file takes more than is given for it";
    /// It does not read as what its first bytes say.
    MediaDamaged 422 "media_damaged" "The file is damaged";
    /// A voice note has at most 15 minutes.
    MediaTooLong 422 "media_too_long" "The recording is too long";
    /// More than 50 million pixels, or a sticker of other than 512 by 512.
    MediaDimensions 422 "media_dimensions" "The picture has the wrong size in pixels";
    /// Not one emoji.
    InvalidEmoji 422 "invalid_emoji" "A reaction is one emoji, or nothing";
    /// No message with this id in the chat with this recipient through this session.
    TargetNotFound 422 "target_not_found" "There is no such message in this chat";
    /// The message waits, failed, or nobody knows what became of it.
    TargetNotSent 422 "target_not_sent" "The message was not sent";
    /// The message was deleted for everybody.
    TargetDeleted 422 "target_deleted" "The message was deleted";
    /// Only a text that you sent can be edited.
    TargetNotEditable 422 "target_not_editable" "Only a text that you sent can be edited";
    /// WhatsApp takes an edit for 15 minutes after the message was sent.
    EditWindowOver 422 "edit_window_over" "A text can be edited for 15 minutes after it was sent";
    /// Only what you sent can be deleted for everybody.
    TargetNotDeletable 422 "target_not_deletable" "Only a message that you sent can be deleted for everybody";
    /// WhatsApp takes a deletion for two days after the message was sent.
    DeleteWindowOver 422 "delete_window_over" "A message can be deleted for everybody for two days after it was sent";
    /// `expires_at` is not in the future, or too far in it.
    InvalidExpiry 422 "invalid_expiry" "The expiry cannot be used";
    /// Less than an hour, or longer than files may be kept.
    InvalidRetention 422 "invalid_retention" "Files cannot be kept so long, or so briefly";
    /// A name is empty, too long or holds control characters.
    InvalidName 422 "invalid_name" "The name cannot be used";
    /// Not a phone number in E.164.
    InvalidPhone 422 "invalid_phone" "That is not an E.164 phone number";
    /// The address is not one this gateway may call.
    UrlNotAllowed 422 "url_not_allowed" "This address may not be called";
    /// Not an event type this version has.
    UnknownEventType 422 "unknown_event_type" "There is no such event type";
    /// The organisation asks more often than it may; `Retry-After` says when to go on.
    RateLimited 429 "rate_limited" "Too many requests";
    /// The session has asked WhatsApp for enough numbers; `Retry-After` says when to go on.
    NumberCheckPaced 429 "number_check_paced" "The session has checked enough numbers for now";
    /// The session has asked WhatsApp for its groups often enough; `Retry-After` says when to go on.
    GroupListPaced 429 "group_list_paced" "The session has listed its groups often enough for now";
    /// The session has shown enough typing; `Retry-After` says when to go on.
    TypingPaced 429 "typing_paced" "The session has shown typing often enough for now";
    /// The lane holds as many messages as it may.
    QueueFull 429 "queue_full" "The session's queue is full";
    /// As many of them as an organisation may have.
    LimitReached 429 "limit_reached" "The organisation has as many as it may have";
    /// A fault of ours; the cause is in the log under the request id.
    Internal 500 "internal" "Something went wrong on our side";
    /// The store cannot be reached: nothing was accepted.
    DependencyDown 503 "dependency_down" "The store cannot be reached";
    /// No host runs the session.
    SessionHostUnavailable 503 "session_host_unavailable" "No host runs this session at the moment";
    /// As many bytes of requests are being read as memory allows.
    Overloaded 503 "overloaded" "The gateway is taking in too much at once";
    /// The disk is as full as it may be: no file is taken in, everything else goes on.
    StorageFull 507 "storage_full" "There is no room for files";
    /// The gateway is going down.
    ShuttingDown 503 "shutting_down" "The gateway is shutting down";
    /// The request was not answered within its deadline.
    DeadlineExceeded 503 "deadline_exceeded" "The request took too long";
}

/// One fault in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, Object)]
pub struct Flaw {
    /// JSON Pointer into the body (RFC 6901); absent when a parameter or header is at fault.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The query, path or header parameter at fault.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What is wrong, stable.
    pub code: String,
    /// What is wrong, for people.
    pub detail: String,
}

/// The body of every refusal, as `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, Serialize, serde::Deserialize, Object)]
#[oai(rename = "Problem")]
pub struct ProblemBody {
    /// Where this code is described, relative to this server.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words; the same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, for people. It never repeats what was sent.
    pub detail: String,
    /// The path that was called.
    pub instance: String,
    /// The stable code to branch on.
    pub code: String,
    /// The request, as in the `x-request-id` header and our logs.
    pub request_id: String,
    /// Each fault that was found, when there are several or their place matters.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<Flaw>>,
    /// The session's state, with `qr_not_available` and `session_not_ready`.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// A refusal on its way to the caller.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: String,
    flaws: Vec<Flaw>,
    state: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this code, its title as detail.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: format!("{}.", code.title()),
            flaws: Vec::new(),
            state: None,
            headers: Vec::new(),
        }
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Says more than the title. Never with anything the caller sent.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Adds a fault at a place of the body.
    #[must_use]
    pub fn at(mut self, pointer: &str, code: &str, detail: impl Into<String>) -> Self {
        self.flaws.push(Flaw {
            pointer: Some(pointer.to_owned()),
            parameter: None,
            code: code.to_owned(),
            detail: detail.into(),
        });
        self
    }

    /// Adds a fault of a query, path or header parameter.
    #[must_use]
    pub fn parameter(mut self, name: &str, code: &str, detail: impl Into<String>) -> Self {
        self.flaws.push(Flaw {
            pointer: None,
            parameter: Some(name.to_owned()),
            code: code.to_owned(),
            detail: detail.into(),
        });
        self
    }

    /// Tells the session's state.
    #[must_use]
    pub fn state(mut self, state: &str) -> Self {
        self.state = Some(state.to_owned());
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The response, with the request it answers.
    pub fn response(self, instance: &str, request_id: &str) -> Response {
        let status = StatusCode::from_u16(self.code.status()).expect("the table holds statuses");
        let body = ProblemBody {
            kind: format!("/docs/problems#{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            instance: instance.to_owned(),
            code: self.code.as_str().to_owned(),
            request_id: request_id.to_owned(),
            errors: (!self.flaws.is_empty()).then_some(self.flaws),
            state: self.state,
        };
        let mut response = Response::builder()
            .status(status)
            .content_type("application/problem+json")
            .body(serde_json::to_vec(&body).expect("plain text fields serialise"));
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        if matches!(status.as_u16(), 429 | 503) || self.code == Code::IdempotencyInProgress {
            let soon = HeaderValue::from_static("1");
            response
                .headers_mut()
                .entry(header::RETRY_AFTER)
                .or_insert(soon);
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).expect("the table holds statuses")
    }

    // Only reached outside the edge, which knows the request and renders problems itself.
    fn as_response(&self) -> Response {
        self.clone().response("", "").into_response()
    }
}

impl From<Fault> for Problem {
    /// Our side failed: the cause is logged here, once, and never told.
    fn from(fault: Fault) -> Self {
        let outage = fault.is_outage();
        let cause = anyhow::Error::from(fault);
        if outage {
            tracing::warn!(error = format!("{cause:#}"), "the store cannot be reached");
            return Self::new(Code::DependencyDown);
        }
        tracing::error!(error = format!("{cause:#}"), "a request failed on our side");
        Self::new(Code::Internal)
    }
}

/// Which problems an operation has stands in `spec::CODES`, so that they read at one place.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: Vec::new(),
        }
    }

    fn register(_registry: &mut Registry) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_named_once_and_has_a_status() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(matches!(code.status(), 400..=599), "{}", code.as_str());
        }
    }

    #[tokio::test]
    async fn a_problem_says_its_status_in_the_body_too() {
        let problem = Problem::new(Code::TextTooLong).at("/text/body", "text_too_long", "too long");
        let response = problem.response("/v1/messages", "req_1");
        assert_eq!(response.status().as_u16(), 422);
        assert_eq!(response.content_type(), Some("application/problem+json"));
        let body: ProblemBody = response.into_body().into_json().await.unwrap();
        assert_eq!((body.status, body.code.as_str()), (422, "text_too_long"));
        assert_eq!(
            body.errors.unwrap()[0].pointer.as_deref(),
            Some("/text/body")
        );
    }
}
