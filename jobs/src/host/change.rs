//! The changes of a session, as they are stored. Each is one transaction with its event.

use passerelle_engine::{
    clock::{Clock, Millis},
    content::Peer,
    keystore,
    lease::Lease,
    store::Tx,
    vault::{DataKey, Place},
};
use tokio::time::Instant;

use crate::{
    error::{Fault, if_readable},
    events::{self, SessionChange},
    model::{Qr, State, event::EventType, millis},
    sessions, store,
};

/// A change of a session that is stored.
#[derive(Clone)]
pub(super) enum Change {
    /// The current QR, for the processes that do not run the session.
    Qr {
        code: String,
        until: Instant,
    },
    /// The device was linked to this number.
    Linked {
        me: Peer,
        number: Option<[u8; 32]>,
    },
    /// The number of a session that was linked before the gateway knew numbers. Emits no event.
    Number([u8; 32]),
    Connected,
    Disconnected,
    /// The lane takes no more claims. Emits no event.
    Closed,
    Ended {
        code: &'static str,
        until: Option<i64>,
        kind: EventType,
        unlinked: bool,
    },
}

impl Change {
    /// Writes the change. `boot` identifies this process, and is `None` if no other process shares the
    /// store. `in_store` is the current time by the database's clock. Returns false, and writes nothing, if
    /// another session of the organisation is linked to the number.
    pub(super) async fn apply(
        self,
        tx: &mut Tx,
        key: &DataKey,
        lease: &Lease,
        clock: &Clock,
        boot: Option<&str>,
        in_store: Millis,
    ) -> Result<bool, Fault> {
        let (org, id, now) = (lease.org, lease.session, clock.now());
        let record = id.to_string();
        let change = match self {
            Self::Qr { code, until } => {
                let left = millis(until.saturating_duration_since(clock.monotonic()));
                let expires_at = in_store.saturating_add(left);
                let qr = Qr { code, expires_at };
                let sealed = key.seal_json(&Place::of(org, store::live::QR, &record), &qr)?;
                publish(tx, lease, boot, State::Qr.as_str(), Some(sealed)).await?;
                return Ok(true);
            }
            Self::Number(number) => {
                store::lanes::set_number(tx, org, id, &number).await?;
                return Ok(true);
            }
            Self::Linked { me, number } => {
                if let Some(number) = number {
                    if store::links::is_linked_elsewhere(tx, org, id, &number).await? {
                        return Ok(false);
                    }
                    store::lanes::set_number(tx, org, id, &number).await?;
                }
                let sealed = key.seal_json(&Place::of(org, store::links::ME, &record), &me)?;
                store::links::linked(tx, org, id, sealed, now).await?;
                SessionChange::to(EventType::SessionLinked, "connecting")
            }
            Self::Closed => {
                store::lanes::close(tx, org, id).await?;
                return Ok(true);
            }
            Self::Connected => {
                store::lanes::open(tx, org, id, lease.epoch, in_store).await?;
                SessionChange::to(EventType::SessionConnected, "connected")
            }
            Self::Disconnected => {
                store::lanes::close(tx, org, id).await?;
                SessionChange::to(EventType::SessionDisconnected, "disconnected")
            }
            Self::Ended {
                code,
                until,
                kind,
                unlinked,
            } => {
                store::lanes::close(tx, org, id).await?;
                if unlinked {
                    keystore::wipe(tx, id).await?;
                    store::links::unlinked(tx, org, id, code, now).await?;
                } else {
                    store::links::ended(tx, org, id, code, until, now).await?;
                }
                SessionChange {
                    reason: Some(code),
                    until,
                    ..SessionChange::to(kind, "stopped")
                }
            }
        };
        publish(tx, lease, boot, change.state, None).await?;
        let client = sessions::sealed::client(tx, key, org, id).await;
        // What cannot be read holds up no event.
        let client = if_readable("session", &id, client)?.unwrap_or_default();
        events::session(tx, key, (org, id), &change, &client, clock).await?;
        Ok(true)
    }
}

/// Stores the session's live state for the processes that do not run it. Does nothing without a `boot`:
/// then there are no such processes.
async fn publish(
    tx: &mut Tx,
    lease: &Lease,
    boot: Option<&str>,
    state: &str,
    qr_sealed: Option<Vec<u8>>,
) -> Result<(), Fault> {
    if let Some(boot) = boot {
        store::live::tell(tx, lease, boot, state, qr_sealed).await?;
    }
    Ok(())
}
