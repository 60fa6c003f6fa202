//! A stream of QR codes outlives its key by half a minute at most.

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Finished, World, on_every_shape};
use reqwest::{Method, Response};
use std::time::Duration;

on_every_shape!(a_stream_ends_when_its_key_is_revoked);

/// How long a stream may go on after its key was revoked: its next look, and the answer to it.
const LOOK: Duration = Duration::from_secs(35);

/// Opens a stream and waits for a code.
async fn follow(api: &Api, session: &str) -> Result<Response> {
    let path = format!("/v1/sessions/{session}/qr/stream");
    let asked = api.request(Method::GET, &path);
    let mut stream = asked.timeout(Duration::from_secs(100)).send().await?;
    let mut text = String::new();
    while !text.contains("event: qr") && !text.contains("event:qr") {
        let part = tokio::time::timeout(LOOK, stream.chunk()).await??;
        text.push_str(std::str::from_utf8(&part.context("the stream ended")?)?);
    }
    Ok(stream)
}

async fn a_stream_ends_when_its_key_is_revoked(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("waits for a scan").await?.id;
    world.api.connect(&session).await?;
    let (id, key) = world.admin.create_key(&world.org, "lost").await?;
    let lost = world.admin.with_key(key);
    let (mut revoked, mut valid) =
        tokio::try_join!(follow(&lost, &session), follow(&world.api, &session))?;
    let path = format!("/v1/api-keys/{id}");
    assert_eq!(world.api.delete(&path).await?.status.as_u16(), 204);
    let ended = tokio::time::timeout(LOOK, async {
        while revoked.chunk().await?.is_some() {}
        anyhow::Ok(())
    });
    ended.await.context("the stream goes on")??;
    // The other stream goes on: it has told the same codes and waits for the next.
    world.api.disconnect(&session).await?;
    let mut text = String::new();
    while let Some(part) = tokio::time::timeout(LOOK, valid.chunk()).await?? {
        text.push_str(std::str::from_utf8(&part)?);
    }
    assert!(text.contains("stopped"), "{text}");
    world.finish().await
}
