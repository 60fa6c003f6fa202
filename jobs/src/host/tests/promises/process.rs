//! A host as the store sees it: it runs sessions, holds claimed messages, and forgets everything when it
//! dies.

use std::{collections::HashMap, sync::Arc};

use anyhow::Result;
use passerelle_engine::{clock::Millis, ids::SessionId, lease::Lease};
use rand::{SeedableRng as _, rngs::StdRng};

use super::{How, world::Ground};
use crate::{
    host::{
        job::SendMessage,
        outcome::{self, Claimed, Outcome},
        receipts::StatusUpdate,
    },
    queue::job_result::{Done, NotDone},
    services::Services,
    state::{in_flight::ServerVerdict, in_hand::Held},
};
use passerelle_engine::whatsapp::event::{Receipt, ReceiptKind};
use std::time::Duration;
use tokio::time::Instant;

/// A process. Its view may be stale: another process may have taken its sessions.
pub(super) struct Process {
    pub(super) services: Services,
    /// The sessions that it runs.
    pub(super) runs: HashMap<SessionId, Lease>,
    /// When each session may write again: the gate on the process's own clock.
    pub(super) gates: HashMap<SessionId, Millis>,
    /// The messages that it claimed and has not settled.
    pub(super) unsettled: Vec<Unsettled>,
}

/// A claimed message that is not settled yet.
pub(super) struct Unsettled {
    pub(super) job: SendMessage,
    pub(super) claimed: Claimed,
    /// The earliest time at which it may be written.
    pub(super) send_at: Millis,
    /// When it was written; `None` until then.
    pub(super) wire: Option<Millis>,
    pub(super) _held: Held,
}

impl Process {
    pub(super) fn start(ground: &Ground, host: &str) -> Self {
        let chance = StdRng::seed_from_u64(7);
        let (store, vault) = (ground.store.clone(), ground.vault.clone());
        let settings = Ground::settings(host);
        Self {
            services: Services::new(store, vault, ground.clock.clone(), settings, chance),
            runs: HashMap::new(),
            gates: HashMap::new(),
            unsettled: Vec::new(),
        }
    }

    pub(super) fn host(&self) -> Arc<str> {
        Arc::clone(&self.services.settings().host)
    }

    /// Returns whether the process believes that it runs the session under this epoch.
    pub(super) fn believes_in(&self, session: SessionId, epoch: i64) -> bool {
        self.runs
            .get(&session)
            .is_some_and(|lease| lease.epoch == epoch)
    }

    /// Removes one of the unsettled messages and returns it.
    pub(super) fn take(&mut self, nth: usize) -> Option<Unsettled> {
        let count = self.unsettled.len();
        (count > 0).then(|| self.unsettled.remove(nth % count))
    }

    /// Commits the outcome of a message, as the end of its job does.
    pub(super) async fn settle(&self, message: &Unsettled, outcome: Outcome) -> Result<()> {
        let outcome = message.claimed.unknown_if_resent(outcome);
        let settle = outcome::settle(&self.services, &message.job, &message.claimed, &outcome);
        match settle.await.map_err(NotDone::unrecorded) {
            Err(Err((error, _))) => Err(error),
            Ok(Done) | Err(Ok(_)) => Ok(()),
        }
    }
}

impl Unsettled {
    /// Returns the outcome of the message, or `None` if it cannot end like this.
    pub(super) fn outcome(&self, how: How, now: Millis) -> Option<Outcome> {
        let Some(wire) = self.wire else {
            return Some(match how {
                How::PutBack => Outcome::PutBack,
                How::Later => Outcome::Later(Duration::from_secs(1)),
                How::Failed => Outcome::Failed("not_on_whatsapp".to_owned()),
                _ => return None,
            });
        };
        let ago = Duration::from_millis(u64::try_from(now - wire).unwrap_or(0));
        let monotonic = Instant::now();
        let verdict = match how {
            How::Silence => None,
            How::Taken => Some(ServerVerdict::Taken),
            How::Refused => Some(ServerVerdict::Refused(463)),
            How::Delivered => Some(ServerVerdict::Receipt(ReceiptKind::Delivered, now)),
            How::Read => Some(ServerVerdict::Receipt(ReceiptKind::Read, now)),
            _ => return None,
        };
        Some(Outcome::Written {
            // A machine that started a moment ago has no earlier instant; then the gap is longer.
            wire_at: monotonic.checked_sub(ago).unwrap_or(monotonic),
            gap: Duration::from_millis(self.job.gap_ms),
            verdict,
            members: None,
        })
    }
}

/// Returns WhatsApp's update for a message that is no longer in flight, or `None` if it cannot say this.
pub(super) fn update(how: How, now: Millis) -> Option<StatusUpdate> {
    Some(match how {
        How::Taken => StatusUpdate::Taken,
        How::Refused => StatusUpdate::Refused(463),
        How::Delivered => receipt(ReceiptKind::Delivered, now),
        How::Read => receipt(ReceiptKind::Read, now),
        _ => return None,
    })
}

fn receipt(kind: ReceiptKind, at: Millis) -> StatusUpdate {
    StatusUpdate::Receipt(Receipt {
        kind,
        at,
        member: None,
    })
}
