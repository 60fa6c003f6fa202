//! What these tests work with: a gateway with a linked session, a folder, and the tools.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use passerelle_tests::{Api, Backing, Setup, World};
use reqwest::Method;
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

use crate::media::{CONTACT, NUMBER, linked_with, sha256, shown, uploaded};

/// A gateway with a linked session, and a folder for the tools.
pub(super) struct Desk {
    pub(super) world: World,
    pub(super) session: String,
    pub(super) folder: TempDir,
}

/// A file as the phone got it.
pub(super) struct Received {
    /// What the phone shows.
    pub(super) shown: Value,
    pub(super) bytes: Vec<u8>,
}

impl Desk {
    pub(super) async fn open(setup: Setup) -> Result<Self> {
        let (world, session) = linked_with(Backing::Sqlite, setup).await?;
        let folder = TempDir::with_prefix("passerelle-real-files-")?;
        Ok(Self {
            world,
            session,
            folder,
        })
    }

    /// Uploads a file, sends it and returns what the phone got.
    pub(super) async fn sent(&self, kind: &str, bytes: &[u8]) -> Result<Received> {
        let file = uploaded(&self.world.api, kind, bytes).await?;
        let message = json!({ "type": kind, kind: { "media_id": file["id"] } });
        let shown = shown(&self.world, &self.session, message).await?;
        let bytes = self.content(&file["id"]).await?;
        ensure!(shown["media"]["sha256"] == json!(sha256(&bytes)), "{shown}");
        Ok(Received { shown, bytes })
    }

    /// Lets the contact's phone send a file and returns what the tenant gets.
    pub(super) async fn received(&self, kind: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let receiver = self.world.endpoint(&["media.available"]).await?;
        let said = json!({ "message": { "type": kind, "bytes_base64": STANDARD.encode(bytes) } });
        self.world.simulator.tell(CONTACT, NUMBER, said).await?;
        let told = receiver.wait_for("media.available", 1).await?;
        self.content(&told[0].body["data"]["media"]["id"]).await
    }

    pub(super) async fn content(&self, id: &Value) -> Result<Vec<u8>> {
        let path = format!("/v1/media/{}/content", id.as_str().context("an id")?);
        let (_, _, bytes) = Api::bytes(self.world.api.request(Method::GET, &path)).await?;
        Ok(bytes)
    }
}

/// Runs a program in `folder`, with arguments that are split at spaces. Fails if it does.
pub(super) fn run(folder: &Path, program: &str, arguments: &str) -> Result<Vec<u8>> {
    let done = Command::new(program)
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .with_context(|| format!("starting {program}, which the tests need"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program} {arguments}: {said}");
    Ok(done.stdout)
}

/// Writes a file into `folder`, runs a program there and returns the file afterwards.
pub(super) fn changed(
    folder: &Path,
    name: &str,
    bytes: &[u8],
    program: &str,
    arguments: &str,
) -> Result<Vec<u8>> {
    fs::write(folder.join(name), bytes)?;
    run(folder, program, arguments)?;
    Ok(fs::read(folder.join(name))?)
}

/// Returns everything that exiftool finds in a file, by group and name: also what is embedded in it, and
/// what it has no name for.
pub(super) fn exiftool(folder: &Path, bytes: &[u8]) -> Result<serde_json::Map<String, Value>> {
    fs::write(folder.join("looked-at"), bytes)?;
    let arguments = "-json -G1 -a -u -U -ee3 -api RequestAll=2 -x System:all looked-at";
    let found = run(folder, "exiftool", arguments)?;
    let found: Value = serde_json::from_slice(&found)?;
    let found = found.get(0).and_then(Value::as_object).cloned();
    found.context("what exiftool says about one file")
}

/// A word in everything that a device or its owner wrote into a file.
pub(super) const CANARY: &str = "CANARY";

/// Returns what exiftool finds about place, device and owner.
pub(super) fn told(folder: &Path, bytes: &[u8]) -> Result<Vec<String>> {
    let found = exiftool(folder, bytes)?;
    let names = [
        "GPS",
        "Location",
        "Latitude",
        "Make",
        "Model",
        "Serial",
        "Comment",
        "Artist",
        "Author",
        "Creator",
        "Software",
        "Title",
        "XMP",
        "IPTC",
        "EXIF",
        "Thumbnail",
        "MPF",
        "Trailer",
        "HandlerDescription",
        "Warning",
        "Error",
    ];
    let about = |(name, value): &(String, Value)| {
        let bare = name.rsplit(':').next().unwrap_or_default();
        // A colour profile has a maker, too.
        let of_device = !name.starts_with("ICC") && names.iter().any(|part| bare.starts_with(part));
        of_device || value.to_string().contains(CANARY)
    };
    let mut all: Vec<_> = found
        .into_iter()
        .filter(about)
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    if bytes
        .windows(CANARY.len())
        .any(|word| word == CANARY.as_bytes())
    {
        all.push("the word is in the file".to_owned());
    }
    Ok(all)
}
