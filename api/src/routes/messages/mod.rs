//! Messages: send, list, read, cancel, mark as read or played.
//!
//! | page | what it holds |
//! |---|---|
//! | `kinds` | what a message can carry, and when it is valid |
//! | `files` | the kinds that carry a file |
//! | `request` | a message to send, one shape for each kind |
//! | `by_kind` | a route for each kind |
//! | `response`, `about` | a message in an answer |
//! | `filter`, `refusals` | the filters of the list; why a request was refused |
//! | `receipts`, `schedule`, `timeline` | who has a message; when one is sent; what happened to it |

pub mod about;
mod by_kind;
pub mod files;
pub(super) mod filter;
pub mod incoming;
pub mod kinds;
pub mod receipts;
pub(super) mod refusals;
pub mod request;
pub mod response;
pub mod schedule;
pub mod timeline;

use passerelle_jobs::{
    Services,
    ids::{ContactId, MessageId, SessionId},
    lanes::outlook,
    messages::{self, Filter, receipts as who_has},
    outbound,
    sessions::read_receipts::{self, Mark},
};
use poem::{Request, web::Data};
use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
    payload::Response,
};

pub use self::{by_kind::MessagesByKind, response::Message};
use self::{
    filter::{MessageDirection, MessageStatus},
    receipts::ReceiptList,
    request::NewMessage,
    response::MessageList,
    schedule::MessageChange,
    timeline::MessageTimeline,
};
use super::{Group, not_found};
use crate::{
    auth::Caller,
    body::{Accepted, Body, Success},
    idempotency, list,
    problem::Problem,
    types::{Id, Timestamp},
};

/// Messages.
pub struct Messages;

#[OpenApi(prefix_path = "/v1/messages", tag = "Group::Messages")]
impl Messages {
    /// Send a message to a person or a group.
    ///
    /// 202 means that the message is committed to disk. It is sent in its turn, at the pace of the number;
    /// `queue` has an estimate of the time. With an `Idempotency-Key`, a repeated request sends nothing
    /// new: it gets the answer of the first one, with the header `Idempotency-Replayed`.
    #[oai(path = "/", method = "post", operation_id = "send_message")]
    async fn send_message(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// 1 to 255 printable ASCII characters, different for each message.
        #[oai(name = "Idempotency-Key")]
        _key: Header<Option<String>>,
        request: &Request,
        body: Body<NewMessage>,
    ) -> Result<Response<Accepted<Message>>, Problem> {
        send(&services, caller, request, body.0).await
    }

    /// List the messages, newest first.
    ///
    /// A message is listed if it passes every filter.
    #[oai(path = "/", method = "get", operation_id = "list_messages")]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a query parameter of its own"
    )]
    async fn list_messages(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// Only messages of this session.
        session_id: Query<Option<Id<SessionId>>>,
        /// Only messages with this status.
        status: Query<Option<MessageStatus>>,
        /// Only messages in this direction.
        direction: Query<Option<MessageDirection>>,
        /// Only messages to this contact and from it, also in groups.
        contact_id: Query<Option<Id<ContactId>>>,
        /// Only messages of the contact with this phone number, in any usual spelling.
        phone: Query<Option<String>>,
        /// Only messages in this group (`…@g.us`).
        group_id: Query<Option<String>>,
        /// Only messages of this type, such as `image`.
        #[oai(name = "type")]
        kind: Query<Option<String>>,
        /// Only messages that were accepted or received at this time or later.
        since: Query<Option<Timestamp>>,
        /// Only messages that were accepted or received before this time.
        until: Query<Option<Timestamp>>,
        /// Only messages with this reference of yours. It cannot be combined with the filters above.
        client_ref: Query<Option<String>>,
        /// Maximum number of messages to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<MessageList>, Problem> {
        let filter = Filter {
            session: session_id.0.map(|id| id.0),
            status: status.0.map(Into::into),
            direction: direction.0.map(Into::into),
            contact: contact_id.0.map(|id| id.0),
            phone: phone.0.as_deref().map(super::phone).transpose()?,
            group: group_id.0.as_deref().map(filter::group).transpose()?,
            kind: kind.0.map(filter::kind).transpose()?,
            since: since.0.map(|at| at.0),
            until: until.0.map(|at| at.0),
            client_ref: client_ref.as_deref().map(filter::reference).transpose()?,
        };
        filter::check(&filter)?;
        let load =
            |page| async move { messages::list(services.0, caller.0.org, &filter, &page).await };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }

    /// Read a message.
    #[oai(path = "/:id", method = "get", operation_id = "read_message")]
    async fn read_message(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The message.
        id: Path<Id<MessageId>>,
    ) -> Result<Success<Message>, Problem> {
        let message = messages::read(&services, caller.0.org, id.0.0).await?;
        let message = message.ok_or_else(not_found)?;
        let place = outlook::of_message(&services, &message).await?;
        Ok(Success::of(Message::queued(message, place)))
    }

    /// Read what happened to a message, and why it waited.
    ///
    /// It shows as what the message was accepted and sent, and each limit that held it.
    #[oai(
        path = "/:id/timeline",
        method = "get",
        operation_id = "read_message_timeline"
    )]
    async fn read_message_timeline(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The message.
        id: Path<Id<MessageId>>,
    ) -> Result<Success<MessageTimeline>, Problem> {
        let steps = messages::timeline::of(&services, caller.0.org, id.0.0).await?;
        let steps = steps.ok_or_else(not_found)?;
        Ok(Success::of(MessageTimeline::of(id.0.0, steps)))
    }

    /// List who has the message, and since when.
    ///
    /// For a message to a person it is this person, once a receipt came. For a message to a group it is each
    /// member whose phone sent a receipt, the one whose first receipt is the newest first. In a group with more
    /// than 256 members the gateway does not keep who has it: then `per_member` is false, and only the `status` of
    /// the message tells how far the first member got. A message that came in has no receipts.
    #[oai(path = "/:id/receipts", method = "get", operation_id = "list_receipts")]
    async fn list_receipts(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The message.
        id: Path<Id<MessageId>>,
        /// Maximum number of people to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<ReceiptList>, Problem> {
        let receipts = who_has::of(services.0, caller.0.org, id.0.0).await?;
        let receipts = receipts.ok_or_else(not_found)?;
        let of = &receipts;
        let load = |page| async move { who_has::list(services.0, of, &page).await };
        let listed =
            list::answer::<ReceiptList, _, _, _>(services.0, limit.0, cursor.as_deref(), load);
        let mut listed = listed.await?;
        listed.0.per_member = receipts.are_per_member();
        Ok(listed)
    }

    /// Change when a message is sent that is still queued.
    #[oai(path = "/:id", method = "patch", operation_id = "change_message")]
    async fn change_message(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The message.
        id: Path<Id<MessageId>>,
        body: Body<MessageChange>,
    ) -> Result<Success<Message>, Problem> {
        let change = body.0.parse();
        let changed = outbound::schedule::change(&services, caller.0.org, id.0.0, change).await?;
        Ok(Success::of(changed.into()))
    }

    /// Cancel a message that is still queued.
    #[oai(path = "/:id/cancel", method = "post", operation_id = "cancel_message")]
    async fn cancel_message(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The message.
        id: Path<Id<MessageId>>,
    ) -> Result<Success<Message>, Problem> {
        Ok(Success::of(
            outbound::cancel(&services, caller.0.org, id.0.0)
                .await?
                .into(),
        ))
    }

    /// Mark an inbound message as read.
    ///
    /// The contact's phone shows the blue ticks, unless the settings of the session's number hide them.
    /// A read receipt is not a message, so it is not paced.
    #[oai(
        path = "/:id/read",
        method = "post",
        operation_id = "mark_message_read"
    )]
    async fn mark_message_read(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The message.
        id: Path<Id<MessageId>>,
    ) -> Result<Success<Message>, Problem> {
        let marked = read_receipts::mark(&services, caller.0.org, id.0.0, Mark::Read).await?;
        Ok(Success::of(marked.into()))
    }

    /// Mark an inbound voice note, audio file or video as played.
    ///
    /// The contact's phone shows that it was played.
    #[oai(
        path = "/:id/played",
        method = "post",
        operation_id = "mark_message_played"
    )]
    async fn mark_message_played(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// The message.
        id: Path<Id<MessageId>>,
    ) -> Result<Success<Message>, Problem> {
        let marked = read_receipts::mark(&services, caller.0.org, id.0.0, Mark::Played).await?;
        Ok(Success::of(marked.into()))
    }
}

/// Accepts the message. The general route and the routes by kind share the idempotency keys.
async fn send(
    services: &Services,
    caller: Caller,
    request: &Request,
    new: NewMessage,
) -> Result<Response<Accepted<Message>>, Problem> {
    let idempotency = idempotency::of(request.headers(), "POST /v1/messages", &new)?;
    let kind = new.kind();
    let new = new.parse()?;
    let asked = (new.session, new.to.clone());
    let accepted = outbound::accept(services, caller.0.org, new, idempotency).await;
    let accepted = accepted.map_err(|error| refusals::of_kind(error, kind, &asked))?;
    let replayed = accepted.replayed;
    let answer = Response::new(Accepted::of(accepted.into()));
    Ok(if replayed {
        answer.header(idempotency::REPLAYED, "true")
    } else {
        answer
    })
}
