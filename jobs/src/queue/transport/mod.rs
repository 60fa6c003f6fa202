//! Jobs that travel through Redis in a cluster, with apalis-redis: webhook deliveries and files to
//! fetch.
//!
//! | page | what it holds |
//! |---|---|
//! | here | the life of one connection |
//! | [`token`] | what travels: ids |
//! | [`relay`] | pushes tokens for due rows, again if one was lost |
//! | [`work`] | turns tokens into jobs |
//! | [`pulse`] | when the worker looks |
//! | [`error`] | why tokens do not travel |
//! | [`keys`] | the keys in Redis, and what is cleaned up after apalis |
//!
//! The row is the truth: a token only says "try to claim this row". It may safely be lost, late or
//! repeated, because the claim is one statement that checks the row first. While Redis cannot be used or the
//! worker is not alive, the process claims due rows itself ([`tokens`](super::tokens)).
//! `docs/internals/apalis-redis.md` lists the defects of apalis-redis 1.0.0 that this module works
//! around.

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
use crate::{
    queue::transport::error::Broken, redis_server::RedisServer, state::token_link::TokenLink,
};

/// Between two tries to reach Redis.
const RETRY: Duration = Duration::from_secs(1);
/// The longest time that Redis may take to answer: a shorter stall is waited out.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest time to connect.
const CONNECT: Duration = Duration::from_secs(2);
/// Between two rounds of cleaning.
const TEND: Duration = Duration::from_secs(1);
/// This many restarts within this time mean that something in the queue ends the workers.
const RESTARTS: usize = 6;
const WITHIN: Duration = Duration::from_mins(2);
/// The longest time that removing a worker from Redis may take.
const REMOVAL: Duration = Duration::from_secs(2);

/// What the transport of one kind of job needs.
pub(crate) struct Transport<K> {
    /// The jobs.
    pub(crate) kind: Arc<K>,
    /// The store.
    pub(crate) store: Store,
    /// The clock.
    pub(crate) clock: Clock,
    /// The Redis server.
    pub(crate) redis: RedisServer,
    /// The queue's name in Redis, unique to the store and the kind.
    pub(crate) queue: String,
    /// The name of this host.
    pub(crate) host: Arc<str>,
    /// Unique to this start of this process.
    pub(crate) boot: Arc<str>,
    /// Records whether tokens travel, and is woken when a row may be due.
    pub(crate) link: Arc<TokenLink>,
}

/// Transports jobs until `stop` is cancelled and the running ones have ended. Redis may fail and return.
pub(crate) async fn run<K: Travels>(
    transport: Transport<K>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let (cut, pushed) = (CancellationToken::new(), Arc::new(Notify::new()));
    // Dropping this function cancels its jobs.
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

/// Carries tokens, over one connection after the other.
struct TokenTransport<K> {
    transport: Transport<K>,
    keys: Keys,
    work: Arc<Work<K>>,
    pushed: Arc<Notify>,
    restarts: Arc<Mutex<VecDeque<Instant>>>,
    stop: CancellationToken,
}

impl<K: Travels> TokenTransport<K> {
    /// Records whether tokens travel. Returns whether they did before.
    fn travels(&self, up: bool) -> bool {
        metrics::gauge!("passerelle_tokens_travel", "queue" => K::NAME)
            .set(f64::from(u8::from(up)));
        self.transport.link.set(up)
    }

    /// Serves one connection until it fails or the process stops.
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
        self.remove_worker(conn).await;
        Ok(())
    }

    async fn connect(&self) -> Result<ConnectionManager, Broken> {
        let client = self.transport.redis.client()?;
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

    /// Cleans up after apalis and watches the worker, until something is wrong.
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

    /// Returns whether workers ended so often lately that the queue itself must be the cause.
    fn keeps_ending(&self) -> bool {
        let mut restarts = self.restarts.lock();
        restarts.retain(|at| at.elapsed() < WITHIN);
        let too_often = restarts.len() >= RESTARTS;
        if too_often {
            restarts.clear();
        }
        too_often
    }

    async fn remove_worker(&self, mut conn: ConnectionManager) {
        let worker = self.work.names.current();
        let removed = self.keys.remove_worker(&mut conn, &worker);
        if !matches!(tokio::time::timeout(REMOVAL, removed).await, Ok(Ok(()))) {
            tracing::debug!(
                "the worker was not removed from Redis; it stays there until it counts as dead"
            );
        }
    }
}
