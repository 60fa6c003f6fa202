//! Chats: the last message of each person and each group, and what is unread.

use passerelle_jobs::{
    Services,
    ids::SessionId,
    messages::chats::{self, Chat as Listed},
};
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Query};
use serde::Serialize;

use super::{Group, messages::Message};
use crate::{
    auth::Caller,
    body::Success,
    list::{self, list_of},
    problem::Problem,
    types::Id,
};

/// A chat of a session with a person or a group.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Chat {
    /// Always `chat`.
    pub object: String,
    /// The session.
    pub session_id: Id<SessionId>,
    /// The contact, if it is a chat with a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_id: Option<String>,
    /// The phone number of the contact, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// WhatsApp's own id of the contact (LID), if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The group, if it is a chat of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// The last message. Reactions, edits, deletions and votes do not count.
    pub last_message: Message,
    /// How many messages came in since the session's number last answered, or since you last marked one as read. At most
    /// 1000 are counted.
    pub unread: i64,
}

impl From<Listed> for Chat {
    fn from(chat: Listed) -> Self {
        let Listed { last, unread } = chat;
        let person = last.group.is_none().then_some(&last);
        let peer = person.map(|last| &last.peer);
        Self {
            object: "chat".to_owned(),
            session_id: Id(last.session),
            contact_id: person
                .and_then(|last| last.contact)
                .map(|id| id.to_string()),
            phone: peer.and_then(|peer| Some(peer.phone.as_ref()?.as_str().to_owned())),
            lid: peer.and_then(|peer| peer.lid.clone()),
            group_id: last.group.as_ref().map(|group| group.as_str().to_owned()),
            unread,
            last_message: last.into(),
        }
    }
}

list_of!(
    /// A page of chats.
    ChatList, Chat);

/// Chats.
pub struct Chats;

#[OpenApi(prefix_path = "/v1/chats", tag = "Group::Messages")]
impl Chats {
    /// List the chats, the one with the newest message first.
    #[oai(path = "/", method = "get", operation_id = "list_chats")]
    async fn list_chats(
        &self,
        caller: Caller,
        services: Data<&Services>,
        /// Only chats of this session.
        session_id: Query<Option<Id<SessionId>>>,
        /// Maximum number of chats to return.
        #[oai(
            default = "super::twenty",
            validator(minimum(value = "1"), maximum(value = "100"))
        )]
        limit: Query<u32>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<String>>,
    ) -> Result<Success<ChatList>, Problem> {
        let session = session_id.0.map(|id| id.0);
        let load =
            |page| async move { chats::list(services.0, caller.0.org, session, &page).await };
        list::answer(services.0, limit.0, cursor.as_deref(), load).await
    }
}
