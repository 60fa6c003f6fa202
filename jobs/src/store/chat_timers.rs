//! Chats whose messages disappear after a time.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, OrgId, SessionId},
    store::Tx,
};

use super::row::Run as _;

pub(super) const OLDER: &str = "DELETE FROM chat_timer WHERE contact_id IN ($2, $3) AND session_id IN (SELECT id FROM session WHERE org_id = $1) \
     AND EXISTS (SELECT 1 FROM chat_timer n WHERE n.session_id = chat_timer.session_id AND n.contact_id IN ($2, $3) \
     AND n.contact_id <> chat_timer.contact_id AND (n.set_at > chat_timer.set_at OR (n.set_at = chat_timer.set_at AND n.contact_id = $2)))";
pub(super) const MOVE: &str = "UPDATE chat_timer SET contact_id = $2 WHERE contact_id = $3 AND session_id IN (SELECT id FROM session WHERE org_id = $1)";

/// A chat of a session: with a contact or with a group.
#[derive(Clone, Copy)]
pub(crate) enum TimedChat<'c> {
    With(ContactId),
    Group(&'c [u8; 32]),
}

/// Stores the time after which the chat's messages disappear; 0 if they stay. Changes nothing if it was set later.
pub(crate) async fn set(
    tx: &mut Tx,
    (org, session): (OrgId, SessionId),
    chat: TimedChat<'_>,
    seconds: u32,
    set_at: Millis,
) -> Result<(), sqlx::Error> {
    const WITH: &str = "INSERT INTO chat_timer (session_id, org_id, contact_id, group_mac, seconds, set_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (session_id, contact_id) DO UPDATE \
         SET seconds = excluded.seconds, set_at = excluded.set_at WHERE chat_timer.set_at <= excluded.set_at";
    const GROUP: &str = "INSERT INTO chat_timer (session_id, org_id, contact_id, group_mac, seconds, set_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (session_id, group_mac) DO UPDATE \
         SET seconds = excluded.seconds, set_at = excluded.set_at WHERE chat_timer.set_at <= excluded.set_at";
    let (sql, contact, group) = match chat {
        TimedChat::With(contact) => (WITH, Some(contact.to_string()), None),
        TimedChat::Group(mac) => (GROUP, None, Some(mac.to_vec())),
    };
    sqlx::query(sql)
        .bind(session.to_string())
        .bind(org.to_string())
        .bind(contact)
        .bind(group)
        .bind(i64::from(seconds))
        .bind(set_at)
        .run(tx)
        .await
}

/// Gives the timers of the chats with `other` to those with `one`, who is the same person. Of two in a session the one
/// that was set later stays.
pub(super) async fn merge(
    tx: &mut Tx,
    org: OrgId,
    one: ContactId,
    other: ContactId,
) -> Result<(), sqlx::Error> {
    for sql in [OLDER, MOVE] {
        sqlx::query(sql)
            .bind(org.to_string())
            .bind(one.to_string())
            .bind(other.to_string())
            .run(tx)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
