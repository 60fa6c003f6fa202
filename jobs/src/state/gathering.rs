//! Messages that WhatsApp's server took, gathered until they are committed together.
//!
//! Whoever comes first commits all that gathered while the set before was being committed. Nobody
//! waits for a set to fill.

use std::{future::Future, sync::Arc, time::Duration};

use parking_lot::Mutex;
use passerelle_engine::{lease::Lease, vault::DataKey};
use tokio::{sync::oneshot, time::Instant};

use crate::model::Message;

/// A message that the server took.
pub(crate) struct Taken {
    pub(crate) lease: Lease,
    pub(crate) key: Arc<DataKey>,
    pub(crate) message: Message,
    pub(crate) wire_at: Instant,
    pub(crate) gap: Duration,
}

/// What became of it in its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It is committed.
    Committed,
    /// The session's lease is lost; its new owner resolves the message.
    LeaseLost,
    /// The set was not committed: it is to be tried alone.
    Alone,
}

/// Where the taken ones of a host gather.
#[derive(Default)]
pub(crate) struct Gathering {
    waiting: Mutex<Vec<(Taken, oneshot::Sender<Settled>)>>,
    /// Held while a set is committed.
    turn: tokio::sync::Mutex<()>,
}

impl Gathering {
    /// Settles this one by `commit`, with whatever else has gathered. `commit` says of each of its set,
    /// in order, what became of it.
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
            // Whoever waited may have been stopped; what is committed stands all the same.
            let _ = answer.send(settled);
        }
        drop(turn);
        answered.await.unwrap_or(Settled::Alone)
    }
}
