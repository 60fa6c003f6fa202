//! Lanes whose message in flight nobody flies.
//!
//! A claim whose answer was lost with the database's connection, a job that panicked or could not
//! read its message: the row says `sending`, its lane waits for it, and no job settles it. What is
//! found so twice, some seconds apart, is resolved as if its owner had died.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use passerelle_engine::{ids::MessageId, lease::Lease};

use super::outcome;
use crate::{crash, error::Fault, services::Services, store};

/// The messages that jobs of this process have in hand.
#[derive(Debug, Default, Clone)]
pub(crate) struct InHand(Arc<Mutex<HashSet<MessageId>>>);

impl InHand {
    fn messages(&self) -> MutexGuard<'_, HashSet<MessageId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In hand until the answer is dropped.
    pub(crate) fn take(&self, message: MessageId) -> Held {
        self.messages().insert(message);
        Held {
            in_hand: self.clone(),
            message,
        }
    }
}

/// While it lives, a job has its message in hand.
pub(crate) struct Held {
    in_hand: InHand,
    message: MessageId,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.in_hand.messages().remove(&self.message);
    }
}

/// Resolves what was stray at the last look and is still; what is stray now. Between two looks
/// every claim's job has long begun.
pub(crate) async fn resolve(
    services: &Services,
    before: &HashSet<MessageId>,
) -> Result<HashSet<MessageId>, Fault> {
    let shared = &services.0;
    let running = {
        let mut conn = shared.store.read_system().await?;
        store::system::running_here(&mut conn, &shared.settings.host).await?
    };
    let in_hand = shared.in_hand.messages().clone();
    let stray = running
        .into_iter()
        .filter(|(_, message)| !in_hand.contains(message));
    let (old, new): (Vec<_>, Vec<_>) = stray.partition(|(_, message)| before.contains(message));
    for ((org, session, epoch), message) in old {
        tracing::warn!(message.id = %message, "nobody had a message in flight in hand");
        let host = Arc::clone(&shared.settings.host);
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
    let shared = services.0.clone();
    let key = shared.vault.org_key(lease.org).await?;
    let gap = shared.settings.pace.gap(&mut services.chance());
    let clock = shared.clock.clone();
    let resolved = shared.store.write(lease.org, move |tx| {
        Box::pin(async move {
            lease.check(tx).await?;
            // Another may run by now.
            if store::lanes::running(tx, lease.org, lease.session).await? == Some(message) {
                outcome::resolve(tx, &key, &clock, &lease, gap).await?;
                crash::point("stray.before_commit");
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
    services.0.lanes.notify_one();
    services.wake_deliveries();
    Ok(())
}

#[cfg(test)]
mod tests {
    use passerelle_engine::clock::Clock;

    use super::*;

    #[test]
    fn a_message_is_in_hand_as_long_as_its_job_lives() {
        let (in_hand, message) = (InHand::default(), MessageId::new(&Clock::system()));
        let held = in_hand.take(message);
        assert!(in_hand.messages().contains(&message));
        drop(held);
        assert!(in_hand.messages().is_empty());
    }
}
