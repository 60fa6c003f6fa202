//! A cluster under load whose parts fail one after the other, judged by three ledgers: what its
//! clients were told, what the phones saw, and what the webhook receiver got.
//!
//! | page | what it has |
//! |---|---|
//! | `site` | the cluster, with a Redis and ways to PostgreSQL that can fail |
//! | `fault` | what fails, and in which order |
//! | `load` | clients that send, people who write, and what they were told |
//! | `verdict` | the ledgers compared |
//!
//! The order is drawn from a seed, which is printed. `PASSERELLE_TEST_LONG` makes many rounds of it, with
//! longer outages.

mod fault;
mod load;
mod site;
mod verdict;

use anyhow::{Context as _, Result};
use passerelle_tests::{Finished, within};
use std::time::Duration;

use self::{load::Load, site::Site};
use crate::restarts::seeded;

/// When the faults are over, everything is back and done within this time.
const BACK: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_parts_fail_under_load_keeps_every_promise() -> Result<()> {
    let mut chance = seeded();
    let mut site = Site::start().await?;
    let load = Load::of(&site);
    let faults = fault::drawn(&mut chance);
    let (told, ()) = {
        let Site {
            world,
            redis,
            roads,
            sessions,
            ..
        } = &mut site;
        let numbers = sessions
            .iter()
            .map(|(session, number)| (session.id.clone(), number.clone()));
        let phones = fault::Phones {
            simulator: &world.simulator,
            numbers: numbers.collect(),
        };
        let working = load.work(&world.simulator);
        let failing = async {
            for fault in faults {
                eprintln!("{fault:?}");
                let struck = fault.strike(&mut world.gateway, redis, roads, &phones, &mut chance);
                struck.await.with_context(|| format!("while {fault:?}"))?;
            }
            load.stop();
            anyhow::Ok(())
        };
        tokio::try_join!(working, failing)?
    };
    is_back(&mut site).await?;
    verdict::compare(&site, &told).await?;
    let _finished: Finished = site.world.finish().await?;
    Ok(())
}

/// Liveness: queues drain, sessions are connected, nobody ended who was not ended.
async fn is_back(site: &mut Site) -> Result<()> {
    let api = &site.world.api;
    within(BACK, "every session is connected", async || {
        let sessions = api.sessions().await?;
        Ok(sessions
            .iter()
            .all(|one| one.state == "connected")
            .then_some(()))
    })
    .await?;
    site.world.lanes_empty(BACK).await?;
    for name in passerelle_tests::gateway::OTHERS {
        assert!(site.world.gateway.other(name)?.runs(), "{name} ended");
    }
    assert!(site.world.gateway.process()?.runs(), "the api ended");
    Ok(())
}
