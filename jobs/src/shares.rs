//! A resource of the process that all organisations use, and of which each may have at most a share.
//!
//! An organisation that has used up its share waits until it releases a part of it. While it waits, it holds
//! no common units, so it delays no other organisation.

use std::{collections::HashMap, hash::Hash, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of units that are common to all, with a maximum for each `Who`.
#[derive(Debug)]
pub struct Shares<Who> {
    common: Arc<Semaphore>,
    of_one: usize,
    own: Mutex<HashMap<Who, Arc<Semaphore>>>,
}

/// Some units; released on drop.
#[derive(Debug)]
pub struct Share {
    _own: OwnedSemaphorePermit,
    _common: OwnedSemaphorePermit,
}

impl<Who: Eq + Hash> Shares<Who> {
    /// Divides `common` units. Each may hold `of_one` of them at once.
    pub fn new(common: usize, of_one: usize) -> Self {
        Self {
            common: Arc::new(Semaphore::new(common)),
            of_one,
            own: Mutex::default(),
        }
    }

    /// Waits for some units. Returns `None` if they are not free in time, or more than one may ever hold.
    pub async fn take(&self, who: Who, units: u32, patience: Duration) -> Option<Share> {
        let share = self.wait(who, units);
        tokio::time::timeout(patience, share).await.ok().flatten()
    }

    /// Waits for some units as long as it takes. Returns `None` if they are more than one may ever hold.
    pub async fn wait(&self, who: Who, units: u32) -> Option<Share> {
        if units as usize > self.of_one {
            return None;
        }
        let own = self.semaphore(who).acquire_many_owned(units).await.ok()?;
        let common = Arc::clone(&self.common).acquire_many_owned(units).await;
        Some(Share {
            _own: own,
            _common: common.ok()?,
        })
    }

    fn semaphore(&self, who: Who) -> Arc<Semaphore> {
        let mut all = self.own.lock();
        // Only who holds or waits for something is kept.
        all.retain(|_, own| Arc::strong_count(own) > 1);
        let own = all.entry(who);
        Arc::clone(own.or_insert_with(|| Arc::new(Semaphore::new(self.of_one))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    #[tokio::test]
    async fn one_has_its_share_and_takes_none_of_the_others() {
        let shares = Shares::new(32, 4);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(shares.take("one", 1, AT_ONCE).await.unwrap());
        }
        assert!(shares.take("one", 1, AT_ONCE).await.is_none());
        assert!(shares.take("other", 4, AT_ONCE).await.is_some());
        held.pop();
        assert!(shares.take("one", 1, AT_ONCE).await.is_some());
    }

    #[tokio::test]
    async fn all_together_have_what_is_common() {
        let shares = Shares::new(8, 4);
        let held = [
            shares.take("one", 4, AT_ONCE).await.unwrap(),
            shares.take("two", 4, AT_ONCE).await.unwrap(),
        ];
        assert!(shares.take("three", 1, AT_ONCE).await.is_none());
        drop(held);
        assert!(shares.take("three", 1, AT_ONCE).await.is_some());
    }

    #[tokio::test]
    async fn who_waits_for_its_own_share_holds_nothing_of_what_is_common() {
        let shares = Shares::new(8, 4);
        let held = shares.take("one", 4, AT_ONCE).await.unwrap();
        let waiting = shares.take("one", 4, Duration::from_mins(1));
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(shares.take("other", 4, AT_ONCE).await.is_some());
        drop(held);
        assert!(waiting.await.is_some());
        assert!(
            shares.own.lock().len() <= 2,
            "what nobody holds is forgotten"
        );
    }

    #[tokio::test]
    async fn more_than_a_share_is_refused_at_once() {
        let shares = Shares::new(8, 4);
        assert!(
            shares
                .take("one", 5, Duration::from_mins(1))
                .await
                .is_none()
        );
    }
}
