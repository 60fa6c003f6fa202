//! The processes of a cluster follow the database's clock: what one of them writes as due or expired is
//! so for all, even if a machine's own clock is minutes ahead or behind.
//!
//! On SQLite there is one process, which uses its machine's clock.

use std::time::Duration;

use anyhow::Context as _;
use passerelle_engine::clock::Millis;
use tokio_util::sync::CancellationToken;

use crate::services::Services;

/// Between two reads of the database's clock.
const LOOK: Duration = Duration::from_secs(10);
/// A slower answer is less exact than the time that is already known.
const PROMPT: Duration = Duration::from_secs(1);
/// A larger difference to the machine's own clock is logged as a warning, in milliseconds.
const OFF: Millis = 2_000;

/// Sets the clock to the database's time. Fails if the database does not answer.
pub async fn set(services: &Services) -> anyhow::Result<()> {
    if services.is_shared() {
        let ahead = look(services, Duration::MAX).await;
        let ahead = ahead.context("the database's clock")?;
        if ahead.is_some_and(|ahead| ahead.abs() > OFF) {
            tracing::warn!(
                ahead_ms = ahead,
                "this machine's clock differs from the database's clock, which is used"
            );
        }
    }
    Ok(())
}

/// Follows the database's clock until `stop` is cancelled: clocks drift, and a machine may have slept.
pub(crate) async fn keep(services: Services, stop: CancellationToken) {
    while services.is_shared() {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = look(&services, PROMPT).await {
            tracing::debug!(%error, "the database's clock could not be read");
        }
    }
}

/// Returns how many milliseconds this machine's clock is ahead; `None` if the answer took too long.
async fn look(services: &Services, within: Duration) -> Result<Option<Millis>, sqlx::Error> {
    let mut conn = services.store().read_system().await?;
    let asked = services.clock().monotonic();
    let now = passerelle_engine::store::now(services.store().dialect(), &mut conn).await?;
    let took = services
        .clock()
        .monotonic()
        .saturating_duration_since(asked);
    services.clock_steps().look((asked, asked + took), now);
    Ok((took < within).then(|| services.clock().follow(asked + took / 2, now)))
}
