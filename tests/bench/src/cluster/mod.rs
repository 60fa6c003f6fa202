//! cluster: an api, two hosts and two workers over PostgreSQL and Redis. Measures what it costs to move
//! numbers between hosts, to keep them idle, and to wake up the host that must send.
//!
//! | page | what it measures |
//! |---|---|
//! | `failover` | from the kill of a number's host to the first frame from the next host |
//! | `takeover` | from the kill of a host until all its sessions are connected elsewhere |
//! | `drain` | the same for a host that is asked to end, and what that costs |
//! | `idle` | the work of PostgreSQL and Redis for idle sessions |
//! | `wakeup` | from the 202 to the socket, with wake-ups and without |
//!
//! They use `fleet` (the cluster and its linked sessions), `look` (what its store says about them),
//! `moved` (waiting until all are elsewhere) and `wire` (the simulator's clock).

mod drain;
mod failover;
mod fleet;
mod idle;
mod look;
mod moved;
mod takeover;
mod wakeup;
mod wire;

use anyhow::{Result, bail};
use passerelle_tests::simulator::Phone;

use crate::report::Row;

/// All of them, in the order in which they run.
pub(crate) const ALL: [&str; 5] = ["failover", "takeover", "drain", "idle", "wakeup"];

/// The recipient, who never answers.
const CONTACT: &str = "+4915199000001";
const SILENT: Phone = Phone {
    echo: false,
    reads: false,
    online: true,
};

/// The numbers of hosts and sessions in a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Hosts that are killed.
    failovers: u32,
    /// Sessions that move.
    moving: u32,
    /// Idle sessions.
    idle: u32,
    /// Numbers that send one message each.
    wakeups: u32,
}

/// The size of published results.
pub(crate) const FULL: Size = Size {
    failovers: 20,
    moving: 500,
    idle: 1000,
    wakeups: 100,
};

/// A small size, to check in minutes that the benchmarks work.
pub(crate) const SMALL: Size = Size {
    failovers: 2,
    moving: 20,
    idle: 20,
    wakeups: 20,
};

/// Runs one of [`ALL`].
pub(crate) async fn measure(bench: &str, size: Size) -> Result<Vec<Row>> {
    Ok(match bench {
        "failover" => vec![failover::measure(size.failovers).await?],
        "takeover" => vec![takeover::measure(size.moving).await?],
        "drain" => vec![drain::measure(size.moving).await?],
        "idle" => idle::measure(size.idle).await?.into(),
        "wakeup" => vec![wakeup::measure(size.wakeups).await?],
        other => bail!("there is no benchmark {other}"),
    })
}
