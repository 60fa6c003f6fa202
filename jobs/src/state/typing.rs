//! Typing indicators of a session, and when each one ends. An indicator that the caller does not clear
//! is cleared by this process. If the process dies, the recipients' phones clear it.

use std::time::Duration;

use parking_lot::Mutex;
use passerelle_engine::{clock::Clock, content::Recipient};
use tokio::{sync::Notify, time::Instant};

use super::due_or_changed;

/// How long an indicator is shown.
pub(crate) const SHOWN: Duration = Duration::from_secs(20);

/// The indicators that one session shows. The rate limit keeps them to about forty: twenty at once, then
/// one per second, each for twenty seconds.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    to: Mutex<Vec<(Recipient, Instant)>>,
    changed: Notify,
}

impl Shown {
    /// Records until when typing is shown to a recipient; `None` if it was cleared.
    pub(crate) fn set(&self, to: Recipient, until: Option<Instant>) {
        let mut shown = self.to.lock();
        shown.retain(|(other, _)| *other != to);
        shown.extend(until.map(|until| (to, until)));
        drop(shown);
        self.changed.notify_one();
    }

    /// Removes and returns the recipients whose indicator has ended.
    fn over(&self, now: Instant) -> Vec<Recipient> {
        let mut shown = self.to.lock();
        let over = shown.extract_if(.., |(_, until)| *until <= now);
        over.map(|(to, _)| to).collect()
    }

    /// Returns when the next indicator ends.
    fn next(&self) -> Option<Instant> {
        self.to.lock().iter().map(|(_, until)| *until).min()
    }

    /// Waits until an indicator ends or the set changes. Returns the recipients whose indicator has ended,
    /// possibly none.
    pub(crate) async fn wait(&self, clock: &Clock) -> Vec<Recipient> {
        due_or_changed(self.next(), &self.changed).await;
        self.over(clock.monotonic())
    }
}

#[cfg(test)]
mod tests {
    use passerelle_engine::content::{Peer, Phone};

    use super::*;

    fn peer(phone: &str) -> Recipient {
        Recipient::Person(Peer {
            phone: Phone::parse(phone),
            lid: None,
        })
    }

    #[test]
    fn each_is_over_at_its_own_time_and_once() {
        let (shown, start) = (Shown::default(), Clock::system().monotonic());
        let at = |seconds| start + Duration::from_secs(seconds);
        let (ada, bob) = (peer("+491510000001"), peer("+491510000002"));
        shown.set(ada.clone(), Some(at(20)));
        shown.set(bob.clone(), Some(at(25)));
        assert_eq!(shown.next(), Some(at(20)));
        assert_eq!(shown.over(at(19)), []);
        // Shown again, it lasts longer.
        shown.set(ada.clone(), Some(at(30)));
        assert_eq!(shown.over(at(25)), [bob]);
        assert_eq!(shown.over(at(29)), []);
        // Once cleared, nothing is left to end.
        shown.set(ada, None);
        assert_eq!((shown.over(at(99)), shown.next()), (Vec::new(), None));
    }
}
