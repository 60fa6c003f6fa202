//! A host that cannot reach PostgreSQL stops its sessions before another host may take them.

use anyhow::{Context as _, Result, bail, ensure};
use passerelle_tests::Simulator;
use std::time::Duration;
use tokio::time::Instant;

use super::{fault::ms, site::Roads};

/// This long after its last heartbeat a host stops writing. After `DEAD_MS` another host may take its
/// sessions.
const FENCE_MS: i64 = 10_000;
const DEAD_MS: i64 = 15_000;
/// A frame may be read this long after it was written.
const ON_ITS_WAY_MS: i64 = 300;
/// On a busy machine the check may come too late, or another host may have the most sessions by then.
const TRIES: usize = 3;

/// The sessions' phones, which show whether their devices are connected.
pub(super) struct Phones<'s> {
    pub(super) simulator: &'s Simulator,
    /// The number of each session.
    pub(super) numbers: Vec<(String, String)>,
}

/// Cuts off the host with the most sessions and checks the fence. Tries again if the check came too late.
pub(super) async fn cut_off(roads: &Roads, phones: &Phones<'_>, time: Duration) -> Result<()> {
    for _ in 0..TRIES {
        let end = Instant::now() + time;
        let (host, ..) = roads.busiest().await?;
        roads.of(&host)?.cut();
        let (still, held, seen_ago) = roads.busiest().await?;
        let looked =
            still == host && !held.is_empty() && phones.are_put_down(&held, seen_ago).await?;
        tokio::time::sleep_until(end).await;
        roads.of(&host)?.mend();
        if looked {
            return Ok(());
        }
        eprintln!("the fence of {host} could not be looked at");
    }
    bail!("no fence could be checked");
}

impl Phones<'_> {
    /// Checks that a host without a heartbeat has stopped its sessions before another host may take them.
    /// Returns false if it was too late to check.
    async fn are_put_down(&self, sessions: &[String], seen_ago: i64) -> Result<bool> {
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
                // The connection may already be another host's.
                return Ok(false);
            }
            ensure!(!online, "{number} is connected after the fence");
        }
        Ok(true)
    }
}
