#!/usr/bin/env bash
# apalis-redis 1.0.0: the priority of a task is accepted and ignored.
#
# With: apalis 1.0.0, apalis-redis 1.0.0, Debian's redis-server 7.0.15
# Expected: TaskBuilder::priority ("Set the priority of the task") decides what waits and what runs: of ten tasks
#   that wait, the one whose priority differs from all others runs first (or last, where a low number is urgent).
# Seen: they run in the order in which they were pushed.
#     [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
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
name = "apalis-redis-priority"
edition = "2024"

[dependencies]
apalis = { version = "=1.0.0", default-features = false, features = ["limit"] }
apalis-core = "=1.0.0"
apalis-redis = "=1.0.0"
tokio = { version = "1", features = ["macros", "rt-multi-thread", "time"] }
END
cat >src/main.rs <<'END'
use std::{sync::{Arc, Mutex}, time::Duration};

use apalis::prelude::*;
use apalis_core::task::builder::TaskBuilder;
use apalis_redis::{Config, RedisStorage};

type Ran = Arc<Mutex<Vec<u32>>>;

async fn task(n: u32, ran: Data<Ran>, worker: WorkerContext) -> Result<(), BoxDynError> {
    let mut ran = ran.lock().expect("nobody panics");
    ran.push(n);
    if ran.len() == 10 {
        worker.stop()?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxDynError> {
    let connection = apalis_redis::connect(std::env::var("REDIS_URL")?).await?;
    let config = Config::default()
        .queue("tasks")
        .heartbeat_interval(Duration::from_secs(1));
    let mut storage = RedisStorage::<u32>::new(connection).with_config(config);
    for n in 0..10 {
        // The fifth is the important one. Pushed 5 ms apart, tasks otherwise run in this order.
        let priority = if n == 5 { 100 } else { 1 };
        storage.push_task(TaskBuilder::new(n).priority(priority).build()).await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ran = Ran::default();
    let worker = WorkerBuilder::new("the-only-one")
        .backend(storage.poll_with_interval(Duration::from_millis(50)))
        .data(ran.clone())
        .concurrency(1)
        .build(task);
    worker.run().await?;
    println!("{:?}", ran.lock().expect("nobody panics"));
    Ok(())
}
END
REDIS_URL=redis://127.0.0.1:$port cargo run -q >seen
cat seen

grep -qE "1, 2, 3, 4, 5, 6, 7, 8, 9" seen || exit 1
