//! The other processes of a benchmark, besides the gateway and the simulator: load and references.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::{path::PathBuf, process::Stdio};
use tokio::process::Command;

/// Runs `load` or `reference` from this program's folder and returns the JSON it prints.
pub(crate) async fn run(name: &str, arguments: &[&str]) -> Result<Value> {
    let output = Command::new(beside(name)?)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "{name} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).with_context(|| format!("{name} did not print JSON"))
}

fn beside(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

/// Returns one figure from the JSON of a child.
pub(crate) fn figure(told: &Value, pointer: &str) -> Result<f64> {
    told.pointer(pointer)
        .and_then(Value::as_f64)
        .with_context(|| format!("no {pointer} in {told}"))
}
