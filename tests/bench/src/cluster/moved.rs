//! Waiting until every session is connected at another host.

use anyhow::Result;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::look::Look;

/// Time between two queries, because each query costs the database something.
const EVERY: Duration = Duration::from_millis(50);
/// After this time the figures found so far are reported.
const PATIENCE: Duration = Duration::from_mins(3);

/// How sessions moved to another host.
#[derive(Debug)]
pub(super) struct Moved {
    /// Time until the first lease was taken.
    pub(super) first_lease: Duration,
    /// Time until 95 % were connected.
    pub(super) most: Duration,
    /// Time until the last one was connected, or until the deadline.
    pub(super) all: Duration,
    /// How many were connected at that time.
    pub(super) connected: u32,
}

impl Moved {
    /// Returns sessions connected per second, from the first lease until 95 % were connected. The last
    /// ones are left out, because they may have waited for another reason.
    pub(super) fn per_second(&self) -> f64 {
        let took = self.most.saturating_sub(self.first_lease);
        f64::from(self.connected) * 0.95 / took.as_secs_f64().max(0.001)
    }

    pub(super) fn after_first_lease(&self) -> Duration {
        self.all.saturating_sub(self.first_lease)
    }
}

/// Waits until a host that ran no session has this many connected. Times count from `since`.
pub(super) async fn watch(
    look: &mut Look,
    to: &str,
    sessions: u32,
    since: Instant,
) -> Result<Moved> {
    let mut looks = interval(EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut first_lease, mut most) = (None, None);
    loop {
        looks.tick().await;
        let connected = look.connected(to).await?;
        if first_lease.is_none() && (connected > 0 || look.leased(to).await? > 0) {
            first_lease = Some(since.elapsed());
        }
        if most.is_none() && connected * 100 >= sessions * 95 {
            most = Some(since.elapsed());
        }
        let all = since.elapsed();
        if connected >= sessions || all > PATIENCE {
            return Ok(Moved {
                first_lease: first_lease.unwrap_or(all),
                most: most.unwrap_or(all),
                all,
                connected,
            });
        }
    }
}
