//! The queue of webhook deliveries in Redis: how many tokens wait, and tokens that no process pushed.

use anyhow::{Context as _, Result};
use std::{fmt::Write as _, time::Duration};

use crate::{redis::Redis, wait::within};

/// How long a worker may be busy with a token.
const TAKEN: Duration = Duration::from_mins(1);

/// The only queue of a Redis server.
#[derive(Debug)]
pub struct Tokens<'r> {
    redis: &'r Redis,
    /// The prefix of its keys.
    queue: String,
}

impl<'r> Tokens<'r> {
    /// Waits until the queue exists.
    pub async fn of(redis: &'r Redis) -> Result<Self> {
        let queue = within(TAKEN, "tokens have a queue", async || {
            let keys = redis.ask("KEYS passerelle:*:webhook:run").await?;
            let mut keys = keys.lines();
            Ok(keys.find_map(|key| Some(key.strip_suffix(":run")?.to_owned())))
        });
        Ok(Self {
            redis,
            queue: queue.await?,
        })
    }

    /// Returns how many tokens no worker has taken yet.
    pub async fn waiting(&self) -> Result<u64> {
        // One script, because a token that is pushed between two commands would be counted twice.
        let count = "return redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2])";
        let queue = &self.queue;
        let command = format!("EVAL \"{count}\" 2 {queue}:active {queue}:scheduled");
        let answer = self.redis.ask(&command).await?;
        let number = answer.strip_prefix(':').map(str::trim);
        let number = number.with_context(|| format!("{command}: {answer}"))?;
        Ok(number.parse()?)
    }

    /// Adds a token with the content `data`, or without any content, as Redis leaves it after an eviction.
    pub async fn put(&self, id: &str, data: Option<&str>) -> Result<()> {
        let queue = &self.queue;
        if let Some(data) = data {
            let data = quoted(data)?;
            self.redis
                .told(&format!("HSET {queue}:data {id} {data}"))
                .await?;
        }
        let meta = "attempts 0 max_attempts 25 status Pending";
        for command in [
            format!("HSET {queue}:meta:{id} {meta}"),
            format!("RPUSH {queue}:active {id}"),
        ] {
            self.redis.told(&command).await?;
        }
        Ok(())
    }

    /// Waits until no token has an id with this prefix.
    pub async fn gone(&self, ids: &str) -> Result<()> {
        let command = format!("KEYS {}:meta:{ids}*", self.queue);
        within(TAKEN, "the tokens are gone", async || {
            let left = self.redis.ask(&command).await?;
            Ok(left.starts_with("*0").then_some(()))
        })
        .await
    }
}

/// Quotes bytes for a line of the Redis protocol.
fn quoted(data: &str) -> Result<String> {
    let mut quoted = String::from("\"");
    for byte in data.bytes() {
        write!(quoted, "\\x{byte:02x}")?;
    }
    quoted.push('"');
    Ok(quoted)
}
