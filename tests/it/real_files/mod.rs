//! Files as real devices and programs make them: what the phone gets of each.
//!
//! The files are made by the real tools while the test runs.

mod links;
mod pictures;
mod videos;

use anyhow::{Context as _, Result, ensure};
use passerelle_tests::{Api, Backing, Setup, World};
use reqwest::Method;
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

use crate::media::{linked_with, sha256, shown, uploaded};

/// A gateway with a linked session, and a folder for the tools.
struct Desk {
    world: World,
    session: String,
    folder: TempDir,
}

/// A file as the phone got it.
struct Received {
    /// What the phone shows.
    shown: Value,
    bytes: Vec<u8>,
}

impl Desk {
    async fn open(setup: Setup) -> Result<Self> {
        let (world, session) = linked_with(Backing::Sqlite, setup).await?;
        let folder = TempDir::with_prefix("passerelle-real-files-")?;
        Ok(Self {
            world,
            session,
            folder,
        })
    }

    /// Uploads a file, sends it and returns what the phone got.
    async fn sent(&self, kind: &str, bytes: &[u8]) -> Result<Received> {
        let file = uploaded(&self.world.api, kind, bytes).await?;
        let message = json!({ "type": kind, kind: { "media_id": file["id"] } });
        let shown = shown(&self.world, &self.session, message).await?;
        let id = file["id"].as_str().context("an id")?;
        let content = format!("/v1/media/{id}/content");
        let (_, _, bytes) = Api::bytes(self.world.api.request(Method::GET, &content)).await?;
        ensure!(shown["media"]["sha256"] == json!(sha256(&bytes)), "{shown}");
        Ok(Received { shown, bytes })
    }
}

/// Runs a program in `folder`, with arguments that are split at spaces. Fails if it does.
fn run(folder: &Path, program: &str, arguments: &str) -> Result<Vec<u8>> {
    let done = Command::new(program)
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .with_context(|| format!("starting {program}, which the tests need"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program} {arguments}: {said}");
    Ok(done.stdout)
}

/// Returns everything that exiftool finds in a file, with what is embedded in it, by group and name.
fn exiftool(folder: &Path, bytes: &[u8]) -> Result<Value> {
    fs::write(folder.join("looked-at"), bytes)?;
    let found = run(
        folder,
        "exiftool",
        "-json -G1 -a -u -U -ee3 -api RequestAll=3 looked-at",
    )?;
    let found: Value = serde_json::from_slice(&found)?;
    found.get(0).cloned().context("one file")
}
