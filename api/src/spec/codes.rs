//! The problems that each operation can answer with.

use serde_json::Value;

use crate::problem::Code;

/// Returns the problems that follow from the schema of an operation, and those of the operation itself.
pub(super) fn of(id: &str, operation: &Value) -> Vec<Code> {
    let mut codes = vec![
        Code::Internal,
        Code::DeadlineExceeded,
        Code::TooManyConnections,
    ];
    let open = operation["security"].as_array().is_none_or(Vec::is_empty);
    if !open {
        codes.extend([
            Code::MissingCredentials,
            Code::InvalidApiKey,
            Code::InsufficientScope,
            Code::DependencyDown,
            Code::QueryTimeout,
            Code::UnreadableRow,
            Code::RateLimited,
        ]);
        let tenants = operation["security"].to_string().contains("ApiKey");
        codes.extend(tenants.then_some(Code::OrganisationSuspended));
    }
    if operation.get("requestBody").is_some() {
        codes.extend([
            Code::MalformedJson,
            Code::UnknownField,
            Code::ValidationFailed,
            Code::IncompleteBody,
            Code::RequestTimeout,
            Code::Overloaded,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
        ]);
    }
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        match (parameter["in"].as_str(), parameter["name"].as_str()) {
            (Some("path"), _) => codes.extend([Code::InvalidId, Code::NotFound]),
            (Some("query"), Some("cursor")) => codes.push(Code::InvalidCursor),
            (Some("query"), Some("session_id" | "endpoint_id" | "contact_id" | "group_id")) => {
                codes.push(Code::InvalidId);
            }
            (Some("query"), _) => codes.push(Code::ValidationFailed),
            _ => {}
        }
    }
    codes.extend_from_slice(own(id));
    codes
}

const SEND: [Code; 54] = [
    Code::InvalidClientRef,
    Code::InvalidMetadata,
    Code::NotFound,
    Code::InvalidId,
    Code::InvalidRecipient,
    Code::ContactNotFound,
    Code::RecipientKindUnsupported,
    Code::TextEmpty,
    Code::TextTooLong,
    Code::InvalidMention,
    Code::InvalidName,
    Code::MediaSource,
    Code::InvalidBase64,
    Code::InvalidMimeType,
    Code::MediaNotFound,
    Code::MediaKindMismatch,
    Code::MediaUnavailable,
    Code::UrlNotAllowed,
    Code::MediaEmpty,
    Code::MediaTooLarge,
    Code::MediaTypeNotSupported,
    Code::MediaMixed,
    Code::TranscodingUnavailable,
    Code::TranscodingLimit,
    Code::MediaDamaged,
    Code::MediaTooLong,
    Code::MediaDimensions,
    Code::StorageFull,
    Code::MediaQuotaReached,
    Code::DecodingUnavailable,
    Code::ShuttingDown,
    Code::InvalidLocation,
    Code::InvalidContact,
    Code::InvalidPoll,
    Code::InvalidEmoji,
    Code::TargetNotFound,
    Code::TargetNotSent,
    Code::TargetDeleted,
    Code::TargetNotEditable,
    Code::EditWindowOver,
    Code::TargetNotDeletable,
    Code::DeleteWindowOver,
    Code::InvalidSendAt,
    Code::InvalidExpiry,
    Code::IdempotencyKeyInvalid,
    Code::IdempotencyKeyReused,
    Code::IdempotencyInProgress,
    Code::RecipientOptedOut,
    Code::PurposeRequired,
    Code::ConsentRequired,
    Code::InvalidConsent,
    Code::WouldExpire,
    Code::NearDuplicates,
    Code::QueueFull,
];

fn of_opt_outs(id: &str) -> &'static [Code] {
    match id {
        "list_opt_outs" => &[Code::InvalidPhone],
        "create_opt_out" => &[Code::InvalidPhone, Code::InvalidId, Code::ContactNotFound],
        "set_opt_out_settings" => &[Code::TextEmpty, Code::TextTooLong],
        _ => &[],
    }
}

const AUTO_REPLY: [Code; 36] = [
    Code::InvalidName,
    Code::InvalidRule,
    Code::InvalidPattern,
    Code::InvalidTemplate,
    Code::InvalidTimeZone,
    Code::InvalidDate,
    Code::RuleContradicts,
    Code::RuleLoops,
    Code::SessionNotFound,
    Code::LimitReached,
    Code::InvalidId,
    Code::TextEmpty,
    Code::TextTooLong,
    Code::MediaSource,
    Code::InvalidBase64,
    Code::InvalidMimeType,
    Code::MediaNotFound,
    Code::MediaKindMismatch,
    Code::MediaUnavailable,
    Code::UrlNotAllowed,
    Code::MediaEmpty,
    Code::MediaTooLarge,
    Code::MediaTypeNotSupported,
    Code::MediaMixed,
    Code::TranscodingUnavailable,
    Code::TranscodingLimit,
    Code::MediaDamaged,
    Code::MediaTooLong,
    Code::MediaDimensions,
    Code::StorageFull,
    Code::MediaQuotaReached,
    Code::DecodingUnavailable,
    Code::ShuttingDown,
    Code::InvalidLocation,
    Code::InvalidContact,
    Code::InvalidPoll,
];

fn of_auto_replies(id: &str) -> &'static [Code] {
    match id {
        "create_auto_reply" | "replace_auto_reply" => &AUTO_REPLY,
        "test_auto_reply" => &[Code::InvalidRule, Code::InvalidMetadata, Code::InvalidPhone],
        _ => &[],
    }
}

const UPLOAD: [Code; 14] = [
    Code::InvalidMimeType,
    Code::MediaEmpty,
    Code::MediaTooLarge,
    Code::MediaTypeNotSupported,
    Code::MediaMixed,
    Code::TranscodingUnavailable,
    Code::TranscodingLimit,
    Code::MediaDamaged,
    Code::MediaTooLong,
    Code::MediaDimensions,
    Code::StorageFull,
    Code::MediaQuotaReached,
    Code::DecodingUnavailable,
    Code::ShuttingDown,
];

fn own(id: &str) -> &'static [Code] {
    match id {
        "create_organisation" | "create_organisation_api_key" | "create_api_key" => {
            &[Code::InvalidName]
        }
        "create_session" => &[
            Code::InvalidName,
            Code::InvalidClientRef,
            Code::InvalidMetadata,
            Code::TextEmpty,
            Code::TextTooLong,
            Code::SessionLimit,
        ],
        "change_session" => &[
            Code::InvalidName,
            Code::InvalidClientRef,
            Code::InvalidMetadata,
            Code::TextEmpty,
            Code::TextTooLong,
        ],
        about if about.contains("opt_out") => of_opt_outs(about),
        "create_consent" => &[Code::InvalidConsent],
        "create_opt_in_link" => &[
            Code::TextEmpty,
            Code::TextTooLong,
            Code::InvalidExpiry,
            Code::SessionNotReady,
            Code::LimitReached,
        ],
        rule if rule.contains("auto_repl") => of_auto_replies(rule),
        "set_contact_automation" => &[Code::InvalidRest],
        "list_messages" => &[Code::InvalidClientRef, Code::InvalidPhone],
        "set_policy" => &[Code::BelowPlatformFloor],
        "cancel_queued_messages" => &[Code::InvalidClientRef],
        "set_media_retention" => &[Code::InvalidRetention],
        "connect_session" | "logout_session" => &[Code::SessionNotReady],
        "check_number" => &[
            Code::InvalidPhone,
            Code::SessionNotReady,
            Code::NumberCheckPaced,
        ],
        "normalise_phone_number" => &[Code::InvalidPhone, Code::InvalidCountry],
        "list_groups" => &[Code::SessionNotReady, Code::GroupListPaced],
        "read_group" => &[
            Code::SessionNotReady,
            Code::NotInGroup,
            Code::GroupRequestPaced,
        ],
        "leave_group" => &[Code::SessionNotReady, Code::GroupRequestPaced],
        "show_typing" => &[
            Code::InvalidRecipient,
            Code::RecipientKindUnsupported,
            Code::ContactNotFound,
            Code::RecipientOptedOut,
            Code::SessionNotReady,
            Code::TypingPaced,
        ],
        "reject_call" => &[Code::CallOver, Code::SessionNotReady],
        "stream_qr" => &[Code::LimitReached],
        "read_qr" => &[Code::QrNotAvailable, Code::NotAcceptable],
        "read_qr_image" => &[Code::QrNotAvailable],
        "request_pairing_code" => &[
            Code::InvalidPhone,
            Code::SessionAlreadyLinked,
            Code::SessionNotReady,
            Code::SessionHostUnavailable,
            Code::PairingCodeLimit,
        ],
        sent if sent.starts_with("send_") => &SEND,
        "upload_media" | "stream_media" => &UPLOAD,
        "read_media_content" | "open_media_link" => &[
            Code::MediaPending,
            Code::MediaUnavailable,
            Code::RangeNotSatisfiable,
            Code::UnreadableRow,
        ],
        "mark_message_read" | "mark_message_played" => {
            &[Code::MessageNotMarkable, Code::SessionNotReady]
        }
        "fetch_media" => &[Code::MediaNotFetchable, Code::UnreadableRow],
        "cancel_message" => &[Code::MessageNotCancelable],
        "change_message" => &[Code::MessageNotQueued, Code::InvalidSendAt],
        "create_webhook_endpoint" => &[
            Code::UrlNotAllowed,
            Code::UnknownEventType,
            Code::SessionNotFound,
            Code::InvalidHeaders,
            Code::InvalidId,
            Code::LimitReached,
        ],
        "test_webhook_endpoint" => &[Code::UnknownEventType, Code::EndpointDisabled],
        "change_webhook_endpoint" => &[
            Code::UrlNotAllowed,
            Code::UnknownEventType,
            Code::SessionNotFound,
            Code::InvalidHeaders,
        ],
        _ => &[],
    }
}
