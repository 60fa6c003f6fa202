//! Everything the server knows, behind one lock. Code holds the lock briefly and never waits under
//! it. Sockets and phones are reached through bounded mailboxes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wacore_binary::{Jid, Server};

use super::account::{Account, PrivacyToken};
use super::address::plus;
use super::address::{Address, Pn};
use super::bundle::Bundle;
use super::call::Calls;
use super::chat::Chat;
use super::clock::Clock;
use super::cuts::Cuts;
use super::faults::Faults;
use super::group::{Group, GroupId};
use super::ledger::EntryDetails;
use super::ledger::{Entry, EntryKind, Ledger};
use super::media_store::MediaStore;
use super::pairing::Pairing;
use super::passes::Passes;
use super::picture::Picture;
use super::stats::Stats;
use crate::certs::NoiseIdentity;

/// Shared by every connection, phone and control call.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Faults,
    pub(crate) stats: Stats,
    pub(crate) noise: NoiseIdentity,
    /// The TLS certificate as PEM.
    pub(crate) certificate: String,
    /// The `host:port` that clients use for media.
    pub(crate) host: String,
    pub(crate) media: MediaStore,
    pub(crate) cuts: Arc<Cuts>,
    /// Whether a missing phone is made when a client asks for it.
    pub(crate) any_number: bool,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    state: Mutex<State>,
    connections: AtomicU64,
}

/// The data behind the lock.
pub(crate) struct State {
    pub(crate) accounts: BTreeMap<Pn, Account>,
    /// LID to phone number.
    pub(crate) lids: HashMap<Pn, Pn>,
    /// Another spelling of a phone number to the number of the account.
    pub(crate) spellings: HashMap<Pn, Pn>,
    /// Connections that wait to be linked, by connection number.
    pub(crate) pairings: HashMap<u64, Pairing>,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) calls: Calls,
    /// The profile pictures that devices have set.
    pub(crate) pictures: HashMap<Chat, Picture>,
    /// The passes that devices upload media with.
    pub(crate) passes: Passes,
    pub(crate) rng: StdRng,
}

/// The parts of a [`World`] that are made at start.
pub(crate) struct WorldParts {
    pub(crate) clock: Clock,
    pub(crate) noise: NoiseIdentity,
    pub(crate) certificate: String,
    pub(crate) host: String,
    pub(crate) any_number: bool,
    pub(crate) ledger_entries: usize,
    pub(crate) rng: StdRng,
}

impl World {
    /// Returns an empty world.
    pub(crate) fn new(made: WorldParts) -> Self {
        Self {
            clock: made.clock,
            ledger: Ledger::of(made.ledger_entries),
            faults: Faults::default(),
            stats: Stats::default(),
            noise: made.noise,
            certificate: made.certificate,
            host: made.host,
            media: MediaStore::default(),
            cuts: Arc::default(),
            any_number: made.any_number,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            state: Mutex::new(State {
                accounts: BTreeMap::new(),
                lids: HashMap::new(),
                spellings: HashMap::new(),
                pairings: HashMap::new(),
                groups: BTreeMap::new(),
                calls: Calls::default(),
                pictures: HashMap::new(),
                passes: Passes::default(),
                rng: made.rng,
            }),
            connections: AtomicU64::new(0),
        }
    }

    /// Takes the lock. Never hold it across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Returns a new connection number, starting at 1.
    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns the URL of a direct path.
    pub(crate) fn media_url(&self, direct_path: &str) -> String {
        format!("https://{}{direct_path}", self.host)
    }

    /// Writes a ledger entry about something that happens now.
    pub(crate) fn record(&self, kind: EntryKind, from: &Address, to: &str, line: EntryDetails<'_>) {
        self.ledger.write(Entry {
            n: 0,
            at_ms: line
                .read
                .map_or_else(|| self.clock.millis(), |read| read.at_ms),
            wire_us: line
                .read
                .map_or_else(|| self.clock.micros(), |read| read.wire_us),
            kind,
            from: plus(&from.pn),
            device: from.device,
            to: to.to_owned(),
            id: line.id.to_owned(),
            text: line.text,
            subtype: line.subtype.to_owned(),
            token: line.token,
            retry: line.retry,
            message: line.message,
            group: line.group,
        });
    }
}

impl State {
    /// Returns the phone number behind an address of either kind.
    pub(crate) fn pn(&self, jid: &Jid) -> Option<Pn> {
        match jid.server {
            Server::Lid => self.lids.get(jid.user_base()).cloned(),
            Server::Pn => self
                .accounts
                .get_key_value(jid.user_base())
                .map(|(pn, _)| Arc::clone(pn)),
            _ => None,
        }
    }

    /// Returns the device behind an address of either kind.
    pub(crate) fn address(&self, jid: &Jid) -> Option<Address> {
        Some(Address {
            pn: self.pn(jid)?,
            device: jid.device,
        })
    }

    /// Returns an unused LID.
    pub(crate) fn free_lid(&mut self) -> Pn {
        loop {
            let lid: u64 = self
                .rng
                .random_range(100_000_000_000_000..999_999_999_999_999);
            let lid: Pn = lid.to_string().into();
            if !self.lids.contains_key(&lid) {
                return lid;
            }
        }
    }

    /// Gives two accounts each other's privacy token, as if they had exchanged messages. A phone
    /// passes the tokens to the devices that it links later.
    pub(crate) fn exchange_tokens(&mut self, one: &Pn, other: &Pn, now: u64) {
        for (own, contact) in [(one, other), (other, one)] {
            let bytes: [u8; 16] = self.rng.random();
            if let Some(account) = self.accounts.get_mut(own) {
                let token = PrivacyToken {
                    bytes: bytes.to_vec(),
                    at: now,
                };
                account.contacts.entry(Arc::clone(contact)).or_insert(token);
            }
        }
    }

    /// Returns the group behind an address.
    pub(crate) fn group(&self, jid: &Jid) -> Option<&Group> {
        (jid.server == Server::Group)
            .then(|| self.groups.get(jid.user_base()))
            .flatten()
    }

    /// Returns a member's address in a group.
    pub(crate) fn member_jid(&self, group: &Group, pn: &Pn, device: u16) -> Option<Jid> {
        let account = self.accounts.get(pn)?;
        Some(account.jid(group.mode.server(), device))
    }

    /// Returns a new id for a stanza of the server.
    pub(crate) fn fresh_id(&mut self) -> String {
        format!("{:08x}", self.rng.random::<u32>())
    }

    /// Returns an address as the ledger names it.
    pub(crate) fn ledger_name(&self, jid: &Jid) -> String {
        if jid.server == Server::Group {
            return jid.to_string();
        }
        self.pn(jid)
            .map_or_else(|| jid.user_base().to_owned(), |pn| plus(&pn))
    }

    /// Gives a device a new upload pass.
    pub(crate) fn give_pass(&mut self, device: &Address) -> String {
        let pass = hex::encode(self.rng.random::<[u8; 16]>());
        self.passes.keep(pass.clone(), device);
        pass
    }

    /// Returns the linked device that has this pass.
    pub(crate) fn pass_owner(&self, pass: &str) -> Option<Address> {
        let device = self.passes.owner(pass)?;
        let account = self.accounts.get(&device.pn)?;
        account
            .devices
            .contains_key(&device.device)
            .then(|| device.clone())
    }

    /// Returns the keys to start a session with a device, and uses up one of its one-time keys.
    /// Returns `None` if the device does not exist or has not uploaded keys.
    pub(crate) fn bundle(&mut self, address: &Address) -> Option<Bundle> {
        let account = self.accounts.get_mut(&address.pn)?;
        let device = account.devices.get_mut(&address.device)?;
        if device.identity.is_empty() {
            return None;
        }
        let one_time = if address.device == 0 {
            Some(account.keys.make_one_time_key(&mut self.rng))
        } else {
            device.one_time.pop_front()
        };
        Some(Bundle {
            registration: device.registration.clone(),
            identity: device.identity.clone(),
            signed_key: device.signed_key.clone(),
            one_time,
            identity_proof: device.identity_proof.clone(),
        })
    }
}
