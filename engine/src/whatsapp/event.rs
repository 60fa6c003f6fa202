//! The events of a connection.
//!
//! A connection has four outputs. Incoming messages go to an
//! [`InboundSink`](super::inbound::InboundSink), and WhatsApp gets its acknowledgement only after
//! the sink has committed them; those that do not pass through it go to
//! [`LateMessages`](super::LateMessages). Changes of groups go to [`GroupChanges`](super::GroupChanges).
//! Everything else goes to [`ConnectionEvents`], a queue in order of arrival that ends with
//! [`ConnectionEvent::Ended`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{
    call::CallStanza,
    timelock::{Capping, Timelock},
};
use crate::{
    clock::Millis,
    content::{Group, Peer},
    sealed::sealed_debug,
};

/// Maximum number of waiting receipts and stanzas about calls; more are dropped. After a pause WhatsApp can
/// send any number of them at once. A lost receipt only means that a status is out of date, and calls are
/// reported at most once.
pub const RECEIPTS_WAITING: usize = 1024;

/// The text that a phone scans as a QR code to link this session. It is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct QrCode(String);

impl QrCode {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the text to draw as a QR code. Show it only to the owner of the session.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The eight characters that link this session when they are entered on the phone. They are a
/// secret while they are valid.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingCode(String);

impl PairingCode {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the characters, without a dash. Show them only to the owner of the session.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

sealed_debug!(QrCode, PairingCode);

/// Something that happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// A QR code to scan. It replaces the one before.
    Qr {
        /// The text to draw.
        code: QrCode,
        /// How long WhatsApp accepts it: 60 s for the first code, 20 s for each of the next five.
        valid_for: Duration,
    },
    /// All QR codes have expired, but a pairing code is still valid. Without a pairing code the
    /// connection ends with [`Ended::QrExhausted`] instead.
    QrExhausted,
    /// A code to enter on the phone.
    PairingCode {
        /// The code.
        code: PairingCode,
        /// How long WhatsApp accepts it, about 180 s.
        valid_for: Duration,
    },
    /// The pairing code is no longer valid, or WhatsApp gave none. Request another one, or scan the
    /// QR code.
    PairingCodeVoid,
    /// The number is linked. The library reconnects at once, and [`ConnectionEvent::Connected`]
    /// follows.
    Linked {
        /// The number's own phone and LID.
        me: Peer,
    },
    /// Logged in and ready to send.
    Connected,
    /// The connection dropped. The library reconnects by itself, after 1 s to 15 min. This event is
    /// not sent if we asked for the drop.
    Disconnected,
    /// WhatsApp's server accepted a message, or refused it.
    Ack {
        /// WhatsApp's message id.
        id: String,
        /// The server's refusal code, such as 463 or 479. `None` if it accepted the message.
        error: Option<u16>,
    },
    /// A recipient's phone received, showed or played messages. In a group, each member's phone
    /// reports.
    Receipt {
        /// WhatsApp's message ids.
        ids: Vec<String>,
        /// What the phone did with each of them.
        receipt: Receipt,
    },
    /// WhatsApp closed the connection because of too many requests (429). The library reconnects by itself.
    RateLimited,
    /// WhatsApp says whether the number may open new chats.
    Timelock(Timelock),
    /// WhatsApp says how much of its quota of new chats is used.
    Capping(Capping),
    /// Something happened with a call, see [`Connection::read_call`].
    ///
    /// [`Connection::read_call`]: crate::whatsapp::Connection::read_call
    Call(Box<CallStanza>),
    /// The connection has ended. No event follows.
    Ended(Ended),
}

impl ConnectionEvent {
    /// Returns whether the other side controls how many of these events there are.
    fn is_bounded(&self) -> bool {
        matches!(self, Self::Receipt { .. } | Self::Call(_))
    }
}

/// What a recipient's phone did with a message, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What it did.
    pub kind: ReceiptKind,
    /// When, by WhatsApp's clock, in milliseconds UTC.
    pub at: Millis,
    /// Whose phone it is, if the message went to a group.
    pub member: Option<Member>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The group.
    pub group: Group,
    /// The member.
    pub who: Peer,
}

/// What a recipient's phone did with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReceiptKind {
    /// It received the message.
    Delivered,
    /// It showed the message.
    Read,
    /// It played a voice message or video.
    Played,
}

/// Why a connection has ended for good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The number was unlinked: on the phone, by [`Connection::logout`], or by WhatsApp. The keys
    /// are worthless. To link again, wipe the key store first.
    ///
    /// [`Connection::logout`]: crate::whatsapp::Connection::logout
    LoggedOut,
    /// WhatsApp locked the account (`<failure reason="403">` or `406`). As [`Ended::LoggedOut`],
    /// and a person must check the phone.
    AccountLocked,
    /// WhatsApp banned the number for some time (`<failure reason="402">`). It is still linked.
    Banned {
        /// WhatsApp's reason: 101 too many people, 102 blocked by many, 103 groups, 104 same
        /// message, 106 lists; 0 if unknown.
        code: u32,
        /// End of the ban, in milliseconds UTC by our clock. `None` if WhatsApp did not say.
        until: Option<Millis>,
    },
    /// The same linked device connected from elsewhere: the session has two owners.
    Replaced,
    /// WhatsApp wants a newer version of the client (`<failure reason="405">`).
    Outdated,
    /// WhatsApp refused the login with this code.
    Failed(u16),
    /// No QR code was scanned. A new connection gets new codes.
    QrExhausted,
    /// Another host holds the session.
    LeaseLost,
    /// We stopped it. The number is still linked.
    Stopped,
}

/// The events of one connection, in order.
///
/// Acknowledgements and changes of state are never dropped. There are only as many acknowledgements
/// as sends in flight, and as many changes of state as connects, so they need no limit. Receipts
/// and calls are dropped, with a log line, when [`RECEIPTS_WAITING`] of them are waiting.
/// The library calls its listeners while it reads the socket, so queueing an event must not wait.
#[derive(Debug)]
pub struct ConnectionEvents {
    events: mpsc::UnboundedReceiver<ConnectionEvent>,
    receipts: Arc<AtomicUsize>,
}

impl ConnectionEvents {
    /// Returns the next event; `None` after [`ConnectionEvent::Ended`]. Cancel-safe.
    pub async fn recv(&mut self) -> Option<ConnectionEvent> {
        let event = self.events.recv().await?;
        if event.is_bounded() {
            self.receipts.fetch_sub(1, Ordering::Relaxed);
        }
        Some(event)
    }
}

/// The sending end of [`ConnectionEvents`].
#[derive(Debug)]
pub(crate) struct Outbox {
    events: Mutex<Option<mpsc::UnboundedSender<ConnectionEvent>>>,
    receipts: Arc<AtomicUsize>,
    ended: Mutex<Option<Ended>>,
}

impl Outbox {
    pub(crate) fn new() -> (Self, ConnectionEvents) {
        let (sender, events) = mpsc::unbounded_channel();
        let receipts = Arc::new(AtomicUsize::new(0));
        let outbox = Self {
            events: Mutex::new(Some(sender)),
            receipts: receipts.clone(),
            ended: Mutex::new(None),
        };
        (outbox, ConnectionEvents { events, receipts })
    }

    /// Queues an event. Drops a receipt beyond the limit.
    pub(crate) fn push(&self, event: ConnectionEvent) {
        let events = self.events.lock();
        let Some(events) = events.as_ref() else {
            return;
        };
        if event.is_bounded() {
            if self.receipts.load(Ordering::Relaxed) >= RECEIPTS_WAITING {
                tracing::warn!("dropped a receipt or a call: {RECEIPTS_WAITING} are waiting");
                return;
            }
            self.receipts.fetch_add(1, Ordering::Relaxed);
        }
        // If the receiver is gone, the session was dropped. That is no error.
        let _ = events.send(event);
    }

    /// Records why the connection ends. Only the first reason counts, because the later ones are
    /// consequences of it.
    pub(crate) fn ending(&self, why: Ended) {
        self.ended.lock().get_or_insert(why);
    }

    /// Returns why the connection ends, if that is known yet.
    pub(crate) fn why(&self) -> Option<Ended> {
        self.ended.lock().clone()
    }

    /// Queues [`ConnectionEvent::Ended`] and closes the queue.
    pub(crate) fn close(&self) {
        let why = self.ended.lock().take().unwrap_or(Ended::Stopped);
        self.push(ConnectionEvent::Ended(why));
        self.events.lock().take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> ConnectionEvent {
        ConnectionEvent::Receipt {
            ids: vec!["3EB0".into()],
            receipt: Receipt {
                kind: ReceiptKind::Read,
                at: 1,
                member: None,
            },
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
            outbox.push(receipt());
            outbox.push(ack(id));
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
            outbox.push(receipt());
        }
        assert_eq!(events.recv().await, Some(receipt()));
        outbox.push(receipt());
        outbox.push(receipt());
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
        outbox.push(ConnectionEvent::Connected);
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
