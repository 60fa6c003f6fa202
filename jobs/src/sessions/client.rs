//! A session's name, and what its tenant attached to it.

use passerelle_engine::ids::{OrgId, SessionId};

use super::{read, sealed};
use crate::{
    error::Fault,
    model::{
        Session,
        client_data::{ClientData, ClientRef, Metadata},
    },
    services::Services,
    store,
};

/// What a change sets. `None` leaves a setting as it is.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The tenant's name for the session.
    pub name: Option<String>,
    /// `Some(None)` removes it.
    pub client_ref: Option<Option<ClientRef>>,
    /// It replaces all that there was.
    pub metadata: Option<Metadata>,
}

/// Changes a session. Returns `None` if there is no such session.
pub async fn change(
    services: &Services,
    org: OrgId,
    id: SessionId,
    change: Change,
) -> Result<Option<Session>, Fault> {
    let key = services.vault().org_key(org).await?;
    let work = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            let found = store::sessions::rename(tx, org, id, change.name.as_deref()).await?;
            if found && (change.client_ref.is_some() || change.metadata.is_some()) {
                let before = sealed::client(tx, &key, org, id).await?;
                let after = ClientData {
                    client_ref: change.client_ref.unwrap_or(before.client_ref),
                    metadata: change.metadata.unwrap_or(before.metadata),
                };
                let sealed = sealed::seal_client(&key, org, id, &after)?;
                store::sessions::set_client(tx, org, id, sealed.as_deref()).await?;
            }
            Ok::<_, Fault>(found)
        })
    });
    if work.await? {
        read(services, org, id).await
    } else {
        Ok(None)
    }
}
