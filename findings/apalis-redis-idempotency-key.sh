#!/usr/bin/env bash
# apalis-redis 1.0.0: with the default settings, tasks of the same idempotency key all run.
#
# With: apalis 1.0.0, apalis-redis 1.0.0, Debian's redis-server 7.0.15
# Expected: Config::idempotency_ttl is None by default, and its comment says "When `None`, idempotency keys do not
#   expire": of three tasks with the same key one runs.
# Seen: all three run. None becomes EXPIRE 0, which deletes the key at once.
#     three tasks of one idempotency key: 3 ran
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
name = "apalis-redis-idempotency-key"
edition = "2024"

[dependencies]
apalis = { version = "=1.0.0", default-features = false, features = ["limit"] }
apalis-core = "=1.0.0"
apalis-redis = "=1.0.0"
tokio = { version = "1", features = ["macros", "rt-multi-thread", "time"] }
END
cat >src/main.rs <<'END'
use std::{sync::{Arc, atomic::{AtomicU32, Ordering}}, time::Duration};

use apalis::prelude::*;
use apalis_core::task::builder::TaskBuilder;
use apalis_redis::{Config, RedisStorage};

type Runs = Arc<AtomicU32>;

async fn task(_: u32, runs: Data<Runs>) -> Result<(), BoxDynError> {
    runs.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxDynError> {
    let connection = apalis_redis::connect(std::env::var("REDIS_URL")?).await?;
    let config = Config::default()
        .queue("tasks")
        .heartbeat_interval(Duration::from_secs(1));
    let mut storage = RedisStorage::<u32>::new(connection).with_config(config);
    for n in 0..3 {
        storage.push_task(TaskBuilder::new(n).idempotency_key("order-1001").build()).await?;
    }
    let runs = Runs::default();
    let worker = WorkerBuilder::new("the-only-one")
        .backend(storage.poll_with_interval(Duration::from_millis(50)))
        .data(runs.clone())
        .concurrency(1)
        .build(task);
    let enough = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok::<_, std::io::Error>(())
    };
    worker.run_until(enough).await?;
    println!("three tasks of one idempotency key: {} ran", runs.load(Ordering::SeqCst));
    Ok(())
}
END
REDIS_URL=redis://127.0.0.1:$port cargo run -q >seen
cat seen

grep -q ": 3 ran" seen || exit 1
