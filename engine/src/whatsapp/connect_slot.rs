//! A link's turns at the limiter.
//!
//! The first one is waited for before the library begins, as long as it takes. Later ones come while the
//! library makes a connection, for which it allows twenty seconds: who has waited some of them for
//! nothing lets the library begin that connection anew, and finds its place kept.

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

use super::connect_limiter::{ConnectLimiter, Urgency};
use crate::ids::SessionId;

/// How long a turn is waited for while the library makes a connection.
const PATIENCE: Duration = Duration::from_secs(6);

/// A link's turns to connect. Cheap to clone.
#[derive(Clone)]
pub(super) struct ConnectSlot(Arc<Shared>);

struct Shared {
    limiter: ConnectLimiter,
    session: SessionId,
    urgency: Urgency,
    /// Whether it has come and was not taken yet.
    has_come: AtomicBool,
    client: OnceLock<Weak<Client>>,
    /// Cancelled when the link is to end.
    ending: CancellationToken,
    /// Cancelled when the session is no longer ours.
    lost: CancellationToken,
}

impl ConnectSlot {
    pub(super) fn new(
        limiter: ConnectLimiter,
        session: SessionId,
        urgency: Urgency,
        ending: CancellationToken,
        lost: CancellationToken,
    ) -> Self {
        Self(Arc::new(Shared {
            limiter,
            session,
            urgency,
            has_come: AtomicBool::new(false),
            client: OnceLock::new(),
            ending,
            lost,
        }))
    }

    /// Of the client that connects.
    pub(super) fn belongs_to(&self, client: &Arc<Client>) {
        let _ = self.0.client.set(Arc::downgrade(client));
    }

    /// Returns when the link may connect, without waiting any more then. Fails when it is to end, or the
    /// session is lost.
    pub(super) async fn come(&self) -> anyhow::Result<()> {
        self.pass().await?;
        self.0.has_come.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Returns when the link may connect. Fails as [`ConnectSlot::come`] does, and when it waited too long: then
    /// the library begins anew at once, without the pause that follows a failure.
    pub(super) async fn take(&self) -> anyhow::Result<()> {
        if self.0.has_come.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        if let Ok(passed) = tokio::time::timeout(PATIENCE, self.pass()).await {
            return passed;
        }
        let client = self.0.client.get().and_then(Weak::upgrade);
        client
            .context("the client is gone")?
            .reconnect_immediately()
            .await;
        bail!("its turn has not come yet")
    }

    async fn pass(&self) -> anyhow::Result<()> {
        tokio::select! {
            passed = self.0.limiter.pass(self.0.session, self.0.urgency) => passed,
            () = self.0.ending.cancelled() => bail!("the connection is to end"),
            () = self.0.lost.cancelled() => bail!("the session is no longer ours"),
        }
    }

    /// WhatsApp refused a connection because there are too many, or did not answer.
    pub(super) fn refused(&self) {
        self.0.limiter.refused();
    }

    /// The link is over.
    pub(super) fn end(&self) {
        self.0.limiter.forget(self.0.session);
    }

    #[cfg(test)]
    pub(super) fn of_a_test(lost: &CancellationToken) -> Self {
        use super::connect_limiter::Connects;
        use crate::clock::Clock;

        let (clock, ending) = (Clock::system(), CancellationToken::new());
        let session = SessionId::new(&clock);
        let limiter = ConnectLimiter::new(
            Connects::default(),
            clock,
            tokio_util::task::TaskTracker::new(),
        );
        Self::new(limiter, session, Urgency::Idle, ending, lost.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_to_end_or_lost_its_session_does_not_wait() {
        let lost = CancellationToken::new();
        let slot = ConnectSlot::of_a_test(&lost);
        slot.come().await.unwrap();
        slot.take().await.unwrap();
        slot.0.ending.cancel();
        assert!(slot.come().await.is_err());
        let slot = ConnectSlot::of_a_test(&lost);
        lost.cancel();
        assert!(slot.take().await.is_err());
    }
}
