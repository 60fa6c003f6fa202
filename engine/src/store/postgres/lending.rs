//! How many connections PostgreSQL, or a pooler in front of it, lends. It may be fewer than were asked
//! for: a pooler's pool, the server's `max_connections` or a role's `CONNECTION LIMIT` may be smaller, and
//! other processes use them too.
//!
//! Connections are opened when they are needed, and closed when they were not needed for a while. When
//! no more is lent, a new one either fails or waits in a pooler's queue. The process then works with
//! what it has, so that nobody waits for a connection that does not come, and later tries whether
//! more is lent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use sqlx::{AnyPool, Connection as _};
use tokio::time::Instant;

use super::connect::{PATIENCE, connect};

/// Between two tries whether more is lent.
const RETRY: Duration = Duration::from_secs(30);
/// Maximum time to open a connection in short supply.
const TURN: Duration = Duration::from_secs(1);
/// Between two looks for a connection that comes back.
const LOOK: Duration = Duration::from_millis(2);
/// Connections that were not needed for this long are closed: another process may need them. The
/// pool's own limit does not do it, because a pool uses all its connections in turn.
const UNUSED: Duration = Duration::from_secs(10);
/// How long to wait for an open connection before another one is opened. That takes the server longer than
/// most transactions do, and at a start many callers come at once.
const MOMENT: Duration = Duration::from_millis(20);

/// Whose connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Those for transactions that each name an organisation.
    Tenants,
    /// Those that see the rows of all organisations.
    System,
}

/// What both pools of a process know about what is lent to it.
#[derive(Debug)]
pub(crate) struct Lending {
    tenants: Side,
    system: Side,
    told: AtomicBool,
    supply: Mutex<Supply>,
}

/// What is known about the supply of connections.
#[derive(Debug, Clone, Copy)]
enum Supply {
    /// As many as were asked for.
    Enough,
    /// One did not come. How many there are is known when no more are being opened.
    Doubtful,
    /// No more than this.
    Short {
        lent: u32,
        /// When that was found.
        since: Instant,
    },
}

/// One of the two pools.
#[derive(Debug)]
struct Side {
    pool: AnyPool,
    /// The most connections that it may have.
    asked: u32,
    /// How many callers wait in the pool, each of which may be opening a connection.
    inside: AtomicU32,
    /// In short supply, connections are handed out one at a time and in order.
    turn: tokio::sync::Mutex<()>,
    /// How many were in use at once since a moment, and that moment.
    peak: Mutex<(u32, Instant)>,
}

/// Counts a caller that waits in the pool.
struct Inside<'s>(&'s AtomicU32);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Side {
    fn new(pool: &AnyPool) -> Self {
        Self {
            pool: pool.clone(),
            asked: pool.options().get_max_connections(),
            inside: AtomicU32::new(0),
            turn: tokio::sync::Mutex::default(),
            peak: Mutex::new((0, Instant::now())),
        }
    }

    fn idle(&self) -> u32 {
        u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX)
    }

    /// If some are open and all are in use, waits a moment for one of them. The caller keeps the turn until it has
    /// taken it. If none came back, or if it is not this caller's turn, another one is opened.
    async fn wait_a_moment(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let all_are_used = || self.idle() == 0 && (1..self.asked).contains(&self.pool.size());
        if !all_are_used() {
            return None;
        }
        let waiting = async {
            let turn = self.turn.lock().await;
            while all_are_used() {
                tokio::time::sleep(LOOK).await;
            }
            turn
        };
        tokio::time::timeout(MOMENT, waiting).await.ok()
    }

    fn enter(&self) -> Inside<'_> {
        self.inside.fetch_add(1, Ordering::Relaxed);
        Inside(&self.inside)
    }

    /// Closes idle connections until it has this many, or none is idle.
    async fn shrink(&self, to: u32) {
        while self.pool.size() > to.max(1) {
            let Some(conn) = self.pool.try_acquire() else {
                return;
            };
            // It has left the pool even if the server could not be told.
            drop(conn.close().await);
        }
    }

    /// Closes what was not needed for a while.
    async fn let_go(&self) {
        let in_use = self.pool.size().saturating_sub(self.idle()) + 1;
        let needed = {
            let mut peak = self.peak.lock();
            peak.0 = peak.0.max(in_use);
            if peak.1.elapsed() < UNUSED {
                return;
            }
            std::mem::replace(&mut *peak, (in_use, Instant::now())).0
        };
        self.shrink(needed).await;
    }
}

impl Lending {
    pub(crate) fn new(tenants: &AnyPool, system: &AnyPool) -> Arc<Self> {
        Arc::new(Self {
            tenants: Side::new(tenants),
            system: Side::new(system),
            told: AtomicBool::new(false),
            supply: Mutex::new(Supply::Enough),
        })
    }

    fn side(&self, whose: Whose) -> &Side {
        match whose {
            Whose::Tenants => &self.tenants,
            Whose::System => &self.system,
        }
    }

    /// Runs `take`, which takes a connection from the pool. If no more is lent, it takes one that is
    /// open, when it comes back.
    pub(crate) async fn take<T, F>(
        self: &Arc<Self>,
        whose: Whose,
        take: impl Fn() -> F + Sync,
    ) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>> + Send,
    {
        let side = self.side(whose);
        side.let_go().await;
        let taken = async {
            loop {
                let taken = if self.has_enough() {
                    let _turn = side.wait_a_moment().await;
                    let _inside = side.enter();
                    take().await
                } else {
                    // A connection is idle again only a moment after its user is done. Waiting here, and
                    // not in the pool, keeps the pool from opening another one in that moment.
                    let _turn = self.turn(whose).await;
                    let taken = tokio::time::timeout(TURN, take()).await;
                    taken.unwrap_or(Err(sqlx::Error::PoolTimedOut))
                };
                match taken {
                    Err(error) if lends_no_more(&error) => self.doubt(),
                    taken => return taken,
                }
            }
        };
        let taken = tokio::time::timeout(PATIENCE, taken).await;
        taken.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    fn has_enough(&self) -> bool {
        matches!(*self.supply.lock(), Supply::Enough)
    }

    fn doubt(&self) {
        *self.supply.lock() = Supply::Doubtful;
    }

    /// Waits for its turn, and until a connection is idle or another one may be opened.
    async fn turn(self: &Arc<Self>, whose: Whose) -> tokio::sync::MutexGuard<'_, ()> {
        let side = self.side(whose);
        let turn = side.turn.lock().await;
        loop {
            let supply = *self.supply.lock();
            match supply {
                Supply::Enough => break,
                Supply::Doubtful => self.settle(),
                Supply::Short { lent, .. } => {
                    let most = self.most(whose, lent);
                    side.shrink(most).await;
                    let all = self.tenants.pool.size() + self.system.pool.size();
                    // One that ended may be replaced, or one that the other pool gave up.
                    if side.pool.size() < most && all < lent.max(2) {
                        break;
                    }
                }
            }
            if side.idle() > 0 {
                break;
            }
            self.try_for_more();
            tokio::time::sleep(LOOK).await;
        }
        turn
    }

    /// Returns how many connections a pool may have in short supply. As at the start, most are for the
    /// work of one organisation.
    fn most(&self, whose: Whose, lent: u32) -> u32 {
        let system = (lent / 4).clamp(1, self.system.asked);
        match whose {
            Whose::System => system,
            Whose::Tenants => lent.saturating_sub(system).max(1),
        }
    }

    /// Counts the connections, once none is being opened any more.
    fn settle(&self) {
        let sides = [&self.tenants, &self.system];
        let inside = |side: &Side| side.inside.load(Ordering::Relaxed);
        let mut supply = self.supply.lock();
        if !matches!(*supply, Supply::Doubtful) || sides.into_iter().any(|side| inside(side) > 0) {
            return;
        }
        let lent: u32 = sides.into_iter().map(|side| side.pool.size()).sum();
        let asked: u32 = sides.into_iter().map(|side| side.asked).sum();
        // All that were asked for are there and in use, or the server is away and there is none.
        if lent >= asked || lent == 0 {
            *supply = Supply::Enough;
            return;
        }
        *supply = Supply::Short {
            lent,
            since: Instant::now(),
        };
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                asked,
                lent,
                "--database-connections (PASSERELLE_DATABASE_CONNECTIONS) asks for {asked} connections, but PostgreSQL or its pooler lends only {lent}: the gateway works with these"
            );
        }
    }

    /// If it was short for a while, tries in the background whether another connection is lent.
    fn try_for_more(self: &Arc<Self>) {
        let mut supply = self.supply.lock();
        match &mut *supply {
            Supply::Short { since, .. } if since.elapsed() >= RETRY => *since = Instant::now(),
            _ => return,
        }
        let lending = Arc::clone(self);
        #[expect(
            clippy::disallowed_methods,
            reason = "one connection with a deadline; it does nothing else"
        )]
        tokio::spawn(async move {
            if let Ok(conn) = connect(&lending.tenants.pool).await {
                drop(conn.close().await);
                *lending.supply.lock() = Supply::Enough;
            }
        });
    }
}

/// Returns whether an error means that the server or its pooler lends no further connection at this
/// moment. Some poolers let a client wait, so a timeout may mean it too.
pub(crate) fn lends_no_more(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        // "too many connections", and what Supabase's and PgBouncer's poolers say.
        sqlx::Error::Database(error) => {
            let told = error.message().to_ascii_lowercase();
            error.code().as_deref() == Some("53300")
                || told.contains("max clients")
                || told.contains("no more connections allowed")
        }
        _ => false,
    }
}
