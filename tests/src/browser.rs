//! Headless Chromium.

use anyhow::{Context as _, Result};
use std::{ffi::OsStr, path::Path, process::Stdio, time::Duration};
use tokio::process::Command;

/// Opens a page with a fresh profile under `folder` and returns what the browser printed. Only 127.0.0.1
/// can be resolved.
pub async fn open(
    folder: &Path,
    flags: impl IntoIterator<Item = impl AsRef<OsStr>>,
    page: &str,
) -> Result<Vec<u8>> {
    let shown = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-sync",
            "--disable-component-update",
            "--virtual-time-budget=20000",
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("browser").display()
        ))
        .args(flags)
        .arg(page)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let shown = tokio::time::timeout(Duration::from_mins(1), shown).await?;
    Ok(shown.context("starting chromium")?.stdout)
}

/// Renders an SVG picture in the browser and returns it as PNG.
pub async fn screenshot_of_svg(folder: &Path, svg: &[u8]) -> Result<Vec<u8>> {
    let (page, shot) = (folder.join("picture.svg"), folder.join("picture.png"));
    std::fs::write(&page, svg)?;
    let flags = [
        format!("--screenshot={}", shot.display()),
        "--window-size=800,800".to_owned(),
    ];
    open(folder, flags, &format!("file://{}", page.display())).await?;
    std::fs::read(shot).context("the browser drew nothing")
}
