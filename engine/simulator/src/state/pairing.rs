//! Connections that are not linked yet, and the state of their linking.

use std::sync::Arc;

use tokio::sync::oneshot;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::KeyPair;
use waproto::whatsapp::ADVSignedDeviceIdentity;
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;

use super::address::{Address, Pn};
use super::device::{DeviceConnection, Mail};

/// A connection that is not linked yet.
pub(crate) struct Pairing {
    pub(crate) connection: DeviceConnection,
    pub(crate) noise: [u8; 32],
    pub(crate) data: DevicePairingRegistrationData,
    pub(crate) refs: Vec<String>,
    pub(crate) code: Option<CodeRequest>,
    pub(crate) offer: Option<LinkOffer>,
}

/// A phone's offer that waits for the device's signature.
pub(crate) struct LinkOffer {
    pub(crate) iq: String,
    pub(crate) address: Address,
    pub(crate) key_index: u32,
    pub(crate) signed: ADVSignedDeviceIdentity,
    pub(crate) done: oneshot::Sender<Result<LinkedDevice, String>>,
}

/// A device that was just linked.
#[derive(Clone, Debug)]
pub(crate) struct LinkedDevice {
    /// Its address by phone number.
    pub(crate) jid: Jid,
    /// Its number in the account.
    pub(crate) device: u16,
}

/// A device that shows a code for a phone.
pub(crate) struct CodeRequest {
    pub(crate) phone: Pn,
    pub(crate) pairing_ref: Vec<u8>,
    pub(crate) wrapped_ephemeral: Vec<u8>,
    pub(crate) entered: Option<EnteredCode>,
}

/// What the phone made when the code was entered.
pub(crate) struct EnteredCode {
    /// The phone's ephemeral key.
    pub(crate) own: KeyPair,
    /// The device's ephemeral key, decrypted with the code. It is wrong if the code was wrong.
    pub(crate) theirs: [u8; 32],
    pub(crate) done:
        oneshot::Sender<anyhow::Result<oneshot::Receiver<Result<LinkedDevice, String>>>>,
}

impl Pairing {
    /// Sends a stanza to the connection.
    pub(crate) fn send(&self, node: Node) {
        // If the mailbox is full, the connection ends, and the pairing with it.
        let _ = self.connection.mail.try_send(Mail::Stanza(Arc::new(node)));
    }

    /// Returns the device's identity key.
    pub(crate) fn identity(&self) -> Option<[u8; 32]> {
        self.data.e_ident.as_deref()?.try_into().ok()
    }
}
