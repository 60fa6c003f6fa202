//! Chats: the last message of each person and each group, and what is unread.

use passerelle_engine::ids::{MessageId, OrgId, SessionId};

use super::sealed;
use crate::{
    error::Fault,
    model::{Listed, Message, Page},
    queries::{ListRead, bounded},
    services::Services,
    store::messages::chats::{self, ChatRow},
};

/// A chat of a session with a person or a group.
#[derive(Debug)]
pub struct Chat {
    /// Its last message.
    pub last: Message,
    /// The messages that came in since the number last answered or sent a read receipt; at most 1,000.
    pub unread: i64,
}

/// Returns the chats of the organisation or of one session, the one with the newest message first.
pub async fn list(
    services: &Services,
    org: OrgId,
    session: Option<SessionId>,
    page: &Page<MessageId>,
) -> Result<Listed<Chat>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut read = ListRead::begin(services, org).await?;
    let listed = bounded(chats::list(read.conn(), org, session, page)).await;
    let listed = read.end(listed)?;
    let id = |row: &ChatRow| row.last.id.to_string();
    Ok(listed.open("message", id, |row| {
        let (last, unread) = (sealed::open(&key, row.last)?, row.unread);
        Ok::<_, Fault>(Chat { last, unread })
    }))
}
