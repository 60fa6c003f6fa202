//! The processes of a cluster go by the database's clock: what one of them writes as due, or as over, is
//! so for all, though a machine's own clock be minutes ahead or behind.
//!
//! On SQLite there is one process, and its machine's clock.

use std::time::Duration;

use anyhow::Context as _;
use passerelle_engine::clock::Millis;
use tokio_util::sync::CancellationToken;

use crate::services::Services;

/// Between two looks at the database's clock.
const LOOK: Duration = Duration::from_secs(10);
/// An answer that took longer tells the time more roughly than it is known already.
const PROMPT: Duration = Duration::from_secs(1);
/// A machine whose clock is so far off, in milliseconds, is worth a warning.
const OFF: Millis = 2_000;

/// Takes over the database's time. Fails when the database does not answer.
pub async fn set(services: &Services) -> anyhow::Result<()> {
    if services.is_shared() {
        let ahead = look(services, Duration::MAX).await;
        let ahead = ahead.context("the database's clock")?;
        if ahead.is_some_and(|ahead| ahead.abs() > OFF) {
            tracing::warn!(
                ahead_ms = ahead,
                "this machine's clock is not the database's, which counts"
            );
        }
    }
    Ok(())
}

/// Keeps to it until `stop` is cancelled: no two clocks run alike, and a machine may have slept.
pub(crate) async fn keep(services: Services, stop: CancellationToken) {
    while services.is_shared() {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = look(&services, PROMPT).await {
            tracing::debug!(%error, "the database did not tell the time");
        }
    }
}

/// How many milliseconds this machine's clock is ahead; none when it took too long to tell.
async fn look(services: &Services, within: Duration) -> Result<Option<Millis>, sqlx::Error> {
    let mut conn = services.store().read_system().await?;
    let asked = services.clock().monotonic();
    let now = passerelle_engine::store::now(services.store().dialect(), &mut conn).await?;
    let took = services
        .clock()
        .monotonic()
        .saturating_duration_since(asked);
    Ok((took < within).then(|| services.clock().follow(asked + took / 2, now)))
}
