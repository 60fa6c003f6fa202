//! Hosts of files that hang: each try ends at its deadline, the message fails or is tried again, and other
//! sessions do not wait.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use passerelle_tests::{
    Backing, Finished, Setup, Shop, World, on_both_stores, shop::Page, simulator::Phone, soon,
    within,
};
use serde_json::{Value, json};
use std::time::Duration;

on_both_stores!(
    an_address_that_hangs_is_tried_again_and_then_given_up,
    whatsapp_s_media_host_may_hang,
);

const NUMBER: &str = "+4915170000001";
const OTHER: &str = "+4915170000002";
const CONTACT: &str = "+4915199000001";
const PAPER: &[u8] = b"%PDF-1.4\n% an invoice\n";

/// Returns a document message with this address.
fn at(url: &str) -> Value {
    json!({ "type": "document", "document": { "url": url } })
}

async fn an_address_that_hangs_is_tried_again_and_then_given_up(
    backing: Backing,
) -> Result<Finished> {
    let mut setup = Setup::quick();
    setup.flags = vec!["--media-url-timeout-ms".to_owned(), "1000".to_owned()];
    let world = World::with(backing, setup).await?;
    let (session, other) = (
        world.linked(NUMBER).await?.id,
        world.linked(OTHER).await?.id,
    );
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let shop = Shop::open().await?;
    // No answer, an answer without a body, one byte per second, and fewer bytes than announced.
    let bad = [
        ("/silent", Page::Silent),
        ("/hanging", Page::Hanging),
        ("/trickling", Page::Trickling(PAPER.to_vec())),
        ("/short", Page::Short(PAPER.to_vec())),
    ];
    let mut sent = Vec::new();
    for (path, page) in bad {
        let url = shop.put(path, page);
        sent.push((
            path,
            world.api.send_kind(&session, CONTACT, at(&url)).await?.id,
        ));
    }
    let behind = world.api.send(&session, CONTACT, "behind them").await?.id;
    // Another session does not wait for them.
    let text = world.api.send(&other, CONTACT, "not behind them").await?.id;
    let gone = world.api.message_at(&text, "sent").await?;
    assert!(gone.sent_at.is_some());
    // Each try ended, and another one began.
    for (path, _) in &sent {
        soon("the file is requested again", async || {
            Ok((shop.asked(path) >= 2).then_some(()))
        })
        .await?;
    }
    // Files whose host recovers are sent. The one whose host never answers fails, and the lane continues.
    for (path, _) in &sent[1..] {
        shop.put(path, Page::File("application/pdf", PAPER.to_vec()));
    }
    let (_, silent) = &sent[0];
    let failed = within(
        Duration::from_secs(75),
        "the message has failed",
        async || {
            let message = world.api.message(silent).await?;
            Ok((message.status == "failed").then_some(message))
        },
    )
    .await?;
    assert_eq!(failed.error_code(), "media_unreachable");
    assert_eq!(shop.asked("/silent"), 3);
    for (path, id) in &sent[1..] {
        let message = world.api.message_at(id, "sent").await;
        message.with_context(|| format!("{path} was sent"))?;
    }
    world.api.message_at(&behind, "sent").await?;
    world.finish().await
}

async fn whatsapp_s_media_host_may_hang(backing: Backing) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let (session, other) = (
        world.linked(NUMBER).await?.id,
        world.linked(OTHER).await?.id,
    );
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let receiver = world
        .endpoint(&["message.received", "media.available"])
        .await?;
    let file: Value = world.api.upload("document", PAPER).await?.into(201)?;
    let document = json!({ "type": "document", "document": { "media_id": file["id"] } });
    // An upload and a download each find a host that never answers.
    let fault = json!({ "on": "upload", "do": "drop", "phone": NUMBER, "times": 1 });
    world.simulator.fault(&fault).await?;
    let fault = json!({ "on": "download", "do": "drop", "times": 1 });
    world.simulator.fault(&fault).await?;
    let uploads =
        async || Ok::<_, anyhow::Error>(world.simulator.stats().await?["uploads"].as_u64());
    let before = uploads().await?;
    let waiting = world
        .api
        .send_kind(&session, CONTACT, document.clone())
        .await?
        .id;
    soon("the upload hangs", async || {
        Ok((uploads().await? > before).then_some(()))
    })
    .await?;
    let said = json!({ "type": "document", "bytes_base64": STANDARD.encode(PAPER) });
    world
        .simulator
        .tell(CONTACT, NUMBER, json!({ "message": said }))
        .await?;
    receiver.wait_for("message.received", 1).await?;
    // Another session's text and file are sent, and this session still receives.
    let text = world.api.send(&other, CONTACT, "not behind it").await?.id;
    world.api.message_at(&text, "sent").await?;
    let theirs = world
        .api
        .upload("document", &b"%PDF-1.4\n% another\n"[..])
        .await?;
    let theirs: Value = theirs.into(201)?;
    let document = json!({ "type": "document", "document": { "media_id": theirs["id"] } });
    let sent = world.api.send_kind(&other, CONTACT, document).await?.id;
    world.api.message_at(&sent, "sent").await?;
    let still = world.api.message(&waiting).await?;
    assert!(
        matches!(&*still.status, "queued" | "sending"),
        "{}",
        still.status
    );
    // After half a minute each is tried again and succeeds.
    let sent = within(Duration::from_mins(1), "the file is sent", async || {
        let message = world.api.message(&waiting).await?;
        Ok(message.sent_at.map(drop))
    });
    let here = receiver.wait_for_within(Duration::from_mins(1), "media.available", 1);
    let (sent, here) = tokio::join!(sent, here);
    sent?;
    assert_eq!(here?[0].body["data"]["media"]["size"], json!(PAPER.len()));
    let downloads = world.simulator.stats().await?["downloads"].as_u64();
    assert!(downloads >= Some(2), "the first download did not hang");
    world.finish().await
}
