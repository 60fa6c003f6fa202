//! Lists of messages: a statement and an index for each filter, so that none walks what it does not show.

use passerelle_engine::{
    clock::Millis,
    content::{Group, Phone},
    ids::{ContactId, MessageId, OrgId, SessionId},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::Stored;
use crate::{
    model::{Direction, Listed, Page, Status, client_data::ClientRef},
    store::{row, sessions::alive},
};

/// Which messages a list shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Only this session.
    pub session: Option<SessionId>,
    /// Only this status.
    pub status: Option<Status>,
    /// Only this direction.
    pub direction: Option<Direction>,
    /// Only this kind, such as `text`.
    pub kind: Option<String>,
    /// Only those accepted or received at this time or later.
    pub since: Option<Millis>,
    /// Only those accepted or received before this time.
    pub until: Option<Millis>,
    /// Only this contact.
    pub contact: Option<ContactId>,
    /// Only the contact with this phone number.
    pub phone: Option<Phone>,
    /// Only this group.
    pub group: Option<Group>,
    /// Only with this reference of the tenant. Then nothing else narrows the list.
    pub client_ref: Option<ClientRef>,
}

/// Whose messages a list shows.
#[derive(Debug)]
pub(crate) enum Whose {
    Everyones,
    /// Those of a contact, under each of its ids.
    Contacts(Vec<ContactId>),
    /// Those of a group, found by this MAC.
    Groups([u8; 32]),
    /// Those with a reference of the tenant, found by this MAC.
    Referred([u8; 32]),
}

/// What a list is narrowed to. Every inbound message is `received`, and no outbound one is, so that no list needs
/// both a status and a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Narrowed {
    No,
    Outbound,
    To(Status),
    Nothing,
}

impl Filter {
    fn narrowed(&self) -> Narrowed {
        match (self.direction, self.status) {
            (None, None) => Narrowed::No,
            (Some(Direction::Inbound), None | Some(Status::Received)) => {
                Narrowed::To(Status::Received)
            }
            (Some(Direction::Outbound), None) => Narrowed::Outbound,
            (Some(Direction::Inbound), Some(_))
            | (Some(Direction::Outbound), Some(Status::Received)) => Narrowed::Nothing,
            (None | Some(Direction::Outbound), Some(status)) => Narrowed::To(status),
        }
    }
}

/// A list from the newest message on, and one that also ends at a time: SQLite chooses another index for a range with two
/// ends.
pub(in crate::store) type Statements = [&'static str; 2];

macro_rules! listed {
    ($($of:literal),*) => {
        [
            listed!(ends " AND $4 = ''" $($of),*),
            listed!(ends " AND id >= $4" $($of),*),
        ]
    };
    (ends $above:literal $($of:literal),*) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM message WHERE org_id = $1 AND id < $2",
            $above,
            " AND created_at >= $5 AND created_at < $6",
            $($of,)*
            " AND ",
            alive!(),
            " ORDER BY id DESC LIMIT $3"
        )
    };
}

pub(in crate::store) const ALL: Statements = listed!("");
pub(in crate::store) const OUTBOUND: Statements = listed!(" AND direction = 'outbound'");
pub(in crate::store) const OF_STATUS: Statements = listed!(" AND status = $7");
pub(in crate::store) const OF_SESSION: Statements = listed!(" AND session_id = $7");
pub(in crate::store) const OUTBOUND_OF_SESSION: Statements =
    listed!(" AND session_id = $7 AND direction = 'outbound'");
pub(in crate::store) const OF_STATUS_OF_SESSION: Statements =
    listed!(" AND session_id = $7 AND status = $8");

/// What else is asked of the messages of one contact, one group or one kind: session, status, direction and kind. Empty
/// texts ask nothing.
macro_rules! among {
    ($of:literal) => {
        listed!(
            $of,
            " AND ($8 = '' OR session_id = $8) AND ($9 = '' OR status = $9)",
            " AND ($10 = '' OR direction = $10) AND ($11 = '' OR kind = $11)"
        )
    };
}

pub(in crate::store) const OF_CONTACT: Statements = among!(" AND contact_id = $7");
pub(in crate::store) const OF_GROUP: Statements = among!(" AND to_mac = $7");
pub(in crate::store) const OF_KIND: Statements = among!(" AND kind = $7");
pub(in crate::store) const OF_KIND_OF_SESSION: Statements =
    among!(" AND session_id = $8 AND kind = $7");
pub(in crate::store) const OF_CLIENT_REF: Statements = listed!(" AND client_ref_mac = $7");

/// The clocks by which the id and the time of a message are chosen differ by less than this.
const APART: Millis = 60_000;

/// Returns the ids of a contact. It has several after a merge, and older messages have the older ones.
pub(crate) async fn ids_of_contact(
    conn: &mut AnyConnection,
    org: OrgId,
    id: ContactId,
) -> Result<Vec<ContactId>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT id FROM contact WHERE org_id = $1 AND (id = $2 OR merged_into = $2)")
            .bind(org.to_string())
            .bind(id.to_string())
            .fetch_all(conn)
            .await?;
    Ok(row::each("contact", &rows, |row| row::id(row, "id")))
}

pub(crate) async fn list(
    conn: &mut AnyConnection,
    org: OrgId,
    (filter, whose): (&Filter, &Whose),
    page: &Page<MessageId>,
) -> Result<Listed<Stored>, sqlx::Error> {
    if filter.narrowed() == Narrowed::Nothing {
        return Ok(row::page_as("message", Vec::new(), page));
    }
    let rows = match (whose, &filter.kind) {
        (Whose::Contacts(ids), _) => {
            let mut rows = Vec::new();
            for id in ids {
                let query = begun(OF_CONTACT, org, filter, page).bind(id.to_string());
                rows.extend(among(query, filter).fetch_all(&mut *conn).await?);
            }
            newest(rows, page)
        }
        (Whose::Groups(mac), _) => {
            let query = begun(OF_GROUP, org, filter, page).bind(mac.to_vec());
            among(query, filter).fetch_all(conn).await?
        }
        (Whose::Referred(mac), _) => {
            let query = begun(OF_CLIENT_REF, org, filter, page).bind(mac.to_vec());
            query.fetch_all(conn).await?
        }
        (Whose::Everyones, Some(kind)) => {
            let sql = filter.session.map_or(OF_KIND, |_| OF_KIND_OF_SESSION);
            let query = begun(sql, org, filter, page).bind(kind.as_str());
            among(query, filter).fetch_all(conn).await?
        }
        (Whose::Everyones, None) => of_everyone(conn, org, filter, page).await?,
    };
    Ok(row::page_as("message", rows, page))
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

/// Binds the organisation, the page and the time. Ids grow with time, so that no message of another time is read.
fn begun<'q>(
    [all, since_then]: Statements,
    org: OrgId,
    filter: &Filter,
    page: &Page<MessageId>,
) -> Query<'q> {
    let earliest = |at: Millis| MessageId::earliest(at).to_string();
    let since = filter.since.unwrap_or(0).max(0);
    let until = filter.until.unwrap_or(Millis::MAX).max(0);
    let above = filter.since.map(|_| earliest(since.saturating_sub(APART)));
    let below = filter.until.map(|_| earliest(until.saturating_add(APART)));
    let below = below.map_or_else(|| page.below(), |below| below.min(page.below()));
    let sql = filter.since.map_or(all, |_| since_then);
    sqlx::query(sql)
        .bind(org.to_string())
        .bind(below)
        .bind(page.fetch())
        .bind(above.unwrap_or_default())
        .bind(since)
        .bind(until)
}

/// Binds what the statements of `among!` ask.
fn among<'q>(query: Query<'q>, filter: &Filter) -> Query<'q> {
    let session = filter.session.map(|id| id.to_string());
    let status = filter.status.map(Status::as_str);
    let direction = filter.direction.map(Direction::as_str);
    query
        .bind(session.unwrap_or_default())
        .bind(status.unwrap_or_default())
        .bind(direction.unwrap_or_default())
        .bind(filter.kind.clone().unwrap_or_default())
}

async fn of_everyone(
    conn: &mut AnyConnection,
    org: OrgId,
    filter: &Filter,
    page: &Page<MessageId>,
) -> Result<Vec<AnyRow>, sqlx::Error> {
    let (all, of_session) = match filter.narrowed() {
        Narrowed::No => (ALL, OF_SESSION),
        Narrowed::Outbound => (OUTBOUND, OUTBOUND_OF_SESSION),
        Narrowed::To(_) | Narrowed::Nothing => (OF_STATUS, OF_STATUS_OF_SESSION),
    };
    let sql = filter.session.map_or(all, |_| of_session);
    let mut query = begun(sql, org, filter, page);
    if let Some(session) = filter.session {
        query = query.bind(session.to_string());
    }
    if let Narrowed::To(status) = filter.narrowed() {
        query = query.bind(status.as_str());
    }
    query.fetch_all(conn).await
}

/// Returns the newest rows of several lists.
fn newest(mut rows: Vec<AnyRow>, page: &Page<MessageId>) -> Vec<AnyRow> {
    let id = |row: &AnyRow| row.try_get::<String, _>("id").unwrap_or_default();
    rows.sort_by_cached_key(|row| std::cmp::Reverse(id(row)));
    rows.truncate(usize::try_from(page.fetch()).unwrap_or(1));
    rows
}
