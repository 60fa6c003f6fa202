//! The queue of a session: what waits and why, pausing it, and emptying it.

use passerelle_jobs::{
    Services,
    ids::{ContactId, MessageId, SessionId},
    lanes::{
        self,
        messages::{self as queued, Waits, Which},
        view::{self, QueueView},
    },
    safety::hold::Hold,
    sessions,
};
use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
};
use serde::Serialize;

use super::{
    Group,
    messages::{Message, filter},
    not_found,
};
use crate::{
    auth::Caller,
    body::Success,
    list::{self, List, UnreadableRow},
    problem::Problem,
    types::{Id, Timestamp},
};

/// The queue of a session.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Queue {
    /// Always `queue`.
    pub object: String,
    /// The session.
    pub session_id: Id<SessionId>,
    /// How many messages are queued or being sent.
    pub depth: i64,
    /// How many of them are being sent: 1 or 0.
    pub sending: i64,
    /// When the oldest queued message was accepted. Absent if none is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<Timestamp>,
    /// Since when the queue is paused. Absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// What is sent next. Absent if nothing is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<QueueNext>,
    /// What waits, by class: replies, warm and cold messages. Messages without a class count as warm.
    pub classes: Vec<QueueClass>,
    /// Why messages wait, the most frequent reason first.
    pub holds: Vec<QueueHold>,
    /// The limits that count messages of the number. Absent in a sandbox, which has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caps: Option<Vec<QueueCap>>,
    /// How much the number may send, as in its health.
    pub level: String,
    /// When the next better level begins if nothing happens. Absent if the level is `ok`, or only a person can end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level_until: Option<Timestamp>,
}

/// When the next message is sent.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct QueueNext {
    /// The earliest time. Absent if it cannot be foreseen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What the queue waits for until then. Absent if for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// Since when, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// What waits of a class.
#[derive(Debug, Serialize, Object)]
pub struct QueueClass {
    /// The class.
    pub class: String,
    /// How many messages wait.
    pub waiting: i64,
    /// How many of them something holds; the others only wait for their turn.
    pub held: i64,
}

/// Messages that wait for the same reason.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct QueueHold {
    /// What holds them.
    pub hold: String,
    /// How many they are.
    pub messages: i64,
    /// When the first of them goes on. Absent if that cannot be foreseen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A limit that counts messages of a number.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct QueueCap {
    /// What is counted, and in which time: `replies_an_hour`, `messages_an_hour` and `messages_a_day` (those that are no
    /// replies), `new_conversations_a_day`, `unanswered_in_30_days`, `codes_at_night_an_hour`. Later versions may add
    /// more.
    pub name: String,
    /// How many are allowed now.
    pub limit: u32,
    /// How many were sent.
    pub used: u32,
    /// How many are left.
    pub remaining: u32,
    /// When one more is allowed than now. Absent if none was sent, or none is ever allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
}

fn word(hold: Hold) -> String {
    hold.as_str().to_owned()
}

impl Queue {
    fn of(id: SessionId, view: &QueueView) -> Self {
        let next = QueueNext {
            at: view.next_at.map(Timestamp),
            hold: view.hold.map(word),
            since: view.hold_since.map(Timestamp),
        };
        let classes = view.classes.iter().map(|of| QueueClass {
            class: of.class.as_str().to_owned(),
            waiting: of.waiting,
            held: of.held,
        });
        let holds = view.holds.iter().map(|held| QueueHold {
            hold: word(held.hold),
            messages: held.messages,
            until: held.until.map(Timestamp),
        });
        let caps = view.caps.iter().map(|cap| QueueCap {
            name: cap.name.to_owned(),
            limit: cap.limit,
            used: cap.used,
            remaining: cap.limit.saturating_sub(cap.used),
            resets_at: cap.resets_at.map(Timestamp),
        });
        Self {
            object: "queue".to_owned(),
            session_id: Id(id),
            depth: view.depth,
            sending: view.is_sending.into(),
            oldest_at: view.oldest_at.map(Timestamp),
            paused_at: view.paused_at.map(Timestamp),
            next: view.oldest_at.map(|_| next),
            classes: classes.collect(),
            holds: holds.collect(),
            caps: (!view.caps.is_empty()).then(|| caps.collect()),
            level: view.level.to_string(),
            level_until: view.level_until.map(Timestamp),
        }
    }
}

impl From<Waits> for Message {
    fn from(waits: Waits) -> Self {
        Self::queued(waits.message, Some(waits.place))
    }
}

/// A page of the messages of a queue.
#[derive(Debug, Serialize, Object)]
pub struct QueuedMessageList {
    /// The messages, the next one first.
    pub data: Vec<Message>,
    /// The messages of this page that cannot be read. They are not in `data`, but count as part of the page. Absent if there
    /// are none.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Vec<UnreadableRow>>,
    /// Whether there are later messages.
    pub has_more: bool,
    /// The `cursor` of the next page, if there is one.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl List for QueuedMessageList {
    type Item = Message;

    fn of(
        data: Vec<Message>,
        unreadable: Option<Vec<UnreadableRow>>,
        has_more: bool,
        next_cursor: Option<String>,
    ) -> Self {
        Self {
            data,
            unreadable,
            has_more,
            next_cursor,
        }
    }
}

/// How many messages of a queue were canceled.
#[derive(Debug, Serialize, Object)]
pub struct CanceledMessages {
    /// Always `canceled_messages`.
    pub object: String,
    /// So many. Each has its event `message.canceled`.
    pub canceled: u64,
    /// Whether more are queued that could be canceled. Then ask again.
    pub has_more: bool,
}

/// Queues.
pub struct Queues;

#[OpenApi(prefix_path = "/v1/sessions", tag = "Group::Sessions")]
impl Queues {
    /// Read the queue of a session.
    ///
    /// It says what waits and why, when the next message is sent, and how much the number may still send.
    #[oai(path = "/:id/queue", method = "get", operation_id = "read_queue")]
    async fn read_queue(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
    ) -> Result<Success<Queue>, Problem> {
        shown(&services, &caller, id.0.0).await
    }

    /// Pause the queue of a session.
    ///
    /// Nothing of it is sent until it is resumed, except a message that is being sent already. Messages are still accepted, and
    /// expire in their time. A second request changes nothing.
    #[oai(
        path = "/:id/queue/pause",
        method = "post",
        operation_id = "pause_queue"
    )]
    async fn pause_queue(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
    ) -> Result<Success<Queue>, Problem> {
        let found = lanes::pause(&services, caller.0.org, id.0.0).await?;
        found.then_some(()).ok_or_else(not_found)?;
        shown(&services, &caller, id.0.0).await
    }

    /// Resume the queue of a session.
    ///
    /// Its messages go on in their order and at the pace of the number. A second request changes nothing.
    #[oai(
        path = "/:id/queue/resume",
        method = "post",
        operation_id = "resume_queue"
    )]
    async fn resume_queue(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
    ) -> Result<Success<Queue>, Problem> {
        let found = lanes::resume(&services, caller.0.org, id.0.0).await?;
        found.then_some(()).ok_or_else(not_found)?;
        shown(&services, &caller, id.0.0).await
    }

    /// List the queued messages of a session, the next one first.
    ///
    /// Replies go before warm messages, and those before cold ones; then the priority counts, then the order in which they were
    /// accepted. A message that something holds lets others pass. In a sandbox without limits the class does not count.
    #[oai(
        path = "/:id/queue/messages",
        method = "get",
        operation_id = "list_queued_messages"
    )]
    async fn list_queued_messages(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        /// Maximum number of messages to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<QueuedMessageList>, Problem> {
        let session = id.0.0;
        let found = sessions::read(&services, caller.0.org, session).await?;
        found.ok_or_else(not_found)?;
        let load =
            |page| async move { queued::list(services.0, caller.0.org, session, &page).await };
        list::answer::<_, MessageId, _, _>(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Cancel the queued messages of a session.
    ///
    /// At most 1,000 at a time, the newest first. Without filters it is all of them; a message must pass every filter that is
    /// given. A message that is being sent, or waits to be sent once more, stays. What is accepted meanwhile stays too: pause the
    /// queue or stop your own software first.
    #[oai(
        path = "/:id/queue/messages",
        method = "delete",
        operation_id = "cancel_queued_messages"
    )]
    async fn cancel_queued_messages(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The session.
        id: Path<Id<SessionId>>,
        /// Only messages to this contact.
        contact_id: Query<Option<Id<ContactId>>>,
        /// Only messages with this reference of yours.
        client_ref: Query<Option<String>>,
    ) -> Result<Success<CanceledMessages>, Problem> {
        let which = Which {
            contact: contact_id.0.map(|id| id.0),
            client_ref: client_ref.as_deref().map(filter::reference).transpose()?,
        };
        let canceled = queued::cancel(&services, caller.0.org, id.0.0, &which).await?;
        let canceled = canceled.ok_or_else(not_found)?;
        Ok(Success::of(CanceledMessages {
            object: "canceled_messages".to_owned(),
            canceled: canceled.messages,
            has_more: canceled.more,
        }))
    }
}

async fn shown(
    services: &Services,
    caller: &Caller,
    id: SessionId,
) -> Result<Success<Queue>, Problem> {
    let view = view::read(services, caller.0.org, id).await?;
    view.map(|view| Success::of(Queue::of(id, &view)))
        .ok_or_else(not_found)
}
