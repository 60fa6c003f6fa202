//! What a tenant changes of a session: its name, its presence, and what is attached to it.

use passerelle_engine::ids::{OrgId, SessionId};

use super::{read, sealed, show_presence};
use crate::{
    error::Fault,
    model::Purpose,
    model::{
        AutoReject, Presence, Session,
        client_data::{ClientData, ClientRef, Metadata},
    },
    services::Services,
    store,
};

/// A change of the reference.
#[derive(Debug, Clone)]
pub enum Reference {
    /// It stays as it is.
    Keep,
    /// It is removed.
    Remove,
    /// This one replaces it.
    Set(ClientRef),
}

/// A change of what a session does with calls.
#[derive(Debug, Clone)]
pub enum Calls {
    /// It stays as it is.
    Keep,
    /// They ring.
    Ring,
    /// They are rejected.
    Reject(AutoReject),
}

/// What a change sets. `None` leaves a setting as it is.
#[derive(Debug, Clone)]
pub struct Change {
    /// The tenant's name for the session.
    pub name: Option<String>,
    /// The tenant's reference.
    pub client_ref: Reference,
    /// It replaces all that there was.
    pub metadata: Option<Metadata>,
    /// Whether it shows as online while it is connected. A connected session shows it at once.
    pub presence: Option<Presence>,
    /// What it does with calls from now on.
    pub calls: Calls,
    /// The purpose of its messages that name none; `Some(None)`: they have none.
    pub purpose: Option<Option<Purpose>>,
}

/// Changes a session. Returns `None` if there is no such session.
pub async fn change(
    services: &Services,
    org: OrgId,
    id: SessionId,
    change: Change,
) -> Result<Option<Session>, Fault> {
    let key = services.vault().org_key(org).await?;
    let presence = change.presence;
    let work = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            let found = store::sessions::rename(tx, org, id, change.name.as_deref()).await?;
            let is_kept = matches!(change.client_ref, Reference::Keep) && change.metadata.is_none();
            if found && !is_kept {
                let before = sealed::client(tx, &key, org, id).await?;
                let after = ClientData {
                    client_ref: match change.client_ref {
                        Reference::Keep => before.client_ref,
                        Reference::Remove => None,
                        Reference::Set(client_ref) => Some(client_ref),
                    },
                    metadata: change.metadata.unwrap_or(before.metadata),
                };
                let sealed = sealed::seal_client(&key, org, id, &after)?;
                store::sessions::set_client(tx, org, id, sealed.as_deref()).await?;
            }
            let auto_reject = match &change.calls {
                Calls::Keep => None,
                Calls::Ring => Some(None),
                Calls::Reject(auto_reject) => Some(Some(auto_reject)),
            };
            if let Some(auto_reject) = auto_reject {
                let sealed = sealed::seal_auto_reject(&key, org, id, auto_reject)?;
                store::sessions::set_auto_reject(tx, org, id, sealed.as_deref()).await?;
            }
            if let Some(purpose) = change.purpose {
                store::sessions::set_purpose(tx, org, id, purpose).await?;
            }
            if let Some(presence) = change.presence {
                store::sessions::set_presence(tx, org, id, presence).await?;
            }
            Ok::<_, Fault>(found)
        })
    });
    if !work.await? {
        return Ok(None);
    }
    let session = read(services, org, id).await?;
    if let Some((session, presence)) = session.as_ref().zip(presence) {
        show_presence(services, session, presence).await?;
    }
    Ok(session)
}
