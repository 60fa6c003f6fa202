//! A cluster under load whose parts fail one after the other. Three records are compared: what clients had
//! accepted, what the phones showed, and what the webhook receiver got.
//!
//! | page | what it has |
//! |---|---|
//! | `site` | the cluster, with its own Redis and PostgreSQL, and proxies to PostgreSQL |
//! | `fault` | the faults and their order |
//! | `strike` | how each fault is made and repaired: processes |
//! | `stores` | the same for PostgreSQL and Redis |
//! | `fence` | a host that is cut off from PostgreSQL |
//! | `load` | clients that send, contacts who write, and what was accepted |
//! | `liveness` | everything is back after a fault |
//! | `verdict` | the comparison of the records |
//! | `flood` | more deliveries due at once than Redis may hold |
//!
//! The order is random, and its seed is printed. With `PASSERELLE_TEST_LONG` there are many rounds with
//! longer outages. `PASSERELLE_TEST_ROUNDS` sets their number, `PASSERELLE_TEST_FAULTS` the kinds.

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

/// Makes one fault after the other while clients send and contacts write.
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
            struck.await.with_context(|| format!("during {fault:?}"))?;
        }
        eprintln!("{:>4} s over", began.elapsed().as_secs());
        load.stop();
        anyhow::Ok(())
    };
    let (told, ()) = tokio::try_join!(working, failing)?;
    Ok(told)
}
