//! Waiting for a database that does not answer.

use std::time::Duration;

use crate::error::Fault;

/// The pause between two tries while the database does not answer.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);

/// Runs `work`, and runs it again after each outage of the database while `wanted` returns true. `log` reports
/// each outage.
pub(crate) async fn wait_out<T, F>(
    work: impl Fn() -> F,
    wanted: impl Fn() -> bool,
    log: impl Fn(&Fault),
) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    loop {
        match work().await {
            Err(fault) if fault.is_outage() && wanted() => log(&fault),
            done => return done,
        }
        tokio::time::sleep(PAUSE).await;
    }
}
