//! memory: what an idle linked session costs, after linking and after a restart. The reference is the bare
//! library with its in-memory store, doing the same.

use anyhow::Result;
use passerelle_tests::{Backing, Setup, World, within, world::numbers};
use serde_json::Value;
use std::time::Duration;

use crate::{
    children::{figure, run},
    report::Row,
};

/// How long it takes until memory used by linking has been released.
const SETTLE: Duration = Duration::from_secs(10);

/// Memory and file descriptors of a process.
#[derive(Debug, Clone, Copy)]
struct Cost {
    resident: f64,
    anonymous: f64,
    descriptors: f64,
}

impl Cost {
    fn per_session(self, empty: Self, sessions: u32) -> Self {
        let each = |with: f64, without: f64| (with - without) / f64::from(sessions);
        Self {
            resident: each(self.resident, empty.resident),
            anonymous: each(self.anonymous, empty.anonymous),
            descriptors: each(self.descriptors, empty.descriptors),
        }
    }

    fn told(told: &Value, what: &str) -> Result<Self> {
        Ok(Self {
            resident: figure(told, &format!("/{what}/resident"))?,
            anonymous: figure(told, &format!("/{what}/anonymous"))?,
            descriptors: figure(told, &format!("/{what}/descriptors"))?,
        })
    }
}

pub(crate) async fn measure(sessions: u32) -> Result<[Row; 2]> {
    let mut world = World::with(Backing::Sqlite, Setup::default()).await?;
    world.gateway.stop().await?;
    world.gateway.start().await?;
    let empty = cost(&mut world).await?;
    world.linked_many(numbers(sessions)).await?;
    let fresh = cost(&mut world).await?.per_session(empty, sessions);
    world.gateway.stop().await?;
    world.gateway.start().await?;
    all_connected(&world, sessions).await?;
    let restarted = cost(&mut world).await?.per_session(empty, sessions);
    world.finish().await?;

    let reference = reference(sessions).await?;
    let alone = Cost::told(&reference, "empty")?;
    let row = |when: &str, ours: Cost| -> Result<Row> {
        let theirs = Cost::told(&reference, when)?.per_session(alone, sessions);
        Ok(Row {
            bench: format!("memory-{sessions}-{when}"),
            value: ours.resident / 1024.0,
            unit: "KiB/session",
            reference: Some(theirs.resident / 1024.0),
            goal: "ratio ≤ 1; after a restart ≤ 200 KiB and ≤ 2 descriptors",
            more: vec![
                ("anonymous_kib", ours.anonymous / 1024.0),
                ("reference_anonymous_kib", theirs.anonymous / 1024.0),
                ("descriptors", ours.descriptors),
                ("reference_descriptors", theirs.descriptors),
            ],
        })
    };
    Ok([row("fresh", fresh)?, row("restarted", restarted)?])
}

async fn all_connected(world: &World, sessions: u32) -> Result<()> {
    within(
        Duration::from_mins(2),
        "all sessions are connected again",
        async || {
            let all = world.api.sessions().await?;
            let connected = all.iter().filter(|one| one.state == "connected").count();
            Ok(
                (u32::try_from(connected).is_ok_and(|connected| connected == sessions))
                    .then_some(()),
            )
        },
    )
    .await
}

/// Measures the bare library on a simulator of its own.
async fn reference(sessions: u32) -> Result<Value> {
    let folder = tempfile::TempDir::with_prefix("passerelle-bench-")?;
    let simulator = passerelle_tests::Simulator::start(folder.path()).await?;
    let (control, ws) = (simulator.control_url().to_owned(), simulator.ws_url());
    run(
        "reference",
        &["memory", &control, &ws, &sessions.to_string()],
    )
    .await
}

/// Measures the gateway once it is idle. The wait is part of the measurement.
async fn cost(world: &mut World) -> Result<Cost> {
    tokio::time::sleep(SETTLE).await;
    let process = world.gateway.process()?;
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", process.pid()?))?.count();
    Ok(Cost {
        resident: bytes(process.status_bytes("VmRSS:")?),
        anonymous: bytes(process.status_bytes("RssAnon:")?),
        descriptors: f64::from(u32::try_from(descriptors)?),
    })
}

/// Converts bytes to a figure. A process has fewer than 2^52 bytes.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^52 bytes")]
fn bytes(count: u64) -> f64 {
    count as f64
}
