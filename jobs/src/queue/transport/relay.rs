//! Finds due rows and pushes their tokens, again if one was lost.
//!
//! A row is marked and committed before its token is pushed. So a token that is lost before or after the
//! push is found by its row: at once if Redis was flushed or replaced, otherwise when the token has
//! claimed nothing for [`LOST`].

use std::{marker::PhantomData, sync::Arc, time::Duration};

use anyhow::Context as _;
use apalis_core::task::builder::TaskBuilder;
use apalis_redis::{ConnectionManager, RedisTask, queries};
use passerelle_engine::{
    clock::{Clock, Millis},
    store::Store,
};
use tokio::sync::Notify;

use super::{
    keys::{Keys, Seen},
    token::Token,
};
use crate::{
    crash,
    error::Fault,
    model::until,
    queue::{tokens::Travels, transport::error::Broken},
    store::system::dispatches::{Dispatched, Room},
};

/// No more tokens are pushed while this many wait in Redis. Each other process that pushes between a
/// look and its push adds at most [`PUSHED`]. At some 8,000 due tokens a fetch of apalis-redis fails for
/// ever.
pub(super) const MOST: u64 = 1_500;
/// Tokens pushed in one step.
const PUSHED: u64 = 256;
/// A token that has claimed nothing for this long counts as lost.
pub(super) const LOST: Duration = Duration::from_secs(30);
/// The longest rest: the cost of a lost wake-up, and how long a flush of Redis may go unnoticed.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// The pause when another process dispatches, or when the store fails.
const BACK_OFF: Duration = Duration::from_millis(100);

pub(super) struct Relay<K> {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) keys: Keys,
    pub(super) conn: ConnectionManager,
    /// This process, for the log of the one that takes the token.
    pub(super) boot: Arc<str>,
    /// Notified when a row may be due.
    pub(super) wake: Arc<Notify>,
    /// Notified after a push.
    pub(super) pushed: Arc<Notify>,
    pub(super) kind: PhantomData<K>,
}

/// The result of a look.
enum Look {
    /// Tokens were pushed; there may be more.
    Pushed,
    /// Nothing can be due before this time has passed.
    Rest(Duration),
}

impl<K: Travels> Relay<K> {
    /// Prepares Redis for the queue: tokens that another Redis held, or this one before it was flushed,
    /// are pushed again.
    pub(super) async fn begin(&mut self) -> Result<(), Broken> {
        let seen = self.keys.look(&mut self.conn).await?;
        if seen.wiped {
            self.start_over().await?;
        }
        Ok(self.keys.mark(&mut self.conn, &seen).await?)
    }

    /// Pushes tokens until Redis fails. Waits while the store fails.
    pub(super) async fn run(mut self) -> Broken {
        loop {
            let rest = match self.look().await {
                Ok(Look::Pushed) => continue,
                Ok(Look::Rest(rest)) => rest,
                Err(Broken::Store(error)) => {
                    let error = format!("{error:#}");
                    tracing::error!(queue = K::NAME, error, "dispatching failed");
                    // A plain sleep, which no wake-up cuts short: wake-ups continue while a store is
                    // down.
                    tokio::time::sleep(BACK_OFF).await;
                    continue;
                }
                Err(broken) => return broken,
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    async fn look(&mut self) -> Result<Look, Broken> {
        let seen = self.keys.look(&mut self.conn).await?;
        if seen.wiped {
            tracing::warn!(
                queue = K::NAME,
                "Redis was flushed or restarted: its tokens are pushed again"
            );
            self.start_over().await?;
            self.keys.mark(&mut self.conn, &seen).await?;
        }
        #[expect(clippy::cast_precision_loss, reason = "some thousands at most")]
        metrics::gauge!("passerelle_tokens_outstanding", "queue" => K::NAME)
            .set(seen.waiting as f64);
        let now = self.clock.now();
        let rest = self.until_due(now).await.context("looking for due rows")?;
        if !rest.is_zero() {
            return Ok(Look::Rest(rest.min(LONGEST_REST)));
        }
        let Some(rows) = self.dispatch(now, &seen).await.context("dispatching")? else {
            return Ok(Look::Rest(BACK_OFF));
        };
        if rows.is_empty() {
            return Ok(Look::Rest(BACK_OFF));
        }
        crash::point("token.dispatched");
        self.push(rows).await?;
        Ok(Look::Pushed)
    }

    async fn until_due(&self, now: Millis) -> Result<Duration, Fault> {
        let mut conn = self.store.read_system().await?;
        let next = K::ROWS.next_at(&mut conn, now, lost_before(now)).await?;
        Ok(next.map_or(LONGEST_REST, |at| until(at, now)))
    }

    /// Marks the rows to push; `None` if another process is dispatching.
    async fn dispatch(&self, now: Millis, seen: &Seen) -> Result<Option<Vec<Dispatched>>, Fault> {
        let free = MOST.saturating_sub(seen.waiting).min(PUSHED);
        let room = Room {
            now,
            lost_before: lost_before(now),
            most: signed(MOST),
            pushed: signed(free),
        };
        let dispatch = self.store.write_system(move |tx| {
            Box::pin(async move {
                if !K::ROWS.alone(tx).await? {
                    return Ok::<_, Fault>(None);
                }
                let rows = K::ROWS.dispatch(tx, room).await?;
                if !rows.is_empty() {
                    crash::point("token.dispatch.before_commit");
                }
                Ok(Some(rows))
            })
        });
        dispatch.await
    }

    async fn push(&mut self, rows: Vec<Dispatched>) -> Result<(), Broken> {
        let tasks: Vec<_> = rows.iter().map(|row| task::<K>(row, &self.boot)).collect();
        if let Err(error) = queries::push_tasks(&mut self.conn, self.keys.config(), &tasks).await {
            self.take_back(rows).await;
            return Err(error.into());
        }
        let again = rows.iter().filter(|row| row.again).count();
        metrics::counter!("passerelle_tokens_dispatched_total", "queue" => K::NAME)
            .increment(rows.len() as u64);
        metrics::counter!("passerelle_tokens_redispatched_total", "queue" => K::NAME)
            .increment(again as u64);
        if again > 0 {
            tracing::warn!(
                queue = K::NAME,
                again,
                "tokens were lost and are pushed again"
            );
        }
        self.pushed.notify_one();
        Ok(())
    }

    /// Unmarks rows whose push failed. If this fails too, their tokens count as lost later.
    async fn take_back(&self, rows: Vec<Dispatched>) {
        let taken = self.store.write_system(move |tx| {
            Box::pin(async move {
                for row in rows {
                    K::ROWS.take_back(tx, &row.id, row.generation).await?;
                }
                Ok::<_, Fault>(())
            })
        });
        if let Err(error) = taken.await {
            tracing::error!(queue = K::NAME, %error, "tokens could not be pushed or taken back; they are pushed again once they count as lost");
        }
    }

    async fn start_over(&self) -> Result<(), Broken> {
        let lost = self
            .store
            .write_system(|tx| Box::pin(async move { K::ROWS.take_back_all(tx).await }))
            .await
            .context("taking back what Redis lost")?;
        metrics::counter!("passerelle_tokens_redispatched_total", "queue" => K::NAME)
            .increment(lost);
        Ok(())
    }
}

fn task<K: Travels>(row: &Dispatched, boot: &str) -> RedisTask {
    let token = Token::of::<K>(row, boot);
    let bytes = serde_json::to_vec(&token).expect("a token of texts and numbers is JSON");
    TaskBuilder::new(bytes)
        .idempotency_key(token.idempotency_key())
        .build()
}

fn lost_before(now: Millis) -> Millis {
    now.saturating_sub(Millis::try_from(LOST.as_millis()).unwrap_or(Millis::MAX))
}

fn signed(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}
