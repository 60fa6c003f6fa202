//! The sessions that run in this process, and what is known of them live.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use passerelle_engine::{content::Recipient, ids::SessionId, lease::Lease, whatsapp::Connection};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    model::{Live, State},
    state::{in_flight::InFlight, typing::Shown},
};

/// A session at work here.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) lease: Lease,
    pub(crate) link: Option<Connection>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) typing: Arc<Shown>,
    /// Cancelled to make it rest.
    pub(crate) stop: CancellationToken,
    /// Cancelled when the lease is lost: nothing more is written to its socket.
    pub(crate) lost: CancellationToken,
}

struct Entry {
    live: watch::Sender<Live>,
    running: Option<Running>,
}

/// Every session this process runs or is asked about.
#[derive(Default)]
pub(crate) struct Registry(Mutex<HashMap<SessionId, Entry>>);

impl Registry {
    /// Follows a session's live state; it may begin to run later.
    pub(crate) fn watch(&self, id: SessionId) -> watch::Receiver<Live> {
        let mut entries = self.0.lock();
        // Those that nobody runs or follows any more need no place.
        entries.retain(|_, entry| entry.running.is_some() || entry.live.receiver_count() > 0);
        let entry = entries.entry(id).or_insert_with(|| Entry {
            live: watch::Sender::default(),
            running: None,
        });
        entry.live.subscribe()
    }

    /// The live state, while the session runs here.
    pub(crate) fn state(&self, id: SessionId) -> Option<State> {
        let entries = self.0.lock();
        let entry = entries.get(&id).filter(|entry| entry.running.is_some())?;
        Some(entry.live.borrow().state)
    }

    /// Whether the session runs here, under any epoch.
    pub(crate) fn runs(&self, id: SessionId) -> bool {
        self.0
            .lock()
            .get(&id)
            .is_some_and(|entry| entry.running.is_some())
    }

    /// The session at work under this epoch.
    pub(crate) fn running(&self, id: SessionId, epoch: i64) -> Option<Running> {
        let running = self.0.lock().get(&id)?.running.clone();
        running.filter(|running| running.lease.epoch == epoch)
    }

    /// The lease under which the session runs here.
    pub(crate) fn lease(&self, id: SessionId) -> Option<Lease> {
        Some(self.0.lock().get(&id)?.running.as_ref()?.lease.clone())
    }

    /// The session's connection, whatever its state.
    pub(crate) fn link(&self, id: SessionId) -> Option<Connection> {
        self.0.lock().get(&id)?.running.as_ref()?.link.clone()
    }

    /// The session shows a contact that it is typing until then; none when it no longer does.
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

    /// The session begins to run here.
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

    /// The session has a connection of its own now.
    pub(crate) fn linked_up(&self, id: SessionId, link: Connection) {
        if let Some(running) = self
            .0
            .lock()
            .get_mut(&id)
            .and_then(|entry| entry.running.as_mut())
        {
            running.link = Some(link);
        }
    }

    /// The session no longer runs here.
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

    /// Shows a new live state.
    pub(crate) fn show(&self, id: SessionId, live: Live) {
        if let Some(entry) = self.0.lock().get(&id) {
            entry.live.send_replace(live);
        }
    }

    /// Shows a new state, leaving the QR.
    pub(crate) fn set_state(&self, id: SessionId, state: State) {
        if let Some(entry) = self.0.lock().get(&id) {
            entry.live.send_modify(|live| live.state = state);
        }
    }

    /// Waits until the session no longer runs here, for so long at most.
    pub(crate) async fn stopped(&self, id: SessionId, wait: Duration) {
        let mut live = self.watch(id);
        let stopped = live.wait_for(|live| live.state == State::Stopped);
        // A session that goes down slowly is no reason to keep the caller: its lease is checked.
        let _ = tokio::time::timeout(wait, stopped).await;
    }

    /// Every session at work here, with the epoch it runs under.
    pub(crate) fn all(&self) -> Vec<Running> {
        self.0
            .lock()
            .values()
            .filter_map(|entry| entry.running.clone())
            .collect()
    }
}
