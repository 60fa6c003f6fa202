//! Waiting for an event, with a deadline.

use anyhow::{Context as _, Result, bail};
use std::time::Duration;
use tokio::time::Instant;

/// How often a condition is checked.
const EVERY: Duration = Duration::from_millis(20);

/// Polls until the answer is `Some`, for at most 20 seconds.
pub async fn soon<T>(what: &str, ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    within(Duration::from_secs(20), what, ask).await
}

/// Polls until the answer is `Some`. An error or the deadline ends the wait; the error then says `what`
/// was awaited.
pub async fn within<T>(
    deadline: Duration,
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask()
            .await
            .with_context(|| format!("waiting until {what}"))?
        {
            return Ok(answer);
        }
        if Instant::now() >= end {
            bail!("waited {deadline:?} in vain until {what}");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Polls how much is left until it is zero. Fails on an error, or if the number does not fall for the time
/// `still`.
pub async fn dwindles(
    still: Duration,
    what: &str,
    mut left: impl AsyncFnMut() -> Result<u64>,
) -> Result<()> {
    let (mut least, mut since) = (u64::MAX, Instant::now());
    loop {
        let left = left()
            .await
            .with_context(|| format!("waiting until {what}"))?;
        if left == 0 {
            return Ok(());
        }
        if left < least {
            (least, since) = (left, Instant::now());
        } else if since.elapsed() >= still {
            bail!("waited in vain until {what}: {left} were left, unchanged for {still:?}");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Returns the machine's wall clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads it for tests"
)]
pub fn wall_clock() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}
