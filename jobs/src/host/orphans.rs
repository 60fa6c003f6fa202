//! Recovers orphans: messages in flight without a running job.
//!
//! Such a row says `sending` and its lane waits, but no job will settle it. This happens when the
//! answer to a claim was lost with the database connection, or when a job panicked. A message
//! found like this twice, some seconds apart, is resolved as if its owner had died.

use std::{collections::HashSet, sync::Arc};

use passerelle_engine::{ids::MessageId, lease::Lease};

use super::outcome;
use crate::{crash, error::Fault, services::Services, store};

/// Resolves the orphans that were already orphans at the last check (`before`), and returns the new ones.
/// A single check is not enough: a message that was just claimed may have no job yet.
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
        tracing::warn!(message.id = %message, "a message in flight had no running job; it is resolved");
        let host = Arc::clone(&services.settings().host);
        let lease = Lease {
            org,
            session,
            host,
            epoch,
        };
        resolve_one(services, lease, message).await?;
    }
    Ok(new.into_iter().map(|(_, message)| message).collect())
}

async fn resolve_one(services: &Services, lease: Lease, message: MessageId) -> Result<(), Fault> {
    let key = services.org_key_if_readable(lease.org).await?;
    let gap = services.draw_gap();
    let clock = services.clock().clone();
    let resolved = services.store().write(lease.org, move |tx| {
        Box::pin(async move {
            lease.check(tx).await?;
            // By now another message may be in flight.
            if store::lanes::running(tx, lease.org, lease.session).await? == Some(message) {
                outcome::resolve(tx, key.as_deref(), &clock, &lease, gap).await?;
                crash::point("orphans.before_commit");
            }
            Ok::<_, Fault>(())
        })
    });
    match resolved.await {
        Err(fault) if fault.is_outage() => return Err(fault),
        Err(fault) => {
            tracing::error!(message.id = %message, error = %fault, "an orphaned message could not be resolved");
        }
        Ok(()) => {}
    }
    services.lanes().notify_one();
    services.wake_deliveries();
    Ok(())
}
