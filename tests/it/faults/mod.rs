//! A cluster under load whose parts fail one after the other, judged by three ledgers: what its
//! clients were told, what the phones saw, and what the webhook receiver got.
//!
//! | page | what it has |
//! |---|---|
//! | `site` | the cluster, with a Redis and a PostgreSQL of its own, and ways to the latter that can fail |
//! | `fault` | what fails, and in which order |
//! | `strike` | how it fails and is mended: processes |
//! | `stores` | PostgreSQL and Redis |
//! | `fence` | a host that is cut off from PostgreSQL |
//! | `load` | clients that send, people who write, and what they were told |
//! | `verdict` | the ledgers compared |
//! | `flood` | more deliveries due at once than Redis could hold |
//!
//! The order is drawn from a seed, which is printed. `PASSERELLE_TEST_LONG` makes many rounds of it, with
//! longer outages; `PASSERELLE_TEST_ROUNDS` says how many.

mod fault;
mod fence;
mod flood;
mod load;
mod site;
mod stores;
mod strike;
mod verdict;

use anyhow::{Context as _, Result};
use passerelle_tests::{Finished, dwindles, within};
use std::time::Duration;
use tokio::time::Instant;

use self::{fence::Phones, load::Load, site::Site, strike::Parts};
use crate::restarts::seeded;

/// When the faults are over, everything is back within this time, and what is left to do never stands
/// still for longer.
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
            postgres,
            roads,
            sessions,
            ..
        } = &mut site;
        let numbers = sessions
            .iter()
            .map(|(session, number)| (session.id.clone(), number.clone()));
        let mut parts = Parts {
            gateway: &mut world.gateway,
            redis,
            postgres,
            roads,
            phones: Phones {
                simulator: &world.simulator,
                numbers: numbers.collect(),
            },
        };
        let working = load.work(&world.simulator);
        let failing = async {
            let began = Instant::now();
            for fault in faults {
                eprintln!("{:>4} s {fault:?}", began.elapsed().as_secs());
                let struck = parts.strike(fault, &mut chance);
                struck.await.with_context(|| format!("while {fault:?}"))?;
            }
            eprintln!("{:>4} s over", began.elapsed().as_secs());
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
    dwindles(BACK, "every lane is empty", async || {
        let sessions = api.sessions().await?;
        let lanes = sessions.iter().filter_map(|one| one.queue.as_ref());
        Ok(lanes.map(|lane| lane.pending).sum())
    })
    .await?;
    for name in passerelle_tests::gateway::OTHERS {
        assert!(site.world.gateway.other(name)?.runs(), "{name} ended");
    }
    assert!(site.world.gateway.process()?.runs(), "the api ended");
    Ok(())
}
