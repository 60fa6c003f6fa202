//! An organisation has one request limit, through however many processes it asks.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, Setup, World,
    api::{Base, Reply},
    soon,
};
use tokio::time::Instant;

mod cluster {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn neighbour_has_one_request_limit_over_two_processes() -> anyhow::Result<()> {
        let _finished = super::one_request_limit_over_two_processes().await?;
        Ok(())
    }
}

/// Requests of a minute, and those that may come at once.
const A_MINUTE: u32 = 120;
const AT_ONCE: u32 = A_MINUTE / 10;
/// A process that knows nothing of the other one says that the next request may come within a second.
const OWN_WAIT: u64 = 1;

async fn ask(api: &Api) -> Result<Reply> {
    let reply = api.get("/v1/webhook-endpoints").await?;
    if reply.status.as_u16() != 200 {
        assert_eq!((reply.status.as_u16(), reply.code()), (429, "rate_limited"));
    }
    Ok(reply)
}

/// Returns how long a refused request must wait, in seconds; `None` if it was not refused.
fn wait(reply: &Reply) -> Result<Option<u64>> {
    let Some(wait) = reply.headers.get("retry-after") else {
        return Ok(None);
    };
    Ok(Some(wait.to_str()?.parse()?))
}

async fn one_request_limit_over_two_processes() -> Result<Finished> {
    let setup = Setup {
        requests_per_minute: A_MINUTE,
        ..Setup::quick()
    };
    let mut world = World::with(Backing::Cluster, setup).await?;
    world.gateway.start_other("api-b")?;
    let served = soon("the second api serves", async || {
        world.gateway.probes_of("api-b")
    });
    let second = Base::default();
    second.set(&served.await?);
    let noisy = world.admin.create_organisation("Noisy").await?;
    let (_, key) = world.admin.create_key(&noisy, "noisy").await?;
    let both = [world.api.with_key(&key), Api::new(second, key)?];
    let began = Instant::now();
    let mut passed = 0;
    for api in &both {
        while wait(&ask(api).await?)?.is_none() {
            passed += 1;
        }
    }
    assert!(passed >= AT_ONCE, "{passed} passed");
    // Both learn that the other one let through requests, too: together too many, which they make up for.
    for api in &both {
        soon("it knows of the other's requests", async || {
            let wait = wait(&ask(api).await?)?;
            passed += u32::from(wait.is_none());
            Ok(wait.filter(|wait| *wait > OWN_WAIT))
        })
        .await?;
    }
    let seconds = u32::try_from(began.elapsed().as_secs())? + 1;
    // What may come at once comes at most once more, through the second process.
    let most = 2 * AT_ONCE + seconds * A_MINUTE / 60;
    assert!(passed <= most, "{passed} passed in {seconds} s");
    let usage = world
        .admin
        .get(&format!("/v1/organisations/{noisy}/usage"))
        .await?
        .into::<serde_json::Value>(200)?;
    assert_eq!(usage["limits"][0]["name"], "requests");
    assert_eq!(usage["limits"][0]["used"], AT_ONCE, "{usage}");
    let other = ask(&world.api).await?;
    assert_eq!(other.status.as_u16(), 200, "another one has its own");
    drop(both);
    world
        .finish_with_work_undone()
        .await
        .context("the world ends")
}
