//! takeover: a host that runs every session is killed. Measures how long it takes until all of them are
//! connected at the other host.

use anyhow::Result;
use tokio::time::Instant;

use super::{
    fleet::{Fleet, HOSTS},
    moved,
};
use crate::report::Row;

pub(crate) async fn measure(sessions: u32) -> Result<Row> {
    let mut fleet = Fleet::at_one_host(sessions).await?;
    let killed = Instant::now();
    fleet.world.gateway.other(HOSTS[0])?.kill().await?;
    let moved = moved::watch(&mut fleet.look, HOSTS[1], sessions, killed).await?;
    fleet.explain(moved.connected);
    fleet.world.end().await?;
    Ok(Row {
        bench: format!("takeover-{sessions}"),
        value: moved.all.as_secs_f64(),
        unit: "s from the kill until all are connected",
        reference: None,
        goal: "≤ 120 s for 500: 15 s until the host counts as dead, then 5 connections a second",
        more: vec![
            ("connected", f64::from(moved.connected)),
            ("first_lease_s", moved.first_lease.as_secs_f64()),
            ("most_s", moved.most.as_secs_f64()),
            (
                "from_first_lease_s",
                moved.after_first_lease().as_secs_f64(),
            ),
            ("sessions_s", moved.per_second()),
        ],
    })
}
