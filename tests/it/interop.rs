//! Baileys, an independent client, and our gateway, both on our simulated server. `tests/run` installs
//! Baileys and runs these tests in a separate step.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Receiver, Setup, World, within};
use serde_json::{Value, json};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
};

const NUMBER: &str = "+4915170000001";
/// The phone that Baileys links to.
const OTHER: &str = "+491700000001";
const ANSWER: &str = "hello from the gateway";
const ALL: &str = "that is all";

/// A running script of `interop/baileys`.
struct Baileys {
    process: Child,
    steps: Lines<BufReader<ChildStdout>>,
    complaints: ChildStderr,
}

impl Baileys {
    fn start(world: &World, script: &str, further: &[&str]) -> Result<Self> {
        let mut process = Command::new("node")
            .arg(script)
            .args([world.simulator.control_url(), &world.simulator.ws_url()])
            .args(["--phone", OTHER, "--peer", NUMBER])
            .args(further)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/baileys"))
            // The simulator's media server has a self-signed certificate.
            .env("NODE_TLS_REJECT_UNAUTHORIZED", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting node")?;
        let steps = process.stdout.take().context("stdout is piped")?;
        Ok(Self {
            complaints: process.stderr.take().context("stderr is piped")?,
            steps: BufReader::new(steps).lines(),
            process,
        })
    }

    /// Returns the next step that the script reports.
    async fn step(&mut self) -> Result<Value> {
        let line = tokio::time::timeout(Duration::from_mins(1), self.steps.next_line()).await;
        match line.context("Baileys reports no more steps")?? {
            Some(line) => Ok(serde_json::from_str(&line)?),
            None => Err(self.complaint().await),
        }
    }

    /// Returns the steps with this name until a step with the name `end` comes.
    async fn steps_until(&mut self, name: &str, end: &str) -> Result<Vec<Value>> {
        let mut steps = Vec::new();
        loop {
            let step = self.step().await?;
            if step["step"] == end {
                return Ok(steps);
            }
            steps.extend((step["step"] == name).then_some(step));
        }
    }

    async fn complaint(&mut self) -> anyhow::Error {
        let mut text = String::new();
        let reading = self.complaints.read_to_string(&mut text);
        let _ = tokio::time::timeout(Duration::from_secs(5), reading).await;
        anyhow::anyhow!("Baileys ended: {text}")
    }

    async fn ended_well(mut self) -> Result<()> {
        let status = tokio::time::timeout(Duration::from_mins(1), self.process.wait()).await??;
        if status.success() {
            return Ok(());
        }
        Err(self.complaint().await)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_links_and_exchanges_texts_with_the_gateway() -> Result<()> {
    let world = World::start(Backing::Sqlite).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?;
    let mut baileys = Baileys::start(&world, "interop.mjs", &["--expect", ANSWER])?;
    // Baileys writes to the gateway's number and waits for an answer.
    baileys.steps_until("read", "wrote").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    assert_eq!(told[0].body["data"]["message"]["from"], OTHER);
    world.api.send(&session.id, OTHER, ANSWER).await?;
    baileys.steps_until("answered", "done").await?;
    baileys.ended_well().await?;
    world.finish().await?;
    Ok(())
}

/// Baileys and the simulator's scripted phones, without the gateway: each kind both ways, groups,
/// pictures. It shows that the simulator is what an independent client expects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_and_the_simulator_exchange_every_kind() -> Result<()> {
    let world = World::start(Backing::Sqlite).await?;
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let assets = assets.to_str().context("a path")?;
    let mut baileys = Baileys::start(&world, "simulator.mjs", &["--assets", assets])?;
    let received = baileys.steps_until("received", "group").await?;
    assert_eq!(received.len(), 23, "one step for each kind");
    baileys.steps_until("profile", "done").await?;
    baileys.ended_well().await?;
    world.finish().await?;
    Ok(())
}

/// Waits for the event about this message.
async fn told(receiver: &Receiver, event: &str, kind: &str, id: &Value) -> Result<Value> {
    let what = format!("{kind} {id} has come in");
    within(Duration::from_secs(30), &what, async || {
        let messages = receiver.of(event).into_iter();
        let mut messages = messages.map(|one| one.body["data"]["message"].clone());
        Ok(messages.find(|message| message["type"] == kind && &message["wa_message_id"] == id))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_and_the_gateway_exchange_every_kind() -> Result<()> {
    let world = World::with(Backing::Sqlite, Setup::quick()).await?;
    let receiver = world.endpoint(&[]).await?;
    let session = world.linked(NUMBER).await?.id;
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let assets = assets.to_str().context("a path")?;
    let mut baileys = Baileys::start(&world, "kinds.mjs", &["--assets", assets])?;
    came_in(&receiver, baileys.steps_until("sent", "your turn").await?).await?;
    let sent = go_out(&world, &session).await?;
    world.api.send(&session, OTHER, ALL).await?;
    let got = baileys.steps_until("got", "done").await?;
    for (kind, expected) in sent {
        let found = got.iter().find(|one| {
            let mut fields = expected.as_object().into_iter().flatten();
            fields.all(|(field, value)| &one[field] == value)
        });
        assert!(found.is_some(), "{kind}: {expected} is not among {got:#?}");
    }
    baileys.ended_well().await?;
    world.finish().await?;
    Ok(())
}

/// Checks that everything Baileys sent was reported, with identical files.
async fn came_in(receiver: &Receiver, sent: Vec<Value>) -> Result<()> {
    let first = sent.first().context("Baileys sent nothing")?["id"].clone();
    for one in sent {
        let (kind, id) = (one["kind"].as_str().context("a kind")?, &one["id"]);
        let (event, kind) = match kind {
            "reply" => ("message.received", "text"),
            "reaction" => ("message.reaction", kind),
            "edit" => ("message.edited", kind),
            "delete" => ("message.deleted", kind),
            kind => ("message.received", kind),
        };
        let message = told(receiver, event, kind, id).await?;
        match one["kind"].as_str() {
            Some("reply") => assert_eq!(message["reply_to"]["wa_message_id"], first),
            Some("reaction") => assert_eq!(message["reaction"]["emoji"], "👍"),
            Some("edit") => assert_eq!(message["edit"]["body"], "the first, edited"),
            Some("location") => assert_eq!(message["location"]["latitude"], 52.5),
            Some("contacts") => assert_eq!(message["contacts"][0]["name"], "Ada"),
            Some("image") => assert_eq!(message["image"]["caption"], "look"),
            Some("document") => assert_eq!(message["document"]["file_name"], "invoice.jpg"),
            _ => {}
        }
        if one["sha256"].is_string() {
            let id = &message[kind]["media_id"];
            let here = within(
                Duration::from_secs(30),
                "the file is available",
                async || {
                    let files = receiver.of("media.available").into_iter();
                    let mut files = files.map(|one| one.body["data"]["media"].clone());
                    Ok(files.find(|file| &file["id"] == id))
                },
            );
            assert_eq!(here.await?["sha256"], one["sha256"], "{kind}");
        }
    }
    Ok(())
}

/// Sends every kind. Returns each with what Baileys must report for it.
async fn go_out(world: &World, session: &str) -> Result<Vec<(&'static str, Value)>> {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let mut expected = Vec::new();
    let mut first = (String::new(), String::new());
    let send = async |kind: Value| {
        let sent = world.api.send_kind(session, OTHER, kind).await?;
        world.api.message_at(&sent.id, "sent").await?;
        let wa_id = sent
            .wa_message_id
            .context("a WhatsApp id is chosen at accept")?;
        anyhow::Ok((sent.id, wa_id))
    };
    for (kind, name, field) in [
        ("image", "photo.jpg", "imageMessage"),
        ("video", "film.mp4", "videoMessage"),
        ("audio", "song.mp3", "audioMessage"),
        ("voice", "voice.ogg", "audioMessage"),
        ("document", "photo.jpg", "documentMessage"),
        ("sticker", "sticker.webp", "stickerMessage"),
    ] {
        let upload = world.api.upload(kind, std::fs::read(assets.join(name))?);
        let file: Value = upload.await?.into(201)?;
        let (_, wa_id) = send(json!({ "type": kind, kind: { "media_id": file["id"] } })).await?;
        let mut told = json!({ "kind": field, "id": wa_id, "sha256": file["sha256"] });
        if kind == "voice" {
            told["ptt"] = json!(true);
            told["waveform"] = json!(64);
        }
        expected.push((kind, told));
    }
    let place = json!({ "latitude": 1.5, "longitude": 2.5 });
    let card = json!([{ "name": "Ada", "phones": ["+4915199000002"] }]);
    for (kind, message, told) in [
        (
            "text",
            json!({ "type": "text", "text": { "body": "one" } }),
            json!({ "text": "one" }),
        ),
        (
            "location",
            json!({ "type": "location", "location": place }),
            json!({ "kind": "locationMessage", "latitude": 1.5 }),
        ),
        (
            "contacts",
            json!({ "type": "contacts", "contacts": card }),
            json!({ "kind": "contactMessage", "name": "Ada" }),
        ),
    ] {
        let ids = send(message).await?;
        if kind == "text" {
            first = ids;
        }
        expected.push((kind, told));
    }
    let (id, wa_id) = first;
    let reaction = json!({ "message_id": id, "emoji": "👍" });
    send(json!({ "type": "reaction", "reaction": reaction })).await?;
    expected.push((
        "reaction",
        json!({ "kind": "reactionMessage", "text": "👍", "about": wa_id }),
    ));
    send(json!({ "type": "text", "text": { "body": "an answer" }, "reply_to": id })).await?;
    expected.push(("reply", json!({ "text": "an answer", "quoted": wa_id })));
    send(json!({ "type": "edit", "edit": { "message_id": id, "body": "two" } })).await?;
    expected.push((
        "edit",
        json!({ "type": "MESSAGE_EDIT", "about": wa_id, "text": "two" }),
    ));
    send(json!({ "type": "delete", "delete": { "message_id": id } })).await?;
    expected.push(("delete", json!({ "type": "REVOKE", "about": wa_id })));
    Ok(expected)
}
