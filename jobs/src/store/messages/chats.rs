//! Chats: the last message of each person and each group in a session, and how many messages nobody has read.
//!
//! No table keeps them, so that accepting and receiving cost nothing more. The newest messages are walked, and a look
//! into the index of its chat shows of each whether it is the last one.

use passerelle_engine::ids::{ContactId, MessageId, OrgId, SessionId};
use sqlx::{AnyConnection, FromRow, Row as _, any::AnyRow};

use super::{Stored, lists};
use crate::{
    model::{Listed, Page},
    store::{row, sessions::alive},
};

/// The most unread messages that are counted.
pub(crate) const COUNTED: i64 = 1_000;

/// Messages that a chat shows: no reactions, edits, deletions and votes.
macro_rules! is_shown {
    ($of:literal) => {
        concat!(
            $of,
            ".kind NOT IN ('reaction', 'edit', 'delete', 'poll_vote')"
        )
    };
}

/// Messages to and from one person. (Of a message in a group, the contact is the member who wrote it.)
macro_rules! of_person {
    ($of:literal) => {
        concat!(
            $of,
            ".contact_id IS NOT NULL AND (",
            $of,
            ".direction = 'outbound' OR ",
            $of,
            ".to_mac IS NULL)"
        )
    };
}

macro_rules! of_group {
    ($of:literal) => {
        concat!(
            $of,
            ".to_mac IS NOT NULL AND (",
            $of,
            ".direction = 'inbound' OR ",
            $of,
            ".contact_id IS NULL)"
        )
    };
}

/// The contact of a message: the one that it was merged into, if it was.
macro_rules! contact {
    () => {
        "coalesce((SELECT z.merged_into FROM contact z WHERE z.id = message.contact_id), message.contact_id)"
    };
}

macro_rules! last_messages {
    ($($of:literal)?) => {
        concat!(
            "SELECT ", super::columns!(), ", to_mac, CASE WHEN ", of_person!("message"), " THEN 1 ELSE 0 END AS is_person \
             FROM message WHERE org_id = $1 AND id < $2", $($of,)? " AND ", is_shown!("message"), " AND ", alive!(),
            " AND id = CASE WHEN ", of_person!("message"), " THEN (\
               SELECT max((SELECT n.id FROM message n WHERE n.org_id = $1 AND n.contact_id = k.id \
                 AND n.session_id = message.session_id AND n.id >= message.id AND ", of_person!("n"), " AND ", is_shown!("n"), " \
                 ORDER BY n.id DESC LIMIT 1)) FROM contact k WHERE k.id = ", contact!(), " OR k.merged_into = ", contact!(), ") \
             ELSE (SELECT n.id FROM message n WHERE n.org_id = $1 AND n.to_mac = message.to_mac \
               AND n.session_id = message.session_id AND n.id >= message.id AND ", of_group!("n"), " AND ", is_shown!("n"), " \
               ORDER BY n.id DESC LIMIT 1) END ORDER BY id DESC LIMIT $3"
        )
    };
}

pub(in crate::store) const ALL: &str = last_messages!();
pub(in crate::store) const OF_SESSION: &str = last_messages!(" AND session_id = $4");

/// Whose chat it is.
pub(crate) enum Whose {
    Person(ContactId),
    Group(Vec<u8>),
}

/// The last message of a chat, and how many before it are unread.
pub(crate) struct ChatRow {
    pub(crate) last: Stored,
    pub(crate) whose: Whose,
    pub(crate) unread: i64,
}

impl FromRow<'_, AnyRow> for ChatRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let is_person: i64 = row.try_get::<i64, _>("is_person").or_else(|_| {
            let narrow: i32 = row.try_get("is_person")?;
            Ok::<_, sqlx::Error>(i64::from(narrow))
        })?;
        let contact: Option<ContactId> = row::id_or_null(row, "contact_id")?;
        Ok(Self {
            last: Stored::from_row(row)?,
            whose: match contact.filter(|_| is_person == 1) {
                Some(id) => Whose::Person(id),
                None => Whose::Group(row.try_get("to_mac")?),
            },
            unread: 0,
        })
    }
}

/// Returns the chats of the organisation or of one session, the one with the newest message first.
pub(crate) async fn list(
    conn: &mut AnyConnection,
    org: OrgId,
    session: Option<SessionId>,
    page: &Page<MessageId>,
) -> Result<Listed<ChatRow>, sqlx::Error> {
    let mut query = sqlx::query(session.map_or(ALL, |_| OF_SESSION))
        .bind(org.to_string())
        .bind(page.below())
        .bind(page.fetch());
    if let Some(session) = session {
        query = query.bind(session.to_string());
    }
    let rows = query.fetch_all(&mut *conn).await?;
    let mut listed: Listed<ChatRow> = row::page_as("message", rows, page);
    for chat in &mut listed.items {
        chat.unread = unread(conn, org, chat).await?;
    }
    Ok(listed)
}

/// The newest messages of a chat are enough to find what was answered or read last.
macro_rules! answered {
    ($of:literal) => {
        concat!(
            "SELECT max(id) AS id FROM (SELECT id, direction, status, read_at FROM message \
             WHERE org_id = $1 AND session_id = $2 AND ", $of, " AND ", is_shown!("message"),
            " ORDER BY id DESC LIMIT $4) newest WHERE read_at IS NOT NULL AND direction = 'inbound' \
             OR direction = 'outbound' AND status NOT IN ('failed', 'expired', 'canceled')"
        )
    };
}

macro_rules! counted {
    ($of:literal) => {
        concat!(
            "SELECT count(*) AS unread FROM (SELECT id FROM message WHERE org_id = $1 AND session_id = $2 AND ", $of,
            " AND ", is_shown!("message"), " AND direction = 'inbound' AND id > $5 ORDER BY id DESC LIMIT $4) newest"
        )
    };
}

pub(in crate::store) const ANSWERED_PERSON: &str =
    answered!("contact_id = $3 AND (direction = 'outbound' OR to_mac IS NULL)");
pub(in crate::store) const ANSWERED_GROUP: &str =
    answered!("to_mac = $3 AND (direction = 'inbound' OR contact_id IS NULL)");
pub(in crate::store) const UNREAD_OF_PERSON: &str = counted!("contact_id = $3 AND to_mac IS NULL");
pub(in crate::store) const UNREAD_OF_GROUP: &str = counted!("to_mac = $3");

/// Counts the messages that came in since this number last answered, or last sent a read receipt.
async fn unread(conn: &mut AnyConnection, org: OrgId, chat: &ChatRow) -> Result<i64, sqlx::Error> {
    let session = chat.last.session;
    let (answered, counted, names) = match &chat.whose {
        Whose::Person(id) => {
            let ids = lists::ids_of_contact(conn, org, *id).await?;
            let ids = ids.into_iter().map(|id| Name::Id(id.to_string()));
            (ANSWERED_PERSON, UNREAD_OF_PERSON, ids.collect())
        }
        Whose::Group(mac) => (
            ANSWERED_GROUP,
            UNREAD_OF_GROUP,
            vec![Name::Mac(mac.clone())],
        ),
    };
    let mut since = String::new();
    for name in &names {
        let row = of_chat(answered, org, session, name)
            .fetch_one(&mut *conn)
            .await?;
        let last: Option<String> = row.try_get("id")?;
        since = since.max(last.unwrap_or_default());
    }
    let mut unread = 0;
    for name in &names {
        let query = of_chat(counted, org, session, name).bind(since.as_str());
        unread += query
            .fetch_one(&mut *conn)
            .await?
            .try_get::<i64, _>("unread")?;
    }
    Ok(unread.min(COUNTED))
}

/// What a chat is found by.
enum Name {
    Id(String),
    Mac(Vec<u8>),
}

fn of_chat<'q>(
    sql: &'static str,
    org: OrgId,
    session: SessionId,
    name: &'q Name,
) -> sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments> {
    let query = sqlx::query(sql)
        .bind(org.to_string())
        .bind(session.to_string());
    let query = match name {
        Name::Id(id) => query.bind(id.as_str()),
        Name::Mac(mac) => query.bind(mac.as_slice()),
    };
    query.bind(COUNTED)
}
