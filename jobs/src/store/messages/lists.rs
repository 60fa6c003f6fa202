//! Lists of messages: a statement and an index for each filter, so that none walks what it does not show.

use passerelle_engine::ids::{MessageId, OrgId, SessionId};
use sqlx::AnyConnection;

use super::Stored;
use crate::{
    model::{Direction, Listed, Page, Status, client_data::ClientRef},
    store::{row, sessions::alive},
};

/// Which messages a list shows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this session.
    pub session: Option<SessionId>,
    /// Only this status.
    pub status: Option<Status>,
    /// Only this direction.
    pub direction: Option<Direction>,
    /// Only with this reference of the tenant. Then nothing else narrows the list.
    pub client_ref: Option<ClientRef>,
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

macro_rules! listed {
    ($of:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM message WHERE org_id = $1 AND id < $2",
            $of,
            " AND ",
            alive!(),
            " ORDER BY id DESC LIMIT $3"
        )
    };
}

pub(in crate::store) const ALL: &str = listed!("");
pub(in crate::store) const OUTBOUND: &str = listed!(" AND direction = 'outbound'");
pub(in crate::store) const OF_STATUS: &str = listed!(" AND status = $4");
pub(in crate::store) const OF_SESSION: &str = listed!(" AND session_id = $4");
pub(in crate::store) const OUTBOUND_OF_SESSION: &str =
    listed!(" AND session_id = $4 AND direction = 'outbound'");
pub(in crate::store) const OF_STATUS_OF_SESSION: &str =
    listed!(" AND session_id = $4 AND status = $5");
pub(in crate::store) const OF_CLIENT_REF: &str = listed!(" AND client_ref_mac = $4");

pub(crate) async fn list(
    conn: &mut AnyConnection,
    org: OrgId,
    (filter, client_ref): (&Filter, Option<[u8; 32]>),
    page: &Page<MessageId>,
) -> Result<Listed<Stored>, sqlx::Error> {
    if let Some(client_ref) = client_ref {
        let query = sqlx::query(OF_CLIENT_REF)
            .bind(org.to_string())
            .bind(page.below())
            .bind(page.fetch())
            .bind(client_ref.to_vec());
        return Ok(row::page_as("message", query.fetch_all(conn).await?, page));
    }
    let (all, of_session) = match filter.narrowed() {
        Narrowed::No => (ALL, OF_SESSION),
        Narrowed::Outbound => (OUTBOUND, OUTBOUND_OF_SESSION),
        Narrowed::To(_) => (OF_STATUS, OF_STATUS_OF_SESSION),
        Narrowed::Nothing => return Ok(row::page_as("message", Vec::new(), page)),
    };
    let sql = filter.session.map_or(all, |_| of_session);
    let mut query = sqlx::query(sql)
        .bind(org.to_string())
        .bind(page.below())
        .bind(page.fetch());
    if let Some(session) = filter.session {
        query = query.bind(session.to_string());
    }
    if let Narrowed::To(status) = filter.narrowed() {
        query = query.bind(status.as_str());
    }
    let rows = query.fetch_all(conn).await?;
    Ok(row::page_as("message", rows, page))
}
