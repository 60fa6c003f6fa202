//! To whom a session shows that it is typing, and until when: what nobody takes back is taken back
//! here. What a process that dies leaves is taken back by the phones.

use std::time::Duration;

use parking_lot::Mutex;
use passerelle_engine::{clock::Clock, content::Recipient};
use tokio::{sync::Notify, time::Instant};

/// How long it is shown.
pub(crate) const SHOWN: Duration = Duration::from_secs(20);

/// Shown by one session. Some forty at most: twenty at once, then one a second, each for twenty seconds.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    to: Mutex<Vec<(Recipient, Instant)>>,
    changed: Notify,
}

impl Shown {
    /// It is shown to them until then; none when it was taken back.
    pub(crate) fn set(&self, to: Recipient, until: Option<Instant>) {
        let mut shown = self.to.lock();
        shown.retain(|(other, _)| *other != to);
        shown.extend(until.map(|until| (to, until)));
        drop(shown);
        self.changed.notify_one();
    }

    /// Those to whom it was shown long enough, who are shown it no more.
    fn over(&self, now: Instant) -> Vec<Recipient> {
        let mut shown = self.to.lock();
        let over = shown.extract_if(.., |(_, until)| *until <= now);
        over.map(|(to, _)| to).collect()
    }

    /// When the next of them is over.
    fn next(&self) -> Option<Instant> {
        self.to.lock().iter().map(|(_, until)| *until).min()
    }

    /// Waits for those to whom it was shown long enough, or for a change: there may be none of them.
    pub(crate) async fn wait(&self, clock: &Clock) -> Vec<Recipient> {
        let next = self.next();
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = self.changed.notified() => {}
        }
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
        // Told again, it is shown longer.
        shown.set(ada.clone(), Some(at(30)));
        assert_eq!(shown.over(at(25)), [bob]);
        assert_eq!(shown.over(at(29)), []);
        // Taken back, nothing is left to take back.
        shown.set(ada, None);
        assert_eq!((shown.over(at(99)), shown.next()), (Vec::new(), None));
    }
}
