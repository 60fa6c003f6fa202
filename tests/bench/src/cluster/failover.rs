//! failover: from `kill -9` of the host that runs a number with waiting messages to the first frame that
//! the next host writes for it. It uses the hosts' default times: a heartbeat every five seconds, dead
//! after fifteen.

use anyhow::Result;
use passerelle_tests::within;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::time::Duration;
use tokio::time::Instant;

use super::{
    CONTACT,
    fleet::{Fleet, HOSTS},
    wire::Wire,
};
use crate::report::{Row, percentile};

/// Messages accepted before the kill. They take some seconds to send.
const WAITING: u32 = 10;
/// Time between two heartbeats.
const BEAT_MS: u64 = 5_000;
/// Within this time the dead host's last frames are read, and no other host has written anything yet.
const LAST_WORDS: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) async fn measure(failovers: u32) -> Result<Row> {
    let mut fleet = Fleet::at_one_host(1).await?;
    let wire = Wire::of(&fleet.world.simulator).await?;
    let mut chance = StdRng::seed_from_u64(1);
    let [mut home, mut other] = HOSTS;
    let mut took = Vec::new();
    for _ in 0..failovers {
        // The kill comes at a random moment between two heartbeats.
        let moment = Duration::from_millis(chance.random_range(0..BEAT_MS));
        tokio::time::sleep(moment).await;
        took.push(killed(&mut fleet, &wire, home).await?.as_secs_f64() * 1000.0);
        fleet.world.lanes_empty(PATIENCE).await?;
        fleet.start_again(home).await?;
        (home, other) = (other, home);
    }
    let shown = fleet.world.simulator.shown(CONTACT).await?.len();
    let missing = f64::from(WAITING * failovers) - f64::from(u32::try_from(shown)?);
    fleet.world.finish().await?;
    Ok(Row {
        bench: "failover".to_owned(),
        value: percentile(&mut took, 99),
        unit: "ms p99",
        reference: None,
        goal: "≤ 30 s: 15 s until the host counts as dead, up to 1 s until another looks, connecting, the gap",
        more: vec![
            ("p50_ms", percentile(&mut took, 50)),
            ("p99_ms", percentile(&mut took, 99)),
            ("failovers", f64::from(failovers)),
            ("missing", missing),
        ],
    })
}

/// Kills the number's host while it sends. Returns how long it takes until another host continues.
async fn killed(fleet: &mut Fleet, wire: &Wire, home: &str) -> Result<Duration> {
    let world = &mut fleet.world;
    let before = world.simulator.ledger("sent").await?.len();
    for n in 0..WAITING {
        let text = format!("text {n}");
        world
            .api
            .send(&fleet.sessions[0].id, CONTACT, &text)
            .await?;
    }
    within(PATIENCE, "the first message is on its way", async || {
        let frames = world.simulator.ledger("sent").await?.len();
        Ok((frames > before).then_some(()))
    })
    .await?;
    let killed = Instant::now();
    world.gateway.other(home)?.kill().await?;
    within(PATIENCE, "another host continues", async || {
        let frames = world.simulator.ledger("sent").await?;
        let mut times = frames.iter().map(|frame| wire.read(frame));
        let next = times.find(|read| *read > killed + LAST_WORDS);
        Ok(next.map(|read| read - killed))
    })
    .await
}
