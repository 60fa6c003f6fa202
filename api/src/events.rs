//! The schemas of webhooks in the document. `jobs` builds the events themselves; a test there and one here
//! keep the two equal.

use passerelle_jobs::model::event::EventType;
use poem::http::Method;
use poem_openapi::{
    Object, Webhook,
    registry::{
        MetaMediaType, MetaOperation, MetaRequest, MetaResponses, MetaSchemaRef, MetaWebhook,
        Registry,
    },
    types::{Any, Type as _},
};

use crate::{
    routes::{
        consents::Consent, groups::one::GroupParticipant, media::Media, messages::Message,
        opt_outs::OptOutSource, sessions::StatusReason,
    },
    texts::Texts,
    types::Timestamp,
};

macro_rules! event {
    ($(#[$doc:meta])* $name:ident of a session, $body:ident { $($data:tt)* }) => {
        event!($(#[$doc])* $name [
            /// The session of the event.
            session_id: String,
            /// The number of the event in its session, without gaps. Sort by it, and detect missing events.
            sequence: i64,
        ] $body { $($data)* });
    };
    ($(#[$doc:meta])* $name:ident of the organisation, $body:ident { $($data:tt)* }) => {
        event!($(#[$doc])* $name [] $body { $($data)* });
    };
    ($(#[$doc:meta])* $name:ident [$($(#[$own_doc:meta])* $own:ident: $own_type:ty,)*]
     $body:ident { $($(#[$what:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Object)]
        pub struct $name {
            /// The type of the event.
            #[oai(rename = "type")]
            pub kind: String,
            /// When it happened.
            pub timestamp: Timestamp,
            /// The id of the event, also in the header `webhook-id`. Ignore events that you have already processed.
            pub id: String,
            /// The version of this envelope and of `data`.
            pub api_version: String,
            /// Your organisation.
            pub org_id: String,
            $($(#[$own_doc])* pub $own: $own_type,)*
            /// `true` in an example that you requested with `POST /v1/webhook-endpoints/{id}/test`, absent in a real event. Its
            /// ids are of nothing that exists, and its `sequence` is 0.
            #[oai(skip_serializing_if_is_none)]
            pub test: Option<bool>,
            /// The subject of the event.
            pub data: $body,
        }

        /// The subject of the event.
        #[derive(Debug, Object)]
        pub struct $body {
            $($(#[$what])*
            pub $field: $type,)*
        }
    };
}

event!(
/// An event about a message.
MessageEvent of a session, MessageEventBody {
    /// The message at the time of the event.
    message: Message,
    /// Who wrote an inbound message.
    #[oai(skip_serializing_if_is_none)]
    contact: Option<ContactShown>,
    /// The file of a message that came in, or that the number's owner sent from another device.
    #[oai(skip_serializing_if_is_none)]
    media: Option<Media>,
    /// The inbound message as WhatsApp's schema has it, only for an endpoint with `raw`. Bytes are base64. Keys,
    /// secrets and thumbnails are left out; all of it is if its JSON is larger than 64 KiB.
    #[oai(skip_serializing_if_is_none)]
    raw: Option<Any<serde_json::Value>>
});
event!(
/// An event about the file of an inbound message.
MediaEvent of a session, MediaEventBody {
    /// The file at the time of the event.
    media: Media
});
event!(
/// An event about a session.
SessionEvent of a session, SessionEventBody {
    /// The session at the time of the event.
    session: SessionShown
});
event!(
/// An event about the health of a session's number.
SessionHealthEvent of a session, SessionHealthEventBody {
    /// The session.
    session: SessionNamed,
    /// How much its number may send now.
    health: HealthShown
});
event!(
/// An event about a contact.
ContactEvent of a session, ContactEventBody {
    /// The contact.
    contact: ContactShown,
    /// Only in `contact.merged`: the old id, which now leads to this contact.
    #[oai(skip_serializing_if_is_none)]
    merged_contact_id: Option<String>
});
event!(
/// An event about an opt-out.
OptOutEvent [
    /// The session through which the contact said so. Absent if the API was asked.
    #[oai(skip_serializing_if_is_none)]
    session_id: Option<String>,
    /// The number of the event in its session, without gaps. Absent without a session.
    #[oai(skip_serializing_if_is_none)]
    sequence: Option<i64>,
] OptOutEventBody {
    /// The contact.
    contact: ContactShown,
    /// How the contact opted out or in.
    source: OptOutSource
});
event!(
/// An event about a consent.
ConsentEvent of a session, ConsentEventBody {
    /// The consent.
    consent: Consent,
    /// The contact.
    contact: ContactShown
});
event!(
/// An event about the settings of a group.
GroupUpdateEvent of a session, GroupUpdateEventBody {
    /// The group.
    group: GroupShown,
    /// What changed, as it is now. Other settings are absent.
    changes: GroupSettings,
    /// Who changed it, if WhatsApp said so.
    #[oai(skip_serializing_if_is_none)]
    by: Option<GroupParticipant>,
    /// When it changed, by WhatsApp's clock.
    changed_at: Timestamp
});
event!(
/// An event about members of a group.
GroupParticipantsEvent of a session, GroupParticipantsEventBody {
    /// The group.
    group: GroupShown,
    /// What happened to them.
    action: String,
    /// Who they are, at most 100. The session's own number comes first.
    participants: Vec<GroupParticipant>,
    /// How many they are.
    participant_count: u32,
    /// Whether the session's own number is one of them: it came into the group, or is no longer in it, or has another
    /// role.
    includes_this_number: bool,
    /// Who did it, if WhatsApp said so.
    #[oai(skip_serializing_if_is_none)]
    by: Option<GroupParticipant>,
    /// When it happened, by WhatsApp's clock.
    changed_at: Timestamp
});
event!(
/// An event about a call.
CallEvent of a session, CallEventBody {
    /// The call.
    call: CallShown,
    /// Who calls.
    contact: ContactShown
});
event!(
/// An event about a rule for automatic replies.
RuleEvent of a session, RuleEventBody {
    /// The rule.
    rule: RuleShown,
    /// The message that it fired at.
    message_id: String,
    /// Who wrote that message.
    contact_id: String,
    /// What came of it.
    outcome: String,
    /// The answer, with the outcome `answered`.
    #[oai(skip_serializing_if_is_none)]
    reply_message_id: Option<String>,
    /// With the outcome `loop`: automatic replies to the chat rest until then.
    #[oai(skip_serializing_if_is_none)]
    rests_until: Option<Timestamp>
});
event!(
/// An event about a webhook endpoint.
EndpointEvent of the organisation, EndpointEventBody {
    /// The endpoint.
    endpoint: EndpointShown
});

/// A session in an event.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SessionShown {
    /// Its id.
    pub id: String,
    /// Always `session`.
    pub object: String,
    /// Your reference, if you gave the session one.
    pub client_ref: Option<String>,
    /// Your metadata, if you gave the session any.
    pub metadata: Option<Texts>,
    /// Its state, as in the session resource.
    pub state: String,
    /// Why the session ended, if it did.
    pub status_reason: Option<StatusReason>,
    /// End of a temporary ban, if WhatsApp announced it.
    pub banned_until: Option<Timestamp>,
}

/// A session in an event about its number.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SessionNamed {
    /// Its id.
    pub id: String,
    /// Always `session`.
    pub object: String,
    /// Your reference, if you gave the session one.
    pub client_ref: Option<String>,
    /// Your metadata, if you gave the session any.
    pub metadata: Option<Texts>,
}

/// The health of a number in an event.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct HealthShown {
    /// How much the number may send, as in the health of the session.
    pub level: String,
    /// Why, the most severe first.
    pub reasons: Vec<String>,
    /// When the next better level begins if nothing happens.
    pub until: Option<Timestamp>,
}

/// A contact in an event.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ContactShown {
    /// The stable id of the contact in this gateway.
    pub id: String,
    /// Always `contact`.
    pub object: String,
    /// The phone number in E.164, if WhatsApp shared it.
    pub phone: Option<String>,
    /// WhatsApp's own id of the contact (LID), if it is known.
    pub lid: Option<String>,
    /// The name to show: yours, or the one that the person chose. In events of inbound messages and `contact.updated`.
    pub name: Option<String>,
    /// The name that the person chose at WhatsApp. In the same events.
    pub push_name: Option<String>,
    /// The name of a business that WhatsApp verified. In the same events.
    pub verified_name: Option<String>,
}

/// A group in an event.
#[derive(Debug, Object)]
pub struct GroupShown {
    /// Its id, `…@g.us`.
    pub id: String,
    /// Always `group`.
    pub object: String,
}

/// The settings of a group that changed.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct GroupSettings {
    /// The name of the group.
    pub subject: Option<String>,
    /// The description; an empty text if it was removed.
    pub description: Option<String>,
    /// Whether only admins can send messages.
    pub admins_only: Option<bool>,
    /// Whether only admins can change the name, the description, the picture and the timer.
    pub locked: Option<bool>,
    /// Whether an admin must approve who joins by link.
    pub join_approval: Option<bool>,
    /// The seconds after which messages disappear; 0 if they stay. What you send carries it from now on.
    pub expires_in: Option<u32>,
}

/// A call in an event.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct CallShown {
    /// Its id, with which it can be rejected.
    pub id: String,
    /// Always `call`.
    pub object: String,
    /// The session of the number that is called.
    pub session_id: String,
    /// The caller's phone number in E.164, if WhatsApp shared it.
    pub from: Option<String>,
    /// The caller's contact.
    pub contact_id: String,
    /// `voice` or `video`.
    pub media: String,
    /// Whether others are called, too.
    pub group_call: bool,
    /// The group that is called, if WhatsApp named one.
    pub group_id: Option<String>,
    /// When the caller called, by WhatsApp's clock.
    pub offered_at: Timestamp,
    /// Only in `call.received`: whether it may still ring. If not, it came while the session was away.
    pub ringing: Option<bool>,
    /// Only in `call.ended`: `missed` (nobody answered), `rejected` (here or on another device of the number) or
    /// `accepted_elsewhere` (on another device of the number).
    pub outcome: Option<String>,
    /// Only in `call.ended`: when the gateway learnt of the end.
    pub ended_at: Option<Timestamp>,
}

/// A rule in an event.
#[derive(Debug, Object)]
pub struct RuleShown {
    /// Its id.
    pub id: String,
    /// Always `auto_reply`.
    pub object: String,
    /// Its name.
    pub name: String,
}

/// An endpoint in an event.
#[derive(Debug, Object)]
pub struct EndpointShown {
    /// Its id.
    pub id: String,
    /// Why it was disabled: `gone` or `failing`.
    pub disabled_reason: String,
}

/// The events that are posted to webhook endpoints. poem-openapi's derive allows only one webhook per method,
/// so the table is written by hand.
pub struct Events;

impl Webhook for Events {
    fn meta() -> Vec<MetaWebhook> {
        EventType::ALL.iter().map(|kind| webhook(*kind)).collect()
    }

    fn register(registry: &mut Registry) {
        MessageEvent::register(registry);
        MediaEvent::register(registry);
        SessionEvent::register(registry);
        SessionHealthEvent::register(registry);
        ContactEvent::register(registry);
        OptOutEvent::register(registry);
        ConsentEvent::register(registry);
        GroupUpdateEvent::register(registry);
        GroupParticipantsEvent::register(registry);
        CallEvent::register(registry);
        RuleEvent::register(registry);
        EndpointEvent::register(registry);
    }
}

fn webhook(kind: EventType) -> MetaWebhook {
    MetaWebhook {
        name: kind.as_str(),
        operation: operation(summary(kind), schema(kind)),
    }
}

fn schema(kind: EventType) -> MetaSchemaRef {
    match kind {
        EventType::MediaAvailable | EventType::MediaFailed => MediaEvent::schema_ref(),
        EventType::SessionRestricted | EventType::SessionRecovered => {
            SessionHealthEvent::schema_ref()
        }
        EventType::SessionLinked
        | EventType::SessionConnected
        | EventType::SessionDisconnected
        | EventType::SessionLoggedOut
        | EventType::SessionBanned
        | EventType::SessionReplaced
        | EventType::SessionFailed => SessionEvent::schema_ref(),
        EventType::ContactOptedOut | EventType::ContactOptedIn => OptOutEvent::schema_ref(),
        EventType::ConsentGiven => ConsentEvent::schema_ref(),
        EventType::ContactUpdated | EventType::ContactMerged => ContactEvent::schema_ref(),
        EventType::GroupUpdated => GroupUpdateEvent::schema_ref(),
        EventType::GroupParticipants => GroupParticipantsEvent::schema_ref(),
        EventType::CallReceived | EventType::CallEnded => CallEvent::schema_ref(),
        EventType::RuleMatched => RuleEvent::schema_ref(),
        EventType::EndpointDisabled => EndpointEvent::schema_ref(),
        _ => MessageEvent::schema_ref(),
    }
}

/// Returns when there is an event of this type.
pub(crate) fn summary(kind: EventType) -> &'static str {
    match kind {
        EventType::MessageReceived => "A message was received.",
        EventType::MessageReaction => {
            "A contact, or the number's owner on another device, reacted to a message or removed a reaction, or WhatsApp acknowledged a reaction of yours."
        }
        EventType::MessageEdited => {
            "A contact, or the number's owner on another device, edited a message, or WhatsApp acknowledged an edit of yours. The message in the event is the edit; `edit.message_id` is the edited message."
        }
        EventType::MessageDeleted => {
            "A contact, or the number's owner on another device, deleted a message for everyone, or WhatsApp acknowledged a deletion of yours. The message in the event is the deletion; `delete.message_id` is the deleted message."
        }
        EventType::MessagePollVote => {
            "A contact, or the number's owner on another device, voted in a poll."
        }
        EventType::MessageSent => {
            "WhatsApp's server acknowledged a message, or the number's owner wrote one on another device: `source` is then `phone` or `linked_device`."
        }
        EventType::MessageDelivered => "A message reached a device of the recipient.",
        EventType::MessageRead => "The recipient saw a message.",
        EventType::MessagePlayed => "The recipient played a message.",
        EventType::MessageFailed => "A message will not be sent.",
        EventType::MessageUnknown => "A message was written, and WhatsApp did not acknowledge it.",
        EventType::MessageUndecryptable => {
            "A message was received that could not be decrypted. The gateway requested it again. If it arrives, there is a `message.received` (`message.sent` if the number's owner wrote it), or another event for its kind, with the same message id."
        }
        EventType::MessageExpired => "A message expired before it was sent.",
        EventType::MessageCanceled => "A message was canceled.",
        EventType::MediaAvailable => "The file of an inbound message is available.",
        EventType::MediaFailed => {
            "The file of an inbound message is not available. `media.status` says whether it failed or expired."
        }
        EventType::SessionLinked => "A number was linked.",
        EventType::SessionConnected => "A session is online.",
        EventType::SessionDisconnected => "A session is offline. The gateway reconnects.",
        EventType::SessionLoggedOut => "A number was unlinked.",
        EventType::SessionBanned => "WhatsApp banned a number.",
        EventType::SessionReplaced => "Another client replaced the session.",
        EventType::SessionRestricted => {
            "The number of a session may send less, or has one more reason to: WhatsApp signals something. `health` says how much and until when."
        }
        EventType::SessionRecovered => "The number of a session may send more again.",
        EventType::SessionFailed => {
            "A session ended for another reason, which `status_reason` names."
        }
        EventType::ContactOptedOut => {
            "A contact opted out, with a word, a button or through the API. Messages to this contact are refused."
        }
        EventType::ContactOptedIn => "A contact who had opted out wants messages again.",
        EventType::ConsentGiven => {
            "A contact agreed to your messages: it sent the code of an opt-in link. The `proof` is the id of that message."
        }
        EventType::ContactUpdated => {
            "A contact has another name at WhatsApp: the name that the person chose, or the verified name of a business. The first names come with the first message."
        }
        EventType::ContactMerged => {
            "Two contacts are the same person and were merged. `merged_contact_id` is the old id."
        }
        EventType::GroupUpdated => {
            "A setting of a group changed: `changes` says which. WhatsApp reports a change only once, so this event comes at most once: if the gateway stops at that moment, it is lost."
        }
        EventType::GroupParticipants => {
            "Members of a group joined or left, were added or removed, or became admins or no longer are. WhatsApp reports a change only once, so this event comes at most once: if the gateway stops at that moment, it is lost."
        }
        EventType::CallReceived => {
            "Somebody calls, or called while the session was away (`ringing` is then `false`). At most once: WhatsApp does not repeat a call, so it is lost if the gateway dies at that moment."
        }
        EventType::CallEnded => {
            "A call ended; `outcome` says how. At most once, as `call.received`. It never comes if WhatsApp does not report the end within five minutes, or if the session's process ends before that."
        }
        EventType::RuleMatched => {
            "A rule for automatic replies fired; `outcome` says what came of it: `answered` (the answer is queued), `loop` (another machine seems to answer: automatic replies to the chat rest for an hour), `queue_full`, `template_failed` or `file_unavailable`."
        }
        EventType::EndpointDisabled => {
            "A webhook endpoint was disabled and gets no more deliveries."
        }
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
