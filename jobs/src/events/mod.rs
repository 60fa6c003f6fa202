//! Events for the tenant's webhook endpoints. Each is written in the transaction of the change that it
//! reports.

pub(crate) mod blank;
pub(crate) mod calls;
pub(crate) mod consents;
pub(crate) mod emit;
pub mod examples;
pub(crate) mod groups;
pub(crate) mod health;
pub(crate) mod opt_outs;
pub(crate) mod rules;

use passerelle_engine::{
    clock::Clock,
    content::{Content, Peer},
    ids::{ContactId, EndpointId, MessageId, OrgId, SessionId},
    store::Tx,
    vault::DataKey,
    whatsapp::raw::RawMessage,
};
use serde_json::{Value, json};

use crate::{
    error::Fault,
    events::emit::{NewEvent, emit, emit_in},
    messages::shown::shown,
    model::{
        MediaStatus, Message, Status, client_data::ClientData, contact::Called, endpoint::Disabled,
        event::EventType, rfc3339,
    },
    store,
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

/// What the event of a message that WhatsApp delivered says beside the message.
#[derive(Debug, Default)]
pub(crate) struct Beside<'a> {
    /// What its sender is called.
    pub(crate) called: Option<&'a Called>,
    /// The file that it announced.
    pub(crate) media: Option<Value>,
    /// The message as it came, for endpoints that want that.
    pub(crate) raw: Option<&'a RawMessage>,
}

/// Writes the event of a message that WhatsApp delivered.
pub(crate) async fn received(
    tx: &mut Tx,
    key: &DataKey,
    message: &Message,
    beside: Beside<'_>,
    clock: &Clock,
) -> Result<(), Fault> {
    let Some(mut event) = of_message(message) else {
        return Ok(());
    };
    if let (Some(called), Some(id)) = (beside.called, message.contact) {
        event.data["contact"] = shown_person(id, &message.peer, called);
    }
    if let Some(media) = beside.media {
        event.data["media"] = media;
    }
    let slot = store::events::take_slot(tx, event.org, event.session).await?;
    let listening = slot.listening.as_deref();
    let raw = beside
        .raw
        .filter(|_| store::endpoints::want_raw(listening, event.kind));
    if let Some(raw) = raw.and_then(RawMessage::json) {
        event.data[RAW] = raw;
    }
    emit_in(slot, tx, key, event, clock).await?;
    Ok(())
}

/// Writes the events of a message that the number's owner wrote on another device: that it was sent, and what it
/// changed. One that cannot be decrypted has only the event that says so.
pub(crate) async fn written_by_owner(
    tx: &mut Tx,
    key: &DataKey,
    message: &Message,
    beside: Beside<'_>,
    clock: &Clock,
) -> Result<(), Fault> {
    if !matches!(message.content, Content::Undecryptable {}) {
        received(tx, key, message, beside, clock).await?;
    }
    if let Some(kind) = of_content(&message.content) {
        emit(tx, key, of_kind(message, kind), clock).await?;
    }
    Ok(())
}

/// The field of an event's data that has the message as it came.
pub(crate) const RAW: &str = "raw";

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
    Some(of_kind(message, kind))
}

/// Returns the event of this type about a message.
pub(crate) fn of_kind(message: &Message, kind: EventType) -> NewEvent {
    NewEvent {
        org: message.org,
        session: Some(message.session),
        message: Some(said_in(message)),
        kind,
        data: json!({ "message": shown(message) }),
    }
}

/// Returns the message whose text this one shows: of an edit, the edited one.
fn said_in(message: &Message) -> MessageId {
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

/// Returns the JSON of a contact with its names.
fn shown_person(id: ContactId, names: &Peer, called: &Called) -> Value {
    let mut shown = shown_contact(id, names);
    let names = [
        ("name", called.name()),
        ("push_name", called.push_name.as_deref()),
        ("verified_name", called.verified_name.as_deref()),
    ];
    for (field, name) in names {
        if let Some(name) = name {
            shown[field] = json!(name);
        }
    }
    shown
}

/// Writes the event of a contact whose names at WhatsApp have changed.
pub(crate) async fn renamed(
    tx: &mut Tx,
    key: &DataKey,
    id: ContactId,
    said: &Message,
    called: &Called,
    clock: &Clock,
) -> Result<(), Fault> {
    let event = of_renamed((said.org, said.session), id, &said.peer, called);
    emit(tx, key, event, clock).await?;
    Ok(())
}

fn of_renamed(
    (org, session): (OrgId, SessionId),
    id: ContactId,
    names: &Peer,
    called: &Called,
) -> NewEvent {
    NewEvent {
        org,
        session: Some(session),
        message: None,
        kind: EventType::ContactUpdated,
        data: json!({ "contact": shown_person(id, names, called) }),
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
