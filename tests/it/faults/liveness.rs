//! Liveness, a separate suite: after a fault, all work from before and during it is completed, and
//! everything is back. The other suite checks what went wrong during it.

use anyhow::{Context as _, Result};
use passerelle_tests::{Finished, dwindles, gateway::OTHERS, within};
use std::time::Duration;
use tokio::time::Instant;

use super::{fault, site::Site, struck};
use crate::restarts::seeded;

/// Everything must be back within this time, and remaining work must never stand still for longer.
const BACK: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_each_fault_queues_drain_and_sessions_are_back() -> Result<()> {
    let mut chance = seeded();
    let mut site = Site::start().await?;
    for fault in fault::each(&mut chance) {
        let told = struck(&mut site, &[fault], &mut chance).await?;
        let over = Instant::now();
        let back = is_back(&mut site).await;
        back.with_context(|| format!("after {fault:?}"))?;
        let accepted: usize = told.iter().map(|one| one.accepted.len()).sum();
        assert!(accepted > 0, "nothing was sent during {fault:?}");
        eprintln!(
            "{:>6} ms to be back after {fault:?}",
            over.elapsed().as_millis()
        );
    }
    let _finished: Finished = site.world.finish().await?;
    Ok(())
}

/// Waits until sessions are connected and lanes and webhooks are drained. Asserts that no process ended by
/// itself.
pub(super) async fn is_back(site: &mut Site) -> Result<()> {
    let api = &site.world.api;
    within(BACK, "every session is connected", async || {
        let sessions = api.sessions().await?;
        Ok(sessions
            .iter()
            .all(|one| one.state == "connected")
            .then_some(()))
    })
    .await?;
    dwindles(BACK, "every lane is empty", async || {
        let sessions = api.sessions().await?;
        let lanes = sessions.iter().filter_map(|one| one.queue.as_ref());
        Ok(lanes.map(|lane| lane.pending).sum())
    })
    .await?;
    dwindles(BACK, "every webhook is delivered", async || {
        let open = site.roads.undelivered().await?;
        Ok(u64::try_from(open)?)
    })
    .await?;
    for name in OTHERS {
        assert!(
            site.world.gateway.other(name)?.runs(),
            "{name} ended by itself"
        );
    }
    assert!(
        site.world.gateway.process()?.runs(),
        "the api ended by itself"
    );
    Ok(())
}
