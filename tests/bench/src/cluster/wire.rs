//! The simulator's clock, read by this process's: frames are told with the microseconds of the
//! former at which they were read off the wire.

use anyhow::{Context as _, Result};
use passerelle_tests::{Simulator, simulator::Entry};
use std::time::Duration;
use tokio::time::Instant;

use super::SILENT;

/// Two people who are nobody's contacts.
const PEOPLE: [&str; 2] = ["+4915198000001", "+4915198000002"];
/// Tries, of which the quickest tells best.
const TRIES: u32 = 20;

pub(super) struct Wire {
    /// When the simulator's clock began.
    zero: Instant,
}

impl Wire {
    /// Has somebody say something: it is told at some moment between call and answer.
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
            let said = Duration::from_micros(said.context("it was said")?.wire_us);
            if took < quickest {
                quickest = took;
                zero = (asked + took / 2).checked_sub(said);
            }
        }
        let zero = zero.context("the simulator began after this machine")?;
        Ok(Self { zero })
    }

    /// When a frame was read off the wire.
    pub(super) fn read(&self, frame: &Entry) -> Instant {
        self.zero + Duration::from_micros(frame.wire_us)
    }
}
