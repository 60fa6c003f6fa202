//! One request limit for a cluster: each process tells the store once a second what it let through, and learns
//! what the others did. No request waits for it.
//!
//! A process that cannot reach the store has its own budget. What it let through in between is not told later.

use std::time::Duration;

use passerelle_jobs::{Services, usage};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::quota::Quotas;

/// The time between two reports.
const MOMENT: Duration = Duration::from_secs(1);

/// Reports until the process stops. Returns at once if there is only one process.
pub(crate) async fn share(services: Services, quotas: Quotas, stop: CancellationToken) {
    if usage::is_shared(&services) {
        stop.run_until_cancelled(report(&services, &quotas)).await;
    }
}

async fn report(services: &Services, quotas: &Quotas) {
    loop {
        tokio::time::sleep(MOMENT).await;
        let spent = quotas.spent();
        if spent.is_empty() {
            continue;
        }
        let sent = Instant::now();
        match usage::spend(services, spent, quotas.every()).await {
            Ok(budgets) => quotas.learn(sent, budgets),
            Err(error) => tracing::debug!(%error, "the request limits are not shared"),
        }
    }
}
