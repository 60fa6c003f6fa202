//! Typed jobs of a cluster that travel through Redis, by apalis-redis: webhook deliveries, files to fetch.
//!
//! | page | what it holds |
//! |---|---|
//! | here | one connection's life |
//! | [`token`] | what travels: ids |
//! | [`relay`] | due rows become tokens, lost tokens are pushed again |
//! | [`work`] | tokens become jobs |
//! | [`pulse`] | when the worker looks |
//! | [`error`] | why tokens do not travel any more |
//! | [`keys`] | the keys in Redis, and what is cleaned up behind apalis |
//!
//! The row is the truth: a token only says "try to claim this one". It may be lost, come twice or late;
//! the claim is one statement that compares the row first. While Redis cannot be used, or the worker
//! does not live, the process claims due rows itself ([`tokens`](super::tokens)).
//! `docs/internals/apalis-redis.md` lists the defects of apalis-redis 1.0.0 that this room contains.

mod error;
mod keys;
mod pulse;
mod relay;
mod token;
mod work;

use std::{collections::VecDeque, marker::PhantomData, sync::Arc, time::Duration};

use apalis_redis::ConnectionManager;
use parking_lot::Mutex;
use passerelle_engine::{clock::Clock, store::Store};
use redis::aio::ConnectionManagerConfig;
use tokio::{sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    keys::Keys,
    relay::Relay,
    work::{Names, Work},
};
use super::tokens::Travels;
use crate::{queue::transport::error::Broken, state::token_link::TokenLink};

/// Between two tries to reach Redis.
const RETRY: Duration = Duration::from_secs(1);
/// How long Redis may take to answer: a shorter stall is waited out.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// Between two rounds of cleaning up.
const TEND: Duration = Duration::from_secs(1);
/// So many restarts within so long mean that something in the queue ends the workers.
const RESTARTS: usize = 6;
const WITHIN: Duration = Duration::from_mins(2);
/// How long a worker may take to say farewell.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the transport of one kind of job stands on.
pub(crate) struct Transport<K> {
    /// The jobs.
    pub(crate) kind: Arc<K>,
    /// The store.
    pub(crate) store: Store,
    /// Time.
    pub(crate) clock: Clock,
    /// The Redis server.
    pub(crate) url: Arc<str>,
    /// The queue's name in Redis, unique to the store and the kind.
    pub(crate) queue: String,
    /// This host.
    pub(crate) host: Arc<str>,
    /// Unique to this start of this process.
    pub(crate) boot: Arc<str>,
    /// Says whether tokens travel, and is woken when a row may be due.
    pub(crate) link: Arc<TokenLink>,
}

/// Lets jobs travel until `stop` is cancelled and those under way have ended. Redis may come and go.
pub(crate) async fn run<K: Travels>(
    transport: Transport<K>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let (cut, pushed) = (CancellationToken::new(), Arc::new(Notify::new()));
    // What is dropped here takes its jobs along.
    let _cut = cut.clone().drop_guard();
    let transport = TokenTransport {
        keys: Keys::new(transport.queue.clone()),
        work: Arc::new(Work {
            kind: Arc::clone(&transport.kind),
            wake: Arc::clone(&transport.link.dispatches),
            pushed: Arc::clone(&pushed),
            tasks,
            cut,
            names: Names::new(K::NAME, &transport.host, &transport.boot),
        }),
        restarts: Arc::default(),
        pushed,
        transport,
        stop,
    };
    transport.travels(false);
    while !transport.stop.is_cancelled() {
        let ended = transport.serve().await;
        let was_up = transport.travels(false);
        transport.transport.link.claims.notify_one();
        if let Err(error) = ended {
            tracing::warn!(queue = K::NAME, was_up, %error, "tokens do not travel: rows are claimed from the store");
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = transport.stop.cancelled() => {}
        }
    }
}

/// The way of the tokens, over one connection after the other.
struct TokenTransport<K> {
    transport: Transport<K>,
    keys: Keys,
    work: Arc<Work<K>>,
    pushed: Arc<Notify>,
    restarts: Arc<Mutex<VecDeque<Instant>>>,
    stop: CancellationToken,
}

impl<K: Travels> TokenTransport<K> {
    /// Says whether tokens travel; whether they did before.
    fn travels(&self, up: bool) -> bool {
        metrics::gauge!("passerelle_tokens_travel", "queue" => K::NAME)
            .set(f64::from(u8::from(up)));
        self.transport.link.set(up)
    }

    /// One connection's life.
    async fn serve(&self) -> Result<(), Broken> {
        let conn = self.connect().await?;
        let mut relay = self.relay(conn.clone());
        relay.begin().await?;
        let restarts = Arc::clone(&self.restarts);
        let monitor = work::monitor(&self.work, &self.keys, &conn, move || {
            restarts.lock().push_back(Instant::now());
        });
        let ending = monitor.context();
        let working = monitor.run();
        tokio::pin!(working);
        self.travels(true);
        tracing::info!(queue = K::NAME, "tokens travel through Redis");
        tokio::select! {
            _ = &mut working => return Err(Broken::Worker),
            broken = relay.run() => return Err(broken),
            broken = self.tend(conn.clone()) => return Err(broken),
            () = self.stop.cancelled() => {}
        }
        drop(ending.shutdown());
        drop(working.await);
        self.farewell(conn).await;
        Ok(())
    }

    async fn connect(&self) -> Result<ConnectionManager, Broken> {
        let client = redis::Client::open(&*self.transport.url)?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(ANSWER))
            .set_connection_timeout(Some(CONNECT))
            .set_number_of_retries(1);
        Ok(client.get_connection_manager_with_config(config).await?)
    }

    fn relay(&self, conn: ConnectionManager) -> Relay<K> {
        let transport = &self.transport;
        Relay {
            store: transport.store.clone(),
            clock: transport.clock.clone(),
            keys: self.keys.clone(),
            conn,
            boot: Arc::clone(&transport.boot),
            wake: Arc::clone(&transport.link.dispatches),
            pushed: Arc::clone(&self.pushed),
            kind: PhantomData,
        }
    }

    /// Cleans up behind apalis, and watches the worker, until something is wrong.
    async fn tend(&self, mut conn: ConnectionManager) -> Broken {
        let mut last = (None, Instant::now());
        loop {
            tokio::time::sleep(TEND).await;
            if let Err(broken) = self.tend_once(&mut conn, &mut last).await {
                return broken;
            }
        }
    }

    async fn tend_once(
        &self,
        conn: &mut ConnectionManager,
        (beat, since): &mut (Option<f64>, Instant),
    ) -> Result<(), Broken> {
        if self.keeps_ending() {
            self.keys.throw_away(conn).await?;
            return Err(Broken::Poisoned);
        }
        self.keys.sweep(conn).await?;
        let now = self
            .keys
            .heartbeat(conn, &self.work.names.current())
            .await?;
        if now != *beat {
            (*beat, *since) = (now, Instant::now());
        }
        // By then another process has taken its tokens.
        if since.elapsed() > self.keys.orphaned_after() {
            return Err(Broken::Stuck);
        }
        Ok(())
    }

    /// Whether workers ended so often lately that the queue itself must be the reason.
    fn keeps_ending(&self) -> bool {
        let mut restarts = self.restarts.lock();
        restarts.retain(|at| at.elapsed() < WITHIN);
        let too_often = restarts.len() >= RESTARTS;
        if too_often {
            restarts.clear();
        }
        too_often
    }

    async fn farewell(&self, mut conn: ConnectionManager) {
        let worker = self.work.names.current();
        let said = self.keys.farewell(&mut conn, &worker);
        if !matches!(tokio::time::timeout(FAREWELL, said).await, Ok(Ok(()))) {
            tracing::debug!("the worker's name stays until it is taken for dead");
        }
    }
}
