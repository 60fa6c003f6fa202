//! Time, passed in as an argument. The one page that reads the machine's clock.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use uuid::{ContextV7, Uuid};

/// Milliseconds since 1970-01-01 UTC, as the store keeps them.
pub type Millis = i64;

/// Wall time, monotonic time, and the ids made from wall time.
///
/// Gaps and leases go by the database's clock and by [`Clock::monotonic`]; wall time is for
/// stamps that people read, so a step of the machine's clock opens nothing.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
struct Source {
    /// Added to the machine's wall clock: tests move it.
    offset_ms: AtomicI64,
    ids: Mutex<ContextV7>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Arc::new(Source {
            offset_ms: AtomicI64::new(0),
            ids: Mutex::new(ContextV7::new()),
        }))
    }

    /// Wall time now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads wall time"
    )]
    pub fn now(&self) -> Millis {
        chrono::Utc::now().timestamp_millis() + self.0.offset_ms.load(Ordering::Relaxed)
    }

    /// Time that never steps; stands still with tokio's paused clock.
    pub fn monotonic(&self) -> Instant {
        Instant::now()
    }

    /// Moves this clock's wall time ahead, for tests of what happens later.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.offset_ms.fetch_add(by, Ordering::Relaxed);
    }

    /// A `UUIDv7` later than every one this clock made before.
    pub(crate) fn uuid(&self) -> Uuid {
        let now = u64::try_from(self.now()).unwrap_or(0);
        let nanos = u32::try_from(now % 1000).unwrap_or(0) * 1_000_000;
        let ids = self.0.ids.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(uuid::Timestamp::from_unix(&*ids, now / 1000, nanos))
    }
}
