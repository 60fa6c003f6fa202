//! Events for the tenant's webhook endpoints. Each is written in the transaction of the change that it
//! reports.

pub(crate) mod blank;
pub(crate) mod emit;
pub mod examples;

use passerelle_engine::{
    clock::Clock,
    content::{Content, Peer},
    ids::{ContactId, EndpointId, MessageId, OrgId, SessionId},
    store::Tx,
    vault::DataKey,
};
use serde_json::{Value, json};

use crate::{
    error::Fault,
    events::emit::{NewEvent, emit},
    messages::shown::shown,
    model::{
        MediaStatus, Message, Status, client_data::ClientData, endpoint::Disabled,
        event::EventType, rfc3339,
    },
};

/// Writes the event of a message's present status.
pub(crate) async fn message(
    tx: &mut Tx,
    key: &DataKey,
    message: &Message,
    clock: &Clock,
) -> Result<(), Fault> {
    if let Some(event) = of_message(message) {
        emit(tx, key, event, clock).await?;
    }
    Ok(())
}

/// Writes the event of an inbound message, with the file that it announced.
pub(crate) async fn received(
    tx: &mut Tx,
    key: &DataKey,
    message: &Message,
    media: Option<Value>,
    clock: &Clock,
) -> Result<(), Fault> {
    if let Some(mut event) = of_message(message) {
        if let Some(media) = media {
            event.data["media"] = media;
        }
        emit(tx, key, event, clock).await?;
    }
    Ok(())
}

/// What an event says of a file: its session, the message that carries it, its status, and its JSON.
pub(crate) type FileNews = (Option<SessionId>, Option<MessageId>, MediaStatus, Value);

/// Writes the event of a file that is stored, or will never be; none while it may still arrive.
pub(crate) async fn media(
    tx: &mut Tx,
    key: &DataKey,
    org: OrgId,
    news: FileNews,
    clock: &Clock,
) -> Result<(), Fault> {
    if let Some(event) = of_file(org, news) {
        emit(tx, key, event, clock).await?;
    }
    Ok(())
}

fn of_file(org: OrgId, (session, message, status, media): FileNews) -> Option<NewEvent> {
    let kind = match status {
        MediaStatus::Available => EventType::MediaAvailable,
        MediaStatus::Failed | MediaStatus::Expired => EventType::MediaFailed,
        MediaStatus::Pending | MediaStatus::Fetching | MediaStatus::Deferred => return None,
    };
    Some(NewEvent {
        org,
        session,
        message,
        kind,
        data: json!({ "media": media }),
    })
}

/// Returns the event of a message's present status. `queued` and `sending` have no event: the response
/// to the request already says so.
pub(crate) fn of_message(message: &Message) -> Option<NewEvent> {
    let kind = match message.status {
        Status::Queued | Status::Sending => return None,
        Status::Unknown => EventType::MessageUnknown,
        Status::Sent => EventType::MessageSent,
        Status::Delivered => EventType::MessageDelivered,
        Status::Read => EventType::MessageRead,
        Status::Played => EventType::MessagePlayed,
        Status::Failed => EventType::MessageFailed,
        Status::Expired => EventType::MessageExpired,
        Status::Canceled => EventType::MessageCanceled,
        Status::Received => of_content(&message.content).unwrap_or(EventType::MessageReceived),
    };
    Some(NewEvent {
        org: message.org,
        session: Some(message.session),
        message: Some(said_in(message)),
        kind,
        data: json!({ "message": shown(message) }),
    })
}

/// Returns the message whose text this one shows: of an edit, the edited one.
pub(crate) fn said_in(message: &Message) -> MessageId {
    match &message.content {
        Content::Edit(edit) => edit.target.message_id.unwrap_or(message.id),
        _ => message.id,
    }
}

/// Returns the type of a content with an event of its own: a change of another message (sent when it was
/// received, or when WhatsApp accepted ours) and a message that cannot be decrypted.
pub(crate) fn of_content(content: &Content) -> Option<EventType> {
    Some(match content {
        Content::Reaction(_) => EventType::MessageReaction,
        Content::Edit(_) => EventType::MessageEdited,
        Content::Delete(_) => EventType::MessageDeleted,
        Content::PollVote(_) => EventType::MessagePollVote,
        Content::Undecryptable {} => EventType::MessageUndecryptable,
        _ => return None,
    })
}

/// A change of a session's connection.
pub(crate) struct SessionChange {
    pub(crate) kind: EventType,
    pub(crate) state: &'static str,
    /// Stable code of the reason, if there is one.
    pub(crate) reason: Option<&'static str>,
    /// When a temporary ban ends, if WhatsApp said so.
    pub(crate) until: Option<i64>,
}

impl SessionChange {
    /// Returns a change to this state, without a reason.
    pub(crate) fn to(kind: EventType, state: &'static str) -> Self {
        Self {
            kind,
            state,
            reason: None,
            until: None,
        }
    }
}

/// Writes the event of a session's new state, with what its tenant attached.
pub(crate) async fn session(
    tx: &mut Tx,
    key: &DataKey,
    place: (OrgId, SessionId),
    change: &SessionChange,
    client: &ClientData,
    clock: &Clock,
) -> Result<(), Fault> {
    emit(tx, key, of_session(place, change, client), clock).await?;
    Ok(())
}

fn of_session(
    (org, id): (OrgId, SessionId),
    change: &SessionChange,
    client: &ClientData,
) -> NewEvent {
    let mut shown = json!({ "id": id, "object": "session", "state": change.state });
    if let Some(reason) = change.reason {
        shown["status_reason"] = json!({ "code": reason });
    }
    if let Some(until) = change.until {
        shown["banned_until"] = json!(rfc3339(until));
    }
    if let Some(client_ref) = &client.client_ref {
        shown["client_ref"] = json!(client_ref);
    }
    if !client.metadata.is_empty() {
        shown["metadata"] = json!(client.metadata);
    }
    NewEvent {
        org,
        session: Some(id),
        message: None,
        kind: change.kind,
        data: json!({ "session": shown }),
    }
}

/// Writes the event of two contacts that turned out to be one.
pub(crate) async fn merged(
    tx: &mut Tx,
    key: &DataKey,
    place: (OrgId, SessionId),
    contacts: (ContactId, ContactId),
    names: &Peer,
    clock: &Clock,
) -> Result<(), Fault> {
    emit(tx, key, of_merge(place, contacts, names), clock).await?;
    Ok(())
}

fn of_merge(
    (org, session): (OrgId, SessionId),
    (one, other): (ContactId, ContactId),
    names: &Peer,
) -> NewEvent {
    NewEvent {
        org,
        session: Some(session),
        message: None,
        kind: EventType::ContactMerged,
        data: json!({ "contact": shown_contact(one, names), "merged_contact_id": other }),
    }
}

fn shown_contact(id: ContactId, names: &Peer) -> Value {
    let mut shown = json!({ "id": id, "object": "contact" });
    if let Some(phone) = &names.phone {
        shown["phone"] = json!(phone.as_str());
    }
    if let Some(lid) = &names.lid {
        shown["lid"] = json!(lid);
    }
    shown
}

/// Writes the event of a contact's opt-out or opt-in, with both names that WhatsApp knows the contact
/// by.
pub(crate) async fn contact(
    tx: &mut Tx,
    key: &DataKey,
    id: ContactId,
    said: &Message,
    kind: EventType,
    clock: &Clock,
) -> Result<(), Fault> {
    let event = of_contact((said.org, said.session), kind, id, &said.peer);
    emit(tx, key, event, clock).await?;
    Ok(())
}

fn of_contact(
    (org, session): (OrgId, SessionId),
    kind: EventType,
    id: ContactId,
    names: &Peer,
) -> NewEvent {
    NewEvent {
        org,
        session: Some(session),
        message: None,
        kind,
        data: json!({ "contact": shown_contact(id, names) }),
    }
}

/// Returns the event of an endpoint that the gateway disables.
pub(crate) fn of_endpoint(org: OrgId, id: EndpointId, why: Disabled) -> NewEvent {
    NewEvent {
        org,
        session: None,
        message: None,
        kind: EventType::EndpointDisabled,
        data: json!({ "endpoint": { "id": id, "disabled_reason": why.as_str() } }),
    }
}
