//! Sessions that somebody watches in this process and that may run in another one.

use std::collections::HashMap;

use parking_lot::Mutex;
use passerelle_engine::ids::SessionId;
use tokio::sync::watch;

use crate::model::Live;

/// The last known live state of each of them. However many watch a session, it is known once.
#[derive(Default)]
pub(crate) struct Followed(Mutex<HashMap<SessionId, watch::Sender<Live>>>);

impl Followed {
    /// Returns a receiver of the session's live state, which is `now`.
    pub(crate) fn watch(&self, id: SessionId, now: Live) -> watch::Receiver<Live> {
        let mut followed = self.0.lock();
        let live = followed.entry(id).or_default();
        show(live, now);
        live.subscribe()
    }

    /// Returns the sessions that somebody watches. Forgets the others.
    pub(crate) fn all(&self) -> Vec<SessionId> {
        let mut followed = self.0.lock();
        followed.retain(|_, live| live.receiver_count() > 0);
        followed.keys().copied().collect()
    }

    /// Shows the session's live state to those who watch it.
    pub(crate) fn show(&self, id: SessionId, now: Live) {
        if let Some(live) = self.0.lock().get(&id) {
            show(live, now);
        }
    }
}

fn show(live: &watch::Sender<Live>, now: Live) {
    live.send_if_modified(|before| {
        // The expiry of a code is left out: it differs by some milliseconds with each read.
        let shown = |live: &Live| (live.state, live.qr.as_ref().map(|qr| qr.code.clone()));
        let changed = shown(before) != shown(&now);
        *before = now;
        changed
    });
}

#[cfg(test)]
mod tests {
    use passerelle_engine::clock::Clock;

    use super::*;
    use crate::model::{Qr, State};

    fn showing(code: &str, expires_at: i64) -> Live {
        let qr = Qr {
            code: code.to_owned(),
            expires_at,
        };
        Live {
            state: State::Qr,
            qr: Some(qr),
        }
    }

    #[test]
    fn a_session_is_followed_once_and_forgotten_when_nobody_watches() {
        let (followed, id) = (Followed::default(), SessionId::new(&Clock::system()));
        let first = followed.watch(id, Live::default());
        let mut second = followed.watch(id, showing("one", 1));
        assert_eq!(followed.all(), [id]);
        assert!(first.has_changed().unwrap());
        second.mark_unchanged();
        followed.show(id, showing("one", 2));
        assert!(!second.has_changed().unwrap(), "the same code");
        followed.show(id, showing("two", 2));
        assert!(second.has_changed().unwrap());
        drop(first);
        assert_eq!(followed.all(), [id]);
        drop(second);
        assert_eq!(followed.all(), []);
    }
}
