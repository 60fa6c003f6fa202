//! Messages in flight that no job has in hand.
//!
//! A claim whose answer was lost with the database's connection, a job that panicked or could not
//! read its message: the row says `sending`, its lane waits for it, and no job settles it. What is
//! found so twice, some seconds apart, is resolved as if its owner had died.

use std::{collections::HashSet, sync::Arc};

use passerelle_engine::{ids::MessageId, lease::Lease};

use super::outcome;
use crate::{crash, error::Fault, services::Services, store};

/// Resolves what was an orphan at the last look and still is. Returns the orphans of now. Between two looks
/// every claim's job has long begun.
pub(crate) async fn resolve(
    services: &Services,
    before: &HashSet<MessageId>,
) -> Result<HashSet<MessageId>, Fault> {
    let running = {
        let mut conn = services.store().read_system().await?;
        store::system::running_here(&mut conn, &services.settings().host).await?
    };
    let in_hand = services.in_hand().all();
    let orphans = running
        .into_iter()
        .filter(|(_, message)| !in_hand.contains(message));
    let (old, new): (Vec<_>, Vec<_>) = orphans.partition(|(_, message)| before.contains(message));
    for ((org, session, epoch), message) in old {
        tracing::warn!(message.id = %message, "nobody had a message in flight in hand");
        let host = Arc::clone(&services.settings().host);
        let lease = Lease {
            org,
            session,
            host,
            epoch,
        };
        take_up(services, lease, message).await?;
    }
    Ok(new.into_iter().map(|(_, message)| message).collect())
}

async fn take_up(services: &Services, lease: Lease, message: MessageId) -> Result<(), Fault> {
    let key = services.vault().org_key(lease.org).await?;
    let gap = services.settings().pace.gap(&mut services.chance());
    let clock = services.clock().clone();
    let resolved = services.store().write(lease.org, move |tx| {
        Box::pin(async move {
            lease.check(tx).await?;
            // Another may run by now.
            if store::lanes::running(tx, lease.org, lease.session).await? == Some(message) {
                outcome::resolve(tx, &key, &clock, &lease, gap).await?;
                crash::point("orphans.before_commit");
            }
            Ok::<_, Fault>(())
        })
    });
    match resolved.await {
        Err(fault) if fault.is_outage() => return Err(fault),
        Err(fault) => {
            tracing::error!(message.id = %message, error = %fault, "a message in flight is not resolved");
        }
        Ok(()) => {}
    }
    services.lanes().notify_one();
    services.wake_deliveries();
    Ok(())
}
