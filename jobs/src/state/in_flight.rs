//! The one message of a session that is in flight: who waits for WhatsApp's word on it, and from
//! when on the next one may be written.

use std::sync::Arc;

use parking_lot::Mutex;
use passerelle_engine::{clock::Millis, whatsapp::event::ReceiptKind};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// WhatsApp's word on the message in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerVerdict {
    /// The server took it.
    Taken,
    /// The server refused it with this code.
    Refused(u16),
    /// No acknowledgement was seen, yet the phone has it.
    Receipt(ReceiptKind, Millis),
}

/// A session's message in flight.
#[derive(Default)]
pub(crate) struct InFlight {
    waiting: Mutex<Option<Waiting>>,
    gate: Mutex<Option<Instant>>,
    /// The WhatsApp id in flight, for those who wait until it is settled.
    current: watch::Sender<Option<String>>,
}

struct Waiting {
    wa_id: String,
    verdicts: mpsc::Sender<ServerVerdict>,
}

impl InFlight {
    /// A message takes off: WhatsApp's words on it come out of the receiver. It is settled when
    /// the guard is dropped.
    pub(crate) fn begin(
        in_flight: &Arc<Self>,
        wa_id: &str,
    ) -> (InFlightGuard, mpsc::Receiver<ServerVerdict>) {
        let (verdicts, heard) = mpsc::channel(1);
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
            heard,
        )
    }

    /// Passes WhatsApp's first word on a message to whoever waits for it. False when nobody does:
    /// the message is not in flight, or has heard a word already. What comes after the first word,
    /// as a receipt does that follows its acknowledgement at once, is news to be kept once the
    /// message is settled.
    pub(crate) fn tell(&self, wa_id: &str, verdict: ServerVerdict) -> bool {
        self.waiting
            .lock()
            .take_if(|waiting| waiting.wa_id == wa_id)
            .is_some_and(|waiting| waiting.verdicts.try_send(verdict).is_ok())
    }

    /// Waits while one of these is in flight, so that what follows is written after its outcome.
    pub(crate) async fn settled(&self, wa_ids: &[String]) {
        let mut current = self.current.subscribe();
        let settled =
            current.wait_for(|current| current.as_ref().is_none_or(|id| !wa_ids.contains(id)));
        // The sender lives as long as `self`.
        let _ = settled.await;
    }

    /// From when on the next message may be written, by the local monotonic clock: the second gate
    /// behind the lane's `next_at`.
    pub(crate) fn gate(&self) -> Option<Instant> {
        *self.gate.lock()
    }

    /// Keeps the next message back until `until`.
    pub(crate) fn close_gate(&self, until: Instant) {
        *self.gate.lock() = Some(until);
    }
}

/// While it lives, its message is in flight.
pub(crate) struct InFlightGuard {
    in_flight: Arc<InFlight>,
    wa_id: String,
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        // The lane was released with the outcome, so the next message may have taken off already.
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
    async fn a_word_reaches_only_the_message_it_is_about() {
        let in_flight = Arc::new(InFlight::default());
        let (_in_flight, mut heard) = InFlight::begin(&in_flight, "A");
        assert!(!in_flight.tell("B", ServerVerdict::Taken));
        assert!(in_flight.tell("A", ServerVerdict::Refused(463)));
        assert_eq!(heard.recv().await, Some(ServerVerdict::Refused(463)));
    }

    #[tokio::test]
    async fn only_the_first_word_is_taken_and_the_next_is_left_to_be_kept() {
        let in_flight = Arc::new(InFlight::default());
        let (_in_flight, mut heard) = InFlight::begin(&in_flight, "A");
        assert!(in_flight.tell("A", ServerVerdict::Taken));
        assert!(!in_flight.tell("A", ServerVerdict::Receipt(ReceiptKind::Read, 1)));
        assert_eq!(heard.recv().await, Some(ServerVerdict::Taken));
        let (_in_flight, heard) = InFlight::begin(&in_flight, "B");
        drop(heard);
        assert!(
            !in_flight.tell("B", ServerVerdict::Taken),
            "nobody listened any more"
        );
    }

    #[tokio::test]
    async fn what_follows_a_message_waits_until_it_is_settled() {
        let in_flight = Arc::new(InFlight::default());
        let (current, _heard) = InFlight::begin(&in_flight, "A");
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
