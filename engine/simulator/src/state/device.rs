//! A device of an account, the keys the server holds for it and the way to it.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wacore_binary::Node;

use super::queue::Queue;

/// What goes to a device, over its socket or to the scripted phone.
#[derive(Clone, Debug)]
pub(crate) enum Mail {
    /// A stanza.
    Stanza(Arc<Node>),
    /// A last stanza, if any, and the end of the connection.
    Bye(Option<Arc<Node>>),
}

/// Stanzas on their way to one device; a device that lets so many pile up is cut off.
pub(crate) const MAILBOX: usize = 16_384;

/// The way to a connected device.
#[derive(Clone)]
pub(crate) struct DeviceConnection {
    /// Number of the connection; 0 for a phone.
    pub(crate) number: u64,
    pub(crate) mail: mpsc::Sender<Mail>,
    /// Cancelled when the connection ends, or to end it.
    pub(crate) gone: CancellationToken,
}

/// A signed pre-key as uploaded: id (3 bytes, big endian), public key, signature.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignedKey {
    pub(crate) id: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// A device and the keys the server holds for it.
pub(crate) struct Device {
    /// Position in the account's signed list of devices.
    pub(crate) key_index: u32,
    /// Noise key stored at pairing; a login with another is refused. `None` for phones.
    pub(crate) noise: Option<[u8; 32]>,
    pub(crate) registration: Vec<u8>,
    pub(crate) identity: Vec<u8>,
    pub(crate) signed_key: SignedKey,
    /// One-time pre-keys, id and public key, each handed out once.
    pub(crate) one_time: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// Encoded `ADVSignedDeviceIdentity`; empty for phones.
    pub(crate) identity_proof: Vec<u8>,
    pub(crate) connection: Option<DeviceConnection>,
    /// Stanzas flow only once the client has asked to be active.
    pub(crate) active: bool,
    pub(crate) queue: Queue,
    /// The phone has sent it the keys and the history of a new device.
    pub(crate) welcomed: bool,
    pub(crate) push_name: String,
}

impl Device {
    /// A device with keys and no connection.
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

    /// Send at once if connected and active; `keep` until acknowledged.
    pub(crate) fn deliver(&mut self, node: Arc<Node>, keep: bool) {
        let sent = self.active && self.push(Mail::Stanza(Arc::clone(&node)));
        if keep {
            self.queue.keep(node, sent);
        }
    }

    /// Hand mail to the connection, if there is one that takes it.
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

    /// End the connection, with a last stanza if given.
    pub(crate) fn disconnect(&mut self, last: Option<Node>) -> bool {
        let had = self.push(Mail::Bye(last.map(Arc::new)));
        self.connection = None;
        self.active = false;
        had
    }
}
