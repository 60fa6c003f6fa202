//! Endpoints that accept and say nothing: another organisation's webhooks arrive as ever.

use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use passerelle_tests::{Api, Backing, Finished, World, on_every_shape, soon};
use serde_json::{Value, json};
use std::net::TcpListener;

use super::{ORDINARY, cancel_one};

on_every_shape!(
    endpoints_that_hang_hold_up_no_webhook_of_another,
    endpoints_that_are_made_at_once_stay_within_their_maximum,
);

/// The most attempts of one organisation that run at once.
const MOST: usize = 16;
const ENDPOINTS: &str = "/v1/webhook-endpoints";

/// Returns how many of the organisation's deliveries are running.
async fn running(api: &Api) -> Result<usize> {
    let path = "/v1/webhook-deliveries?limit=100&status=running";
    let page: Value = api.get(path).await?.into(200)?;
    Ok(page["data"].as_array().context("a page has rows")?.len())
}

async fn endpoints_that_are_made_at_once_stay_within_their_maximum(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let endpoint = json!({ "url": "http://127.0.0.1:9/" });
    let requests = (0..40).map(|_| world.api.post(ENDPOINTS, &endpoint));
    let (mut made, mut refused) = (0, 0);
    for reply in join_all(requests).await {
        let reply = reply?;
        match reply.status.as_u16() {
            201 => made += 1,
            429 => {
                assert_eq!(reply.code(), "limit_reached");
                // Waiting does not help.
                assert!(!reply.headers.contains_key("retry-after"));
                refused += 1;
            }
            status => anyhow::bail!("{status}: {}", reply.body),
        }
    }
    assert_eq!((made, refused), (20, 20));
    let listed: Value = world
        .api
        .get(&format!("{ENDPOINTS}?limit=100"))
        .await?
        .into(200)?;
    assert_eq!(listed["data"].as_array().context("a list")?.len(), 20);
    world.finish().await
}

async fn endpoints_that_hang_hold_up_no_webhook_of_another(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let noisy = world.admin.tenant("Noisy").await?;
    // The system completes its connections, and nobody reads from them.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    for n in 0..20 {
        let url = format!("http://{}/{n}", silent.local_addr()?);
        noisy.create_endpoint(&url, &["message.canceled"]).await?;
    }
    let theirs = noisy.create_session("offline").await?.id;
    for _ in 0..10 {
        cancel_one(&noisy, &theirs).await?;
    }
    soon("its attempts are all in use", async || {
        Ok((running(&noisy).await? >= MOST).then_some(()))
    })
    .await?;
    let receiver = world.endpoint(&["message.canceled"]).await?;
    let session = world.api.create_session("offline").await?.id;
    for n in 1..=10 {
        let canceled = cancel_one(&world.api, &session).await?;
        let told = receiver.wait_for_within(ORDINARY, "message.canceled", n);
        let told = told.await?;
        assert_eq!(
            told[n - 1].body["data"]["message"]["id"],
            json!(canceled),
            "each arrives before the next"
        );
    }
    assert!(running(&noisy).await? <= MOST);
    world.finish().await
}
