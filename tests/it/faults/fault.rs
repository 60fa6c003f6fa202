//! What fails, and in which order.

use anyhow::{Context as _, Result, ensure};
use passerelle_tests::{Gateway, Simulator, gateway::OTHERS, proxy::Proxy, redis::Redis};
use rand::{
    RngExt as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use std::time::Duration;
use tokio::time::Instant;

use super::site::Roads;

const HOSTS: [&str; 2] = ["host-a", "host-b"];

/// Something that fails, and is mended before the next does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// A process is killed, and starts again after a while.
    Killed(&'static str, Duration),
    /// A process stands still for a while.
    Halted(&'static str, Duration),
    /// Every process is asked to end, and started again, one after the other.
    Rolled,
    RedisKilled(Duration),
    RedisEmptied,
    RedisHalted(Duration),
    RedisFull(Duration),
    /// PostgreSQL takes no connection, and has none.
    DatabaseGone(Duration),
    /// Every connection to PostgreSQL ends.
    DatabaseReset,
    /// Commits are done, and nobody is told.
    CommitsLost(u32),
    DatabaseSlow(Duration),
    /// The host with the most sessions does not reach PostgreSQL; WhatsApp it does.
    CutOff(Duration),
}

/// So long after its last heartbeat a host writes nothing more, and another may take its sessions.
const FENCE_MS: i64 = 10_000;
const DEAD_MS: i64 = 15_000;
/// A frame may be read so long after it was written.
const ON_ITS_WAY_MS: i64 = 300;

/// The faults of a run, in the order in which they come: each of a round once, or many rounds with
/// longer outages.
pub(super) fn drawn(chance: &mut StdRng) -> Vec<Fault> {
    let long = std::env::var_os("PASSERELLE_TEST_LONG").is_some();
    let rounds = if long { 6 } else { 1 };
    let mut faults = Vec::new();
    for _ in 0..rounds {
        let mut round = round(chance);
        if long {
            round.extend(further(chance));
        }
        round.shuffle(chance);
        faults.extend(round);
    }
    faults
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn round(chance: &mut StdRng) -> Vec<Fault> {
    let mut host = || *HOSTS.choose(chance).expect("there are hosts");
    let (killed, halted) = (host(), host());
    let worker = *["worker-a", "worker-b"]
        .choose(chance)
        .expect("there are workers");
    vec![
        Fault::Killed(killed, ms(chance.random_range(0..3_000))),
        Fault::Killed(worker, ms(chance.random_range(0..3_000))),
        Fault::Killed("api", ms(500)),
        Fault::Halted(halted, ms(8_000)),
        Fault::Rolled,
        Fault::RedisKilled(ms(2_000)),
        Fault::RedisEmptied,
        Fault::RedisHalted(ms(300)),
        Fault::RedisHalted(ms(800)),
        Fault::RedisFull(ms(2_000)),
        Fault::DatabaseGone(ms(3_000)),
        Fault::DatabaseReset,
        Fault::CommitsLost(8),
        Fault::DatabaseSlow(ms(30)),
        Fault::CutOff(ms(20_000)),
    ]
}

/// What takes longer.
fn further(chance: &mut StdRng) -> Vec<Fault> {
    let mut host = || *HOSTS.choose(chance).expect("there are hosts");
    let (killed, halted) = (host(), host());
    let any = *OTHERS.choose(chance).expect("there are processes");
    vec![
        Fault::Killed(killed, ms(25_000)),
        Fault::Killed(any, ms(0)),
        Fault::Halted(halted, ms(60_000)),
        Fault::Halted(any, ms(20_000)),
        Fault::RedisHalted(ms(10_000)),
        Fault::RedisKilled(ms(60_000)),
        Fault::DatabaseGone(ms(30_000)),
        Fault::CommitsLost(40),
    ]
}

impl Fault {
    /// Lets it happen, mends it, and leaves the cluster a moment.
    pub(super) async fn strike(
        self,
        gateway: &mut Gateway,
        redis: &mut Redis,
        roads: &Roads,
        phones: &Phones<'_>,
        chance: &mut StdRng,
    ) -> Result<()> {
        match self {
            Self::Killed(name, wait) => {
                process(gateway, name)?.kill().await?;
                tokio::time::sleep(wait).await;
                start(gateway, name).await?;
            }
            Self::Halted(name, time) => {
                process(gateway, name)?.signal("STOP")?;
                tokio::time::sleep(time).await;
                process(gateway, name)?.signal("CONT")?;
            }
            Self::Rolled => roll(gateway).await?,
            Self::RedisKilled(time) => {
                redis.kill().await?;
                tokio::time::sleep(time).await;
                redis.restart().await?;
            }
            Self::RedisEmptied => redis.empty().await?,
            Self::RedisHalted(time) => redis.halt(time).await?,
            Self::RedisFull(time) => {
                redis.fill(true).await?;
                tokio::time::sleep(time).await;
                redis.fill(false).await?;
            }
            Self::DatabaseGone(time) => {
                roads.all().for_each(Proxy::cut);
                tokio::time::sleep(time).await;
                roads.all().for_each(Proxy::mend);
            }
            Self::DatabaseReset => {
                roads.all().for_each(Proxy::cut);
                tokio::time::sleep(ms(50)).await;
                roads.all().for_each(Proxy::mend);
            }
            Self::CommitsLost(count) => {
                roads.all().for_each(|road| road.lose_commits(count));
                tokio::time::sleep(ms(2_000)).await;
                roads.all().for_each(|road| road.lose_commits(0));
            }
            Self::DatabaseSlow(by) => {
                roads.all().for_each(|road| road.slow_down(by));
                tokio::time::sleep(ms(3_000)).await;
                roads.all().for_each(|road| road.slow_down(ms(0)));
            }
            Self::CutOff(time) => {
                let end = Instant::now() + time;
                let (host, ..) = roads.busiest().await?;
                roads.of(&host)?.cut();
                let (still, held, seen_ago) = roads.busiest().await?;
                if still == host {
                    phones.are_put_down(&held, seen_ago).await?;
                } else {
                    eprintln!(
                        "another host is the busiest by now: the fence of {host} is not looked at"
                    );
                }
                tokio::time::sleep_until(end).await;
                roads.of(&host)?.mend();
            }
        }
        // The moment of the next one is the test's subject, not something waited for.
        tokio::time::sleep(ms(chance.random_range(500..2_500))).await;
        Ok(())
    }
}

/// The sessions' phones, which tell whether their devices are connected.
pub(super) struct Phones<'s> {
    pub(super) simulator: &'s Simulator,
    /// The number of each session.
    pub(super) numbers: Vec<(String, String)>,
}

impl Phones<'_> {
    /// A host that could not renew its heartbeat puts its sessions down, before another may take them.
    async fn are_put_down(&self, sessions: &[String], seen_ago: i64) -> Result<()> {
        let fence = u64::try_from(FENCE_MS + ON_ITS_WAY_MS - seen_ago).unwrap_or(0);
        let dead = u64::try_from(DEAD_MS - seen_ago).unwrap_or(0);
        let began = Instant::now();
        tokio::time::sleep_until(began + ms(fence)).await;
        for (session, number) in &self.numbers {
            if !sessions.contains(session) {
                continue;
            }
            let phone = self.simulator.phone_state(number).await?;
            let devices = phone["devices"].as_array().context("devices")?;
            let online = devices.iter().any(|device| device["online"] == true);
            if began.elapsed() >= ms(dead) {
                eprintln!("too late to tell whose connection {number} has");
                return Ok(());
            }
            ensure!(!online, "{number} is connected after the fence");
        }
        Ok(())
    }
}

fn process<'g>(
    gateway: &'g mut Gateway,
    name: &str,
) -> Result<&'g mut passerelle_tests::process::Process> {
    if name == "api" {
        gateway.process()
    } else {
        gateway.other(name)
    }
}

async fn start(gateway: &mut Gateway, name: &'static str) -> Result<()> {
    if name == "api" {
        gateway.start_api().await
    } else {
        gateway.start_other(name)
    }
}

async fn roll(gateway: &mut Gateway) -> Result<()> {
    for name in ["api"].into_iter().chain(OTHERS) {
        let running = process(gateway, name)?;
        running.terminate()?;
        let status = running.ended(Duration::from_secs(30)).await?;
        ensure!(status.success(), "{name} ended with {status}");
        start(gateway, name).await.context(name)?;
    }
    Ok(())
}
