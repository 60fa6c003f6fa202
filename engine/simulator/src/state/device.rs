//! A device of an account, its keys on the server and its connection.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wacore_binary::Node;

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
}

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
