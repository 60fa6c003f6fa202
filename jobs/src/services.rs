//! What every call of the brain stands on.

use std::sync::Arc;

use parking_lot::Mutex;
use passerelle_engine::{
    clock::Clock,
    store::{Dialect, Store},
    vault::Vault,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    settings::Settings,
    state::{
        decoding::Decoding,
        fence::Fence,
        gathering::Gathering,
        in_hand::InHand,
        rate_limit::Rates,
        registry::Registry,
        token_link::TokenLink,
        upload_slots::UploadSlots,
        wake_publisher::{Topic, WakePublisher},
    },
};

/// The brain. Cheap to clone.
#[derive(Clone)]
pub struct Services(Arc<Shared>);

struct Shared {
    store: Store,
    vault: Vault,
    clock: Clock,
    settings: Settings,
    registry: Registry,
    /// Messages that jobs of this process send.
    in_hand: InHand,
    /// Messages that were taken, until they are settled.
    taken: Gathering,
    /// A lane may be due.
    lanes: Arc<Notify>,
    /// Deliveries of webhooks.
    deliveries: Arc<TokenLink>,
    /// Files to fetch.
    fetches: Arc<TokenLink>,
    /// A link preview may have to be fetched.
    previews: Arc<Notify>,
    /// How often each session may ask WhatsApp for something.
    rates: Rates,
    /// Files that come in at once.
    upload_slots: UploadSlots,
    /// Files that are decoded at once.
    decoding: Decoding,
    /// A session should start or stop.
    sessions: Arc<Notify>,
    /// The same, for the other processes.
    wake_publisher: WakePublisher,
    /// Unique to this start of this process.
    boot: Arc<str>,
    /// How long this host may believe in its leases.
    fence: Fence,
    /// Cancelled when another process took this host's name.
    usurped: CancellationToken,
    chance: Mutex<StdRng>,
}

impl Services {
    /// The brain over an open store and vault. It accepts and lists from now on; sessions run once
    /// a [`Host`](crate::host::Host) is started on it, webhooks once a worker is.
    pub fn new(
        store: Store,
        vault: Vault,
        clock: Clock,
        settings: Settings,
        mut chance: StdRng,
    ) -> Self {
        let boot = format!("{:016x}", chance.random::<u64>()).into();
        Self(Arc::new(Shared {
            store,
            vault,
            clock,
            settings,
            registry: Registry::default(),
            in_hand: InHand::default(),
            taken: Gathering::default(),
            lanes: Arc::default(),
            deliveries: Arc::default(),
            fetches: Arc::default(),
            previews: Arc::default(),
            rates: Rates::default(),
            upload_slots: UploadSlots::default(),
            decoding: Decoding::default(),
            sessions: Arc::default(),
            wake_publisher: WakePublisher::default(),
            boot,
            fence: Fence::default(),
            usurped: CancellationToken::new(),
            chance: Mutex::new(chance),
        }))
    }

    /// The database.
    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// The keys.
    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// What the operator decided.
    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The sessions that run here.
    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Messages that jobs of this process send.
    pub(crate) fn in_hand(&self) -> &InHand {
        &self.0.in_hand
    }

    /// Messages that were taken, until they are settled.
    pub(crate) fn taken(&self) -> &Gathering {
        &self.0.taken
    }

    /// Notified when a lane may be due.
    pub(crate) fn lanes(&self) -> &Arc<Notify> {
        &self.0.lanes
    }

    /// Webhook deliveries.
    pub(crate) fn deliveries(&self) -> &Arc<TokenLink> {
        &self.0.deliveries
    }

    /// Files to fetch.
    pub(crate) fn fetches(&self) -> &Arc<TokenLink> {
        &self.0.fetches
    }

    /// Notified when a link preview may have to be fetched.
    pub(crate) fn previews(&self) -> &Arc<Notify> {
        &self.0.previews
    }

    /// How often each session may ask WhatsApp for something.
    pub(crate) fn rates(&self) -> &Rates {
        &self.0.rates
    }

    /// Slots for files that come in at once.
    pub(crate) fn upload_slots(&self) -> &UploadSlots {
        &self.0.upload_slots
    }

    /// Slots for files that are decoded at once.
    pub(crate) fn decoding(&self) -> &Decoding {
        &self.0.decoding
    }

    /// Notified when a session should start or stop.
    pub(crate) fn sessions(&self) -> &Arc<Notify> {
        &self.0.sessions
    }

    /// The wake-ups of other processes.
    pub(crate) fn wake_publisher(&self) -> &WakePublisher {
        &self.0.wake_publisher
    }

    /// Unique to this start of this process.
    pub(crate) fn boot(&self) -> &Arc<str> {
        &self.0.boot
    }

    /// How long this host may believe in its leases.
    pub(crate) fn fence(&self) -> &Fence {
        &self.0.fence
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        self.0.store.ping().await
    }

    /// Whether other processes may work on this store: then they are told what runs here, and asked
    /// what does not.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.store.dialect() == Dialect::Postgres
    }

    /// Whether this process hears the others through Redis; none where it was given none.
    pub fn hears_others(&self) -> Option<bool> {
        self.0
            .settings
            .redis
            .as_ref()
            .map(|_| self.0.wake_publisher.is_connected())
    }

    /// Whether webhook deliveries and files to fetch travel through Redis at this moment; none where
    /// this process works on neither, or was given no Redis. When they do not, they are claimed from the
    /// store.
    pub fn tokens_travel(&self) -> Option<bool> {
        let links = [&self.0.deliveries, &self.0.fetches];
        links
            .into_iter()
            .filter_map(|link| link.travels())
            .reduce(|all, travels| all && travels)
    }

    /// The store's name among those that share a Redis server.
    pub(crate) fn name_in_redis(&self) -> String {
        let digest = self.mac("redis.channel", b"");
        let digest: [u8; 8] = std::array::from_fn(|n| digest[n]);
        format!("passerelle:{:016x}", u64::from_be_bytes(digest))
    }

    /// Returns when another process took this host's name: this one runs nothing any more.
    pub async fn usurped(&self) {
        self.0.usurped.cancelled().await;
    }

    /// Another process took this host's name.
    pub(crate) fn usurp(&self) {
        self.0.usurped.cancel();
    }

    /// A lane may be due, here or at another host.
    pub(crate) fn wake_lanes(&self) {
        self.wake(Topic::Lanes);
    }

    /// A delivery may be due.
    pub(crate) fn wake_deliveries(&self) {
        self.wake(Topic::Deliveries);
    }

    /// A file or a link preview may have to be fetched.
    pub(crate) fn wake_fetches(&self) {
        self.wake(Topic::Fetches);
    }

    /// A session should start or stop, or is asked something.
    pub(crate) fn wake_hosts(&self) {
        self.wake(Topic::Sessions);
    }

    fn wake(&self, topic: Topic) {
        self.notify(topic);
        if self.0.settings.redis.is_some() {
            self.0.wake_publisher.publish(topic);
        }
    }

    /// Makes this process look.
    pub(crate) fn notify(&self, topic: Topic) {
        match topic {
            Topic::Lanes => self.0.lanes.notify_one(),
            Topic::Deliveries => self.0.deliveries.wake(),
            Topic::Fetches => {
                self.0.fetches.wake();
                self.0.previews.notify_one();
            }
            Topic::Sessions => self.0.sessions.notify_one(),
        }
    }

    /// Time, for what is shown.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// A keyed digest that only this store can make, for cursors.
    pub fn mac(&self, purpose: &'static str, value: &[u8]) -> [u8; 32] {
        self.0.vault.secret_mac(purpose, value)
    }

    /// A random source of one's own.
    pub fn chance(&self) -> StdRng {
        let mut chance = self.0.chance.lock();
        StdRng::from_rng(&mut *chance)
    }
}
