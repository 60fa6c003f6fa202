//! What a connection tells, in our own words, and where incoming messages go.
//!
//! Two ways lead out of a connection. Incoming messages go through an [`InboundSink`](super::inbound::InboundSink) and are
//! acknowledged to WhatsApp only after it has committed them. Everything else comes out of
//! [`ConnectionEvents`], a queue in the order of arrival that ends with [`ConnectionEvent::Ended`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::late::Late;
use crate::{clock::Millis, content::Peer, sealed::sealed_debug};

/// Receipts that may wait to be taken; more are dropped, because WhatsApp's servers can send any
/// number of them at once after a pause and a lost receipt only leaves a status behind the truth.
pub const RECEIPTS_WAITING: usize = 1024;

/// The text a phone scans to link this session. It carries a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct QrCode(String);

impl QrCode {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The text to draw as a QR. For the owner of the session only.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The eight characters to enter on the phone to link this session. A secret while it is valid.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingCode(String);

impl PairingCode {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The characters, without a dash. For the owner of the session only.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

sealed_debug!(QrCode, PairingCode);

/// Something that happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// A code to scan; the one before it is no longer valid.
    Qr {
        /// What to draw.
        code: QrCode,
        /// How long WhatsApp takes it: 60 s for the first, 20 s for each of the next five.
        valid_for: Duration,
    },
    /// All codes were shown and none was scanned, while a pairing code is still out. Without one
    /// the connection ends with [`Ended::QrExhausted`] instead.
    QrExhausted,
    /// A code to enter on the phone.
    PairingCode {
        /// What to enter.
        code: PairingCode,
        /// How long WhatsApp takes it, about 180 s.
        valid_for: Duration,
    },
    /// The pairing code is void, or none could be had; ask for another, or scan the QR.
    PairingCodeVoid,
    /// The number is linked. The connection is made anew at once and [`ConnectionEvent::Connected`] follows.
    Linked {
        /// The number's own phone and LID.
        me: Peer,
    },
    /// Logged in and ready to send.
    Connected,
    /// The connection dropped; the library connects again by itself, after 1 s up to 15 min.
    /// Not told when the drop was asked for.
    Disconnected,
    /// WhatsApp's server took a message, or refused it.
    Ack {
        /// The WhatsApp message id.
        id: String,
        /// The server's refusal code, such as 463 or 479; none when it took the message.
        error: Option<u16>,
    },
    /// A recipient's phone received, showed or played messages; in a group each member's tells.
    Receipt {
        /// The WhatsApp message ids.
        ids: Vec<String>,
        /// How far they came.
        kind: ReceiptKind,
        /// When, by WhatsApp's clock, milliseconds UTC.
        at: Millis,
    },
    /// A message came in beside the [`InboundSink`](super::inbound::InboundSink): [`Connection::read`] reads it. Nobody waits for it to be
    /// stored.
    ///
    /// [`Connection::read`]: crate::whatsapp::Connection::read
    Late(Late),
    /// The connection is over; nothing follows.
    Ended(Ended),
}

impl ConnectionEvent {
    /// Whether others decide how many of it there are.
    fn is_bounded(&self) -> bool {
        matches!(self, Self::Receipt { .. } | Self::Late(_))
    }
}

/// How far a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReceiptKind {
    /// On the recipient's phone.
    Delivered,
    /// Shown to the recipient.
    Read,
    /// A voice message or video was played.
    Played,
}

/// Why a connection is over for good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Unlinked, from the phone, by [`Connection::logout`] or by WhatsApp: the keys are worthless, and
    /// linking again needs a wiped key store.
    ///
    /// [`Connection::logout`]: crate::whatsapp::Connection::logout
    LoggedOut,
    /// WhatsApp locked the account (`<failure reason="403">` or `406`): as [`Ended::LoggedOut`],
    /// and a person must look at the phone.
    AccountLocked,
    /// WhatsApp banned the number for a time (`<failure reason="402">`). Still linked.
    Banned {
        /// 101 too many people, 102 blocked by many, 103 groups, 104 same message, 106 lists.
        code: u32,
        /// Until when, milliseconds UTC by our clock; none when WhatsApp did not say.
        until: Option<Millis>,
    },
    /// The same linked device connected elsewhere: two owners of one session.
    Replaced,
    /// WhatsApp wants a newer version of the client (`<failure reason="405">`).
    Outdated,
    /// WhatsApp refused the login with this code.
    Failed(u16),
    /// No code was scanned; a new connection gives new codes.
    QrExhausted,
    /// Another host holds the session.
    LeaseLost,
    /// Stopped by us. Still linked.
    Stopped,
}

/// The events of one connection, in order.
///
/// No acknowledgement and no change of state is ever dropped: acknowledgements are as many as the
/// sends in flight, changes of state as many as connects, so the queue needs no limit for them.
/// Receipts, and messages that came late, are dropped (and counted in the log) beyond
/// [`RECEIPTS_WAITING`] waiting ones. The
/// library calls its listeners while it reads the socket, so nothing here may wait.
#[derive(Debug)]
pub struct ConnectionEvents {
    events: mpsc::UnboundedReceiver<ConnectionEvent>,
    receipts: Arc<AtomicUsize>,
}

impl ConnectionEvents {
    /// The next event; `None` after [`ConnectionEvent::Ended`]. Safe to cancel.
    pub async fn recv(&mut self) -> Option<ConnectionEvent> {
        let event = self.events.recv().await?;
        if event.is_bounded() {
            self.receipts.fetch_sub(1, Ordering::Relaxed);
        }
        Some(event)
    }
}

/// The other end of [`ConnectionEvents`].
#[derive(Debug)]
pub(crate) struct Outbox {
    events: Mutex<Option<mpsc::UnboundedSender<ConnectionEvent>>>,
    receipts: Arc<AtomicUsize>,
    ended: Mutex<Option<Ended>>,
}

impl Outbox {
    pub(crate) fn new() -> (Self, ConnectionEvents) {
        let (tell, events) = mpsc::unbounded_channel();
        let receipts = Arc::new(AtomicUsize::new(0));
        let outbox = Self {
            events: Mutex::new(Some(tell)),
            receipts: receipts.clone(),
            ended: Mutex::new(None),
        };
        (outbox, ConnectionEvents { events, receipts })
    }

    /// Queues an event, except a receipt beyond the limit.
    pub(crate) fn tell(&self, event: ConnectionEvent) {
        let events = self.events.lock();
        let Some(events) = events.as_ref() else {
            return;
        };
        if event.is_bounded() {
            if self.receipts.load(Ordering::Relaxed) >= RECEIPTS_WAITING {
                tracing::warn!(
                    "dropped a receipt or a late message: {RECEIPTS_WAITING} are waiting"
                );
                return;
            }
            self.receipts.fetch_add(1, Ordering::Relaxed);
        }
        // Nobody listening any more is no fault: the session was dropped.
        let _ = events.send(event);
    }

    /// Remembers why the connection ends; the first reason stands, since what follows it is only
    /// the noise of going down.
    pub(crate) fn ending(&self, why: Ended) {
        self.ended.lock().get_or_insert(why);
    }

    /// Why it ends, if that is known yet.
    pub(crate) fn why(&self) -> Option<Ended> {
        self.ended.lock().clone()
    }

    /// Queues [`ConnectionEvent::Ended`] and closes the queue.
    pub(crate) fn close(&self) {
        let why = self.ended.lock().take().unwrap_or(Ended::Stopped);
        self.tell(ConnectionEvent::Ended(why));
        self.events.lock().take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> ConnectionEvent {
        ConnectionEvent::Receipt {
            ids: vec!["3EB0".into()],
            kind: ReceiptKind::Read,
            at: 1,
        }
    }

    fn ack(id: usize) -> ConnectionEvent {
        ConnectionEvent::Ack {
            id: id.to_string(),
            error: None,
        }
    }

    #[tokio::test]
    async fn a_flood_of_receipts_costs_no_acknowledgement() {
        let (outbox, mut events) = Outbox::new();
        for id in 0..3 * RECEIPTS_WAITING {
            outbox.tell(receipt());
            outbox.tell(ack(id));
        }
        outbox.close();
        let (mut receipts, mut acks) = (0, 0);
        while let Some(event) = events.recv().await {
            match event {
                ConnectionEvent::Receipt { .. } => receipts += 1,
                ConnectionEvent::Ack { .. } => acks += 1,
                _ => {}
            }
        }
        assert_eq!(receipts, RECEIPTS_WAITING);
        assert_eq!(acks, 3 * RECEIPTS_WAITING);
    }

    #[tokio::test]
    async fn a_taken_receipt_makes_room_for_the_next() {
        let (outbox, mut events) = Outbox::new();
        for _ in 0..RECEIPTS_WAITING {
            outbox.tell(receipt());
        }
        assert_eq!(events.recv().await, Some(receipt()));
        outbox.tell(receipt());
        outbox.tell(receipt());
        outbox.close();
        let mut left = 0;
        while let Some(ConnectionEvent::Receipt { .. }) = events.recv().await {
            left += 1;
        }
        assert_eq!(left, RECEIPTS_WAITING);
    }

    #[tokio::test]
    async fn the_first_reason_to_end_is_the_one_told_and_nothing_follows() {
        let (outbox, mut events) = Outbox::new();
        outbox.ending(Ended::Replaced);
        outbox.ending(Ended::Stopped);
        outbox.close();
        outbox.tell(ConnectionEvent::Connected);
        assert_eq!(
            events.recv().await,
            Some(ConnectionEvent::Ended(Ended::Replaced))
        );
        assert_eq!(events.recv().await, None);
    }

    #[test]
    fn codes_are_not_shown_by_debug() {
        let qr = ConnectionEvent::Qr {
            code: QrCode::new("2@secret".into()),
            valid_for: Duration::from_secs(20),
        };
        let pairing = PairingCode::new("ABCD1234".into());
        assert!(!format!("{qr:?}").contains("secret"));
        assert!(!format!("{pairing:?}").contains("ABCD"));
    }
}
