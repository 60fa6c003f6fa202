//! through: messages per second from accepted row to acknowledgement, with 100 sessions on the real
//! protocol and every durability rule in force. The reference is a bare loop of the library that also
//! waits for each acknowledgement. Both are measured by the times at which the server read the frames, and
//! only while every session is sending. Sessions that connect early do not count alone.

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use passerelle_tests::{
    Backing, Setup, Simulator, World,
    simulator::{Entry, Phone},
    world::numbers,
};
use serde_json::Value;
use std::{collections::HashMap, time::Duration};

use crate::{children::run, report::Row};

const SESSIONS: u32 = 100;
const EACH: u32 = 250;
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
    let accepted = stream::iter(&sessions).map(async |session| {
        world.api.session_in(&session.id, "stopped").await?;
        for n in 0..EACH {
            world
                .api
                .send(&session.id, CONTACT, &format!("{n}"))
                .await?;
        }
        anyhow::Ok(())
    });
    accepted.buffered(8).try_collect::<()>().await?;
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

/// Returns frames per second, from when every session has sent one until one session has sent all.
fn rate(frames: &[Entry]) -> Result<f64> {
    // When each session wrote its first and its last frame.
    let mut sessions: HashMap<&str, (u64, u64)> = HashMap::new();
    for frame in frames {
        let (at, from) = (frame.wire_us, frame.from.as_str());
        let (first, last) = sessions.entry(from).or_insert((at, at));
        (*first, *last) = (at.min(*first), at.max(*last));
    }
    ensure!(
        sessions.len() == SESSIONS as usize,
        "not every session sent"
    );
    let from = sessions.values().map(|(first, _)| *first).max();
    let to = sessions.values().map(|(_, last)| *last).min();
    let (from, to) = (from.context("frames")?, to.context("frames")?);
    ensure!(
        from < to,
        "there was no time at which all sessions were sending"
    );
    let within = frames
        .iter()
        .filter(|frame| (from..to).contains(&frame.wire_us));
    let count = u32::try_from(within.count())?;
    Ok(f64::from(count) / Duration::from_micros(to - from).as_secs_f64())
}
