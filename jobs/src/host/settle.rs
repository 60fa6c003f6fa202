//! Messages that WhatsApp's server took, settled in sets.
//!
//! Nearly every outcome is this one, and on a busy host many come at once: whoever comes first
//! commits all that gathered while the set before was being committed. Nobody waits for a set to fill.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use passerelle_engine::{
    clock::Clock,
    lease::{self, Lease},
    store::SystemTx,
    vault::DataKey,
};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    crash,
    error::Fault,
    events,
    model::{Message, Status},
    safety::pace::millis,
    services::Services,
    store,
};

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
    fn waiting(&self) -> MutexGuard<'_, Vec<(Taken, oneshot::Sender<Settled>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settles this one, with whatever else has gathered.
    pub(crate) async fn settle(&self, services: &Services, taken: Taken) -> Settled {
        let (answer, mut answered) = oneshot::channel();
        self.waiting().push((taken, answer));
        let turn = self.turn.lock().await;
        if let Ok(settled) = answered.try_recv() {
            return settled;
        }
        let set = std::mem::take(&mut *self.waiting());
        commit(services, set).await;
        drop(turn);
        answered.await.unwrap_or(Settled::Alone)
    }
}

async fn commit(services: &Services, set: Vec<(Taken, oneshot::Sender<Settled>)>) {
    let (set, answers): (Vec<_>, Vec<_>) = set.into_iter().unzip();
    let shared = services.0.clone();
    let committed = services
        .0
        .store
        .write_system(move |tx| {
            Box::pin(async move {
                let settled = settle(tx, &shared.settings.host, &shared.clock, set).await?;
                crash::point("complete.before_commit");
                Ok::<_, Fault>(settled)
            })
        })
        .await;
    let settled = committed.unwrap_or_else(|fault| {
        tracing::warn!(error = %fault, "a set of outcomes was not committed; each is tried alone");
        vec![Settled::Alone; answers.len()]
    });
    for (answer, settled) in answers.into_iter().zip(settled) {
        // Whoever waited may have been stopped; what is committed stands all the same.
        let _ = answer.send(settled);
    }
}

async fn settle(
    tx: &mut SystemTx,
    host: &str,
    clock: &Clock,
    set: Vec<Taken>,
) -> Result<Vec<Settled>, Fault> {
    // Taken before the database tells its time, so that the gap from there on is never too short.
    let written = clock.monotonic();
    let leases: Vec<_> = set
        .iter()
        .map(|taken| (taken.lease.session, taken.lease.epoch))
        .collect();
    let (now, held) = lease::check_all(tx, host, &leases).await?;
    // A session that was lost and taken again may be among them twice: under one epoch it is held.
    let is_held = |taken: &Taken| held.contains(&(taken.lease.session, taken.lease.epoch));
    let done: Vec<_> = set
        .iter()
        .filter(|taken| is_held(taken))
        .map(|taken| {
            let ago = written.saturating_duration_since(taken.wire_at);
            let next = now
                .saturating_sub(millis(ago))
                .saturating_add(millis(taken.gap));
            (taken.lease.session, taken.message.id, next)
        })
        .collect();
    let mut turns = store::system::settlements::release(tx, &done).await?;
    let released = set
        .iter()
        .filter(|taken| is_held(taken) && turns.contains_key(&taken.lease.session));
    let released: Vec<_> = released.map(|taken| taken.message.id).collect();
    let at = clock.now();
    store::system::settlements::sent(tx, &released, at).await?;
    let mut settled = Vec::with_capacity(set.len());
    for mut taken in set {
        let is_held = is_held(&taken);
        if is_held && let Some(turn) = turns.remove(&taken.lease.session) {
            taken.message.status = Status::Sent;
            taken.message.sent_at.get_or_insert(at);
            if let Some(told) = events::of_message(&taken.message) {
                store::events::emit_in(turn, tx, &taken.key, told, clock).await?;
            }
            events::taken(tx, &taken.key, &taken.message, clock).await?;
        }
        // A lane that no longer runs the message has settled it before.
        settled.push(if is_held {
            Settled::Committed
        } else {
            Settled::LeaseLost
        });
    }
    Ok(settled)
}
