//! The sessions that run in this process, with their live state.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use passerelle_engine::{content::Recipient, ids::SessionId, lease::Lease, whatsapp::Connection};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    model::{Live, State},
    state::{calls::Calls, health_watch::HealthWatch, in_flight::InFlight, typing::Shown},
};

/// A session that runs in this process.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) lease: Lease,
    /// `None` until the connection was opened.
    pub(crate) connection: Option<Connection>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) typing: Arc<Shown>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) health: Arc<HealthWatch>,
    /// Cancelled to stop the session.
    pub(crate) stop: CancellationToken,
    /// Cancelled when the lease is lost: nothing more is written to its socket.
    pub(crate) lost: CancellationToken,
}

struct Entry {
    live: watch::Sender<Live>,
    running: Option<Running>,
}

/// Every session that this process runs or that somebody watches here.
#[derive(Default)]
pub(crate) struct Registry(Mutex<HashMap<SessionId, Entry>>);

impl Registry {
    /// Returns a receiver of the session's live state. The session may start later.
    pub(crate) fn watch(&self, id: SessionId) -> watch::Receiver<Live> {
        let mut entries = self.0.lock();
        // Forgets sessions that do not run and that nobody watches any more.
        entries.retain(|_, entry| entry.running.is_some() || entry.live.receiver_count() > 0);
        let entry = entries.entry(id).or_insert_with(|| Entry {
            live: watch::Sender::default(),
            running: None,
        });
        entry.live.subscribe()
    }

    /// Returns the live state, `None` if the session does not run here.
    pub(crate) fn state(&self, id: SessionId) -> Option<State> {
        let entries = self.0.lock();
        let entry = entries.get(&id).filter(|entry| entry.running.is_some())?;
        Some(entry.live.borrow().state)
    }

    /// Returns whether the session runs here, under any epoch.
    pub(crate) fn runs(&self, id: SessionId) -> bool {
        self.0
            .lock()
            .get(&id)
            .is_some_and(|entry| entry.running.is_some())
    }

    /// Returns the session if it runs here under this epoch.
    pub(crate) fn running(&self, id: SessionId, epoch: i64) -> Option<Running> {
        let running = self.0.lock().get(&id)?.running.clone();
        running.filter(|running| running.lease.epoch == epoch)
    }

    /// Returns the lease under which the session runs here.
    pub(crate) fn lease(&self, id: SessionId) -> Option<Lease> {
        Some(self.0.lock().get(&id)?.running.as_ref()?.lease.clone())
    }

    /// Returns the session's connection, which may be in any state.
    pub(crate) fn connection(&self, id: SessionId) -> Option<Connection> {
        self.0.lock().get(&id)?.running.as_ref()?.connection.clone()
    }

    /// Returns the calls of a session that runs here.
    pub(crate) fn calls(&self, id: SessionId) -> Option<Arc<Calls>> {
        Some(Arc::clone(&self.0.lock().get(&id)?.running.as_ref()?.calls))
    }

    /// Returns what asks a session that runs here to look at its number's health.
    pub(crate) fn health(&self, id: SessionId) -> Option<Arc<HealthWatch>> {
        Some(Arc::clone(
            &self.0.lock().get(&id)?.running.as_ref()?.health,
        ))
    }

    /// Records until when the session shows typing to a contact; `None` if it no longer does.
    pub(crate) fn typing(&self, id: SessionId, to: Recipient, until: Option<Instant>) {
        let running = self
            .0
            .lock()
            .get(&id)
            .and_then(|entry| entry.running.clone());
        if let Some(running) = running {
            running.typing.set(to, until);
        }
    }

    /// Records that the session runs here.
    pub(crate) fn begin(&self, running: Running) {
        let id = running.lease.session;
        let mut entries = self.0.lock();
        let entry = entries.entry(id).or_insert_with(|| Entry {
            live: watch::Sender::default(),
            running: None,
        });
        entry.running = Some(running);
        entry.live.send_replace(Live {
            state: State::Connecting,
            qr: None,
        });
    }

    /// Records the session's connection.
    pub(crate) fn set_connection(&self, id: SessionId, connection: Connection) {
        if let Some(running) = self
            .0
            .lock()
            .get_mut(&id)
            .and_then(|entry| entry.running.as_mut())
        {
            running.connection = Some(connection);
        }
    }

    /// Records that the session no longer runs here under this epoch.
    pub(crate) fn end(&self, id: SessionId, epoch: i64) {
        let mut entries = self.0.lock();
        let Some(entry) = entries.get_mut(&id) else {
            return;
        };
        if entry
            .running
            .as_ref()
            .is_some_and(|running| running.lease.epoch == epoch)
        {
            entry.running = None;
            entry.live.send_replace(Live::default());
        }
        if entry.live.receiver_count() == 0 && entry.running.is_none() {
            entries.remove(&id);
        }
    }

    /// Publishes a new live state to the watchers in this process.
    pub(crate) fn show(&self, id: SessionId, live: Live) {
        if let Some(entry) = self.0.lock().get(&id) {
            entry.live.send_replace(live);
        }
    }

    /// Publishes a new state and keeps the QR.
    pub(crate) fn set_state(&self, id: SessionId, state: State) {
        if let Some(entry) = self.0.lock().get(&id) {
            entry.live.send_modify(|live| live.state = state);
        }
    }

    /// Waits until the session no longer runs here, at most for `wait`.
    pub(crate) async fn stopped(&self, id: SessionId, wait: Duration) {
        let mut live = self.watch(id);
        let stopped = live.wait_for(|live| live.state == State::Stopped);
        // The caller may go on after the timeout: a session that still runs has its lease checked.
        let _ = tokio::time::timeout(wait, stopped).await;
    }

    /// Returns every session that runs here.
    pub(crate) fn all(&self) -> Vec<Running> {
        self.0
            .lock()
            .values()
            .filter_map(|entry| entry.running.clone())
            .collect()
    }
}
