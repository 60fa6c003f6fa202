//! through: messages per second from accepted row to acknowledged, over 100 sessions on the real
//! protocol with every durability rule in force, against a bare loop of the library that also
//! waits for each acknowledgement. Both are judged by when the server read the frames.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Setup, Simulator, World,
    simulator::{Entry, Phone},
    world::numbers,
};
use serde_json::Value;
use std::time::Duration;

use crate::{children::run, report::Row};

const SESSIONS: u32 = 100;
const EACH: u32 = 40;
const CONTACT: &str = "+4915199000001";
const SILENT: Phone = Phone {
    echo: false,
    reads: false,
    online: true,
};

pub(crate) async fn measure() -> Result<Row> {
    let ours = ours().await?;
    let theirs = theirs().await?;
    Ok(Row {
        bench: "through".to_owned(),
        value: ours,
        unit: "messages/s",
        reference: Some(theirs),
        goal: "ratio ≥ 0.5",
        more: vec![("sessions", f64::from(SESSIONS))],
    })
}

async fn ours() -> Result<f64> {
    let setup = Setup {
        gap_floor_ms: 0,
        gap_ceiling_ms: 0,
        typing_ms: 0,
        log: "warn".to_owned(),
        ..Setup::default()
    };
    let world = World::with(Backing::Sqlite, setup).await?;
    world.simulator.phone(CONTACT, SILENT).await?;
    let sessions = world.linked_many(numbers(SESSIONS)).await?;
    for session in &sessions {
        world.api.disconnect(&session.id).await?;
    }
    for session in &sessions {
        world.api.session_in(&session.id, "stopped").await?;
        for n in 0..EACH {
            world
                .api
                .send(&session.id, CONTACT, &format!("{n}"))
                .await?;
        }
    }
    for session in &sessions {
        world.api.connect(&session.id).await?;
    }
    world.lanes_empty(Duration::from_mins(5)).await?;
    let rate = rate(&world.simulator.ledger("sent").await?)?;
    world.finish().await?;
    Ok(rate)
}

async fn theirs() -> Result<f64> {
    let folder = tempfile::TempDir::with_prefix("passerelle-bench-")?;
    let simulator = Simulator::start(folder.path()).await?;
    simulator.phone(CONTACT, SILENT).await?;
    let (control, ws) = (simulator.control_url().to_owned(), simulator.ws_url());
    let (sessions, each) = (SESSIONS.to_string(), EACH.to_string());
    let _told: Value = run(
        "reference",
        &["through", &control, &ws, &sessions, CONTACT, &each],
    )
    .await?;
    rate(&simulator.ledger("sent").await?)
}

/// Frames per second between the first fifth and the last fifth of them, where all sessions are at work.
fn rate(frames: &[Entry]) -> Result<f64> {
    let mut times: Vec<_> = frames.iter().map(|frame| frame.wire_us).collect();
    times.sort_unstable();
    let (from, to) = (times.len() / 5, times.len() * 4 / 5);
    let span = Duration::from_micros(
        times
            .get(to)
            .context("frames were sent")?
            .saturating_sub(times[from]),
    );
    let count = u32::try_from(to - from)?;
    Ok(f64::from(count) / span.as_secs_f64())
}
