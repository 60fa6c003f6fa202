#!/usr/bin/env bash
# apalis-redis 1.0.0: max_attempts is stored with the task and ignored.
#
# With: apalis 1.0.0, apalis-redis 1.0.0, Debian's redis-server 7.0.15
# Expected: a task of max_attempts(2) that fails every time runs twice and is dead.
# Seen: it runs again after 1, 2, 3, … seconds; the limit is 25, whatever the task says. In 15 seconds:
#     max_attempts(2): the task ran 6 times
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
name = "apalis-redis-max-attempts"
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
    Err("it fails every time".into())
}

#[tokio::main]
async fn main() -> Result<(), BoxDynError> {
    let connection = apalis_redis::connect(std::env::var("REDIS_URL")?).await?;
    let config = Config::default()
        .queue("tasks")
        .heartbeat_interval(Duration::from_secs(1));
    let mut storage = RedisStorage::<u32>::new(connection).with_config(config);
    storage.push_task(TaskBuilder::new(1).max_attempts(2).build()).await?;
    let runs = Runs::default();
    let worker = WorkerBuilder::new("the-only-one")
        .backend(storage.poll_with_interval(Duration::from_millis(50)))
        .data(runs.clone())
        .concurrency(1)
        .build(task);
    // Between two runs lie as many seconds as there were runs before.
    let enough = async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        Ok::<_, std::io::Error>(())
    };
    worker.run_until(enough).await?;
    println!("max_attempts(2): the task ran {} times", runs.load(Ordering::SeqCst));
    Ok(())
}
END
REDIS_URL=redis://127.0.0.1:$port cargo run -q >seen
cat seen

grep -qE "ran ([3-9]|[1-9][0-9]+) times" seen || exit 1
