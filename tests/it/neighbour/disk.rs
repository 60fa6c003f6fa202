//! A disk that is full, the quota of an organisation, and large files that come in.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::stream;
use passerelle_tests::{
    Api, Backing, Finished, Shop, World,
    backing::Database,
    gateway::{Gateway, Setup},
    on_both_stores,
    shop::Page,
    simulator::{Phone, Simulator},
    soon,
    tmpfs::Tmpfs,
    wait::within,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{io, path::Path, time::Duration};
use tempfile::TempDir;
use tokio::sync::mpsc;

on_both_stores!(
    an_organisation_has_its_quota_of_files_and_no_more,
    a_large_file_is_fetched_when_the_tenant_asks_for_it,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const MIB: usize = 1 << 20;

/// Starts a gateway whose database and files are on a small disk.
async fn on_a_small_disk(disk: &Tmpfs) -> Result<World> {
    passerelle_tests::world::install_tls();
    let folder = TempDir::with_prefix("passerelle-test-")?;
    let simulator = Simulator::start(folder.path()).await?;
    let media = disk.path().join("media").display().to_string();
    let mut setup = Setup::quick();
    setup.flags = ["--media-disk-max", "100"].map(str::to_owned).to_vec();
    setup.environment = vec![("PASSERELLE_MEDIA_STORE".to_owned(), media)];
    let database = Database::create(Backing::Sqlite, disk.path()).await?;
    let gateway = Gateway::over(database, folder.path(), &simulator.ws_url(), setup);
    World::on(gateway, simulator, folder).await
}

/// Returns how many files are below a folder.
fn files(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        count += if path.is_dir() { files(&path)? } else { 1 };
    }
    Ok(count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_nothing_that_was_accepted_is_lost_and_nothing_stays_behind() -> Result<()> {
    let disk = Tmpfs::mount(64)?;
    let world = on_a_small_disk(&disk).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let before = world.api.send(&session, CONTACT, "before").await?;
    world.api.message_at(&before.id, "sent").await?;
    let media = disk.path().join("media");
    // A file that says that it does not fit is refused at once.
    disk.fill(6 << 20)?;
    let large = world.api.upload("document", vec![1; 8 * MIB]).await?;
    assert_eq!((large.status.as_u16(), large.code()), (507, "storage_full"));
    // The disk becomes full while a file that fitted is written.
    let (piece, pieces) = mpsc::channel::<io::Result<Bytes>>(1);
    let body = stream::unfold(pieces, async |mut pieces| {
        Some((pieces.recv().await?, pieces))
    });
    let upload = world
        .api
        .request(Method::POST, "/v1/media/stream?kind=document")
        .header("Content-Length", 4 * MIB)
        .body(reqwest::Body::wrap_stream(body));
    let sent = async {
        for n in 0..4 {
            if n == 1 {
                disk.fill(0)?;
            }
            // The gateway may have refused the rest.
            if piece.send(Ok(Bytes::from(vec![1; MIB]))).await.is_err() {
                break;
            }
        }
        drop(piece);
        anyhow::Ok(())
    };
    let (reply, sent) = tokio::join!(Api::reply(upload), sent);
    sent?;
    let reply = reply?;
    assert_eq!((reply.status.as_u16(), reply.code()), (507, "storage_full"));
    assert_eq!(files(&media)?, 0, "a part stayed behind");
    // What was written of it is free again.
    disk.fill(0)?;
    // The database cannot record anything, so nothing is accepted.
    let text = Api::text(&session, CONTACT, "full");
    let refused = world.api.post("/v1/messages", &text).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (503, "dependency_down")
    );
    std::fs::remove_file(disk.path().join("filler"))?;
    let text = Api::text(&session, CONTACT, "after");
    let after = within(Duration::from_secs(20), "a text is accepted", async || {
        let reply = world.api.send_once("after", &text).await?;
        if reply.status.as_u16() == 503 {
            return Ok(None);
        }
        reply.into::<Value>(202).map(Some)
    })
    .await?;
    let after = after["id"].as_str().context("an id")?;
    world.api.message_at(after, "sent").await?;
    let frames = world.simulator.ledger("sent").await?;
    assert_eq!(
        frames.len(),
        2,
        "each accepted text was sent once: {frames:?}"
    );
    world.finish().await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_make_room_before_the_disk_of_the_database_is_full() -> Result<()> {
    let disk = Tmpfs::mount(64)?;
    let world = on_a_small_disk(&disk).await?;
    let mut kept = Vec::new();
    for n in 0..3 {
        let file: Value = world
            .api
            .upload("document", vec![n; 8 * MIB])
            .await?
            .into(201)?;
        kept.push(file["id"].as_str().context("an id")?.to_owned());
    }
    disk.fill(MIB as u64)?;
    let status = async |id: &str| {
        let reply = world.api.get(&format!("/v1/media/{id}")).await?;
        anyhow::Ok(reply.status.as_u16())
    };
    within(
        Duration::from_secs(40),
        "the oldest file is deleted",
        async || Ok((status(&kept[0]).await? == 404).then_some(())),
    )
    .await?;
    assert_eq!(status(&kept[2]).await?, 200, "more was deleted than needed");
    let counted = super::counted(&world, "passerelle_media_deleted_for_room_total").await?;
    assert!((0.5..1.5).contains(&counted), "{counted}");
    world.finish().await.map(drop)
}

fn with(flags: [&str; 2]) -> Setup {
    Setup {
        flags: flags.map(str::to_owned).to_vec(),
        ..Setup::quick()
    }
}

async fn an_organisation_has_its_quota_of_files_and_no_more(backing: Backing) -> Result<Finished> {
    let world = World::with(backing, with(["--media-quota", "1"])).await?;
    let part = vec![1; MIB / 4 * 3];
    let first: Value = world
        .api
        .upload("document", part.clone())
        .await?
        .into(201)?;
    let second = world.api.upload("document", part.clone()).await?;
    assert_eq!(
        (second.status.as_u16(), second.code()),
        (507, "media_quota_reached")
    );
    let detail = second.body["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains("1048576") && detail.contains("--media-quota"),
        "{detail}"
    );
    // In a message, too, and at an address.
    let session = world.api.create_session("front desk").await?.id;
    for file in [
        json!({ "base64": STANDARD.encode(&part) }),
        json!({ "url": "http://127.0.0.1:9/a" }),
    ] {
        let body = json!({ "type": "document", "document": file });
        let body = Api::of_kind(&session, CONTACT, body);
        let reply = world.api.post("/v1/messages", &body).await?;
        let full = file["url"].is_null();
        assert_eq!(
            reply.status.as_u16(),
            if full { 507 } else { 202 },
            "{:?}",
            reply.body
        );
    }
    // The size of the file at an address may be known only when it was fetched.
    let shop = Shop::open().await?;
    let at = shop.put("/large", Page::Chunked(part.clone()));
    let body = json!({ "type": "document", "document": { "url": at } });
    let body = Api::of_kind(&session, CONTACT, body);
    let sent: Value = world.api.post("/v1/messages", &body).await?.into(202)?;
    let id = sent["document"]["media_id"].as_str().context("an id")?;
    let failed = soon("the file is refused", async || {
        let file: Value = world.api.get(&format!("/v1/media/{id}")).await?.into(200)?;
        Ok((file["status"] == "failed").then_some(file))
    });
    assert_eq!(failed.await?["error"]["code"], "media_quota_reached");
    let other = world.admin.tenant("Other").await?;
    other
        .upload("document", part.clone())
        .await?
        .into::<Value>(201)?;
    let path = format!("/v1/media/{}", first["id"].as_str().context("an id")?);
    assert_eq!(world.api.delete(&path).await?.status.as_u16(), 204);
    world
        .api
        .upload("document", part)
        .await?
        .into::<Value>(201)?;
    world.finish_with_work_undone().await
}

async fn a_large_file_is_fetched_when_the_tenant_asks_for_it(backing: Backing) -> Result<Finished> {
    let world = World::with(backing, with(["--media-inbound-max", "1"])).await?;
    world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let receiver = world
        .endpoint(&["message.received", "media.available"])
        .await?;
    let large = vec![7; 2 * MIB];
    let said =
        json!({ "message": { "type": "document", "bytes_base64": STANDARD.encode(&large) } });
    world.simulator.tell(CONTACT, NUMBER, said).await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let media = &told[0].body["data"]["media"];
    assert_eq!(
        (&media["status"], &media["error"]["code"]),
        (&json!("failed"), &json!("media_too_large"))
    );
    let id = media["id"].as_str().context("an id")?;
    let path = format!("/v1/media/{id}");
    let other = world.admin.tenant("Other").await?;
    assert_eq!(
        other.act(&format!("{path}/fetch")).await?.status.as_u16(),
        404
    );
    let due: Value = world.api.act(&format!("{path}/fetch")).await?.into(200)?;
    assert_eq!(due["status"], "pending");
    receiver.wait_for("media.available", 1).await?;
    let content = world.api.request(Method::GET, &format!("{path}/content"));
    let (_, _, bytes) = Api::bytes(content).await?;
    assert_eq!(bytes, large);
    // A repeated request changes nothing.
    let again: Value = world.api.act(&format!("{path}/fetch")).await?.into(200)?;
    assert_eq!(again["status"], "available");
    world.finish().await
}
