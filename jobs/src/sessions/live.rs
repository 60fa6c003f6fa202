//! The live state of a session, in whichever process it runs: its state and its QR code.
//!
//! On SQLite the only process knows it. On PostgreSQL the host writes it to the database and wakes the other
//! processes. Each of those reads what is watched there: one statement for all sessions, however many watch.

use std::{collections::HashMap, time::Duration};

use passerelle_engine::{
    clock::Millis,
    ids::{OrgId, SessionId},
    vault::Place,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Fault, if_readable},
    model::{Live, Qr, State, millis},
    services::Services,
    settings::DEAD,
    store::{self, system::followed::Published},
};

/// The longest time between two reads while somebody watches: what a lost wake-up costs, or a host that died.
const LOOK: Duration = Duration::from_secs(1);
/// The shortest time between two reads, however often sessions change.
const REST: Duration = Duration::from_millis(100);

/// Returns a receiver of the session's live state and QR, in whichever process it runs. Returns `None` if
/// there is no such session.
pub async fn watch(
    services: &Services,
    org: OrgId,
    id: SessionId,
) -> Result<Option<watch::Receiver<Live>>, Fault> {
    if super::read(services, org, id).await?.is_none() {
        return Ok(None);
    }
    if !services.is_shared() {
        return Ok(Some(services.registry().watch(id)));
    }
    let now = published(services, &[id]).await?.remove(&id);
    let now = now.unwrap_or_default();
    Ok(Some(services.followed().watch(id, now)))
}

/// Reads what is watched here when it may have changed, until stopped.
pub(crate) async fn follow(services: Services, stop: CancellationToken) {
    let mut changes = services.live_changes().subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            // The sender is never dropped before the services.
            _ = changes.changed() => {}
            () = stop.cancelled() => return,
        }
        let followed = services.followed().all();
        if followed.is_empty() {
            continue;
        }
        match published(&services, &followed).await {
            Ok(mut published) => {
                for id in followed {
                    let now = published.remove(&id).unwrap_or_default();
                    services.followed().show(id, now);
                }
            }
            // The last state stays.
            Err(fault) => tracing::debug!(error = %fault, "the live states were not read"),
        }
        tokio::select! {
            () = tokio::time::sleep(REST) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Returns the live states that the hosts published last. A session that no host runs is left out.
async fn published(
    services: &Services,
    sessions: &[SessionId],
) -> Result<HashMap<SessionId, Live>, Fault> {
    let (now, rows) = {
        let store = services.store();
        let mut conn = store.read_system().await?;
        let now = passerelle_engine::store::now(store.dialect(), &mut conn).await?;
        let seen_since = now.saturating_sub(millis(DEAD));
        let rows =
            store::system::followed::published(&mut conn, store.dialect(), sessions, seen_since);
        (now, rows.await?)
    };
    let mut published = HashMap::with_capacity(rows.len());
    for row in rows {
        let id = row.session;
        let opened = opened(services, row, now).await;
        // If it cannot be read: the host publishes the next code within a minute.
        let live = if_readable("live", &id, opened)?;
        published.insert(id, live.unwrap_or_default());
    }
    Ok(published)
}

/// Opens a published state. `now` is the time by the database's clock.
async fn opened(services: &Services, row: Published, now: Millis) -> Result<Live, Fault> {
    let state = State::parse(&row.state).unwrap_or_default();
    let Some(sealed) = row.qr_sealed else {
        return Ok(Live { state, qr: None });
    };
    let key = services.vault().org_key(row.org).await?;
    let record = row.session.to_string();
    let mut qr: Qr = key.open_json(&Place::of(row.org, store::live::QR, &record), &sealed)?;
    // The row uses the database's clock, because the hosts' clocks may differ. Convert it to ours.
    let ahead = services.clock().now().saturating_sub(now);
    qr.expires_at = qr.expires_at.saturating_add(ahead);
    let qr = Some(qr);
    Ok(Live { state, qr })
}
