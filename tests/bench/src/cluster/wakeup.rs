//! wakeup: from the 202 to the socket, when only the host's reaction is waited for: the lane is free,
//! there is no gap and no typing, and the recipient's keys are known. Measured once with wake-ups through
//! Redis, and once without, when a host looks for due messages once per second.

use anyhow::Result;
use passerelle_tests::{Setup, redis::Redis, within};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use std::{collections::HashMap, time::Duration};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{
    CONTACT,
    fleet::{self, Fleet},
    wire::Wire,
};
use crate::report::{Row, percentile};

/// Time between two looks of a host for due messages.
const LOOK_MS: u64 = 1_000;
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) async fn measure(numbers: u32) -> Result<Row> {
    let folder = TempDir::with_prefix("passerelle-bench-")?;
    let mut redis = Redis::start(folder.path()).await?;
    let setup = Setup {
        redis: Some(redis.url()),
        gap_floor_ms: 0,
        gap_ceiling_ms: 0,
        typing_ms: 0,
        ..fleet::setup()
    };
    let fleet = Fleet::shared_out(numbers, setup).await?;
    let wire = Wire::of(&fleet.world.simulator).await?;
    for session in &fleet.sessions {
        fleet.world.api.send(&session.id, CONTACT, "hello").await?;
    }
    fleet.world.lanes_empty(PATIENCE).await?;
    let mut chance = StdRng::seed_from_u64(1);
    hears(&fleet, true).await?;
    let mut woken = late(&fleet, &wire, &mut chance).await?;
    redis.kill().await?;
    hears(&fleet, false).await?;
    let mut polling = late(&fleet, &wire, &mut chance).await?;
    fleet.world.finish().await?;
    Ok(Row {
        bench: "wakeup".to_owned(),
        value: percentile(&mut woken, 50),
        unit: "ms p50 from the 202 to the wire",
        reference: Some(percentile(&mut polling, 50)),
        goal: "p50 ≤ 50 ms, ratio ≤ 0.1",
        more: vec![
            ("p99_ms", percentile(&mut woken, 99)),
            ("polling_p50_ms", percentile(&mut polling, 50)),
            ("polling_p99_ms", percentile(&mut polling, 99)),
            ("numbers", f64::from(numbers)),
        ],
    })
}

/// Waits until the api receives wake-ups, or until it does not.
async fn hears(fleet: &Fleet, redis: bool) -> Result<()> {
    within(
        PATIENCE,
        "the api reports whether it reaches Redis",
        async || {
            let ready: Value = fleet.world.api.get("/readyz").await?.into(200)?;
            Ok((ready["redis"] == redis).then_some(()))
        },
    )
    .await
}

/// Sends one message from each number and returns how many milliseconds each took. Each is sent when the
/// one before is done, at a random moment between two looks. A message may be on the socket before its 202
/// is read.
async fn late(fleet: &Fleet, wire: &Wire, chance: &mut StdRng) -> Result<Vec<f64>> {
    let mut accepted = HashMap::new();
    for session in &fleet.sessions {
        let moment = Duration::from_millis(chance.random_range(0..LOOK_MS));
        tokio::time::sleep(moment).await;
        let sent = fleet.world.api.send(&session.id, CONTACT, "now").await?;
        let at = Instant::now();
        let sent = fleet.world.api.message_at(&sent.id, "sent").await?;
        accepted.extend(sent.wa_message_id.map(|id| (id, at)));
    }
    let frames = fleet.world.simulator.ledger("sent").await?;
    let late = frames.iter().filter_map(|frame| {
        let accepted = *accepted.get(&frame.id)?;
        let read = wire.read(frame);
        let late = read.saturating_duration_since(accepted).as_secs_f64();
        let early = accepted.saturating_duration_since(read).as_secs_f64();
        Some((late - early) * 1000.0)
    });
    let late: Vec<_> = late.collect();
    anyhow::ensure!(
        late.len() == fleet.sessions.len(),
        "{} of {} messages were on the wire once",
        late.len(),
        fleet.sessions.len()
    );
    Ok(late)
}
