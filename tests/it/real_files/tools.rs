//! Files made by real programs, and what becomes of them.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use passerelle_tests::{Api, Receiver, World, ffmpeg, soon};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

use crate::media::{CONTACT, NUMBER, sha256, shown};

/// A word in everything that a device or its owner wrote into a file.
const CANARY: &str = "CANARY";

/// How the names begin that exiftool gives to place, device and owner.
const ABOUT: [&str; 21] = [
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

/// A folder in which programs make files.
pub(super) struct Workshop(TempDir);

impl Workshop {
    pub(super) fn open() -> Result<Self> {
        Ok(Self(TempDir::with_prefix("passerelle-real-files-")?))
    }

    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        fs::read(self.path(name)).with_context(|| format!("nobody made {name}"))
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Ok(fs::write(self.path(name), bytes)?)
    }

    /// Runs a program in the folder and returns what it printed. Fails if it does.
    pub(super) fn run(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Result<Vec<u8>> {
        let program = program.as_ref();
        let done = Command::new(program)
            .args(arguments)
            .current_dir(self.folder())
            .output();
        let done = done.with_context(|| format!("starting {}", program.display()))?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(
            done.status.success(),
            "{} {arguments:?}: {said}",
            program.display()
        );
        Ok(done.stdout)
    }

    /// Runs a command line, which is split at spaces.
    pub(super) fn command(&self, line: &str) -> Result<Vec<u8>> {
        let words: Vec<_> = line.split_whitespace().collect();
        let (program, arguments) = words.split_first().context("an empty line")?;
        self.run(program, arguments)
    }

    /// Writes a file, runs a command line that changes it, and returns it.
    pub(super) fn changed(&self, name: &str, bytes: &[u8], line: &str) -> Result<Vec<u8>> {
        self.put(name, bytes)?;
        self.command(line)?;
        self.read(name)
    }

    /// Runs a Python script with the libraries that `tests/run` installs.
    pub(super) fn python(&self, script: &str) -> Result<Vec<u8>> {
        let beside = std::env::var("PASSERELLE_TEST_MOTO").context(
            "PASSERELLE_TEST_MOTO is in the Python environment; start the tests with tests/run",
        )?;
        self.run(Path::new(&beside).with_file_name("python"), &["-c", script])
    }

    /// Runs ffmpeg and returns the file it made.
    pub(super) fn ffmpeg(&self, name: &str, arguments: &str) -> Result<Vec<u8>> {
        ffmpeg::film(self.folder(), name, arguments)
    }

    /// Makes a recording of a tone.
    pub(super) fn tone(&self, name: &str, seconds: f64, coded: &str) -> Result<Vec<u8>> {
        let source = format!("-f lavfi -i sine=frequency=440:duration={seconds}");
        self.ffmpeg(name, &format!("{source} {coded}"))
    }

    /// Returns how long ffmpeg plays it when it decodes everything.
    pub(super) fn played(&self, bytes: &[u8]) -> Result<f64> {
        self.put("played", bytes)?;
        self.ffmpeg(
            "played.wav",
            &format!("-i {} -ar 8000 -ac 1", self.path("played").display()),
        )?;
        // 16 bits a sample, behind a header of some 80 bytes.
        let size = u32::try_from(self.read("played.wav")?.len())?;
        Ok(f64::from(size - 78) / 16_000.0)
    }

    /// Returns everything that exiftool finds in a file, by group and name: also what is embedded in it, and
    /// what it has no name for.
    pub(super) fn exiftool(&self, bytes: &[u8]) -> Result<Map<String, Value>> {
        self.put("looked-at", bytes)?;
        let all = "-json -G1 -a -u -U -ee3 -api RequestAll=2 -x System:all";
        let found = self.command(&format!("exiftool {all} looked-at"))?;
        let found: Value = serde_json::from_slice(&found)?;
        let found = found.get(0).and_then(Value::as_object).cloned();
        found.context("what exiftool says about one file")
    }

    /// Returns what exiftool finds about place, device and owner.
    pub(super) fn told(&self, bytes: &[u8]) -> Result<Vec<String>> {
        let about = |(name, value): &(String, Value)| {
            let bare = name.rsplit(':').next().unwrap_or_default();
            // A colour profile has a maker, too.
            let of_device =
                !name.starts_with("ICC") && ABOUT.iter().any(|part| bare.starts_with(part));
            of_device || value.to_string().contains(CANARY)
        };
        let mut all: Vec<_> = self
            .exiftool(bytes)?
            .into_iter()
            .filter(about)
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let mut words = bytes.windows(CANARY.len());
        if words.any(|word| word == CANARY.as_bytes()) {
            all.push("the word is in the file".to_owned());
        }
        Ok(all)
    }
}

/// Uploads a file, sends it, and returns the file and what the phone shows. The phone must have opened
/// exactly the stored bytes.
pub(super) async fn sent(
    world: &World,
    session: &str,
    kind: &str,
    bytes: &[u8],
) -> Result<(Value, Value)> {
    let file = crate::media::uploaded(&world.api, kind, bytes).await?;
    let message = json!({ "type": kind, kind: { "media_id": file["id"] } });
    let seen = shown(world, session, message).await?;
    assert_eq!(seen["media"]["undecryptable"], Value::Null, "{seen}");
    assert_eq!(seen["media"]["sha256"], file["sha256"], "{seen}");
    assert_eq!(seen["mimetype"], file["mime_type"], "{seen}");
    assert_eq!(seen["file_length"], file["size"], "{seen}");
    Ok((file, seen))
}

/// Sends a file, and returns the bytes that the phone got and what it shows.
pub(super) async fn arrived(
    world: &World,
    session: &str,
    kind: &str,
    bytes: &[u8],
) -> Result<(Vec<u8>, Value)> {
    let (file, seen) = sent(world, session, kind, bytes).await?;
    let got = content(world, &file["id"]).await?;
    assert_eq!(seen["media"]["sha256"], json!(sha256(&got)), "{seen}");
    Ok((got, seen))
}

/// Returns the content of a file.
pub(super) async fn content(world: &World, id: &Value) -> Result<Vec<u8>> {
    let path = format!("/v1/media/{}/content", id.as_str().context("an id")?);
    Ok(Api::bytes(world.api.request(Method::GET, &path)).await?.2)
}

/// Lets the contact send a file, and returns it as the webhook describes it once it is here. The API must
/// say the same, and serve the bytes that were sent.
pub(super) async fn received(
    world: &World,
    receiver: &Receiver,
    kind: &str,
    bytes: &[u8],
    said: (&str, Option<&str>),
) -> Result<Value> {
    let mut message =
        json!({ "type": kind, "bytes_base64": STANDARD.encode(bytes), "mimetype": said.0 });
    if let Some(name) = said.1 {
        message["file_name"] = json!(name);
    }
    let before = receiver.arrivals().len();
    let told = json!({ "message": message });
    world.simulator.tell(CONTACT, NUMBER, told).await?;
    let digest = json!(sha256(bytes));
    let media = soon("the file is here", async || {
        let arrivals = receiver.arrivals().into_iter().skip(before);
        let mut media = arrivals.map(|arrival| arrival.body["data"]["media"].clone());
        Ok(media.find(|media| media["status"] == "available" && media["sha256"] == digest))
    })
    .await?;
    let path = format!("/v1/media/{}", media["id"].as_str().context("an id")?);
    let read = world.api.get(&path).await?.body;
    assert_eq!(read["mime_type"], media["mime_type"]);
    assert_eq!(content(world, &media["id"]).await?, bytes);
    Ok(media)
}
