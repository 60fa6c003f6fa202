//! files: how much memory a document of 2 GB costs while it is uploaded, sent, received and downloaded,
//! and how many small files are accepted per second.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use passerelle_tests::{Backing, Setup, World, simulator::Phone, within};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tokio::time::Instant;

use crate::report::Row;

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
/// Bytes of the document.
const SIZE: u64 = 2_000_000_000;
/// The deadline of each step.
const PATIENCE: Duration = Duration::from_mins(5);
const CHUNK: usize = 1 << 20;
/// The number of small files, and how many are uploaded at the same time.
const SMALL: u32 = 1000;
const AT_ONCE: usize = 64;
const PHOTO: &[u8] = include_bytes!("../../assets/photo.jpg");

pub(crate) async fn measure() -> Result<[Row; 2]> {
    // Larger files that come in would be left at WhatsApp.
    let flags = ["--media-inbound-max", "2048"];
    let setup = Setup {
        flags: flags.map(str::to_owned).to_vec(),
        ..Setup::quick()
    };
    let mut world = World::with(Backing::Sqlite, setup).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let before = peak(&mut world)?;
    let began = Instant::now();
    let file = upload(&world).await?;
    let up = began.elapsed();
    let out = timed(send(&world, &session, &file)).await?;
    let said = json!({ "message": { "type": "document", "size": SIZE } });
    world.simulator.tell(CONTACT, NUMBER, said).await?;
    let began = Instant::now();
    let arrived = arrived(&world).await?;
    let fetched = began.elapsed();
    let down = timed(download(&world, &arrived)).await?;
    let large = Row {
        bench: "files-large".to_owned(),
        value: peak(&mut world)? - before,
        unit: "MiB more at the peak",
        reference: None,
        goal: "≤ 32 MiB for a document of 2 GB, up, out, in and down",
        more: vec![
            ("before_mib", before),
            ("up_mb_s", speed(up)),
            ("out_mb_s", speed(out)),
            ("in_mb_s", speed(fetched)),
            ("down_mb_s", speed(down)),
        ],
    };
    let before = peak(&mut world)?;
    let many = timed(many(&world)).await?;
    let small = Row {
        bench: "files-small".to_owned(),
        value: f64::from(SMALL) / many.as_secs_f64(),
        unit: "pictures/s taken in",
        reference: None,
        goal: "≥ 100/s of 6.5 KB each, 64 at once",
        more: vec![("more_mib", peak(&mut world)? - before)],
    };
    world.finish().await?;
    Ok([large, small])
}

/// Returns the peak of the resident memory, in MiB.
fn peak(world: &mut World) -> Result<f64> {
    let bytes = world.gateway.process()?.peak_memory()?;
    #[expect(clippy::cast_precision_loss, reason = "a few hundred MiB")]
    Ok(bytes as f64 / f64::from(1 << 20))
}

async fn timed(work: impl Future<Output = Result<()>>) -> Result<Duration> {
    let began = Instant::now();
    work.await?;
    Ok(began.elapsed())
}

fn speed(took: Duration) -> f64 {
    2000.0 / took.as_secs_f64()
}

async fn upload(world: &World) -> Result<Value> {
    let chunk = Bytes::from(vec![7; CHUNK]);
    let whole = SIZE / CHUNK as u64;
    let last = chunk.slice(..usize::try_from(SIZE % CHUNK as u64)?);
    let chunks = (0..whole).map(move |_| chunk.clone()).chain([last]);
    let chunks = stream::iter(chunks.map(Ok::<_, std::io::Error>));
    let upload = world
        .api
        .request(Method::POST, "/v1/media/stream?kind=document");
    let upload = upload
        .timeout(PATIENCE)
        .body(reqwest::Body::wrap_stream(chunks));
    let reply = upload.send().await?.error_for_status()?;
    Ok(serde_json::from_slice(&reply.bytes().await?)?)
}

async fn send(world: &World, session: &str, file: &Value) -> Result<()> {
    let document = json!({ "type": "document", "document": { "media_id": file["id"] } });
    let sent = world.api.send_kind(session, CONTACT, document).await?;
    within(PATIENCE, "the document is sent", async || {
        let status = world.api.message(&sent.id).await?.status;
        ensure!(status != "failed", "the message failed");
        let waits = matches!(status.as_str(), "queued" | "sending");
        Ok((!waits).then_some(()))
    })
    .await
}

/// Returns the document that was received, once its file is available.
async fn arrived(world: &World) -> Result<Value> {
    within(PATIENCE, "the document is available", async || {
        let list: Value = world
            .api
            .get("/v1/messages?direction=inbound")
            .await?
            .into(200)?;
        let Some(id) = list["data"][0]["document"]["media_id"].as_str() else {
            return Ok(None);
        };
        let file: Value = world.api.get(&format!("/v1/media/{id}")).await?.into(200)?;
        Ok((file["status"] == "available").then_some(file))
    })
    .await
}

async fn download(world: &World, file: &Value) -> Result<()> {
    let path = format!(
        "/v1/media/{}/content",
        file["id"].as_str().context("an id")?
    );
    let mut reply = world
        .api
        .request(Method::GET, &path)
        .timeout(PATIENCE)
        .send()
        .await?;
    let mut digest = Sha256::new();
    while let Some(chunk) = reply.chunk().await? {
        digest.update(&chunk);
    }
    let digest = hex::encode(digest.finalize());
    ensure!(file["sha256"] == digest.as_str(), "the bytes differ");
    Ok(())
}

async fn many(world: &World) -> Result<()> {
    let uploads = stream::iter(0..SMALL).map(async |_| {
        let reply = world.api.upload("image", PHOTO).await?;
        ensure!(reply.status.as_u16() == 201, "refused: {}", reply.body);
        Ok(())
    });
    uploads.buffer_unordered(AT_ONCE).try_collect().await
}
