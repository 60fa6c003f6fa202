//! Webhooks, as the document types them. What is sent is written by the brain; a test there and
//! one here keep the two alike.

use passerelle_jobs::model::event::EventType;
use poem::http::Method;
use poem_openapi::{
    Object, Webhook,
    registry::{
        MetaMediaType, MetaOperation, MetaRequest, MetaResponses, MetaSchemaRef, MetaWebhook,
        Registry,
    },
    types::Type as _,
};
use serde::Serialize;

use crate::{
    routes::{media::Media, messages::Message, sessions::StatusReason},
    types::Timestamp,
};

macro_rules! event {
    ($(#[$doc:meta])* $name:ident of a session, $body:ident { $($data:tt)* }) => {
        event!($(#[$doc])* $name [
            /// The session it happened to.
            session_id: String,
            /// Counts the session's events without a gap: sort by it, and know what is missing.
            sequence: i64,
        ] $body { $($data)* });
    };
    ($(#[$doc:meta])* $name:ident of the organisation, $body:ident { $($data:tt)* }) => {
        event!($(#[$doc])* $name [] $body { $($data)* });
    };
    ($(#[$doc:meta])* $name:ident [$($(#[$own_doc:meta])* $own:ident: $own_type:ty,)*]
     $body:ident { $($(#[$what:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, Object)]
        pub struct $name {
            /// What happened.
            #[oai(rename = "type")]
            #[serde(rename = "type")]
            pub kind: String,
            /// When it happened.
            pub timestamp: Timestamp,
            /// The event's id, also its `webhook-id`: drop what you have seen.
            pub id: String,
            /// The version of this envelope and of `data`.
            pub api_version: String,
            /// Your organisation.
            pub org_id: String,
            $($(#[$own_doc])* pub $own: $own_type,)*
            /// What it happened to.
            pub data: $body,
        }

        /// What the event happened to.
        #[derive(Debug, Serialize, Object)]
        pub struct $body {
            $($(#[$what])*
            pub $field: $type,)*
        }
    };
}

event!(
/// Something about a message.
MessageEvent of a session, MessageEventBody {
    /// The message, as it was then.
    message: Message,
    /// The file that it announces, of a message that came in with one.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<Media>
});
event!(
/// Something about the file of a message that came in.
MediaEvent of a session, MediaEventBody {
    /// The file, as it is now.
    media: Media
});
event!(
/// Something about a session.
SessionEvent of a session, SessionEventBody {
    /// The session, as it was then.
    session: SessionShown
});
event!(
/// Something about a contact.
ContactEvent of a session, ContactEventBody {
    /// The contact.
    contact: ContactShown,
    /// Of `contact.merged`: the id that was given up and leads to this contact from now on.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    merged_contact_id: Option<String>
});
event!(
/// Something about a webhook endpoint.
EndpointEvent of the organisation, EndpointEventBody {
    /// The endpoint.
    endpoint: EndpointShown
});

/// A session in an event.
#[derive(Debug, Serialize, Object)]
pub struct SessionShown {
    /// Its id.
    pub id: String,
    /// Always `session`.
    pub object: String,
    /// Its state, as in the session resource.
    pub state: String,
    /// Why, where there is a reason.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<StatusReason>,
    /// End of a temporary ban, when WhatsApp told it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banned_until: Option<Timestamp>,
}

/// A contact in an event.
#[derive(Debug, Serialize, Object)]
pub struct ContactShown {
    /// Our stable id of the contact.
    pub id: String,
    /// Always `contact`.
    pub object: String,
    /// The phone number, E.164, when WhatsApp told it.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// WhatsApp's own id of them, when it is known.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
}

/// An endpoint in an event.
#[derive(Debug, Serialize, Object)]
pub struct EndpointShown {
    /// Its id.
    pub id: String,
    /// Why it was disabled: `gone` or `failing`.
    pub disabled_reason: String,
}

/// What is posted to webhook endpoints. poem-openapi's derive takes one webhook a method only, so
/// the table is written here.
pub struct Events;

impl Webhook for Events {
    fn meta() -> Vec<MetaWebhook> {
        EventType::ALL.iter().map(|kind| webhook(*kind)).collect()
    }

    fn register(registry: &mut Registry) {
        MessageEvent::register(registry);
        MediaEvent::register(registry);
        SessionEvent::register(registry);
        ContactEvent::register(registry);
        EndpointEvent::register(registry);
    }
}

fn webhook(kind: EventType) -> MetaWebhook {
    let (summary, schema) = match kind {
        EventType::MessageReceived => ("A message came in.", MessageEvent::schema_ref()),
        EventType::MessageReaction => (
            "A contact put an emoji under a message or took it back, or WhatsApp took a reaction of yours.",
            MessageEvent::schema_ref(),
        ),
        EventType::MessageEdited => (
            "A contact edited a message of theirs, or WhatsApp took an edit of yours. The message in it is the edit; `edit.message_id` names the one that says something else now.",
            MessageEvent::schema_ref(),
        ),
        EventType::MessageDeleted => (
            "A contact deleted a message of theirs for everybody, or WhatsApp took a deletion of yours. The message in it is the deletion; `delete.message_id` names the one that is gone.",
            MessageEvent::schema_ref(),
        ),
        EventType::MessagePollVote => ("A contact voted in a poll.", MessageEvent::schema_ref()),
        EventType::MessageSent => (
            "WhatsApp's server acknowledged a message.",
            MessageEvent::schema_ref(),
        ),
        EventType::MessageDelivered => (
            "A message reached a device of the recipient.",
            MessageEvent::schema_ref(),
        ),
        EventType::MessageRead => ("The recipient saw a message.", MessageEvent::schema_ref()),
        EventType::MessagePlayed => (
            "The recipient played a message.",
            MessageEvent::schema_ref(),
        ),
        EventType::MessageFailed => ("A message will not be sent.", MessageEvent::schema_ref()),
        EventType::MessageUnknown => (
            "A message was written, and WhatsApp never said what became of it.",
            MessageEvent::schema_ref(),
        ),
        EventType::MessageUndecryptable => (
            "A message came in that cannot be decrypted. It was asked for again: if it comes, it is told as `message.received`, or what else it is, under the same id.",
            MessageEvent::schema_ref(),
        ),
        EventType::MessageExpired => (
            "A message waited past its time.",
            MessageEvent::schema_ref(),
        ),
        EventType::MessageCanceled => ("A message was taken back.", MessageEvent::schema_ref()),
        EventType::MediaAvailable => (
            "The file of a message that came in is here.",
            MediaEvent::schema_ref(),
        ),
        EventType::MediaFailed => (
            "The file of a message that came in cannot be had; `media.status` says whether it failed or expired.",
            MediaEvent::schema_ref(),
        ),
        EventType::SessionLinked => ("A number was linked.", SessionEvent::schema_ref()),
        EventType::SessionConnected => ("A session is online.", SessionEvent::schema_ref()),
        EventType::SessionDisconnected => (
            "A session is offline and comes back by itself.",
            SessionEvent::schema_ref(),
        ),
        EventType::SessionLoggedOut => ("A number was unlinked.", SessionEvent::schema_ref()),
        EventType::SessionBanned => ("WhatsApp banned a number.", SessionEvent::schema_ref()),
        EventType::SessionReplaced => (
            "Another client took a session's place.",
            SessionEvent::schema_ref(),
        ),
        EventType::SessionFailed => (
            "A session ended for another reason, which `status_reason` names.",
            SessionEvent::schema_ref(),
        ),
        EventType::ContactOptedOut => (
            "A contact wants no more messages: what is sent to them is refused.",
            ContactEvent::schema_ref(),
        ),
        EventType::ContactOptedIn => (
            "A contact who had opted out wants messages again.",
            ContactEvent::schema_ref(),
        ),
        EventType::ContactMerged => (
            "Two contacts turned out to be one person; `merged_contact_id` leads to the other.",
            ContactEvent::schema_ref(),
        ),
        EventType::EndpointDisabled => (
            "A webhook endpoint gets no more deliveries.",
            EndpointEvent::schema_ref(),
        ),
    };
    MetaWebhook {
        name: kind.as_str(),
        operation: operation(summary, schema),
    }
}

fn operation(summary: &'static str, schema: MetaSchemaRef) -> MetaOperation {
    MetaOperation {
        tags: vec![],
        method: Method::POST,
        summary: Some(summary),
        description: Some(summary),
        external_docs: None,
        params: vec![],
        request: Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: "application/json",
                schema,
            }],
            required: true,
        }),
        responses: MetaResponses { responses: vec![] },
        deprecated: false,
        security: vec![],
        operation_id: None,
        code_samples: vec![],
    }
}
