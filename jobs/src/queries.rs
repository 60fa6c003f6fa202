//! Lists of one organisation: few at once, and each ends after [`QUERY_MAX`], so that they hold up no other.

use passerelle_engine::{
    ids::OrgId,
    store::{QUERY_MAX, Read},
};
use sqlx::AnyConnection;

use crate::{error::Fault, services::Services, shares::Share};

/// A connection that reads a list. If it is dropped before [`ListRead::end`], because the client is gone, its query may
/// still run: the share is released when that is over.
pub(crate) struct ListRead(Option<(Read, Share)>);

impl ListRead {
    /// Waits for the organisation's turn to read a list.
    pub(crate) async fn begin(services: &Services, org: OrgId) -> Result<Self, Fault> {
        let share = services.lists().take(org, 1, QUERY_MAX).await;
        let share = share.ok_or(Fault::QueryTimeout)?;
        Ok(Self(Some((services.store().read(org).await?, share))))
    }

    pub(crate) fn conn(&mut self) -> &mut AnyConnection {
        let (conn, _) = self.0.as_mut().expect("it is there until the end");
        conn
    }

    /// Releases the connection and the share; later if the query may still run.
    pub(crate) fn end<T>(mut self, queried: Result<T, Fault>) -> Result<T, Fault> {
        if !matches!(queried, Err(Fault::QueryTimeout)) {
            self.0 = None;
        }
        queried
    }
}

impl Drop for ListRead {
    fn drop(&mut self) {
        if let Some((conn, share)) = self.0.take() {
            release_later(conn, share);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stop need not wait for a query that nobody waits for"
)]
fn release_later(conn: Read, share: Share) {
    tokio::spawn(async move {
        conn.discard().await;
        drop(share);
    });
}

/// Waits for a query, but not for longer than it may take.
pub(crate) async fn bounded<T>(
    query: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Fault> {
    let queried = tokio::time::timeout(QUERY_MAX, query).await;
    Ok(queried.map_err(|_| Fault::QueryTimeout)??)
}

#[cfg(test)]
mod tests;
