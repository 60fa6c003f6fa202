//! What the workers of a cluster answer to probes.

use anyhow::Result;
use serde_json::Value;
use std::time::Duration;

use crate::{gateway::Gateway, wait::within};

const WORKERS: [&str; 2] = ["worker-a", "worker-b"];
/// How long a worker may take to start or stop using tokens.
const SOON: Duration = Duration::from_mins(1);

/// Returns what a worker answers to a probe. `None` while it does not answer.
async fn probe(gateway: &Gateway, worker: &str, path: &str) -> Result<Option<Value>> {
    let Some(base) = gateway.probes_of(worker)? else {
        return Ok(None);
    };
    let Ok(answer) = reqwest::get(format!("{base}{path}")).await else {
        return Ok(None);
    };
    let answer = answer.text().await?;
    Ok(Some(
        serde_json::from_str(&answer).unwrap_or_else(|_| answer.into()),
    ))
}

/// Waits until both workers report that tokens travel through Redis, or that they do not.
pub async fn travels(gateway: &Gateway, up: bool) -> Result<()> {
    for worker in WORKERS {
        within(
            SOON,
            "the worker reports whether tokens travel",
            async || {
                let ready = probe(gateway, worker, "/readyz").await?.unwrap_or_default();
                Ok((ready["tokens"] == up && ready["ready"] == true).then_some(()))
            },
        )
        .await?;
    }
    Ok(())
}

/// Returns the sum of a counter over both workers and all its labels.
pub async fn counted(gateway: &Gateway, name: &str) -> Result<f64> {
    let mut sum = 0.0;
    for worker in WORKERS {
        let metrics = probe(gateway, worker, "/metrics")
            .await?
            .unwrap_or_default();
        let lines = metrics.as_str().unwrap_or_default().lines();
        let values = lines.filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (_, value) = rest
                .rsplit_once(' ')
                .filter(|_| rest.starts_with([' ', '{']))?;
            value.parse::<f64>().ok()
        });
        sum += values.sum::<f64>();
    }
    Ok(sum)
}
