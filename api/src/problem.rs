//! Problem bodies: the form of every refusal (RFC 9457), each with a stable `code`.
//!
//! A detail never repeats what the caller sent: no message text, number, key or file path. The one exception is the recipient
//! in the body that `purpose_required` and `consent_required` show.

use std::fmt;

use passerelle_jobs::{
    error::Fault,
    limits::{LISTS_ON_POSTGRES, LISTS_ON_SQLITE, QUERY_MAX},
};
use poem::{
    IntoResponse, Response,
    error::ResponseError,
    http::{HeaderName, HeaderValue, StatusCode, header},
};
use poem_openapi::{ApiResponse, Object, registry::MetaResponses, registry::Registry};
use serde::Serialize;

use crate::limits::RETRY_AFTER;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $status:literal $code:literal $title:literal;)*) => {
        /// The stable codes. The meaning and the status of a code never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of their statuses.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the code as it is written in the body.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Returns the HTTP status of every problem with this code.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Returns one line for people.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The body is not JSON.
    MalformedJson 400 "malformed_json" "The body is not valid JSON";
    /// The body has a field that this operation does not know.
    UnknownField 400 "unknown_field" "The body has an unknown field";
    /// A field or parameter is missing or has the wrong type.
    ValidationFailed 400 "validation_failed" "A field or parameter is missing or has the wrong type";
    /// The text is not an id of the expected kind.
    InvalidId 400 "invalid_id" "The id is not valid for this kind of resource";
    /// The cursor is not a `next_cursor` of this API.
    InvalidCursor 400 "invalid_cursor" "The cursor was not issued by this API";
    /// The `Idempotency-Key` header is empty, too long or not printable ASCII.
    IdempotencyKeyInvalid 400 "idempotency_key_invalid" "The idempotency key is not valid";
    /// The body ended too early or could not be read.
    IncompleteBody 400 "incomplete_body" "The request body is incomplete";
    /// The request has no `Authorization: Bearer` header.
    MissingCredentials 401 "missing_credentials" "An API key is required";
    /// The key does not exist, or it was revoked.
    InvalidApiKey 401 "invalid_api_key" "The API key is not valid";
    /// The key is valid, but not for this operation.
    InsufficientScope 403 "insufficient_scope" "This key is not allowed to do this";
    /// The operator has suspended your organisation. Its data is kept.
    OrganisationSuspended 403 "organisation_suspended" "This organisation is suspended";
    /// The resource does not exist, or it belongs to another organisation. Both get the same answer.
    NotFound 404 "not_found" "Not found";
    /// The session's number is not in this group, or there is no such group. Both get the same answer.
    NotInGroup 404 "not_in_group" "The number is not in this group";
    /// The path exists, the method does not.
    MethodNotAllowed 405 "method_not_allowed" "This method is not allowed here";
    /// The gateway offers none of the accepted media types.
    NotAcceptable 406 "not_acceptable" "None of the accepted media types is available";
    /// The request did not arrive in time.
    RequestTimeout 408 "request_timeout" "The request took too long to arrive";
    /// The session has no QR code at the moment.
    QrNotAvailable 409 "qr_not_available" "The session has no QR code to scan at the moment";
    /// The session is already linked.
    SessionAlreadyLinked 409 "session_already_linked" "The session is already linked";
    /// The session is not running, or has not reached the state that this operation needs.
    SessionNotReady 409 "session_not_ready" "The session is not ready for this operation";
    /// The file is not at WhatsApp any more, or does not come from there.
    MediaNotFetchable 409 "media_not_fetchable" "This file cannot be fetched";
    /// The message is being sent, or has reached a final status.
    MessageNotCancelable 409 "message_not_cancelable" "The message can no longer be canceled";
    /// Only a message that is still queued can be changed.
    MessageNotQueued 409 "message_not_queued" "The message is no longer queued";
    /// The message is outbound, or its kind cannot be marked in this way.
    MessageNotMarkable 409 "message_not_markable" "Only an inbound message can be marked as read, and only an inbound voice note, audio or video as played";
    /// The call has ended, or it came while the session was away.
    CallOver 409 "call_over" "The call is over";
    /// The endpoint is disabled. Enable it first.
    EndpointDisabled 409 "endpoint_disabled" "The endpoint is disabled";
    /// The first request with this key has not finished.
    IdempotencyInProgress 409 "idempotency_in_progress" "The first request with this key is still running";
    /// The file is being fetched. `Retry-After` says when to ask again.
    MediaPending 409 "media_pending" "The file is still being fetched";
    /// The file could not be fetched, or it expired. Its `error` says why.
    MediaUnavailable 410 "media_unavailable" "The file is not available";
    /// The body has more bytes than allowed.
    BodyTooLarge 413 "body_too_large" "The body is too large";
    /// The `Content-Type` is not `application/json`.
    UnsupportedMediaType 415 "unsupported_media_type" "The body must be application/json";
    /// The range begins after the end of the file.
    RangeNotSatisfiable 416 "range_not_satisfiable" "The file does not have the requested range";
    /// The key was used before, with another request.
    IdempotencyKeyReused 422 "idempotency_key_reused" "The idempotency key was already used for another request";
    /// `to` is not a phone number with its country code, a contact id, a LID or a group id. The detail shows what would be right.
    InvalidRecipient 422 "invalid_recipient" "The recipient is not a phone number, a contact or a group";
    /// There is no contact with this id.
    ContactNotFound 422 "contact_not_found" "There is no such contact";
    /// The recipient wrote a word such as "stop" and does not want messages from you.
    RecipientOptedOut 422 "recipient_opted_out" "The recipient opted out";
    /// Outside the 24 hours after the contact's last message, a message says what it is for. The detail shows the smallest body that works.
    PurposeRequired 422 "purpose_required" "The message needs a purpose";
    /// The contact never wrote to the session's number, or not in 180 days, so a message needs its consent. The detail shows the smallest body that works.
    ConsentRequired 422 "consent_required" "The message needs a consent of its recipient";
    /// The limits of the number or of its recipient do not let the message go before it expires. Nothing was accepted: take another way now, or
    /// give it more time with `expires_at`. The detail says what holds it.
    WouldExpire 422 "would_expire" "The message would expire before it could be sent";
    /// Nearly the same text went to many people in the last 24 hours who never wrote to your numbers.
    NearDuplicates 422 "near_duplicates" "Too many new recipients got nearly the same text";
    /// The consent has a source or a proof that is empty or too long, or it is from the future.
    InvalidConsent 422 "invalid_consent" "The consent is not valid";
    /// The text is empty or only white space.
    TextEmpty 422 "text_empty" "The text is empty";
    /// The text has more than 65,536 bytes.
    TextTooLong 422 "text_too_long" "The text is too long";
    /// `to` is a channel, a status or a call. This version sends to people and groups only.
    RecipientKindUnsupported 422 "recipient_kind_unsupported" "This kind of recipient is not supported";
    /// `mentions` has more than 100 entries, or an entry that is not a phone number with its country code.
    InvalidMention 422 "invalid_mention" "The mentions are not valid";
    /// The coordinates are out of range, or the name or address is not valid.
    InvalidLocation 422 "invalid_location" "The location is not valid";
    /// There is no card, more than ten cards, or a card with a name or number that is not valid.
    InvalidContact 422 "invalid_contact" "The contact cards are not valid";
    /// A poll needs a question, 2 to 12 different options, and at most as many choices as options.
    InvalidPoll 422 "invalid_poll" "The poll is not valid";
    /// The request has more than one of `media_id`, `url` and `base64`, or none.
    MediaSource 422 "media_source" "Give exactly one of media_id, url and base64";
    /// The text is not base64, or it is cut off.
    InvalidBase64 422 "invalid_base64" "The file is not valid base64";
    /// The text is not a media type such as `text/csv`.
    InvalidMimeType 422 "invalid_mime_type" "The media type is not valid";
    /// There is no file with this id.
    MediaNotFound 422 "media_not_found" "There is no such file";
    /// The file was uploaded or received as another kind.
    MediaKindMismatch 422 "media_kind_mismatch" "The file and the message are of different kinds";
    /// The file has no bytes.
    MediaEmpty 422 "media_empty" "The file is empty";
    /// The file has more bytes than its kind may have.
    MediaTooLarge 422 "media_too_large" "The file is too large for its kind";
    /// The content is of a type that a message of this kind cannot carry.
    MediaTypeNotSupported 422 "media_type_not_supported" "The file type is not supported for this kind of message";
    /// The file is made of parts that differ, such as recordings of one and of two channels that were joined.
    MediaMixed 422 "media_mixed" "The file is made of parts that cannot be sent as one";
    /// The file must be converted, and this gateway cannot do that. The detail says what is needed.
    TranscodingUnavailable 422 "transcoding_unavailable" "The file must be converted, which this gateway cannot do";
    /// The conversion exceeds the limits of this gateway in time or memory. The detail says what is needed.
    TranscodingLimit 422 "transcoding_limit" "The conversion of the file exceeds the limits";
    /// The file cannot be read as the type that its first bytes announce.
    MediaDamaged 422 "media_damaged" "The file is damaged";
    /// The voice note is longer than 15 minutes.
    MediaTooLong 422 "media_too_long" "The voice note is too long";
    /// The image takes more than 64 MiB when it is decoded (a JPEG: it has more than 67 million pixels), or the sticker is not 512 by 512 pixels.
    MediaDimensions 422 "media_dimensions" "The image has the wrong dimensions";
    /// The text is not a single emoji.
    InvalidEmoji 422 "invalid_emoji" "A reaction is a single emoji or an empty text";
    /// This session has no message with this id in the chat with this recipient.
    TargetNotFound 422 "target_not_found" "There is no such message in this chat";
    /// The message is still queued, failed, or its status is `unknown`.
    TargetNotSent 422 "target_not_sent" "The message was not sent";
    /// The message was deleted for everyone.
    TargetDeleted 422 "target_deleted" "The message was deleted";
    /// Only a text that you sent can be edited.
    TargetNotEditable 422 "target_not_editable" "Only a text that you sent can be edited";
    /// WhatsApp accepts an edit for 15 minutes after the message was sent.
    EditWindowOver 422 "edit_window_over" "A text can be edited for 15 minutes after it was sent";
    /// Only a message that you sent can be deleted for everyone.
    TargetNotDeletable 422 "target_not_deletable" "Only a message that you sent can be deleted for everyone";
    /// WhatsApp accepts a deletion for two days after the message was sent.
    DeleteWindowOver 422 "delete_window_over" "A message can be deleted for everyone for two days after it was sent";
    /// `send_at` is in the past or more than 30 days ahead, or the message is a reaction, an edit or a deletion.
    InvalidSendAt 422 "invalid_send_at" "The message cannot be sent at that time";
    /// `expires_at` is in the past, before `send_at`, or too far in the future.
    InvalidExpiry 422 "invalid_expiry" "The expiry is not valid";
    /// The limit is looser than that of the gateway, or no day has it. A tenant can only be stricter.
    BelowPlatformFloor 422 "below_platform_floor" "The limit is looser than the gateway allows";
    /// The retention is shorter than an hour, or longer than the maximum.
    InvalidRetention 422 "invalid_retention" "The retention is out of range";
    /// A name is empty, too long, or contains control characters.
    InvalidName 422 "invalid_name" "The name is not valid";
    /// The text is not a phone number, or it may be a national number. The detail shows what would be right.
    InvalidPhone 422 "invalid_phone" "The phone number is not valid or has no country code";
    /// The text is not two letters of ISO 3166 that name a country.
    InvalidCountry 422 "invalid_country" "There is no country with these letters";
    /// The gateway is not allowed to call this URL.
    UrlNotAllowed 422 "url_not_allowed" "This URL is not allowed";
    /// This version has no event type of this name.
    UnknownEventType 422 "unknown_event_type" "There is no such event type";
    /// `client_ref` is empty, has more than 128 characters, or has control characters.
    InvalidClientRef 422 "invalid_client_ref" "The reference is not valid";
    /// `metadata` has more than 50 entries or 4,096 bytes, or a name that is empty, has more than 40 characters, or has control characters.
    InvalidMetadata 422 "invalid_metadata" "The metadata is not valid";
    /// An endpoint has at most 20 further headers and 4,096 bytes of them. Those that the gateway sets and those of the connection are refused.
    InvalidHeaders 422 "invalid_headers" "The headers are not valid";
    /// A value of the rule is missing or out of its range. The detail says what is expected.
    InvalidRule 422 "invalid_rule" "The rule is not valid";
    /// The regular expression does not compile, is longer than 512 bytes, or takes more than 256 KiB when it is compiled.
    InvalidPattern 422 "invalid_pattern" "The regular expression is not valid";
    /// The template does not compile, uses what there is not here, takes too many steps, or has or makes more than 4,096 bytes.
    InvalidTemplate 422 "invalid_template" "The template is not valid";
    /// There is no such time zone in the IANA database.
    InvalidTimeZone 422 "invalid_time_zone" "There is no such time zone";
    /// There is no such day in the calendar.
    InvalidDate 422 "invalid_date" "There is no such day";
    /// Two conditions of the rule can never hold together.
    RuleContradicts 422 "rule_contradicts" "The rule contradicts itself";
    /// The rule would answer its own answer. `once_per_seconds` prevents that.
    RuleLoops 422 "rule_loops" "The rule would answer itself";
    /// Automatic replies to a contact can rest until a time in the future, at most 365 days ahead.
    InvalidRest 422 "invalid_rest" "Automatic replies cannot rest until then";
    /// There is no session with this id.
    SessionNotFound 422 "session_not_found" "There is no such session";
    /// The organisation exceeds its request rate, or an address presented too many keys that are not valid. `Retry-After` says when to continue.
    RateLimited 429 "rate_limited" "Too many requests";
    /// A session gets 3 pairing codes in ten minutes, an organisation 20 in an hour.
    PairingCodeLimit 429 "pairing_code_limit" "Too many pairing codes were requested";
    /// The session exceeds the rate of number checks. `Retry-After` says when to continue.
    NumberCheckPaced 429 "number_check_paced" "Too many number checks for this session";
    /// The session exceeds the rate of group lists. `Retry-After` says when to continue.
    GroupListPaced 429 "group_list_paced" "Too many group lists for this session";
    /// The session exceeds the rate of requests about one group. `Retry-After` says when to continue.
    GroupRequestPaced 429 "group_request_paced" "Too many requests about groups for this session";
    /// The session exceeds the rate of typing indicators. `Retry-After` says when to continue.
    TypingPaced 429 "typing_paced" "Too many typing indicators for this session";
    /// The queue of the session holds the maximum number of messages.
    QueueFull 429 "queue_full" "The session's queue is full";
    /// The address of the client has the maximum number of open connections.
    TooManyConnections 429 "too_many_connections" "Too many connections from this address";
    /// The organisation has the maximum number of this resource.
    LimitReached 429 "limit_reached" "The organisation has reached its limit";
    /// The organisation has the maximum number of sessions.
    SessionLimit 429 "session_limit" "The organisation has its maximum number of sessions";
    /// An error in the gateway. The log has the cause, under the request id.
    Internal 500 "internal" "Internal error";
    /// A stored value that the request needs is damaged, or was written by a later version. Nothing else is affected.
    UnreadableRow 500 "unreadable_row" "A stored row cannot be read";
    /// The store cannot be reached. Nothing was accepted.
    DependencyDown 503 "dependency_down" "The store cannot be reached";
    /// The query took longer than 5 s and was ended, or waited for so long for other lists of the organisation. Nothing was changed.
    QueryTimeout 503 "query_timeout" "The query took too long";
    /// No host runs the session.
    SessionHostUnavailable 503 "session_host_unavailable" "No host runs this session at the moment";
    /// The request bodies in progress use the memory that is available for them, or for those of the organisation. `Retry-After` says when to try again.
    Overloaded 503 "overloaded" "The gateway is overloaded";
    /// The disk is full up to its limit. No file is accepted; everything else works.
    StorageFull 507 "storage_full" "There is no storage left for files";
    /// The organisation has as many bytes of files as it may have. The detail says how many.
    MediaQuotaReached 507 "media_quota_reached" "The organisation has no room left for files";
    /// This gateway cannot confine the process that decodes files: its kernel or its container forbids that. No picture, sticker or recording is accepted; everything else works.
    DecodingUnavailable 503 "decoding_unavailable" "Files cannot be decoded safely here";
    /// The gateway is shutting down.
    ShuttingDown 503 "shutting_down" "The gateway is shutting down";
    /// The request was not answered within its deadline.
    DeadlineExceeded 503 "deadline_exceeded" "The request took too long";
}

impl Code {
    /// Returns whether the same request may succeed later, without anyone doing anything. Then the answer has
    /// `Retry-After`.
    pub(crate) fn passes(self) -> bool {
        match self {
            Self::SessionLimit | Self::LimitReached | Self::DecodingUnavailable => false,
            Self::IdempotencyInProgress => true,
            _ => matches!(self.status(), 429 | 503),
        }
    }
}

/// One error in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Flaw {
    /// JSON Pointer into the body (RFC 6901). Absent when a parameter or a header is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The name of the query, path or header parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// Stable code of the error.
    pub code: String,
    /// What is wrong, for people.
    pub detail: String,
}

/// The body of every refusal, as `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, Serialize, serde::Deserialize, Object)]
#[oai(rename = "Problem")]
#[oai(skip_serializing_if_is_none)]
pub struct ProblemBody {
    /// Path on this server that describes the code.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words. The same for every problem with this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, for people. It never repeats what was sent, except the recipient in a body that would be accepted.
    pub detail: String,
    /// The path that was called.
    pub instance: String,
    /// The stable code to branch on.
    pub code: String,
    /// Id of the request, as in the `x-request-id` header and in the logs.
    pub request_id: String,
    /// Every error that was found, with its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<Flaw>>,
    /// The session's state, with `qr_not_available` and `session_not_ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The media type that was found in a file that is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detected: Option<String>,
}

/// A refusal before it becomes a response.
#[derive(Debug, Clone)]
pub struct Problem {
    code: Code,
    detail: String,
    flaws: Vec<Flaw>,
    state: Option<String>,
    detected: Option<Box<str>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// Creates a problem with this code and its title as the detail.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: format!("{}.", code.title()),
            flaws: Vec::new(),
            state: None,
            detected: None,
            headers: Vec::new(),
        }
    }

    /// Creates a problem whose detail says what is expected, too.
    pub(crate) fn expected(code: Code, wanted: &str) -> Self {
        Self::new(code).detail(format!("{}. Expected: {wanted}.", code.title()))
    }

    /// Creates the refusal of what has no room at the moment, with the time to wait before trying again.
    pub(crate) fn overloaded(detail: impl Into<String>) -> Self {
        let wait = HeaderValue::from(RETRY_AFTER.as_secs());
        Self::new(Code::Overloaded)
            .detail(detail)
            .header(header::RETRY_AFTER, wait)
    }

    /// Returns the code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Sets a detail that says more than the title. It must not repeat what the caller sent.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Adds an error at a place in the body.
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

    /// Adds an error of a query, path or header parameter.
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

    /// Sets the state of the session.
    #[must_use]
    pub fn state(mut self, state: &str) -> Self {
        self.state = Some(state.to_owned());
        self
    }

    /// Sets the media type that was found in a file.
    #[must_use]
    pub fn detected(mut self, mime_type: &str) -> Self {
        self.detected = Some(mime_type.into());
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Builds the response to a request.
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
            detected: self.detected.map(String::from),
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
        if self.code.passes() {
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

    // Only called outside the edge. The edge knows the request and renders problems itself.
    fn as_response(&self) -> Response {
        self.clone().response("", "").into_response()
    }
}

impl From<Fault> for Problem {
    /// Logs the cause, once. The caller does not see it.
    fn from(fault: Fault) -> Self {
        if fault.is_query_timeout() {
            tracing::warn!("a query took too long");
            return Self::new(Code::QueryTimeout).detail(format!(
                "A query may take {0} s, and may wait {0} s for the organisation's other lists, of which {1} are read at \
                 once (on SQLite {2}). These limits are fixed. Ask for fewer lists at once, a smaller page, or fewer rows by a \
                 filter. Nothing was changed.",
                QUERY_MAX.as_secs(),
                LISTS_ON_POSTGRES.1,
                LISTS_ON_SQLITE.1
            ));
        }
        let outage = fault.is_outage();
        let unreadable = fault.is_permanent();
        let cause = anyhow::Error::from(fault);
        if outage {
            tracing::warn!(error = format!("{cause:#}"), "the store cannot be reached");
            return Self::new(Code::DependencyDown);
        }
        tracing::error!(
            error = format!("{cause:#}"),
            "a request failed with an internal error"
        );
        if unreadable {
            metrics::counter!("passerelle_unreadable_rows_total", "table" => "request")
                .increment(1);
            return Self::new(Code::UnreadableRow);
        }
        Self::new(Code::Internal)
    }
}

/// `spec::codes` lists the problems of all operations in one place.
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
    use std::time::Duration;

    use passerelle_jobs::{endpoints, sessions::typing::TypingError};

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

    /// Returns a refusal for each limit that an operation meets after its body was read.
    fn at_limits() -> Vec<Problem> {
        use passerelle_jobs::{
            error::{AskError, Fault},
            media::IngestError,
            outbound::AcceptError,
            sessions::{CommandError, CreateError},
        };
        vec![
            CreateError::TooMany(50).into(),
            CommandError::TooManyCodes(Duration::from_secs(1)).into(),
            AcceptError::QueueFull(10).into(),
            IngestError::Busy.into(),
            IngestError::Full(85).into(),
            IngestError::Quota(1 << 20).into(),
            endpoints::NotMade::TooMany.into(),
            Fault::QueryTimeout.into(),
            TypingError::Ask(AskError::Paced(Duration::from_secs(1))).into(),
        ]
    }

    #[test]
    fn a_refusal_at_a_limit_says_the_limit_and_what_changes_it() {
        for problem in at_limits() {
            let (code, detail) = (problem.code.as_str(), &problem.detail);
            assert!(
                detail.contains(|c: char| c.is_ascii_digit()),
                "{code}: {detail}"
            );
            let changed = [" (--", " fixed"].iter().any(|told| detail.contains(told));
            assert!(changed, "{code}: {detail}");
            assert!(!detail.contains("  ") && !detail.contains("{{"), "{detail}");
        }
    }

    #[test]
    fn only_what_passes_by_itself_says_when_to_come_again() {
        for (code, passes) in [
            (Code::RateLimited, true),
            (Code::QueueFull, true),
            (Code::QueryTimeout, true),
            (Code::SessionLimit, false),
            (Code::LimitReached, false),
            (Code::DecodingUnavailable, false),
        ] {
            let response = Problem::new(code).response("/v1/messages", "req_1");
            let told = response.header("retry-after").is_some();
            assert_eq!(told, passes, "{}", code.as_str());
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
