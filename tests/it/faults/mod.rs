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
//! | `liveness` | everything is back when a fault is over |
//! | `verdict` | the ledgers compared |
//! | `flood` | more deliveries due at once than Redis could hold |
//!
//! The order is drawn from a seed, which is printed. `PASSERELLE_TEST_LONG` makes many rounds of it, with
//! longer outages; `PASSERELLE_TEST_ROUNDS` says how many, `PASSERELLE_TEST_FAULTS` which kinds.

mod fault;
mod fence;
mod flood;
mod liveness;
mod load;
mod site;
mod stores;
mod strike;
mod verdict;

use anyhow::{Context as _, Result};
use passerelle_tests::Finished;
use rand::{RngExt as _, rngs::StdRng};
use tokio::time::Instant;

use self::{
    fault::Fault,
    fence::Phones,
    load::{Load, Told},
    site::Site,
    strike::Parts,
};
use crate::restarts::seeded;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_parts_fail_under_load_keeps_every_promise() -> Result<()> {
    let mut chance = seeded();
    let mut site = Site::start().await?;
    let faults = fault::drawn(&mut chance);
    let told = struck(&mut site, &faults, &mut chance).await?;
    liveness::is_back(&mut site).await?;
    verdict::compare(&site, &told).await?;
    let _finished: Finished = site.world.finish().await?;
    Ok(())
}

/// Lets one fault follow the other while clients send and people write.
async fn struck(site: &mut Site, faults: &[Fault], chance: &mut StdRng) -> Result<Vec<Told>> {
    let load = Load::of(site, &format!("{:08x}", chance.random::<u32>()));
    let Site {
        world,
        redis,
        postgres,
        roads,
        sessions,
        ..
    } = site;
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
            let struck = parts.strike(*fault, chance);
            struck.await.with_context(|| format!("while {fault:?}"))?;
        }
        eprintln!("{:>4} s over", began.elapsed().as_secs());
        load.stop();
        anyhow::Ok(())
    };
    let (told, ()) = tokio::try_join!(working, failing)?;
    Ok(told)
}
