//! Decides which session connects next.
//!
//! If a thousand numbers reconnect at once, it looks like an attack, and each login costs WhatsApp
//! work. So connections go through a token bucket: the most urgent session first, among equals the
//! organisations in turn, and within one the session that came first. Few sessions of an organisation
//! that are not linked are connected at once: each of them shows QR codes for minutes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use super::connect_bucket::{Bucket, Connects};
use crate::{
    clock::Clock,
    ids::{OrgId, SessionId},
};

/// Maximum number of sessions of one organisation that are connected to one process without being linked.
pub const UNLINKED: usize = 3;
/// Maximum time until the queue is looked at again.
const LOOK: Duration = Duration::from_secs(1);

/// How soon a session needs its connection. The most urgent is the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// It is linked, and messages wait in its lane.
    Waiting,
    /// A person may be waiting for its QR code, or has linked it a short time ago.
    Watched,
    /// Messages were sent to it a short time ago.
    Recent,
    /// Nobody would notice a delay.
    Idle,
}

/// A session that wants to connect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) org: OrgId,
    pub(super) session: SessionId,
    pub(super) urgency: Urgency,
    pub(super) is_linked: bool,
}

/// The limiter of one process. Cheap to clone.
#[derive(Clone)]
pub(super) struct ConnectLimiter {
    state: Arc<Mutex<State>>,
    /// Notified when a waiter may connect that could not before.
    changed: Arc<Notify>,
    clock: Clock,
    tasks: TaskTracker,
}

struct State {
    bucket: Bucket,
    waiting: HashMap<SessionId, Waiter>,
    /// The sessions of each organisation that are connected without being linked.
    unlinked: HashMap<OrgId, HashSet<SessionId>>,
    /// When each organisation was last admitted, as a number of admissions. Empty while nobody waits.
    served: HashMap<OrgId, u64>,
    /// Number of admissions so far.
    admissions: u64,
    /// Number of waiters so far.
    arrivals: u64,
    /// Whether a task admits the waiters.
    is_admitting: bool,
    /// Whether none of the waiters may connect, however many tokens there are.
    is_blocked: bool,
}

struct Waiter {
    candidate: Candidate,
    /// Position among equals. A session that waits again keeps it.
    place: u64,
    /// Closed when nobody waits there. The session may wait again later.
    enter: oneshot::Sender<()>,
}

impl ConnectLimiter {
    pub(super) fn new(connects: Connects, clock: Clock, tasks: TaskTracker) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(connects, clock.monotonic()))),
            changed: Arc::default(),
            clock,
            tasks,
        }
    }

    /// Waits until this session may connect. If the caller stops waiting and calls again, the
    /// session keeps its position. Fails if another connection of the same session starts to wait.
    pub(super) async fn acquire(&self, candidate: Candidate) -> anyhow::Result<()> {
        let Some(entered) = self.queue(candidate) else {
            return Ok(());
        };
        entered
            .await
            .context("another connection of the session waits instead")
    }

    /// Enters the queue. Returns `None` if the session may connect now.
    fn queue(&self, candidate: Candidate) -> Option<oneshot::Receiver<()>> {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        let entered = state.queue(candidate, now)?;
        if !std::mem::replace(&mut state.is_admitting, true) {
            self.tasks.spawn(self.clone().admit_waiters());
        } else if state.is_blocked {
            self.changed.notify_one();
        }
        Some(entered)
    }

    /// Admits waiters until there are none.
    async fn admit_waiters(self) {
        loop {
            let now = self.clock.monotonic();
            let Some(wait) = self.state.lock().admit(now) else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep(wait.min(LOOK)) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Records that a session is linked: another one of its organisation may show QR codes.
    pub(super) fn linked(&self, org: OrgId, session: SessionId) {
        self.state.lock().release(org, session);
        self.changed.notify_one();
    }

    /// Removes a session that has ended.
    pub(super) fn forget(&self, org: OrgId, session: SessionId) {
        let mut state = self.state.lock();
        state.waiting.remove(&session);
        state.release(org, session);
        self.changed.notify_one();
    }

    /// Returns the waiting sessions.
    pub(super) fn waiting(&self) -> Vec<SessionId> {
        self.state.lock().waiting.keys().copied().collect()
    }

    /// Updates the urgency of the waiting sessions.
    pub(super) fn order(&self, urgencies: &[(SessionId, Urgency)]) {
        self.state.lock().order(urgencies);
    }

    /// Sets how many processes connect from this address. They share the rate.
    pub(super) fn share(&self, processes: u32) {
        let now = self.clock.monotonic();
        self.state.lock().bucket.share(processes, now);
    }

    /// Records that WhatsApp refused a connection because there are too many, or did not answer.
    pub(super) fn refused(&self) {
        let now = self.clock.monotonic();
        let rate = self.state.lock().bucket.refused(now);
        if let Some(rate) = rate {
            tracing::warn!(
                rate,
                "WhatsApp refuses connections; connecting at a lower rate per second"
            );
        }
    }
}

impl State {
    fn new(connects: Connects, now: Instant) -> Self {
        Self {
            bucket: Bucket::new(connects, now),
            waiting: HashMap::new(),
            unlinked: HashMap::new(),
            served: HashMap::new(),
            admissions: 0,
            arrivals: 0,
            is_admitting: false,
            is_blocked: false,
        }
    }

    fn queue(&mut self, candidate: Candidate, now: Instant) -> Option<oneshot::Receiver<()>> {
        let is_first = !self.is_admitting || self.is_blocked;
        if is_first && self.may_connect(&candidate) && self.bucket.take(now).is_ok() {
            self.waiting.remove(&candidate.session);
            self.enter(&candidate);
            return None;
        }
        let session = candidate.session;
        tracing::debug!(session.id = %session, "it waits to connect");
        let (enter, entered) = oneshot::channel();
        self.arrivals += 1;
        let before = self.waiting.get(&candidate.session);
        let waiter = Waiter {
            candidate: Candidate {
                urgency: before.map_or(candidate.urgency, |before| before.candidate.urgency),
                ..candidate
            },
            place: before.map_or(self.arrivals, |before| before.place),
            enter,
        };
        self.waiting.insert(candidate.session, waiter);
        Some(entered)
    }

    /// Admits all waiters that may connect now. Returns how long until the next one may; `None` if
    /// nobody waits.
    fn admit(&mut self, now: Instant) -> Option<Duration> {
        while let Some(next) = self.next() {
            self.is_blocked = false;
            if let Err(wait) = self.bucket.take(now) {
                return Some(wait);
            }
            if let Some(waiter) = self.waiting.remove(&next) {
                self.admissions += 1;
                self.served.insert(waiter.candidate.org, self.admissions);
                self.enter(&waiter.candidate);
                // If the waiter left at this moment, a token is wasted.
                let _ = waiter.enter.send(());
            }
        }
        self.served.clear();
        self.is_blocked = self
            .waiting
            .values()
            .any(|waiter| !waiter.enter.is_closed());
        self.is_admitting = self.is_blocked;
        self.is_blocked.then_some(LOOK)
    }

    fn order(&mut self, urgencies: &[(SessionId, Urgency)]) {
        for (session, urgency) in urgencies {
            if let Some(waiter) = self.waiting.get_mut(session) {
                waiter.candidate.urgency = *urgency;
            }
        }
    }

    /// Returns the next session among those that may connect and whose caller still waits.
    fn next(&self) -> Option<SessionId> {
        let here = self
            .waiting
            .values()
            .filter(|waiter| !waiter.enter.is_closed() && self.may_connect(&waiter.candidate));
        let next = here.min_by_key(|waiter| {
            let served = self.served.get(&waiter.candidate.org);
            (waiter.candidate.urgency, served, waiter.place)
        });
        next.map(|waiter| waiter.candidate.session)
    }

    /// Returns whether it is linked, or shows QR codes already, or few others of its organisation do.
    fn may_connect(&self, candidate: &Candidate) -> bool {
        let unlinked = self.unlinked.get(&candidate.org);
        candidate.is_linked
            || unlinked.is_none_or(|unlinked| {
                unlinked.contains(&candidate.session) || unlinked.len() < UNLINKED
            })
    }

    fn enter(&mut self, candidate: &Candidate) {
        if !candidate.is_linked {
            let unlinked = self.unlinked.entry(candidate.org).or_default();
            unlinked.insert(candidate.session);
        }
        let (session, urgency) = (candidate.session, candidate.urgency);
        tracing::debug!(session.id = %session, ?urgency, "it is its turn to connect");
    }

    fn release(&mut self, org: OrgId, session: SessionId) {
        if let Some(unlinked) = self.unlinked.get_mut(&org) {
            unlinked.remove(&session);
            if unlinked.is_empty() {
                self.unlinked.remove(&org);
            }
        }
    }
}

#[cfg(test)]
mod tests;
