//! Limits how many uploads run at once: in total, and per organisation.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use passerelle_engine::ids::OrgId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Concurrent uploads of this process.
const ALL: usize = 32;
/// Concurrent uploads of one organisation.
const PER_ORG: usize = 4;
/// How long an upload waits for its slot.
const PATIENCE: Duration = Duration::from_secs(25);

/// The upload slots of this process.
pub(crate) struct UploadSlots {
    all: Arc<Semaphore>,
    orgs: Mutex<HashMap<OrgId, Arc<Semaphore>>>,
    patience: Duration,
}

impl Default for UploadSlots {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL)),
            orgs: Mutex::default(),
            patience: PATIENCE,
        }
    }
}

/// The right to upload one file; released on drop.
pub(crate) struct UploadSlot {
    _permits: [OwnedSemaphorePermit; 2],
}

impl UploadSlots {
    /// Waits for a slot of the organisation. Returns `None` if none is free in time.
    pub(crate) async fn of(&self, org: OrgId) -> Option<UploadSlot> {
        let own = self.semaphore(org);
        let slot = async {
            // The organisation's own limit comes first: while waiting for it, no shared slot is held.
            let of_org = own.acquire_owned().await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some(UploadSlot {
                _permits: [of_org, of_all],
            })
        };
        tokio::time::timeout(self.patience, slot)
            .await
            .ok()
            .flatten()
    }

    fn semaphore(&self, org: OrgId) -> Arc<Semaphore> {
        let mut orgs = self.orgs.lock();
        // Only organisations with an upload at this moment are kept.
        orgs.retain(|_, own| Arc::strong_count(own) > 1);
        let own = orgs.entry(org);
        Arc::clone(own.or_insert_with(|| Arc::new(Semaphore::new(PER_ORG))))
    }
}

#[cfg(test)]
mod tests {
    use passerelle_engine::clock::Clock;

    use super::*;

    fn impatient() -> UploadSlots {
        UploadSlots {
            patience: Duration::from_millis(50),
            ..UploadSlots::default()
        }
    }

    #[tokio::test]
    async fn an_organisation_has_four_slots_and_takes_none_of_the_others() {
        let slots = impatient();
        let (one, other) = (OrgId::new(&Clock::system()), OrgId::new(&Clock::system()));
        let mut held = Vec::new();
        for _ in 0..PER_ORG {
            held.push(slots.of(one).await.unwrap());
        }
        assert!(slots.of(one).await.is_none(), "a fifth gets no slot");
        assert!(slots.of(other).await.is_some());
        held.pop();
        assert!(slots.of(one).await.is_some());
    }

    #[tokio::test]
    async fn all_organisations_share_thirty_two_slots() {
        let slots = impatient();
        let mut held = Vec::new();
        for _ in 0..ALL / PER_ORG {
            let org = OrgId::new(&Clock::system());
            for _ in 0..PER_ORG {
                held.push(slots.of(org).await.unwrap());
            }
        }
        assert!(slots.of(OrgId::new(&Clock::system())).await.is_none());
        held.clear();
        assert!(slots.of(OrgId::new(&Clock::system())).await.is_some());
    }
}
