//! Sessions, from a tenant's view. The desired state is written to the store and the hosts are woken. The
//! host that holds the session's lease then starts or stops it.
//!
//! | page | what it holds |
//! |---|---|
//! | here | what a tenant does with a session |
//! | [`live`] | its state and QR code, in whichever process it runs |
//! | [`client`], [`sealed`] | its name, and what the tenant attached to it; how that is encrypted |
//! | [`erase`] | erases deleted sessions |
//! | [`commands`] | reaching its connection, in whichever process it runs |
//! | [`number_checks`], [`groups`] | asking WhatsApp: does a number have it, which groups is a number in |
//! | [`typing`], [`read_receipts`] | telling a contact that one is typing, or has read |
//! | [`calls`] | rejecting a call |
//! | [`health`] | the health of its number |

pub mod calls;
pub mod client;
pub(crate) mod commands;
pub(crate) mod erase;
pub mod groups;
pub mod health;
pub(crate) mod live;
pub mod number_checks;
pub mod read_receipts;
pub(crate) mod sealed;
pub mod typing;

use std::time::Duration;

use passerelle_engine::{
    clock::Millis,
    content::{Peer, Phone},
    ids::{OrgId, SessionId},
    vault::{DataKey, Place},
};
use sqlx::AnyConnection;

use self::commands::{Answer, Command};
pub use self::live::watch;
use crate::{
    error::Fault,
    model::Purpose,
    model::{
        AutoReject, Desired, Listed, Live, Page, Presence, Session, State, Uncertain,
        client_data::ClientData, millis, report_unreadable, until,
    },
    queries::{ListRead, bounded},
    safety::pairing,
    services::Services,
    settings::DEAD,
    store::{self, sessions::Stored},
};

/// Why a session was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The organisation already has so many.
    #[error("the organisation already has {0} sessions")]
    TooMany(i64),
    /// Our side failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for CreateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// The settings of a new session.
#[derive(Debug, Clone, Default)]
pub struct New {
    /// What the tenant attaches to it.
    pub client: ClientData,
    /// Whether it shows as online while it is connected.
    pub presence: Presence,
    /// What it does with calls; `None` if they ring.
    pub auto_reject: Option<AutoReject>,
    /// The purpose of its messages that name none.
    pub purpose: Option<Purpose>,
}

/// Creates a session. It stays stopped until the tenant connects it.
pub async fn create(
    services: &Services,
    org: OrgId,
    name: &str,
    New {
        client,
        presence,
        auto_reject,
        purpose,
    }: New,
) -> Result<Session, CreateError> {
    let id = SessionId::new(services.clock());
    let created_at = services.clock().now();
    let (stored_name, vault) = (name.to_owned(), services.vault().clone());
    let limit = services.settings().session_limit;
    let key = services.vault().org_key(org).await.map_err(Fault::from)?;
    let client_sealed = sealed::seal_client(&key, org, id, &client)?;
    let auto_reject_sealed = sealed::seal_auto_reject(&key, org, id, auto_reject.as_ref())?;
    services
        .store()
        .write_in_time(org, move |tx| {
            Box::pin(async move {
                if store::sessions::count(tx, org).await? >= limit {
                    return Err(CreateError::TooMany(limit));
                }
                let new = store::sessions::New {
                    name: &stored_name,
                    client_sealed: client_sealed.as_deref(),
                    auto_reject_sealed: auto_reject_sealed.as_deref(),
                    presence,
                    purpose,
                };
                store::sessions::insert(tx, org, id, new, created_at).await?;
                let key = vault.create_session_key(tx, org, id).await;
                key.map_err(Fault::from)?;
                Ok(())
            })
        })
        .await?;
    Ok(Session {
        id,
        org,
        name: name.to_owned(),
        client,
        desired: Desired::Stopped,
        uncertain: Uncertain::Resend,
        presence,
        auto_reject,
        purpose,
        state: State::Stopped,
        me: None,
        linked_at: None,
        ended: None,
        banned_until: None,
        pending: 0,
        created_at,
    })
}

/// Returns one session, or `None` if it does not exist.
pub async fn read(
    services: &Services,
    org: OrgId,
    id: SessionId,
) -> Result<Option<Session>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut conn = services.store().read(org).await?;
    let seen_since = seen_since(services, &mut conn).await?;
    let stored = store::sessions::read(&mut conn, org, id, seen_since).await?;
    stored
        .map(|stored| open(services, &key, org, stored))
        .transpose()
}

/// Returns the organisation's sessions, newest first.
pub async fn list(
    services: &Services,
    org: OrgId,
    page: &Page<SessionId>,
) -> Result<Listed<Session>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut read = ListRead::begin(services, org).await?;
    let seen_since = seen_since(services, read.conn()).await?;
    let stored = bounded(store::sessions::list(read.conn(), org, page, seen_since)).await;
    let stored = read.end(stored)?;
    let id = |row: &Stored| row.id.to_string();
    Ok(stored.open("session", id, |row| open(services, &key, org, row)))
}

/// Requests that the session runs: it connects, or waits to be linked.
pub async fn connect(
    services: &Services,
    org: OrgId,
    id: SessionId,
) -> Result<Option<Session>, Fault> {
    want(services, org, id, Desired::Running).await
}

/// Requests that the session stops: its connection closes, the device stays linked.
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
        .store()
        .write_in_time(org, move |tx| {
            Box::pin(async move {
                let found = store::sessions::want(tx, org, id, desired).await?;
                if found && desired == Desired::Running {
                    store::links::clear_end(tx, org, id).await?;
                }
                Ok::<_, Fault>(found)
            })
        })
        .await?;
    services.wake_hosts();
    if found {
        read(services, org, id).await
    } else {
        Ok(None)
    }
}

/// Sets what happens from now on to uncertain sends: messages of the session that may have been sent.
pub async fn set_uncertain(
    services: &Services,
    org: OrgId,
    id: SessionId,
    uncertain: Uncertain,
) -> Result<Option<Session>, Fault> {
    let set = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            Ok::<_, Fault>(store::sessions::set_uncertain(tx, org, id, uncertain).await?)
        })
    });
    if set.await? {
        read(services, org, id).await
    } else {
        Ok(None)
    }
}

/// Tells the session's connection whether it shows as online, from now on.
async fn show_presence(
    services: &Services,
    session: &Session,
    presence: Presence,
) -> Result<(), Fault> {
    // A host that connects the session later reads the setting after it has published the state.
    if session.state != State::Connected {
        return Ok(());
    }
    let command = Command::Presence(presence.into());
    let answer = commands::ask(services, session.org, session.id, command).await?;
    if !matches!(answer, Answer::Done) {
        tracing::info!(session.id = %session.id, "the session shows its new presence from its next connect on");
    }
    Ok(())
}

/// Returns the time, by the database's clock, since when a live host must have written a heartbeat.
async fn seen_since(services: &Services, conn: &mut AnyConnection) -> Result<Millis, Fault> {
    if !services.is_shared() {
        // No other process publishes anything.
        return Ok(Millis::MAX);
    }
    let now = passerelle_engine::store::now(services.store().dialect(), conn).await?;
    Ok(now.saturating_sub(millis(DEAD)))
}

/// Why a command to a session's connection could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No such session.
    #[error("no such session")]
    NotFound,
    /// The session is already linked, so a pairing code would have no use.
    #[error("the session is linked already")]
    AlreadyLinked,
    /// The session has no connection at the moment.
    #[error("the session is not connected")]
    NotConnected,
    /// Too many pairing codes were requested. The next one may be requested after this time.
    #[error("too many pairing codes were requested")]
    TooManyCodes(Duration),
    /// WhatsApp refused.
    #[error("WhatsApp refused")]
    Refused,
    /// The gateway failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Requests a pairing code, which is typed on the phone instead of scanning a QR. The session must wait to
/// be linked. Just after `connect`, this function waits until it does. Codes are limited ([`pairing`]).
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
    let mut live = watch(services, org, id)
        .await?
        .ok_or(CommandError::NotFound)?;
    let waiting = async {
        let waits = |live: &Live| matches!(live.state, State::Qr | State::Pairing);
        // The returned borrow is not `Send`, so it is dropped here.
        live.wait_for(waits).await.map(drop)
    };
    let waited = tokio::time::timeout(commands::WAIT, waiting).await;
    if !matches!(waited, Ok(Ok(()))) {
        return Err(CommandError::NotConnected);
    }
    count_code(services, org, id).await?;
    let command = Command::PairingCode(phone.clone());
    match commands::ask(services, org, id, command).await? {
        Answer::Told(code) => Ok(code),
        Answer::Refused => Err(CommandError::Refused),
        Answer::Done | Answer::Later(_) | Answer::NotConnected => Err(CommandError::NotConnected),
    }
}

/// Counts a pairing code that is about to be requested, if the limits allow one.
async fn count_code(services: &Services, org: OrgId, id: SessionId) -> Result<(), CommandError> {
    let now = services.clock().now();
    let since = now.saturating_sub(millis(pairing::OF_ORGANISATION_WITHIN));
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            let limit = i64::try_from(pairing::OF_ORGANISATION).unwrap_or(i64::MAX);
            let asked = store::pairing_codes::latest(tx, org, since, limit).await?;
            let wait = pairing::wait_until(&asked, id, now);
            if wait.is_none() {
                store::pairing_codes::count(tx, org, id, now).await?;
            }
            Ok::<_, Fault>(wait)
        })
    });
    match write.await? {
        Some(wait) => Err(CommandError::TooManyCodes(until(wait, now))),
        None => Ok(()),
    }
}

/// Unlinks the device from the phone and stops the session. Without a connection this is an error, because
/// WhatsApp cannot be asked; [`delete`] still works.
pub async fn logout(
    services: &Services,
    org: OrgId,
    id: SessionId,
) -> Result<Session, CommandError> {
    let session = read(services, org, id)
        .await?
        .ok_or(CommandError::NotFound)?;
    if session.linked_at.is_some() {
        if session.state != State::Connected {
            return Err(CommandError::NotConnected);
        }
        match commands::ask(services, org, id, Command::Logout).await? {
            Answer::Done | Answer::Told(_) => {}
            Answer::Refused => return Err(CommandError::Refused),
            Answer::Later(_) | Answer::NotConnected => return Err(CommandError::NotConnected),
        }
        wait_until_stopped(services, org, id).await?;
    }
    want(services, org, id, Desired::Stopped)
        .await?
        .ok_or(CommandError::NotFound)
}

/// Waits until no process runs the session, at most for [`commands::WAIT`]. The caller may go on after
/// that: every write of a session that still runs is checked against its lease.
async fn wait_until_stopped(services: &Services, org: OrgId, id: SessionId) -> Result<(), Fault> {
    if let Some(mut live) = watch(services, org, id).await? {
        let stopped = live.wait_for(|live| live.state == State::Stopped);
        let _ = tokio::time::timeout(commands::WAIT, stopped).await;
    }
    Ok(())
}

/// Deletes the session. If it is connected, its device is unlinked from the phone first, if WhatsApp
/// allows. When this returns, the session is gone for the API and its keys are destroyed; its messages,
/// events and files are erased step by step ([`erase`]). Returns whether the session existed.
pub async fn delete(services: &Services, org: OrgId, id: SessionId) -> Result<bool, Fault> {
    match logout(services, org, id).await {
        Ok(_) | Err(CommandError::NotConnected | CommandError::AlreadyLinked) => {}
        Err(CommandError::NotFound) => return Ok(false),
        Err(CommandError::Refused | CommandError::TooManyCodes(_)) => {
            tracing::warn!(session.id = %id, "the session is deleted, but its device could not be unlinked");
        }
        // A session that cannot be read can still be deleted.
        Err(CommandError::Fault(fault)) if fault.is_permanent() => {
            report_unreadable("session", &id, &fault);
        }
        Err(CommandError::Fault(fault)) => return Err(fault),
    }
    let kept = services.store().write_system(move |tx| {
        Box::pin(async move { store::system::numbers::keep(tx, id).await })
    });
    // The session is known to be the organisation's. Its number keeps the gap after its last message.
    let kept: Result<(), sqlx::Error> = kept.await;
    kept?;
    let (vault, now) = (services.vault().clone(), services.clock().now());
    let deleted = services
        .store()
        .write(org, move |tx| {
            Box::pin(async move {
                vault.destroy_session_key(tx, id).await?;
                Ok::<_, Fault>(store::sessions::delete(tx, org, id, now).await?)
            })
        })
        .await?;
    services.vault().forget(&id.to_string());
    services.wake_hosts();
    Ok(deleted)
}

fn open(services: &Services, key: &DataKey, org: OrgId, stored: Stored) -> Result<Session, Fault> {
    let record = stored.id.to_string();
    let me: Option<Peer> = stored
        .me_sealed
        .as_deref()
        .map(|sealed| key.open_json(&Place::of(org, store::links::ME, &record), sealed))
        .transpose()?;
    let live = if services.is_shared() {
        stored.told.as_deref().and_then(State::parse)
    } else {
        services.registry().state(stored.id)
    };
    let state = match (stored.desired, live) {
        (Desired::Running, None) if stored.ended.is_none() => State::Unhosted,
        (_, live) => live.unwrap_or_default(),
    };
    Ok(Session {
        id: stored.id,
        org,
        name: stored.name,
        client: sealed::open_client(key, org, stored.id, stored.client_sealed.as_deref())?,
        desired: stored.desired,
        uncertain: stored.uncertain,
        presence: stored.presence,
        purpose: stored.purpose,
        auto_reject: sealed::open_auto_reject(
            key,
            org,
            stored.id,
            stored.auto_reject_sealed.as_deref(),
        )?,
        state,
        me,
        linked_at: stored.linked_at,
        ended: stored.ended,
        banned_until: stored.banned_until,
        pending: stored.pending,
        created_at: stored.created_at,
    })
}
