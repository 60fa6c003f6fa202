//! drain: a host that runs every session is asked to end (SIGTERM) while a few of them send. Measures how
//! long it takes until the host has ended and until all its sessions are connected at the other host. Also
//! counts the cost: phones that were logged out, and messages whose outcome is unknown.

use anyhow::Result;
use passerelle_tests::{Api, World, api::Session, soon};
use std::{cell::Cell, convert::Infallible, process::ExitStatus, time::Duration};
use tokio::time::Instant;

use super::{
    CONTACT,
    fleet::{Fleet, HOSTS},
    moved::{self, Moved},
};
use crate::report::Row;

/// Sessions that send, and the time between two messages. Together they send ten per second.
const BUSY: usize = 10;
const EVERY: Duration = Duration::from_millis(100);
/// The deadline for the host to end.
const PATIENCE: Duration = Duration::from_mins(3);

/// What was observed while a host ended.
struct Drained {
    status: ExitStatus,
    ended: Duration,
    moved: Moved,
}

pub(crate) async fn measure(sessions: u32) -> Result<Row> {
    let mut fleet = Fleet::at_one_host(sessions).await?;
    let api = fleet.world.api.clone();
    let busy: Vec<_> = fleet.sessions.iter().take(BUSY).cloned().collect();
    let refused = Cell::new(0);
    let drained = tokio::select! {
        drained = drain(&mut fleet, sessions) => drained?,
        never = load(&api, &busy, &refused) => match never {},
    };
    fleet.explain(drained.moved.connected);
    // Messages that are left at this point are reported as a figure.
    let emptied = fleet.world.lanes_empty(PATIENCE).await;
    let waiting = if emptied.is_ok() {
        0
    } else {
        waiting(&api).await?
    };
    let sent = fleet.world.simulator.shown(CONTACT).await?.len();
    let unknown = fleet.look.told("message.unknown").await?;
    let logouts = logouts(&fleet.world, sessions).await?;
    fleet.world.end().await?;
    Ok(Row {
        bench: format!("drain-{sessions}"),
        value: drained.ended.as_secs_f64(),
        unit: "s until the host has ended",
        reference: None,
        goal: "≤ 25 s, status 0, logouts 0, unknown 0",
        more: vec![
            // A process that was ended by a signal has no exit code.
            ("status", drained.status.code().map_or(-1.0, f64::from)),
            ("logouts", logouts),
            ("unknown", f64::from(unknown)),
            ("refused", f64::from(refused.get())),
            ("waiting", f64::from(u32::try_from(waiting)?)),
            ("sent", f64::from(u32::try_from(sent)?)),
            ("connected", f64::from(drained.moved.connected)),
            ("most_connected_s", drained.moved.most.as_secs_f64()),
            ("all_connected_s", drained.moved.all.as_secs_f64()),
            ("sessions_s", drained.moved.per_second()),
        ],
    })
}

/// Asks the host to end after the load has begun.
async fn drain(fleet: &mut Fleet, sessions: u32) -> Result<Drained> {
    let simulator = &fleet.world.simulator;
    soon("the sessions are at work", async || {
        let frames = simulator.ledger("sent").await?;
        Ok((frames.len() >= 2 * BUSY).then_some(()))
    })
    .await?;
    let host = fleet.world.gateway.other(HOSTS[0])?;
    let asked = Instant::now();
    host.terminate()?;
    let end = async {
        let status = host.ended(PATIENCE).await?;
        Ok((status, asked.elapsed()))
    };
    let moved = moved::watch(&mut fleet.look, HOSTS[1], sessions, asked);
    let ((status, ended), moved) = tokio::try_join!(end, moved)?;
    Ok(Drained {
        status,
        ended,
        moved,
    })
}

/// Sends from one session after the other until dropped. Counts messages that were not accepted.
async fn load(api: &Api, busy: &[Session], refused: &Cell<u32>) -> Infallible {
    loop {
        for session in busy {
            if api.send(&session.id, CONTACT, "on its way").await.is_err() {
                refused.set(refused.get() + 1);
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Returns the number of messages that are still in their lanes.
async fn waiting(api: &Api) -> Result<u64> {
    let sessions = api.sessions().await?;
    let lanes = sessions.iter().filter_map(|one| one.queue.as_ref());
    Ok(lanes.map(|lane| lane.pending).sum())
}

/// Returns the number of devices that are no longer linked.
async fn logouts(world: &World, sessions: u32) -> Result<f64> {
    let stats = world.simulator.stats().await?;
    let linked = crate::children::figure(&stats, "/devices")?;
    Ok(f64::from(sessions) - linked)
}
