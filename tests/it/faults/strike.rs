//! How each fault is made and repaired. Faults of processes are in this file.

use anyhow::{Context as _, Result, ensure};
use passerelle_tests::{
    Gateway, gateway::OTHERS, postgres::Postgres, process::Process, redis::Redis, within,
};
use rand::{RngExt as _, rngs::StdRng};
use std::time::Duration;

use super::{
    fault::{Fault, ms},
    fence::{self, Phones},
    site::Roads,
    stores,
};

/// How long a process may take to end.
const END: Duration = Duration::from_secs(30);
/// How long a worker may take to begin its attempts.
const AT_WORK: Duration = Duration::from_mins(1);

/// The parts that faults hit.
pub(super) struct Parts<'s> {
    pub(super) gateway: &'s mut Gateway,
    pub(super) redis: &'s mut Redis,
    pub(super) postgres: &'s mut Postgres,
    pub(super) roads: &'s Roads,
    pub(super) phones: Phones<'s>,
}

impl Parts<'_> {
    /// Makes the fault, repairs it, and gives the cluster a moment.
    pub(super) async fn strike(&mut self, fault: Fault, chance: &mut StdRng) -> Result<()> {
        let (gateway, roads) = (&mut *self.gateway, self.roads);
        match fault {
            Fault::Killed(name, wait) => killed(gateway, name, wait).await?,
            Fault::Halted(name, time) => halted(gateway, name, time).await?,
            Fault::Rolled => {
                for name in ["api"].into_iter().chain(OTHERS) {
                    ended(gateway, name).await?;
                    start(gateway, name).await?;
                }
            }
            Fault::Usurped(host) => usurped(gateway, host).await?,
            Fault::AttemptsPanic(worker) => attempts_panic(gateway, worker).await?,
            Fault::RedisKilled(time) => {
                self.redis.kill().await?;
                tokio::time::sleep(time).await;
                self.redis.restart().await?;
            }
            Fault::RedisEmptied => self.redis.empty().await?,
            Fault::RedisHalted(time) => self.redis.halt(time).await?,
            Fault::RedisFull(time) => {
                self.redis.fill(true).await?;
                tokio::time::sleep(time).await;
                self.redis.fill(false).await?;
            }
            Fault::TokensPoisoned => stores::poisoned(gateway, self.redis, chance).await?,
            Fault::DatabaseGone(time) => stores::gone(roads, time).await,
            Fault::DatabaseReset => stores::gone(roads, ms(50)).await,
            Fault::DatabaseStopped(how, time) => {
                self.postgres.stop(how).await?;
                tokio::time::sleep(time).await;
                self.postgres.restart().await?;
            }
            Fault::CommitsLost(count) => stores::commits_lost(roads, count).await,
            Fault::DatabaseSlow(by) => stores::slow(roads, by).await,
            Fault::CutOff(time) => fence::cut_off(roads, &self.phones, time).await?,
        }
        // The time of the next fault is what is tested. Nothing is waited for.
        tokio::time::sleep(ms(chance.random_range(500..2_500))).await;
        Ok(())
    }
}

fn process<'g>(gateway: &'g mut Gateway, name: &str) -> Result<&'g mut Process> {
    if name == "api" {
        gateway.process()
    } else {
        gateway.other(name)
    }
}

async fn start(gateway: &mut Gateway, name: &'static str) -> Result<()> {
    let started = if name == "api" {
        gateway.start_api().await
    } else {
        gateway.start_other(name)
    };
    started.context(name)
}

/// Asks it to end and waits until it has.
async fn ended(gateway: &mut Gateway, name: &'static str) -> Result<()> {
    let running = process(gateway, name)?;
    running.terminate()?;
    let status = running.ended(END).await?;
    ensure!(status.success(), "{name} ended with {status}");
    Ok(())
}

async fn killed(gateway: &mut Gateway, name: &'static str, wait: Duration) -> Result<()> {
    process(gateway, name)?.kill().await?;
    tokio::time::sleep(wait).await;
    start(gateway, name).await
}

async fn halted(gateway: &mut Gateway, name: &str, time: Duration) -> Result<()> {
    process(gateway, name)?.signal("STOP")?;
    tokio::time::sleep(time).await;
    process(gateway, name)?.signal("CONT")
}

/// Checks that the previous process of this name ends by itself and logs the reason.
async fn usurped(gateway: &mut Gateway, host: &'static str) -> Result<()> {
    let logged = gateway.log_of(host)?.len();
    let mut before = gateway.replace_other(host)?;
    let status = before.ended(END).await?;
    ensure!(
        !status.success(),
        "{host} ended with success although nobody asked it to end"
    );
    let log = gateway.log_of(host)?;
    ensure!(
        log[logged..].contains("another process was started as the same host"),
        "{host} ended with {status} and did not log the reason"
    );
    Ok(())
}

/// Checks that only the attempts panic: the worker continues, and ends with success when asked.
async fn attempts_panic(gateway: &mut Gateway, worker: &'static str) -> Result<()> {
    const POINTS: [&str; 2] = ["delivery.claimed", "delivery.posted"];
    let logged = gateway.log_of(worker)?.len();
    ended(gateway, worker).await?;
    let armed = POINTS.map(|point| format!("{point}=1*panic")).join(";");
    gateway.own.insert(worker, vec![("FAILPOINTS", armed)]);
    start(gateway, worker).await?;
    within(AT_WORK, "both attempts have panicked", async || {
        let log = gateway.log_of(worker)?;
        let panicked = |point: &str| log[logged..].contains(&format!("failpoint {point} panic"));
        Ok(POINTS.into_iter().all(panicked).then_some(()))
    })
    .await?;
    gateway.own.remove(worker);
    ended(gateway, worker).await?;
    start(gateway, worker).await
}
