//! Group commit of acknowledged messages.
//!
//! While one set is committed, further messages gather. The first waiting job then commits all of them
//! as the next set. No job waits for a set to fill.

use std::{future::Future, sync::Arc, time::Duration};

use parking_lot::Mutex;
use passerelle_engine::{lease::Lease, vault::DataKey};
use tokio::{sync::oneshot, time::Instant};

use crate::model::Message;

/// A message that WhatsApp's server acknowledged.
pub(crate) struct Taken {
    pub(crate) lease: Lease,
    pub(crate) key: Arc<DataKey>,
    pub(crate) message: Message,
    pub(crate) wire_at: Instant,
    pub(crate) gap: Duration,
    /// How many members the group had; `None` for a person, or if that is not known.
    pub(crate) members: Option<u32>,
}

/// The result for one message of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The outcome is committed.
    Committed,
    /// The session's lease is lost; the new owner resolves the message.
    LeaseLost,
    /// The set was not committed; the message must be tried alone.
    Alone,
}

/// The acknowledged messages of a host that wait for their commit.
#[derive(Default)]
pub(crate) struct Gathering {
    waiting: Mutex<Vec<(Taken, oneshot::Sender<Settled>)>>,
    /// Held while a set is committed.
    turn: tokio::sync::Mutex<()>,
}

impl Gathering {
    /// Settles this message with `commit`, together with the others that have gathered. `commit` returns
    /// one result per message, in the order of its set.
    pub(crate) async fn settle<F>(
        &self,
        taken: Taken,
        commit: impl FnOnce(Vec<Taken>) -> F,
    ) -> Settled
    where
        F: Future<Output = Vec<Settled>>,
    {
        let (answer, mut answered) = oneshot::channel();
        self.waiting.lock().push((taken, answer));
        let turn = self.turn.lock().await;
        if let Ok(settled) = answered.try_recv() {
            return settled;
        }
        let set = std::mem::take(&mut *self.waiting.lock());
        let (set, answers): (Vec<_>, Vec<_>) = set.into_iter().unzip();
        for (answer, settled) in answers.into_iter().zip(commit(set).await) {
            // The waiting job may have been stopped. Its outcome is committed either way.
            let _ = answer.send(settled);
        }
        drop(turn);
        answered.await.unwrap_or(Settled::Alone)
    }
}
