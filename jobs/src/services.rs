//! What every call needs: store, keys, settings and the state of this process.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use passerelle_engine::{
    clock::Clock,
    ids::OrgId,
    store::{Dialect, Store},
    vault::{DataKey, Vault},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Fault, if_readable},
    replies::cache::RuleCache,
    safety::policy::Policy,
    settings::Settings,
    shares::Shares,
    state::{
        clock_steps::ClockSteps,
        decoding::Decoding,
        fence::Fence,
        followed::Followed,
        gates::Gates,
        gathering::Gathering,
        in_hand::InHand,
        policies::Policies,
        rate_limit::Rates,
        registry::Registry,
        token_link::TokenLink,
        wake_publisher::{Topic, WakePublisher},
    },
};

/// Uploads of this process at once.
pub const UPLOADS: usize = 32;
/// Uploads of one organisation at once.
pub const UPLOADS_OF_ONE: usize = 4;

/// Lists that a process reads at once on SQLite, and those of one organisation. Fewer than there are
/// connections, so that some are left for everything else. One organisation leaves a core of a small machine to the
/// others.
pub const LISTS_ON_SQLITE: (usize, usize) = (3, 1);
/// The same on PostgreSQL.
pub const LISTS_ON_POSTGRES: (usize, usize) = (16, 2);

fn lists(dialect: Dialect) -> Shares<OrgId> {
    let (at_once, of_one) = match dialect {
        Dialect::Sqlite => LISTS_ON_SQLITE,
        Dialect::Postgres => LISTS_ON_POSTGRES,
    };
    Shares::new(at_once, of_one)
}

/// The brain. Cheap to clone.
#[derive(Clone)]
pub struct Services(Arc<Shared>);

struct Shared {
    store: Store,
    vault: Vault,
    clock: Clock,
    /// The steps of the database's clock.
    clock_steps: ClockSteps,
    settings: Settings,
    /// The pacing that the settings lead to.
    policy: Arc<Policy>,
    /// The same with the limits of each organisation.
    policies: Policies,
    registry: Registry,
    /// The second gates of the numbers whose sessions run here.
    gates: Gates,
    /// Messages that jobs of this process are sending.
    in_hand: InHand,
    /// Messages that WhatsApp has accepted, until they are settled.
    taken: Gathering,
    /// Notified when a lane may be due.
    lanes: Arc<Notify>,
    /// Whether webhook deliveries travel as tokens, and what wakes them.
    deliveries: Arc<TokenLink>,
    /// The same for files to fetch.
    fetches: Arc<TokenLink>,
    /// Notified when a link preview may have to be fetched.
    previews: Arc<Notify>,
    /// How often each session may make requests to WhatsApp.
    rates: Rates,
    /// Limits how many files an organisation uploads at once.
    uploads: Shares<OrgId>,
    /// Limits how many lists are read at once.
    lists: Shares<OrgId>,
    /// Limits how many files are decoded at once.
    decoding: Decoding,
    /// Notified when a session should start or stop.
    sessions: Arc<Notify>,
    /// The rules for automatic replies that this process remembers.
    rules: RuleCache,
    /// Sessions that somebody watches here and that may run in another process.
    followed: Followed,
    /// Changes when the live state of a session may have changed.
    live_changes: watch::Sender<()>,
    /// Wakes the other processes.
    wake_publisher: WakePublisher,
    /// Unique to this start of this process.
    boot: Arc<str>,
    /// How long this host may rely on its leases.
    fence: Fence,
    /// Cancelled when another process took this host's name.
    usurped: CancellationToken,
    chance: Mutex<StdRng>,
}

/// Makes a method for each field, which returns a reference to it.
macro_rules! accessors {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        impl Services {
            $($(#[$doc])*
            pub(crate) fn $field(&self) -> &$type {
                &self.0.$field
            })*
        }
    };
}

accessors! {
    /// Returns the database.
    store: Store,
    /// Returns the vault.
    vault: Vault,
    /// Returns the steps of the database's clock.
    clock_steps: ClockSteps,
    /// Returns the operator's settings.
    settings: Settings,
    /// Returns the pacing of numbers.
    policy: Arc<Policy>,
    /// Returns the policies of organisations with limits of their own.
    policies: Policies,
    /// Returns the sessions that run here.
    registry: Registry,
    /// Returns the second gates of the numbers whose sessions run here.
    gates: Gates,
    /// Returns the messages that jobs of this process are sending.
    in_hand: InHand,
    /// Returns the messages that WhatsApp has accepted and that are not settled yet.
    taken: Gathering,
    /// Returns the signal that a lane may be due.
    lanes: Arc<Notify>,
    /// Returns the token link of webhook deliveries.
    deliveries: Arc<TokenLink>,
    /// Returns the token link of files to fetch.
    fetches: Arc<TokenLink>,
    /// Returns the signal that a link preview may have to be fetched.
    previews: Arc<Notify>,
    /// Returns how often each session may make requests to WhatsApp.
    rates: Rates,
    /// Returns the shares of uploads at once.
    uploads: Shares<OrgId>,
    /// Returns the shares of lists that are read at once.
    lists: Shares<OrgId>,
    /// Returns the slots for files that are decoded at once.
    decoding: Decoding,
    /// Returns the signal that a session should start or stop.
    sessions: Arc<Notify>,
    /// Returns the rules for automatic replies that this process remembers.
    rules: RuleCache,
    /// Returns the sessions that somebody watches here and that may run in another process.
    followed: Followed,
    /// Returns the signal that the live state of a session may have changed.
    live_changes: watch::Sender<()>,
    /// Returns what wakes the other processes.
    wake_publisher: WakePublisher,
    /// Returns the id of this start of the process.
    boot: Arc<str>,
    /// Returns how long this host may rely on its leases.
    fence: Fence,
}

impl Services {
    /// Makes the services over an open store and vault. They accept and list from now on; sessions run
    /// once a [`Host`](crate::host::Host) is started on them, webhooks once a worker is.
    pub fn new(
        store: Store,
        vault: Vault,
        clock: Clock,
        settings: Settings,
        mut chance: StdRng,
    ) -> Self {
        let boot = format!("{:016x}", chance.random::<u64>()).into();
        let decoding = Decoding::new(settings.media.decoding_mib);
        let lists = lists(store.dialect());
        let policy = Arc::new(Policy::of(settings.preset, settings.pace));
        Self(Arc::new(Shared {
            store,
            vault,
            clock,
            clock_steps: ClockSteps::default(),
            policies: Policies::new(Arc::clone(&policy)),
            policy,
            settings,
            registry: Registry::default(),
            gates: Gates::default(),
            in_hand: InHand::default(),
            taken: Gathering::default(),
            lanes: Arc::default(),
            deliveries: Arc::default(),
            fetches: Arc::default(),
            previews: Arc::default(),
            rates: Rates::default(),
            uploads: Shares::new(UPLOADS, UPLOADS_OF_ONE),
            decoding,
            lists,
            sessions: Arc::default(),
            rules: RuleCache::default(),
            followed: Followed::default(),
            live_changes: watch::Sender::default(),
            wake_publisher: WakePublisher::default(),
            boot,
            fence: Fence::default(),
            usurped: CancellationToken::new(),
            chance: Mutex::new(chance),
        }))
    }

    /// Draws the shortest time until a number's next message, whoever that is for.
    pub(crate) fn draw_gap(&self) -> Duration {
        self.policy().reply.at(self.chance().random())
    }

    /// Checks that the database answers.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        self.0.store.ping().await
    }

    /// Returns whether other processes may use this store. Then this process publishes what runs here,
    /// and asks the others about what does not.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.store.dialect() == Dialect::Postgres
    }

    /// Returns whether this process is connected to Redis for wake-ups; `None` if no Redis is
    /// configured.
    pub fn hears_others(&self) -> Option<bool> {
        self.0
            .settings
            .redis
            .as_ref()
            .map(|_| self.0.wake_publisher.is_connected())
    }

    /// Returns whether webhook deliveries and files to fetch travel through Redis at this moment. If
    /// they do not, they are claimed from the store. `None` if this process works on neither, or no
    /// Redis is configured.
    pub fn tokens_travel(&self) -> Option<bool> {
        let links = [&self.0.deliveries, &self.0.fetches];
        links
            .into_iter()
            .filter_map(|link| link.travels())
            .reduce(|all, travels| all && travels)
    }

    /// Returns the store's name among those that share a Redis server.
    pub(crate) fn name_in_redis(&self) -> String {
        let digest = self.mac("redis.channel", b"");
        let digest: [u8; 8] = std::array::from_fn(|n| digest[n]);
        format!("passerelle:{:016x}", u64::from_be_bytes(digest))
    }

    /// Returns once another process has taken this host's name: this process must run nothing any more.
    pub async fn usurped(&self) {
        self.0.usurped.cancelled().await;
    }

    /// Records that another process took this host's name.
    pub(crate) fn usurp(&self) {
        self.0.usurped.cancel();
    }

    /// Wakes the lanes, here and on other hosts.
    pub(crate) fn wake_lanes(&self) {
        self.wake(Topic::Lanes);
    }

    /// Wakes the deliveries.
    pub(crate) fn wake_deliveries(&self) {
        self.wake(Topic::Deliveries);
    }

    /// Wakes the fetches of files and link previews.
    pub(crate) fn wake_fetches(&self) {
        self.wake(Topic::Fetches);
    }

    /// Wakes the hosts: a session should start or stop, or there is a command for it.
    pub(crate) fn wake_hosts(&self) {
        self.wake(Topic::Sessions);
    }

    /// Wakes those who watch the live state of a session, if they read it from the database.
    pub(crate) fn wake_live(&self) {
        if self.is_shared() {
            self.wake(Topic::Live);
        }
    }

    fn wake(&self, topic: Topic) {
        self.notify(topic);
        if self.0.settings.redis.is_some() {
            self.0.wake_publisher.publish(topic);
        }
    }

    /// Wakes this process only.
    pub(crate) fn notify(&self, topic: Topic) {
        match topic {
            Topic::Lanes => self.0.lanes.notify_one(),
            Topic::Deliveries => self.0.deliveries.wake(),
            Topic::Fetches => {
                self.0.fetches.wake();
                self.0.previews.notify_one();
            }
            Topic::Sessions => self.0.sessions.notify_one(),
            Topic::Live => self.0.live_changes.send_replace(()),
        }
    }

    /// Returns the data key of an organisation; reports it and returns `None` if it cannot be read.
    pub(crate) async fn org_key_if_readable(
        &self,
        org: OrgId,
    ) -> Result<Option<Arc<DataKey>>, Fault> {
        let key = self.0.vault.org_key(org).await.map_err(Fault::from);
        if_readable("data_key", &org, key)
    }

    /// Returns the clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Returns a keyed digest that only this store can make, for cursors.
    pub fn mac(&self, purpose: &'static str, value: &[u8]) -> [u8; 32] {
        self.0.vault.secret_mac(purpose, value)
    }

    /// Returns a new random generator.
    pub fn chance(&self) -> StdRng {
        let mut chance = self.0.chance.lock();
        StdRng::from_rng(&mut *chance)
    }
}
