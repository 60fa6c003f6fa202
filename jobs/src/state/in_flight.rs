//! The one message of a session that is in flight: the channel for WhatsApp's answer to it, and the
//! earliest time for the next message.

use std::sync::Arc;

use parking_lot::Mutex;
use passerelle_engine::{clock::Millis, whatsapp::event::ReceiptKind};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::gates::Gate;

/// WhatsApp's answer to the message in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerVerdict {
    /// The server acknowledged it.
    Taken,
    /// The server refused it with this code.
    Refused(u16),
    /// A receipt came without an acknowledgement before it.
    Receipt(ReceiptKind, Millis),
}

/// A session's message in flight.
#[derive(Default)]
pub(crate) struct InFlight {
    waiting: Mutex<Option<Waiting>>,
    gate: Mutex<Arc<Gate>>,
    /// The WhatsApp id in flight; watched by tasks that wait until it is settled.
    current: watch::Sender<Option<String>>,
}

struct Waiting {
    wa_id: String,
    verdicts: mpsc::Sender<ServerVerdict>,
}

impl InFlight {
    /// Puts a message in flight and returns the receiver of WhatsApp's answer. The message counts as
    /// settled when the guard is dropped.
    pub(crate) fn begin(
        in_flight: &Arc<Self>,
        wa_id: &str,
    ) -> (InFlightGuard, mpsc::Receiver<ServerVerdict>) {
        let (verdicts, receiver) = mpsc::channel(1);
        *in_flight.waiting.lock() = Some(Waiting {
            wa_id: wa_id.to_owned(),
            verdicts,
        });
        in_flight.current.send_replace(Some(wa_id.to_owned()));
        (
            InFlightGuard {
                in_flight: Arc::clone(in_flight),
                wa_id: wa_id.to_owned(),
            },
            receiver,
        )
    }

    /// Passes WhatsApp's first answer to the job that waits for it. Returns false if no job waits: the
    /// message is not in flight, or was answered already. The caller then stores the answer itself, once
    /// the message is settled. An example is a receipt that follows its acknowledgement at once.
    pub(crate) fn report(&self, wa_id: &str, verdict: ServerVerdict) -> bool {
        self.waiting
            .lock()
            .take_if(|waiting| waiting.wa_id == wa_id)
            .is_some_and(|waiting| waiting.verdicts.try_send(verdict).is_ok())
    }

    /// Waits while one of these messages is in flight, so that its outcome is committed first.
    pub(crate) async fn settled(&self, wa_ids: &[String]) {
        let mut current = self.current.subscribe();
        let settled =
            current.wait_for(|current| current.as_ref().is_none_or(|id| !wa_ids.contains(id)));
        // The sender lives as long as `self`.
        let _ = settled.await;
    }

    /// Returns the earliest time for the next message, on the local monotonic clock. This gate comes in
    /// addition to the lane's `next_at`, which is on the database's clock.
    pub(crate) fn gate(&self) -> Option<Instant> {
        self.gate.lock().opens_at()
    }

    /// Takes the gate that the sessions of one number share, and keeps it closed as long as the session's own.
    pub(crate) fn share_gate(&self, shared: Arc<Gate>) {
        let mut gate = self.gate.lock();
        if let Some(until) = gate.opens_at() {
            shared.close(until);
        }
        *gate = shared;
    }

    /// Holds the next message back until `until`.
    pub(crate) fn close_gate(&self, until: Instant) {
        self.gate.lock().close(until);
    }
}

/// Keeps its message in flight until dropped.
pub(crate) struct InFlightGuard {
    in_flight: Arc<InFlight>,
    wa_id: String,
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        // The outcome released the lane, so the next message may already be in flight here.
        self.in_flight
            .waiting
            .lock()
            .take_if(|waiting| waiting.wa_id == self.wa_id);
        self.in_flight
            .current
            .send_if_modified(|current| current.take_if(|id| *id == self.wa_id).is_some());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn an_answer_reaches_only_the_message_it_is_about() {
        let in_flight = Arc::new(InFlight::default());
        let (_in_flight, mut receiver) = InFlight::begin(&in_flight, "A");
        assert!(!in_flight.report("B", ServerVerdict::Taken));
        assert!(in_flight.report("A", ServerVerdict::Refused(463)));
        assert_eq!(receiver.recv().await, Some(ServerVerdict::Refused(463)));
    }

    #[tokio::test]
    async fn only_the_first_answer_is_passed_on_and_the_next_is_left_to_the_caller() {
        let in_flight = Arc::new(InFlight::default());
        let (_in_flight, mut receiver) = InFlight::begin(&in_flight, "A");
        assert!(in_flight.report("A", ServerVerdict::Taken));
        assert!(!in_flight.report("A", ServerVerdict::Receipt(ReceiptKind::Read, 1)));
        assert_eq!(receiver.recv().await, Some(ServerVerdict::Taken));
        let (_in_flight, receiver) = InFlight::begin(&in_flight, "B");
        drop(receiver);
        assert!(
            !in_flight.report("B", ServerVerdict::Taken),
            "no job waits any more"
        );
    }

    #[tokio::test]
    async fn a_receipt_of_a_message_in_flight_waits_until_it_is_settled() {
        let in_flight = Arc::new(InFlight::default());
        let (current, _receiver) = InFlight::begin(&in_flight, "A");
        let ids = ["A".to_owned()];
        assert!(in_flight.settled(&ids).now_or_never().is_none());
        assert!(
            in_flight
                .settled(&["B".to_owned()])
                .now_or_never()
                .is_some()
        );
        drop(current);
        assert!(in_flight.settled(&ids).now_or_never().is_some());
    }
}
