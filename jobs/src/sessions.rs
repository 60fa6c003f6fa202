//! Sessions, as a tenant handles them. What should be is written to the store; the host that
//! holds the session is woken and makes it so.

use std::time::Duration;

use passerelle_engine::{
    content::{Peer, Phone},
    ids::{OrgId, SessionId},
    vault::{DataKey, Place},
};
use tokio::sync::watch;

use crate::{
    error::Fault,
    model::{Desired, Listed, Live, Page, Session, State},
    services::Services,
    store::{self, sessions::Stored},
};

/// How long a command waits for the session's connection.
const COMMAND_WAIT: Duration = Duration::from_secs(20);

/// Makes a session, at rest until it is connected.
pub async fn create(services: &Services, org: OrgId, name: &str) -> Result<Session, Fault> {
    let shared = services.0.clone();
    let id = SessionId::new(&shared.clock);
    let created_at = shared.clock.now();
    let (stored_name, vault) = (name.to_owned(), shared.vault.clone());
    shared
        .store
        .write(move |tx| {
            Box::pin(async move {
                store::sessions::insert(tx, org, id, &stored_name, created_at).await?;
                vault.create_session_key(tx, org, id).await?;
                Ok::<_, Fault>(())
            })
        })
        .await?;
    Ok(Session {
        id,
        org,
        name: name.to_owned(),
        desired: Desired::Stopped,
        state: State::Stopped,
        me: None,
        linked_at: None,
        ended: None,
        banned_until: None,
        pending: 0,
        created_at,
    })
}

/// One session.
pub async fn read(
    services: &Services,
    org: OrgId,
    id: SessionId,
) -> Result<Option<Session>, Fault> {
    let key = services.0.vault.org_key(org).await?;
    let mut conn = services.0.store.read().await?;
    let stored = store::sessions::read(&mut conn, org, id).await?;
    stored
        .map(|stored| open(services, &key, org, stored))
        .transpose()
}

/// The organisation's sessions, newest first.
pub async fn list(
    services: &Services,
    org: OrgId,
    page: &Page<SessionId>,
) -> Result<Listed<Session>, Fault> {
    let key = services.0.vault.org_key(org).await?;
    let mut conn = services.0.store.read().await?;
    let stored = store::sessions::list(&mut conn, org, page).await?;
    let items = stored
        .items
        .into_iter()
        .map(|row| open(services, &key, org, row))
        .collect::<Result<_, _>>()?;
    Ok(Listed {
        items,
        more: stored.more,
    })
}

/// The tenant wants it to run: it connects, or waits to be linked.
pub async fn connect(
    services: &Services,
    org: OrgId,
    id: SessionId,
) -> Result<Option<Session>, Fault> {
    want(services, org, id, Desired::Running).await
}

/// The tenant wants it to rest: the connection closes, the link stays.
pub async fn disconnect(
    services: &Services,
    org: OrgId,
    id: SessionId,
) -> Result<Option<Session>, Fault> {
    want(services, org, id, Desired::Stopped).await
}

async fn want(
    services: &Services,
    org: OrgId,
    id: SessionId,
    desired: Desired,
) -> Result<Option<Session>, Fault> {
    let found = services
        .0
        .store
        .write(move |tx| {
            Box::pin(async move {
                let found = store::sessions::want(tx, org, id, desired).await?;
                if found && desired == Desired::Running {
                    store::links::clear_end(tx, org, id).await?;
                }
                Ok::<_, Fault>(found)
            })
        })
        .await?;
    services.0.sessions.notify_one();
    if found {
        read(services, org, id).await
    } else {
        Ok(None)
    }
}

/// Follows a session's live state and QR; none when there is no such session.
pub async fn watch(
    services: &Services,
    org: OrgId,
    id: SessionId,
) -> Result<Option<watch::Receiver<Live>>, Fault> {
    let mut conn = services.0.store.read().await?;
    let found = store::sessions::read(&mut conn, org, id).await?;
    Ok(found.map(|_| services.0.registry.watch(id)))
}

/// Why a command to a session's connection could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No such session.
    #[error("no such session")]
    NotFound,
    /// It is linked already: a pairing code would be for nothing.
    #[error("the session is linked already")]
    AlreadyLinked,
    /// It has no connection at the moment.
    #[error("the session is not connected")]
    NotConnected,
    /// WhatsApp refused.
    #[error("WhatsApp refused")]
    Refused(#[source] anyhow::Error),
    /// Our side failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Asks WhatsApp for a code to type on the phone instead of scanning a QR. The session must wait
/// to be linked; it is waited for a moment after `connect`.
pub async fn pairing_code(
    services: &Services,
    org: OrgId,
    id: SessionId,
    phone: &Phone,
) -> Result<String, CommandError> {
    let session = read(services, org, id)
        .await?
        .ok_or(CommandError::NotFound)?;
    if session.linked_at.is_some() {
        return Err(CommandError::AlreadyLinked);
    }
    if session.desired != Desired::Running {
        return Err(CommandError::NotConnected);
    }
    let mut live = services.0.registry.watch(id);
    let waiting = async {
        let waits = |live: &Live| matches!(live.state, State::Qr | State::Pairing);
        // The borrow that ends the wait is not Send, so it ends here.
        live.wait_for(waits).await.map(drop)
    };
    let waited = tokio::time::timeout(COMMAND_WAIT, waiting).await;
    if !matches!(waited, Ok(Ok(()))) {
        return Err(CommandError::NotConnected);
    }
    let link = services
        .0
        .registry
        .link(id)
        .ok_or(CommandError::NotConnected)?;
    let code = link
        .pairing_code(phone)
        .await
        .map_err(|error| CommandError::Refused(error.into()))?;
    services.0.registry.set_state(id, State::Pairing);
    Ok(code.as_str().to_owned())
}

/// Unlinks the device from the phone and lets the session rest. Without a connection there is
/// nobody to tell, so it is an error then; [`delete`] works all the same.
pub async fn logout(
    services: &Services,
    org: OrgId,
    id: SessionId,
) -> Result<Session, CommandError> {
    let session = read(services, org, id)
        .await?
        .ok_or(CommandError::NotFound)?;
    if session.linked_at.is_some() {
        let link = services
            .0
            .registry
            .link(id)
            .filter(|_| session.state == State::Connected);
        let link = link.ok_or(CommandError::NotConnected)?;
        link.logout().await.map_err(CommandError::Refused)?;
        services.0.registry.stopped(id, COMMAND_WAIT).await;
    }
    want(services, org, id, Desired::Stopped)
        .await?
        .ok_or(CommandError::NotFound)
}

/// Deletes the session: its link, its keys, its lane and its messages. A connected one is
/// unlinked from the phone first, as far as that works. Whether there was such a session.
pub async fn delete(services: &Services, org: OrgId, id: SessionId) -> Result<bool, Fault> {
    match logout(services, org, id).await {
        Ok(_) | Err(CommandError::NotConnected | CommandError::AlreadyLinked) => {}
        Err(CommandError::NotFound) => return Ok(false),
        Err(CommandError::Refused(error)) => {
            tracing::warn!(session.id = %id, error = format!("{error:#}"), "deleted without being unlinked");
        }
        Err(CommandError::Fault(fault)) => return Err(fault),
    }
    let vault = services.0.vault.clone();
    let deleted = services
        .0
        .store
        .write(move |tx| {
            Box::pin(async move {
                vault.destroy_session_key(tx, id).await?;
                Ok::<_, Fault>(store::sessions::delete(tx, org, id).await?)
            })
        })
        .await?;
    services.0.vault.forget(&id.to_string());
    services.0.sessions.notify_one();
    Ok(deleted)
}

/// Where the linked number of a session lies.
pub(crate) fn me_place(org: OrgId, record: &str) -> Place<'_> {
    Place {
        org,
        session: None,
        table: "link.me",
        record,
    }
}

fn open(services: &Services, key: &DataKey, org: OrgId, stored: Stored) -> Result<Session, Fault> {
    let record = stored.id.to_string();
    let me: Option<Peer> = stored
        .me_sealed
        .as_deref()
        .map(|sealed| key.open_json(&me_place(org, &record), sealed))
        .transpose()?;
    let live = services.0.registry.state(stored.id);
    let state = match (stored.desired, live) {
        (Desired::Running, None) if stored.ended.is_none() => State::Unhosted,
        (_, live) => live.unwrap_or_default(),
    };
    Ok(Session {
        id: stored.id,
        org,
        name: stored.name,
        desired: stored.desired,
        state,
        me,
        linked_at: stored.linked_at,
        ended: stored.ended,
        banned_until: stored.banned_until,
        pending: stored.pending,
        created_at: stored.created_at,
    })
}
