//! A host that does not reach PostgreSQL puts its sessions down before another may take them.

use anyhow::{Context as _, Result, ensure};
use passerelle_tests::Simulator;
use std::time::Duration;
use tokio::time::Instant;

use super::{fault::ms, site::Roads};

/// So long after its last heartbeat a host writes nothing more, and another may take its sessions.
const FENCE_MS: i64 = 10_000;
const DEAD_MS: i64 = 15_000;
/// A frame may be read so long after it was written.
const ON_ITS_WAY_MS: i64 = 300;

/// The sessions' phones, which tell whether their devices are connected.
pub(super) struct Phones<'s> {
    pub(super) simulator: &'s Simulator,
    /// The number of each session.
    pub(super) numbers: Vec<(String, String)>,
}

/// Cuts off the host with the most sessions, and looks at the fence meanwhile.
pub(super) async fn cut_off(roads: &Roads, phones: &Phones<'_>, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    let (host, ..) = roads.busiest().await?;
    roads.of(&host)?.cut();
    let (still, held, seen_ago) = roads.busiest().await?;
    if still == host {
        phones.are_put_down(&held, seen_ago).await?;
    } else {
        eprintln!("another host is the busiest by now: the fence of {host} is not looked at");
    }
    tokio::time::sleep_until(end).await;
    roads.of(&host)?.mend();
    Ok(())
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
