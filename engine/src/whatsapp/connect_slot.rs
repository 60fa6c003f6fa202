//! The permission of one connection to connect.
//!
//! Before the library starts, the connection waits for its first slot, for any length of time.
//! Later slots are needed while the library opens a connection, for which it allows only twenty
//! seconds. If a slot does not come within a few seconds, the library is told to begin that attempt
//! again, and the session keeps its position in the queue.

use std::{
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;
use whatsapp_rust::Client;

use super::connect_limiter::{Candidate, ConnectLimiter, Urgency};
use crate::ids::{OrgId, SessionId};

/// Maximum time to wait for a slot while the library opens a connection.
const PATIENCE: Duration = Duration::from_secs(6);

/// The connect slots of one connection. Cheap to clone.
#[derive(Clone)]
pub(super) struct ConnectSlot(Arc<Shared>);

struct Shared {
    limiter: ConnectLimiter,
    org: OrgId,
    session: SessionId,
    urgency: Urgency,
    /// Whether a slot was acquired and is not used yet.
    is_held: AtomicBool,
    client: OnceLock<Weak<Client>>,
    /// Cancelled when the connection is to end.
    ending: CancellationToken,
    /// Cancelled when the session's lease is lost.
    lost: CancellationToken,
}

impl ConnectSlot {
    pub(super) fn new(
        limiter: ConnectLimiter,
        (org, session): (OrgId, SessionId),
        urgency: Urgency,
        ending: CancellationToken,
        lost: CancellationToken,
    ) -> Self {
        Self(Arc::new(Shared {
            limiter,
            org,
            session,
            urgency,
            is_held: AtomicBool::new(false),
            client: OnceLock::new(),
            ending,
            lost,
        }))
    }

    /// Sets the client that connects.
    pub(super) fn set_client(&self, client: &Arc<Client>) {
        let _ = self.0.client.set(Arc::downgrade(client));
    }

    /// Waits for a slot, which the next [`ConnectSlot::acquire`] uses without waiting. Fails if the
    /// connection is to end, or the lease is lost.
    pub(super) async fn acquire_ahead(&self) -> anyhow::Result<()> {
        self.wait().await?;
        self.0.is_held.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Waits for a slot. Fails as [`ConnectSlot::acquire_ahead`] does, and also after [`PATIENCE`]: then the
    /// library tries again at once, without the pause that follows other failures.
    pub(super) async fn acquire(&self) -> anyhow::Result<()> {
        if self.0.is_held.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        if let Ok(acquired) = tokio::time::timeout(PATIENCE, self.wait()).await {
            return acquired;
        }
        self.client()
            .context("the client is gone")?
            .reconnect_immediately()
            .await;
        bail!("no connect slot in time; trying again")
    }

    fn client(&self) -> Option<Arc<Client>> {
        self.0.client.get().and_then(Weak::upgrade)
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            org: self.0.org,
            session: self.0.session,
            urgency: self.0.urgency,
            is_linked: self.client().is_some_and(|client| client.pn().is_some()),
        }
    }

    async fn wait(&self) -> anyhow::Result<()> {
        tokio::select! {
            acquired = self.0.limiter.acquire(self.candidate()) => acquired,
            () = self.0.ending.cancelled() => bail!("the connection is stopping"),
            () = self.0.lost.cancelled() => bail!("the session's lease is lost"),
        }
    }

    /// Records that WhatsApp refused a connection because there are too many, or did not answer.
    pub(super) fn refused(&self) {
        self.0.limiter.refused();
    }

    /// Records that the session is linked now.
    pub(super) fn linked(&self) {
        self.0.limiter.linked(self.0.org, self.0.session);
    }

    /// Leaves the queue, because the connection has ended.
    pub(super) fn release(&self) {
        self.0.limiter.forget(self.0.org, self.0.session);
    }

    #[cfg(test)]
    pub(super) fn of_a_test(lost: &CancellationToken) -> Self {
        use super::connect_bucket::Connects;
        use crate::clock::Clock;

        let (clock, ending) = (Clock::system(), CancellationToken::new());
        let of = (OrgId::new(&clock), SessionId::new(&clock));
        let limiter = ConnectLimiter::new(
            Connects::default(),
            clock,
            tokio_util::task::TaskTracker::new(),
        );
        Self::new(limiter, of, Urgency::Idle, ending, lost.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_to_end_or_lost_its_session_does_not_wait() {
        let lost = CancellationToken::new();
        let slot = ConnectSlot::of_a_test(&lost);
        slot.acquire_ahead().await.unwrap();
        slot.acquire().await.unwrap();
        slot.0.ending.cancel();
        assert!(slot.acquire_ahead().await.is_err());
        let slot = ConnectSlot::of_a_test(&lost);
        lost.cancel();
        assert!(slot.acquire().await.is_err());
    }
}
