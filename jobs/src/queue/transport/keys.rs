//! The queue's keys in Redis, and the cleaning that apalis-redis leaves to us.

use std::time::Duration;

use apalis_redis::{Config, ConnectionManager};
use redis::{AsyncCommands as _, InfoDict, RedisResult, Script};

/// How often a worker writes its heartbeat, and how many it may miss before its tokens go to another
/// worker.
const HEARTBEAT: Duration = Duration::from_secs(5);
const MISSED: usize = 3;
/// How long the push of one token is remembered. A repeated push comes within seconds, if at all.
const REMEMBERED: Duration = Duration::from_mins(10);
/// Finished tokens deleted in one step. Redis serves nothing else during a step.
const CHUNK: usize = 500;
/// The metadata of a dead worker's name expires after this many seconds.
const NAME_KEPT: i64 = 3600;

/// Deletes done and dead tokens: their ids, arguments and results.
const SWEEP: &str = r"
local gone = 0
for n = 1, 2 do
    local ids = redis.call('SPOP', KEYS[n], ARGV[1])
    for _, id in ipairs(ids) do
        redis.call('HDEL', KEYS[3], id)
        redis.call('DEL', KEYS[4] .. ':' .. id)
    end
    gone = gone + #ids
end
return gone";

/// Returns a worker's tokens to the queue and removes its name from the list of living workers.
const REMOVE_WORKER: &str = r"
local held = redis.call('SMEMBERS', KEYS[1])
for _, id in ipairs(held) do
    redis.call('RPUSH', KEYS[2], id)
end
redis.call('DEL', KEYS[1], KEYS[4])
redis.call('ZREM', KEYS[3], ARGV[1])
return #held";

/// The keys of one queue. `name` is unique to the store.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    config: Config,
    name: String,
}

/// The state of the queue in Redis.
#[derive(Debug)]
pub(super) struct Seen {
    /// Tokens that no worker has taken yet.
    pub(super) waiting: u64,
    /// Whether this is another Redis server than the tokens were pushed to, or a flushed or restarted
    /// one.
    pub(super) wiped: bool,
    /// The id of this start of the server.
    run: String,
}

impl Keys {
    pub(super) fn new(name: String) -> Self {
        let config = Config::default()
            .queue(&name)
            .batch_size(1)
            .heartbeat_interval(HEARTBEAT)
            .missed_heartbeats(MISSED)
            .idempotency_ttl(Some(REMEMBERED))
            // The claim of the row is the lock.
            .lock_tasks(false)
            .persist_results(true)
            .emit_events(false);
        Self { config, name }
    }

    /// Returns how apalis uses the keys.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Returns how long after its last heartbeat a worker counts as dead.
    pub(super) fn orphaned_after(&self) -> Duration {
        self.config.orphaned_duration()
    }

    /// Returns the name of a key that exists as long as the queue and holds the id of the server's start.
    fn sentinel(&self) -> String {
        format!("{}:run", self.name)
    }

    /// Reads the state of the queue.
    pub(super) async fn look(&self, conn: &mut ConnectionManager) -> RedisResult<Seen> {
        let (info, known, active, scheduled): (InfoDict, Option<String>, u64, u64) = redis::pipe()
            .cmd("INFO")
            .arg("server")
            .get(self.sentinel())
            .llen(self.config.active_jobs_list())
            .zcard(self.config.scheduled_jobs_set())
            .query_async(conn)
            .await?;
        let run = info.get::<String>("run_id").unwrap_or_default();
        Ok(Seen {
            waiting: active + scheduled,
            wiped: known.as_ref() != Some(&run),
            run,
        })
    }

    /// Writes the mark that `look` checks. Also proves that Redis accepts writes.
    pub(super) async fn mark(&self, conn: &mut ConnectionManager, seen: &Seen) -> RedisResult<()> {
        conn.set(self.sentinel(), &seen.run).await
    }

    /// Returns the worker's last heartbeat, by the worker's clock; `None` if it is not registered.
    pub(super) async fn heartbeat(
        &self,
        conn: &mut ConnectionManager,
        worker: &str,
    ) -> RedisResult<Option<f64>> {
        let metadata = self.metadata(worker);
        let (beat, _): (Option<f64>, bool) = redis::pipe()
            .zscore(self.config.workers_set(), worker)
            .expire(metadata, NAME_KEPT)
            .query_async(conn)
            .await?;
        Ok(beat)
    }

    /// Deletes finished tokens, which apalis would keep for ever. apalis's own `vacuum` reads all of
    /// them at once and also deletes tokens that wait for a retry.
    pub(super) async fn sweep(&self, conn: &mut ConnectionManager) -> RedisResult<()> {
        let script = Script::new(SWEEP);
        loop {
            let gone: usize = script
                .key(self.config.done_jobs_set())
                .key(self.config.dead_jobs_set())
                .key(self.config.job_data_hash())
                .key(self.config.job_meta_hash())
                .arg(CHUNK)
                .invoke_async(conn)
                .await?;
            if gone < CHUNK {
                return Ok(());
            }
        }
    }

    /// Removes a worker that has ended.
    pub(super) async fn remove_worker(
        &self,
        conn: &mut ConnectionManager,
        worker: &str,
    ) -> RedisResult<()> {
        let inflight = format!("{}:{worker}", self.config.inflight_jobs_set());
        Script::new(REMOVE_WORKER)
            .key(inflight)
            .key(self.config.active_jobs_list())
            .key(self.config.workers_set())
            .key(self.metadata(worker))
            .arg(worker)
            .invoke_async::<usize>(conn)
            .await?;
        Ok(())
    }

    /// Deletes the whole queue and its mark. Its tokens will be pushed again.
    pub(super) async fn throw_away(&self, conn: &mut ConnectionManager) -> RedisResult<()> {
        let mut cursor = 0_u64;
        loop {
            let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(format!("{}:*", self.name))
                .arg("COUNT")
                .arg(1000)
                .query_async(conn)
                .await?;
            if !keys.is_empty() {
                conn.unlink::<_, ()>(keys).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    fn metadata(&self, worker: &str) -> String {
        format!("{}:workers:metadata:{worker}", self.name)
    }
}
