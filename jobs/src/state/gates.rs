//! The second gate of a number: when its next message may be written, on the local monotonic clock. It comes
//! in addition to the times in the database, which another clock counts. The sessions of one number that run
//! in this process share a gate.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// When the next message may be written.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Option<Instant>>);

impl Gate {
    /// Returns when it opens; `None` if it was never closed.
    pub(crate) fn opens_at(&self) -> Option<Instant> {
        *self.0.lock()
    }

    /// Keeps it closed until `until`.
    pub(crate) fn close(&self, until: Instant) {
        let mut opens_at = self.0.lock();
        *opens_at = (*opens_at).max(Some(until));
    }
}

/// The gates of the numbers whose sessions run here.
#[derive(Default)]
pub(crate) struct Gates(Mutex<HashMap<[u8; 32], Weak<Gate>>>);

impl Gates {
    /// Returns the gate of a number.
    pub(crate) fn of(&self, number: [u8; 32]) -> Arc<Gate> {
        let mut gates = self.0.lock();
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = gates.get(&number).and_then(Weak::upgrade);
        let gate = gate.unwrap_or_default();
        gates.insert(number, Arc::downgrade(&gate));
        gate
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sessions_of_a_number_share_a_gate_while_one_of_them_runs() {
        let (gates, now) = (Gates::default(), Instant::now());
        let one = gates.of([1; 32]);
        one.close(now + Duration::from_secs(2));
        one.close(now + Duration::from_secs(1));
        assert_eq!(
            gates.of([1; 32]).opens_at(),
            Some(now + Duration::from_secs(2))
        );
        assert_eq!(gates.of([2; 32]).opens_at(), None);
        drop(one);
        assert_eq!(gates.of([1; 32]).opens_at(), None);
    }
}
