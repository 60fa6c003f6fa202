//! Converts the simulator's clock to this process's clock. Each frame in the ledger has the microseconds
//! of the simulator's clock at which it was read from the socket.

use anyhow::{Context as _, Result};
use passerelle_tests::{Simulator, simulator::Entry};
use std::time::Duration;
use tokio::time::Instant;

use super::SILENT;

/// Two people who are no session's contacts.
const PEOPLE: [&str; 2] = ["+4915198000001", "+4915198000002"];
/// Number of tries. The fastest one is the most precise.
const TRIES: u32 = 20;

pub(super) struct Wire {
    /// The start of the simulator's clock.
    zero: Instant,
}

impl Wire {
    /// Sends a message in the simulator. The time in its ledger is between the call and the answer.
    pub(super) async fn of(simulator: &Simulator) -> Result<Self> {
        for number in PEOPLE {
            simulator.phone(number, SILENT).await?;
        }
        let (mut zero, mut quickest) = (None, Duration::MAX);
        for _ in 0..TRIES {
            let asked = Instant::now();
            let id = simulator.say(PEOPLE[0], PEOPLE[1], "now").await?;
            let took = asked.elapsed();
            let said = simulator.ledger("said").await?;
            let said = said.iter().rev().find(|entry| entry.id == id);
            let said = Duration::from_micros(said.context("the message is in the ledger")?.wire_us);
            if took < quickest {
                quickest = took;
                zero = (asked + took / 2).checked_sub(said);
            }
        }
        let zero = zero.context("the simulator's clock started before this machine's")?;
        Ok(Self { zero })
    }

    /// Returns when a frame was read from the socket.
    pub(super) fn read(&self, frame: &Entry) -> Instant {
        self.zero + Duration::from_micros(frame.wire_us)
    }
}
