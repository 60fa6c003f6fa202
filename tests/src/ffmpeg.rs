//! Videos of every kind, made and inspected by the real ffmpeg, and scripts that replace it.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Runs ffmpeg with `arguments` (split at spaces) and returns the video it wrote to a file of this name.
pub fn film(folder: &Path, name: &str, arguments: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    let status = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-y"])
        .args(arguments.split_whitespace())
        .arg(&path)
        .status()
        .context("starting ffmpeg, which the tests need")?;
    ensure!(status.success(), "ffmpeg made no {name}: {status}");
    Ok(fs::read(path)?)
}

/// Returns what ffprobe reports about a video: `streams` and `format`.
pub fn probe(folder: &Path, film: &[u8]) -> Result<Value> {
    let path = folder.join("probed");
    fs::write(&path, film)?;
    let told = Command::new("ffprobe")
        .args(["-loglevel", "error", "-show_streams", "-show_format"])
        .args(["-of", "json"])
        .arg(path)
        .output()?;
    ensure!(told.status.success(), "ffprobe cannot read the video");
    Ok(serde_json::from_slice(&told.stdout)?)
}

/// Writes a program to use as ffmpeg. When the gateway tests it at start, it runs the real ffmpeg. For a
/// video it runs `script`, a shell script.
pub fn pretender(folder: &Path, script: &str) -> Result<PathBuf> {
    let path = folder.join("ffmpeg");
    let real = "for word; do [ \"$word\" != lavfi ] || exec /usr/bin/ffmpeg \"$@\"; done";
    fs::write(&path, format!("#!/bin/bash\n{real}\n{script}\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Returns the running processes that `parent` started.
pub fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

/// Returns the parent's id. In `/proc/PID/stat` it is the second field after the name in brackets.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok()
}
