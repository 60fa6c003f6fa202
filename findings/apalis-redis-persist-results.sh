#!/usr/bin/env bash
# apalis-redis 1.0.0: without results, finished tasks are never acknowledged.
#
# With: apalis 1.0.0, apalis-redis 1.0.0, Debian's redis-server 7.0.15
# Expected: Config::persist_results ("Whether job results should be persisted") set to false keeps the values that
#   tasks return out of Redis; a task that ended well counts as done.
# Seen: the task stays among those that are under way.
#     the task ran
#     tasks:done: 0
#     tasks:inflight:the-only-one: 1
# It needs cargo, and takes Debian's redis-server from the distribution if there is none.
# Exits 0 while this is so, 1 when it has changed, 2 when it could not be tried.
set -euo pipefail
work=$(mktemp -d)
redis=
trap '[ -z "$redis" ] || kill "$redis"; rm -rf "$work"' EXIT
cd "$work"
trap 'exit 2' ERR

if ! command -v redis-server >/dev/null; then
    if [ "$(id -u)" = 0 ]; then sudo=(); else sudo=(sudo); fi
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" apt-get install -y -qq --no-install-recommends redis-server >/dev/null
fi
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$work" >redis.log &
redis=$!
until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.1; done

mkdir src
cat >Cargo.toml <<'END'
[package]
name = "apalis-redis-persist-results"
edition = "2024"

[dependencies]
apalis = { version = "=1.0.0", default-features = false, features = ["limit"] }
apalis-redis = "=1.0.0"
tokio = { version = "1", features = ["macros", "rt-multi-thread", "time"] }
END
cat >src/main.rs <<'END'
use std::time::Duration;

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};

async fn task(_: u32) -> Result<(), BoxDynError> {
    println!("the task ran");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxDynError> {
    let connection = apalis_redis::connect(std::env::var("REDIS_URL")?).await?;
    let config = Config::default()
        .queue("tasks")
        .heartbeat_interval(Duration::from_secs(1))
        .persist_results(false);
    let mut storage = RedisStorage::<u32>::new(connection).with_config(config);
    storage.push(1).await?;
    let worker = WorkerBuilder::new("the-only-one")
        .backend(storage.poll_with_interval(Duration::from_millis(50)))
        .concurrency(1)
        .build(task);
    let enough = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok::<_, std::io::Error>(())
    };
    worker.run_until(enough).await?;
    Ok(())
}
END
REDIS_URL=redis://127.0.0.1:$port cargo run -q >seen
cat seen

for set in tasks:done tasks:inflight:the-only-one; do
    echo "$set: $(redis-cli -p "$port" --raw scard "$set")"
done | tee sets
grep -q "tasks:done: 0" sets || exit 1
