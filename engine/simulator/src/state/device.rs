//! A device of an account, its keys on the server and its connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wacore_binary::Node;

use super::address::Pn;
use super::queue::Queue;

/// What is sent to a device, over its socket or to the scripted phone.
#[derive(Clone, Debug)]
pub(crate) enum Mail {
    /// A stanza.
    Stanza(Arc<Node>),
    /// An optional last stanza. Then the connection closes.
    Bye(Option<Arc<Node>>),
}

/// The most stanzas that wait for one connection. A device with more is disconnected.
pub(crate) const MAILBOX: usize = 16_384;

/// The connection of a device.
#[derive(Clone)]
pub(crate) struct DeviceConnection {
    /// The number of the connection. A phone has 0.
    pub(crate) number: u64,
    pub(crate) mail: mpsc::Sender<Mail>,
    /// Cancelled when the connection ends. Cancelling it ends the connection.
    pub(crate) gone: CancellationToken,
}

/// A signed pre-key as uploaded: id (3 bytes, big endian), public key, signature.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignedKey {
    pub(crate) id: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// A device and the keys that the server holds for it.
pub(crate) struct Device {
    /// Its index in the account's signed list of devices.
    pub(crate) key_index: u32,
    /// The Noise key stored at pairing. A login with another key is refused. `None` for phones.
    pub(crate) noise: Option<[u8; 32]>,
    pub(crate) registration: Vec<u8>,
    pub(crate) identity: Vec<u8>,
    pub(crate) signed_key: SignedKey,
    /// One-time pre-keys: id and public key. Each is returned once.
    pub(crate) one_time: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// An encoded `ADVSignedDeviceIdentity`. Empty for phones.
    pub(crate) identity_proof: Vec<u8>,
    pub(crate) connection: Option<DeviceConnection>,
    /// Whether the client has asked to be active. Only then it gets stanzas.
    pub(crate) active: bool,
    pub(crate) queue: Queue,
    /// Whether the phone has sent it the keys and the history.
    pub(crate) welcomed: bool,
    pub(crate) push_name: String,
    /// Typing notices of the last seconds, by sender, for a device that is away.
    typing: BTreeMap<Pn, (u64, Arc<Node>)>,
}

/// How long a typing notice is worth showing, in microseconds.
const TYPING_MICROS: u64 = 10_000_000;

impl Device {
    /// Returns a device without keys and without a connection.
    pub(crate) fn new(key_index: u32, noise: Option<[u8; 32]>) -> Self {
        Self {
            key_index,
            noise,
            registration: Vec::new(),
            identity: Vec::new(),
            signed_key: SignedKey::default(),
            one_time: VecDeque::new(),
            identity_proof: Vec::new(),
            connection: None,
            active: false,
            queue: Queue::default(),
            welcomed: false,
            push_name: String::new(),
            typing: BTreeMap::new(),
        }
    }

    /// Sends a stanza if the device is connected and active. With `keep`, the stanza stays queued
    /// until it is acknowledged.
    pub(crate) fn deliver(&mut self, node: Arc<Node>, keep: bool) {
        let sent = self.active && self.push(Mail::Stanza(Arc::clone(&node)));
        if keep {
            self.queue.keep(node, sent);
        }
    }

    /// Sends a typing notice, or holds it for its short life if the device is away. Only a sender's
    /// last notice is held.
    pub(crate) fn show_typing(&mut self, from: &Pn, node: Arc<Node>, now: u64) {
        if self.active && self.push(Mail::Stanza(Arc::clone(&node))) {
            return;
        }
        self.typing
            .retain(|_, (at, _)| now.saturating_sub(*at) < TYPING_MICROS);
        self.typing.insert(Arc::clone(from), (now, node));
    }

    /// Returns the held typing notices that are still worth showing, oldest first.
    pub(crate) fn take_typing(&mut self, now: u64) -> Vec<Arc<Node>> {
        let held = std::mem::take(&mut self.typing).into_values();
        let mut held: Vec<_> = held
            .filter(|(at, _)| now.saturating_sub(*at) < TYPING_MICROS)
            .collect();
        held.sort_by_key(|(at, _)| *at);
        held.into_iter().map(|(_, node)| node).collect()
    }

    /// Passes mail to the connection. Returns `false` if there is none, or if it is full.
    pub(crate) fn push(&mut self, mail: Mail) -> bool {
        let Some(connection) = &self.connection else {
            return false;
        };
        if connection.mail.try_send(mail).is_ok() {
            return true;
        }
        connection.gone.cancel();
        self.connection = None;
        self.active = false;
        false
    }

    /// Closes the connection, with an optional last stanza. Returns whether the device was
    /// connected.
    pub(crate) fn disconnect(&mut self, last: Option<Node>) -> bool {
        let had = self.push(Mail::Bye(last.map(Arc::new)));
        self.connection = None;
        self.active = false;
        had
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::el;

    #[test]
    fn a_held_typing_notice_has_a_short_life_and_one_sender_has_one() {
        let mut device = Device::new(1, None);
        let (ada, bob): (Pn, Pn) = ("491510000001".into(), "491510000002".into());
        let notice = |id: u8| Arc::new(el("chatstate").attr("id", id).build());
        device.show_typing(&ada, notice(1), 0);
        device.show_typing(&bob, notice(2), 1);
        device.show_typing(&ada, notice(3), 2);
        assert_eq!(device.take_typing(10), [notice(2), notice(3)]);
        assert!(device.take_typing(10).is_empty(), "each is sent once");
        device.show_typing(&ada, notice(4), 0);
        assert!(device.take_typing(TYPING_MICROS).is_empty(), "too old");
    }
}
