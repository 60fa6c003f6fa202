//! cluster: an api, two hosts and two workers over PostgreSQL and Redis, and what it takes to move
//! numbers between them, to keep them idle, and to wake who is to send.
//!
//! | page | what it measures |
//! |---|---|
//! | `failover` | from the kill of a number's host to the first frame of the next one |
//! | `takeover` | from the kill of a host to all of its sessions being connected elsewhere |
//! | `drain` | the same of a host that is asked to end, and what that costs anybody |
//! | `idle` | what PostgreSQL and Redis have to do for sessions that do nothing |
//! | `wakeup` | from the 202 to the wire, with wake-ups and without |
//!
//! They stand on `fleet` (the cluster and its linked sessions), `look` (what its store says of
//! them), `moved` (waiting until all are elsewhere) and `wire` (the simulator's clock).

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

/// Who is written to, and says nothing.
const CONTACT: &str = "+4915199000001";
const SILENT: Phone = Phone {
    echo: false,
    reads: false,
    online: true,
};

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Hosts killed.
    failovers: u32,
    /// Sessions that move.
    moving: u32,
    /// Sessions that do nothing.
    idle: u32,
    /// Numbers that send one message each.
    wakeups: u32,
}

/// What the results are of.
pub(crate) const FULL: Size = Size {
    failovers: 20,
    moving: 500,
    idle: 1000,
    wakeups: 100,
};

/// To see that they work, in minutes.
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
