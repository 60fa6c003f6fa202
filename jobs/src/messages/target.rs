//! Messages about other messages: what is allowed, and what they change.
//!
//! A message to send, such as an answer, a reaction, an edit or a deletion, names its target by our id. The
//! target is looked up at accept, within the recipient's chat, and WhatsApp's id is added. An inbound
//! message names its target by WhatsApp's id; ours is added if it is known. An edit or a deletion changes
//! the target's row when WhatsApp acknowledged it, or when it came in from the target's author.

use std::time::Duration;

use passerelle_engine::{
    clock::{Clock, Millis},
    content::{Content, Edit, Reply, Summary, Target},
    ids::{ContactId, MessageId, OrgId, SessionId},
    store::Tx,
    vault::{DataKey, Place},
    whatsapp::inbound::Inbound,
};

use crate::{
    contacts::Met,
    error::{Fault, if_readable},
    events::{self, emit::emit},
    messages::{self, sealed::CONTENT},
    model::{Direction, Message, millis},
    services::Services,
    store::{self, messages::Stored},
};

/// How long after it was sent a message can be edited (WhatsApp's Help Center, "How to edit
/// messages": 15 minutes). Phones drop an edit that was made later.
pub const EDIT_WINDOW: Duration = Duration::from_mins(15);

/// How long after it was sent a message can be deleted for everybody (WhatsApp's Help Center, "How to
/// delete messages": about two days).
pub const DELETE_WINDOW: Duration = Duration::from_hours(48);

/// Why a message cannot be about another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No such message in this chat.
    #[error("no such message in this chat")]
    NotFound,
    /// It was not sent, or its status is unknown.
    #[error("the message was not sent")]
    NotSent,
    /// It was deleted for everybody.
    #[error("the message was deleted")]
    Deleted,
    /// It was not sent by us, or is not a text.
    #[error("the message cannot be edited")]
    NotEditable,
    /// It was sent too long ago.
    #[error("the message can no longer be edited")]
    EditWindowOver,
    /// It was not sent by us.
    #[error("the message cannot be deleted")]
    NotDeletable,
    /// It was sent too long ago.
    #[error("the message can no longer be deleted")]
    DeleteWindowOver,
}

/// A chat of the organisation, with a person or a group.
#[derive(Clone, Copy)]
pub(crate) struct Chat<'c> {
    pub(crate) org: OrgId,
    pub(crate) session: SessionId,
    pub(crate) to_mac: &'c [u8; 32],
    /// The person; `None` for a group.
    pub(crate) contact: Option<ContactId>,
}

/// Fills in the target of `content`. Returns until when the content may be sent, if there is a limit.
pub(crate) async fn fill(
    services: &Services,
    key: &DataKey,
    chat: Chat<'_>,
    content: &mut Content,
    now: Millis,
) -> Result<Result<Option<Millis>, TargetError>, Fault> {
    let Some(id) = content.target().and_then(|target| target.message_id) else {
        return Ok(Ok(None));
    };
    let found = find(services, key, chat, id).await?;
    let allowed = found.and_then(|message| Ok((permitted(content, &message, now)?, message)));
    Ok(allowed.map(|(until, message)| {
        if let Some(target) = content.target_mut() {
            *target = target_of(&message);
        }
        until
    }))
}

/// Returns what an answer to the message quotes.
pub(crate) async fn reply(
    services: &Services,
    key: &DataKey,
    chat: Chat<'_>,
    id: MessageId,
) -> Result<Result<Reply, TargetError>, Fault> {
    let found = find(services, key, chat, id).await?;
    Ok(found.map(|message| Reply {
        target: target_of(&message),
        summary: Some(Summary::of(&message.content)),
    }))
}

fn target_of(message: &Message) -> Target {
    Target {
        message_id: Some(message.id),
        wa_message_id: message.wa_id.clone(),
        from_me: message.direction == Direction::Outbound,
        participant: message.context.participant.clone(),
    }
}

async fn find(
    services: &Services,
    key: &DataKey,
    chat: Chat<'_>,
    id: MessageId,
) -> Result<Result<Message, TargetError>, Fault> {
    let Chat {
        org,
        session,
        to_mac,
        contact,
    } = chat;
    let mut conn = services.store().read(org).await?;
    let to = (to_mac, contact);
    let Some(stored) = store::targets::in_chat(&mut conn, org, session, id, to).await? else {
        return Ok(Err(TargetError::NotFound));
    };
    Ok(visible(messages::sealed::open(key, stored)?))
}

/// Returns the message if the chat shows it.
fn visible(message: Message) -> Result<Message, TargetError> {
    if message.content.target().is_some() {
        return Err(TargetError::NotFound);
    }
    if message.deleted_at.is_some() {
        return Err(TargetError::Deleted);
    }
    if message.sent_at.is_none() {
        return Err(TargetError::NotSent);
    }
    Ok(message)
}

/// Checks whether `content` may be about the message. Returns until when, if there is a limit.
fn permitted(
    content: &Content,
    about: &Message,
    now: Millis,
) -> Result<Option<Millis>, TargetError> {
    let ours = about.direction == Direction::Outbound;
    let until = |window| about.sent_at.map(|at| at.saturating_add(millis(window)));
    let is_over = |until: Option<Millis>| until.is_some_and(|until| until <= now);
    match content {
        Content::Edit(_) => {
            let text = matches!(about.content, Content::Text { .. });
            let until = until(EDIT_WINDOW);
            match ours && text {
                false => Err(TargetError::NotEditable),
                true if is_over(until) => Err(TargetError::EditWindowOver),
                true => Ok(until),
            }
        }
        Content::Delete(_) => {
            let until = until(DELETE_WINDOW);
            match ours {
                false => Err(TargetError::NotDeletable),
                true if is_over(until) => Err(TargetError::DeleteWindowOver),
                true => Ok(until),
            }
        }
        _ => Ok(None),
    }
}

/// Fills in our ids of the messages that a message from WhatsApp refers to, and decrypts a poll vote. `writer` is
/// the contact of the chat, or the member who wrote it; nobody for an own message in a group.
pub(crate) async fn recognise(
    tx: &mut Tx,
    key: &DataKey,
    chat: Chat<'_>,
    writer: Option<Met>,
    inbound: &mut Inbound,
) -> Result<(), Fault> {
    if let Some(reply) = &mut inbound.context.reply_to {
        let known = known(tx, key, chat, writer, &reply.target).await;
        let known = if_readable("message", &reply.target.wa_message_id, known)?;
        reply.target.message_id = known.flatten().map(|stored| stored.id);
    }
    let Some(target) = inbound.content.target() else {
        return Ok(());
    };
    let known = known(tx, key, chat, writer, target).await;
    let known = if_readable("message", &target.wa_message_id, known)?;
    let Some(stored) = known.flatten() else {
        return Ok(());
    };
    if let Some(target) = inbound.content.target_mut() {
        target.message_id = Some(stored.id);
    }
    if let (Content::PollVote(vote), Some(ballot)) = (&mut inbound.content, &inbound.ballot) {
        let (id, about) = (stored.id, messages::sealed::open(key, stored));
        let about = if_readable("message", &id, about)?;
        let about = about.map(|about| (about.content, about.context.secret));
        if let Some((Content::Poll(poll), Some(secret))) = about {
            vote.options = ballot.open(&secret, &poll.options);
        }
    }
    Ok(())
}

/// Returns the target's row: a message that this number wrote in the chat, that the other side wrote, or that
/// the named member wrote in a group.
async fn known(
    tx: &mut Tx,
    key: &DataKey,
    chat: Chat<'_>,
    writer: Option<Met>,
    target: &Target,
) -> Result<Option<Stored>, Fault> {
    let Chat {
        org,
        session,
        to_mac,
        contact,
    } = chat;
    let id = &target.wa_message_id;
    if target.from_me {
        let to = (to_mac, contact);
        return Ok(store::targets::written_to(tx, org, session, id, to).await?);
    }
    if let Some(member) = &target.participant {
        let sender = messages::sealed::sender_mac(key, member);
        return Ok(store::targets::written_in(tx, org, session, id, (to_mac, &sender)).await?);
    }
    let contacts = writer.map(|writer| [Some(writer.id), writer.twin]);
    for contact in contacts.into_iter().flatten().flatten() {
        let found = store::targets::written_by(tx, org, session, id, contact).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Called when WhatsApp acknowledged the message: changes its target and emits the event of the change.
pub(crate) async fn apply_taken(
    tx: &mut Tx,
    key: &DataKey,
    message: &Message,
    clock: &Clock,
) -> Result<(), Fault> {
    let Some(kind) = events::of_content(&message.content) else {
        return Ok(());
    };
    apply(tx, key, message, clock.now()).await?;
    emit(tx, key, events::of_kind(message, kind), clock).await?;
    Ok(())
}

/// Applies an acknowledged or inbound message to its target. Only the target's author can change it.
pub(crate) async fn apply(
    tx: &mut Tx,
    key: &DataKey,
    message: &Message,
    at: Millis,
) -> Result<(), Fault> {
    let Some(target) = message.content.target() else {
        return Ok(());
    };
    let own = match message.direction {
        Direction::Outbound => target.from_me,
        Direction::Inbound => !target.from_me && target.participant == message.context.participant,
    };
    let (Some(id), true) = (target.message_id, own) else {
        return Ok(());
    };
    match &message.content {
        Content::Edit(edit) => edited(tx, key, message, id, edit, at).await,
        Content::Delete(_) => deleted(tx, key, message, id, at).await,
        _ => Ok(()),
    }
}

/// Deletes what the message `id` said: its content, its file, its edits, and its text in events.
async fn deleted(
    tx: &mut Tx,
    key: &DataKey,
    message: &Message,
    id: MessageId,
    at: Millis,
) -> Result<(), Fault> {
    let org = message.org;
    store::media::delete_of(tx, org, id).await?;
    let edits = store::targets::edits_of(tx.conn(), org, id).await?;
    for id in [id].into_iter().chain(edits) {
        let record = id.to_string();
        let gone = key.seal_json(&Place::of(org, CONTENT, &record), &Content::Deleted {})?;
        store::targets::delete(tx, org, id, &gone, at).await?;
    }
    events::blank::of_message(tx, key, (org, message.session), id, at).await
}

async fn edited(
    tx: &mut Tx,
    key: &DataKey,
    message: &Message,
    id: MessageId,
    edit: &Edit,
    at: Millis,
) -> Result<(), Fault> {
    let org = message.org;
    let stored = store::messages::read(tx.conn(), org, id).await;
    let stored = if_readable("message", &id, stored.map_err(Fault::from))?;
    let Some(stored) = stored.flatten() else {
        return Ok(());
    };
    let about = messages::sealed::open(key, stored);
    // The change itself went out or came in; only its target stays as it is.
    let Some(mut about) = if_readable("message", &id, about)? else {
        return Ok(());
    };
    if !about.content.say(&edit.body) {
        return Ok(());
    }
    let record = id.to_string();
    let now = key.seal_json(&Place::of(org, CONTENT, &record), &about.content)?;
    Ok(store::targets::edit(tx, org, id, &now, message.id, at).await?)
}

#[cfg(test)]
mod tests {
    use passerelle_engine::{
        clock::Clock,
        content::{Delete, Peer, Reaction},
    };

    use super::*;
    use crate::model::{Priority, Source, Status};

    const SENT: Millis = 1_000_000;

    fn message(direction: Direction, content: Content) -> Message {
        let clock = Clock::system();
        Message {
            id: MessageId::new(&clock),
            org: OrgId::new(&clock),
            session: SessionId::new(&clock),
            direction,
            source: Source::Gateway,
            status: Status::Sent,
            peer: Peer {
                phone: None,
                lid: None,
            },
            group: None,
            contact: None,
            content,
            context: passerelle_engine::content::Context::default(),
            client: crate::model::client_data::ClientData::default(),
            wa_id: "3EB0".into(),
            error: None,
            expires_in: None,
            created_at: SENT,
            class: None,
            purpose: None,
            consent: None,
            send_at: None,
            priority: Priority::Normal,
            expires_at: None,
            sent_at: Some(SENT),
            delivered_at: None,
            read_at: None,
            played_at: None,
            edited_at: None,
            deleted_at: None,
        }
    }

    fn text() -> Content {
        Content::text("hi")
    }

    fn edit() -> Content {
        Content::Edit(Edit {
            target: Target::default(),
            body: "ho".into(),
        })
    }

    fn delete() -> Content {
        Content::Delete(Delete {
            target: Target::default(),
        })
    }

    #[test]
    fn an_edit_is_taken_for_fifteen_minutes_and_a_deletion_for_two_days() {
        let ours = message(Direction::Outbound, text());
        let (edit_end, delete_end) = (SENT + 15 * 60_000, SENT + 48 * 3_600_000);
        assert_eq!(permitted(&edit(), &ours, edit_end - 1), Ok(Some(edit_end)));
        let over = Err(TargetError::EditWindowOver);
        assert_eq!(permitted(&edit(), &ours, edit_end), over);
        let last = permitted(&delete(), &ours, delete_end - 1);
        assert_eq!(last, Ok(Some(delete_end)));
        let over = Err(TargetError::DeleteWindowOver);
        assert_eq!(permitted(&delete(), &ours, delete_end), over);
    }

    #[test]
    fn only_our_own_texts_are_edited_and_only_our_own_messages_deleted() {
        let theirs = message(Direction::Inbound, text());
        let refused = permitted(&edit(), &theirs, SENT);
        assert_eq!(refused, Err(TargetError::NotEditable));
        let refused = permitted(&delete(), &theirs, SENT);
        assert_eq!(refused, Err(TargetError::NotDeletable));
        let contacts = Content::Contacts { contacts: vec![] };
        let ours = message(Direction::Outbound, contacts);
        let refused = permitted(&edit(), &ours, SENT);
        assert_eq!(refused, Err(TargetError::NotEditable));
        let reaction = Content::Reaction(Reaction {
            target: Target::default(),
            emoji: "👍".into(),
        });
        assert_eq!(permitted(&reaction, &theirs, Millis::MAX), Ok(None));
    }

    #[test]
    fn a_message_that_the_chat_does_not_show_is_no_target() {
        let error = |message| visible(message).err();
        assert_eq!(error(message(Direction::Outbound, text())), None);
        let mut waiting = message(Direction::Outbound, text());
        waiting.sent_at = None;
        assert_eq!(error(waiting), Some(TargetError::NotSent));
        let mut gone = message(Direction::Outbound, Content::Deleted {});
        gone.deleted_at = Some(SENT);
        assert_eq!(error(gone), Some(TargetError::Deleted));
        let an_edit = message(Direction::Outbound, edit());
        assert_eq!(error(an_edit), Some(TargetError::NotFound));
    }
}
