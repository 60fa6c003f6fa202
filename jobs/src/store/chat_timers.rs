//! Chats whose messages disappear after a time.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, OrgId, SessionId},
    store::Tx,
};

use super::row::Run as _;

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
