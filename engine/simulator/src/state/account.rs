//! Accounts: a phone number, its LID, its phone and the linked devices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::StdRng;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wacore_binary::{Jid, Node, Server};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp::{SyncdPatch, SyncdVersion};

use super::address::Pn;
use super::device::{Device, DeviceConnection, Mail};
use super::order::Order;
use super::phone_keys::PhoneKeys;

/// One app-state collection: its version and its encoded patches.
#[derive(Default)]
pub(crate) struct Collection {
    pub(crate) version: u64,
    pub(crate) patches: Vec<(u64, Vec<u8>)>,
}

/// The most patches kept of one collection. A device that is further behind gets only these.
const PATCHES: usize = 1000;

impl Collection {
    /// Adds a patch and numbers it.
    pub(crate) fn push(&mut self, patch: &[u8]) {
        self.version += 1;
        let numbered = SyncdPatch::decode_from_slice(patch).map(|mut patch| {
            patch.version = MessageField::some(SyncdVersion {
                version: Some(self.version),
            });
            patch.encode_to_vec()
        });
        let patch = numbered.unwrap_or_else(|_| patch.to_vec());
        self.patches.push((self.version, patch));
        if self.patches.len() > PATCHES {
            self.patches.remove(0);
        }
    }
}

/// How a scripted phone behaves.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) name: String,
    /// The name that WhatsApp verified, of a business.
    pub(crate) verified_name: Option<String>,
    /// The address of its profile picture.
    pub(crate) picture: Option<String>,
    /// Echoes every message to its sender.
    pub(crate) echo: bool,
    /// Sends a read receipt after the delivery receipt.
    pub(crate) reads: bool,
    /// Whether messages from its LID also name its phone number.
    pub(crate) shows_number: bool,
    pub(crate) echo_delay_ms: u64,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            name: "Phone".to_owned(),
            verified_name: None,
            picture: None,
            echo: false,
            reads: true,
            shows_number: true,
            echo_delay_ms: 0,
        }
    }
}

/// The reach-out time-lock of an account.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimeLock {
    pub(crate) active: bool,
    pub(crate) until_ms: u64,
    /// WhatsApp's word for it.
    pub(crate) kind: Option<String>,
}

/// The account's quota of messages to new chats.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capping {
    pub(crate) status: String,
    pub(crate) total: u64,
    pub(crate) used: u64,
    pub(crate) cycle_start_ms: u64,
    pub(crate) cycle_end_ms: u64,
}

/// A privacy token that one account gave another.
#[derive(Clone)]
pub(crate) struct PrivacyToken {
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: u64,
}

/// A phone number on WhatsApp.
pub(crate) struct Account {
    pub(crate) pn: Pn,
    pub(crate) lid: Pn,
    pub(crate) script: Script,
    /// The text about itself that its contacts see.
    pub(crate) about: String,
    /// Refuses messages of accounts that show no privacy token, and does not let them see its
    /// presence.
    pub(crate) demands_token: bool,
    /// Keys of the phone. The server uses them to sign devices.
    pub(crate) keys: Arc<PhoneKeys>,
    /// Orders for the phone.
    pub(crate) orders: mpsc::Sender<Order>,
    /// Where stanzas for the phone go while it is online.
    pub(crate) mailbox: mpsc::Sender<Mail>,
    /// How often the phone has gone away.
    pub(crate) departures: u64,
    pub(crate) devices: BTreeMap<u16, Device>,
    pub(crate) next_device: u16,
    pub(crate) app_state: BTreeMap<String, Collection>,
    pub(crate) timelock: TimeLock,
    /// `None` if WhatsApp sets no quota.
    pub(crate) capping: Option<Capping>,
    /// The accounts that the phone has exchanged messages with, and the privacy token of each. A
    /// new device gets them.
    pub(crate) contacts: BTreeMap<Pn, PrivacyToken>,
    /// The salt of the account's tokens for first contacts.
    pub(crate) token_salt: [u8; 32],
    /// Accounts that subscribed to this account's presence.
    pub(crate) watchers: BTreeSet<Pn>,
}

/// The most linked devices of an account, as in WhatsApp.
pub(crate) const LINKED_DEVICES: usize = 16;

impl Account {
    /// Returns the address of one of its devices, by phone number or by LID.
    pub(crate) fn jid(&self, server: Server, device: u16) -> Jid {
        if server == Server::Lid {
            Jid::lid_device(&*self.lid, device)
        } else {
            Jid::pn_device(&*self.pn, device)
        }
    }

    /// Sends a stanza to every device except one.
    pub(crate) fn send_to_devices(&mut self, node: &Arc<Node>, except: Option<u16>, keep: bool) {
        for (number, device) in &mut self.devices {
            if Some(*number) != except {
                device.deliver(Arc::clone(node), keep);
            }
        }
    }

    /// Sets the phone online or offline. A phone that comes online gets its queue first.
    pub(crate) fn set_online(&mut self, online: bool) {
        let connection = DeviceConnection {
            number: 0,
            mail: self.mailbox.clone(),
            gone: CancellationToken::new(),
        };
        let Some(phone) = self.devices.get_mut(&0) else {
            return;
        };
        if online == phone.active {
            return;
        }
        if !online {
            // The phone drops what is in its mailbox before this mark. It is delivered again.
            self.departures += u64::from(phone.disconnect(None));
            return;
        }
        phone.active = true;
        phone.connection = Some(connection);
        let _ = self.orders.try_send(Order::Back);
        for node in phone.queue.redeliver().0 {
            phone.push(Mail::Stanza(node));
        }
    }

    /// Returns the account's signed list of device indexes, made at `now`.
    pub(crate) fn key_index_list(&self, now: u64, rng: &mut StdRng) -> Vec<u8> {
        let valid = self.devices.values().map(|device| device.key_index);
        self.keys.sign_index_list(now, valid.collect(), rng)
    }
}
