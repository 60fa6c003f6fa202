//! Lists of one organisation: few at once, and each ends after [`QUERY_MAX`], so that they hold up no other.

use passerelle_engine::{
    ids::OrgId,
    store::{QUERY_MAX, Read},
};
use sqlx::AnyConnection;

use crate::{error::Fault, services::Services, shares::Share};

/// A connection that reads a list.
pub(crate) struct ListRead {
    conn: Read,
    _share: Share,
}

impl ListRead {
    /// Waits for the organisation's turn to read a list.
    pub(crate) async fn begin(services: &Services, org: OrgId) -> Result<Self, Fault> {
        let share = services.lists().take(org, 1, QUERY_MAX).await;
        Ok(Self {
            _share: share.ok_or(Fault::QueryTimeout)?,
            conn: services.store().read(org).await?,
        })
    }

    pub(crate) fn conn(&mut self) -> &mut AnyConnection {
        &mut self.conn
    }

    /// Releases the connection, or discards it if the query may still run on it.
    pub(crate) fn end<T>(self, queried: Result<T, Fault>) -> Result<T, Fault> {
        if matches!(queried, Err(Fault::QueryTimeout)) {
            self.conn.discard();
        }
        queried
    }
}

/// Waits for a query, but not for longer than it may take.
pub(crate) async fn bounded<T>(
    query: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Fault> {
    let queried = tokio::time::timeout(QUERY_MAX, query).await;
    Ok(queried.map_err(|_| Fault::QueryTimeout)??)
}
