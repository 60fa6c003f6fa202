//! The other processes of a benchmark: load and references, beside the gateway and the simulator.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::{path::PathBuf, process::Stdio};
use tokio::process::Command;

/// Runs `load` or `reference`, which stand beside this program, and gives the JSON it prints.
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
    serde_json::from_slice(&output.stdout).with_context(|| format!("{name} printed something else"))
}

fn beside(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

/// A figure of what a child printed.
pub(crate) fn figure(told: &Value, pointer: &str) -> Result<f64> {
    told.pointer(pointer)
        .and_then(Value::as_f64)
        .with_context(|| format!("no {pointer} in {told}"))
}
