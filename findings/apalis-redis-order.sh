#!/usr/bin/env bash
# apalis-redis 1.0.0: one worker does not run tasks in the order in which they were pushed.
#
# With: apalis 1.0.0, apalis-redis 1.0.0, Debian's redis-server 7.0.15
# Expected: the storage keeps a Redis list of active tasks; 200 tasks pushed one after the other, each push
#   awaited, and one worker that runs one task at a time: it runs 0, 1, 2, … 199.
# Seen: a push goes to a sorted set, by its whole second and then by an id that is random within a millisecond.
#     ran 200 tasks, 68 of them before one that was pushed earlier
#     the first ten: [0, 1, 3, 4, 2, 5, 6, 7, 10, 8]
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
name = "apalis-redis-order"
edition = "2024"

[dependencies]
apalis = { version = "=1.0.0", default-features = false, features = ["limit"] }
apalis-redis = "=1.0.0"
tokio = { version = "1", features = ["macros", "rt-multi-thread", "time"] }
END
cat >src/main.rs <<'END'
use std::{sync::{Arc, Mutex}, time::Duration};

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};

const TASKS: u32 = 200;
type Ran = Arc<Mutex<Vec<u32>>>;

async fn task(n: u32, ran: Data<Ran>, worker: WorkerContext) -> Result<(), BoxDynError> {
    let mut ran = ran.lock().expect("nobody panics");
    ran.push(n);
    if ran.len() == TASKS as usize {
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
    for n in 0..TASKS {
        storage.push(n).await?;
    }
    let ran = Ran::default();
    let worker = WorkerBuilder::new("the-only-one")
        .backend(storage.poll_with_interval(Duration::from_millis(50)))
        .data(ran.clone())
        .concurrency(1)
        .build(task);
    worker.run().await?;
    let ran = ran.lock().expect("nobody panics");
    let early = ran.windows(2).filter(|two| two[0] > two[1]).count();
    println!("ran {} tasks, {early} of them before one that was pushed earlier", ran.len());
    println!("the first ten: {:?}", &ran[..10]);
    Ok(())
}
END
REDIS_URL=redis://127.0.0.1:$port cargo run -q >seen
cat seen

grep -qE "ran 200 tasks, [1-9]" seen || exit 1
