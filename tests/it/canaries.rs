//! Nothing sensitive is stored or logged in the clear. Searches for canaries in the database, in a log at
//! the most verbose level, and in everything that a cluster sends to Redis.

use anyhow::{Context as _, Result};
use base64::prelude::{BASE64_STANDARD as STANDARD, Engine as _};
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, on_every_shape,
    redis::{Overheard, Redis},
    simulator::Phone,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;

on_every_shape!(no_text_number_key_or_secret_is_in_the_database_or_the_logs);

const NUMBER: &str = "+4915170246801";
const CONTACT: &str = "+4915199135791";
const SAID: &str = "canary-said-3f9a1c";
const SENT: &str = "canary-sent-7be204";
const ANSWERED: &str = "canary-answered-20c4e8";
/// The text of each contact in the phone's history.
const HISTORY: &str = "said long before the device was linked";
const BROKEN: &str = "canary-broken-51d0aa";

async fn no_text_number_key_or_secret_is_in_the_database_or_the_logs(
    backing: Backing,
) -> Result<Finished> {
    let scratch = tempfile::TempDir::with_prefix("passerelle-redis-")?;
    let redis = overheard(backing, scratch.path()).await?;
    let setup = Setup {
        redis: redis.as_ref().map(|(redis, _)| redis.url()),
        log: "trace,whatsapp_rust::message=trace,Client/PairCode=trace".to_owned(),
        ..Setup::default()
    };
    let mut world = World::with(backing, setup).await?;
    let receiver = passerelle_tests::Receiver::start().await?;
    let (endpoint, secret) = world.api.create_endpoint(&receiver.url(), &[]).await?;
    receiver.trust(&secret);
    let rotate = format!("/v1/webhook-endpoints/{endpoint}/secret/rotate");
    let rotated: Value = world.api.act(&rotate).await?.into(200)?;
    let new_secret = rotated["secret"].as_str().context("it is shown once")?;
    let qr = a_qr_that_nobody_scans(&world).await?;
    let knows = json!({ "phone": NUMBER, "contacts": [CONTACT] });
    let phones = world.simulator.call(Method::POST, "/phones", Some(&knows));
    phones.await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let body = Api::text(&session.id, CONTACT, SENT);
    let sent = world.api.send_once("canary-key-90ef", &body).await?;
    world
        .api
        .message_at(sent.body["id"].as_str().unwrap_or_default(), "read")
        .await?;
    world.simulator.say(CONTACT, NUMBER, SAID).await?;
    receiver.wait_for("message.received", 1).await?;
    a_call_that_is_answered(&world, &session.id).await?;
    receiver.wait_for("call.ended", 1).await?;
    refused_requests(&world, &session.id).await?;
    world
        .lanes_empty(std::time::Duration::from_secs(20))
        .await?;

    let phone = world.simulator.phone_state(NUMBER).await?;
    let lid = phone["lid"].as_str().context("a lid")?;
    let kek = world
        .gateway
        .setup
        .kek
        .split_once(':')
        .map(|kek| kek.1.to_owned())
        .context("a KEK")?;
    let canaries = [
        ("text that came", SAID.to_owned()),
        ("text that went", SENT.to_owned()),
        ("text that was refused", BROKEN.to_owned()),
        ("text for callers", ANSWERED.to_owned()),
        ("text of the history", HISTORY.to_owned()),
        ("number", NUMBER[1..].to_owned()),
        ("contact", CONTACT[1..].to_owned()),
        (
            "lid",
            lid.split([':', '@']).next().unwrap_or_default().to_owned(),
        ),
        ("API key", world.api.key[16..].to_owned()),
        (
            "admin key",
            passerelle_tests::gateway::ADMIN_KEY[5..].to_owned(),
        ),
        (
            "webhook secret",
            secret.trim_start_matches("whsec_").to_owned(),
        ),
        (
            "second webhook secret",
            new_secret.trim_start_matches("whsec_").to_owned(),
        ),
        ("webhook address", receiver.url()),
        ("KEK", kek.clone()),
        ("QR", qr.split(',').nth(1).unwrap_or_default().to_owned()),
        ("idempotency key", "canary-key-90ef".to_owned()),
    ];
    let mut places = all_that_is_kept(&mut world, &session.id).await?;
    if let Some((_redis, heard)) = redis {
        let heard = heard.so_far();
        assert!(holds(&heard, b"passerelle:"), "Redis received nothing");
        places.push(("words to Redis", heard));
    }
    let raw = [secret.as_str(), new_secret].map(|secret| {
        (
            "webhook secret's bytes",
            secret.trim_start_matches("whsec_"),
        )
    });
    let raw = raw.into_iter().chain([("KEK's bytes", kek.as_str())]);
    let raw = raw.map(|(what, text)| anyhow::Ok((what, STANDARD.decode(text)?)));
    let raw: Vec<_> = raw.collect::<Result<_>>()?;
    let texts = canaries.map(|(what, text)| (what, text.into_bytes()));
    for (what, canary) in texts.into_iter().chain(raw) {
        assert!(canary.len() >= 6, "{what} is too short to look for");
        // Redis prints binary values like this.
        let escaped = canary.escape_ascii().to_string();
        for (place, bytes) in &places {
            let found = holds(bytes, &canary) || holds(bytes, escaped.as_bytes());
            assert!(!found, "the {what} is in the {place}");
        }
    }
    world.finish().await
}

async fn a_qr_that_nobody_scans(world: &World) -> Result<String> {
    let waiting = world.api.create_session("waits").await?;
    world.api.connect(&waiting.id).await?;
    let qr = world.api.qr(&waiting.id).await?;
    let path = format!("/v1/sessions/{}", waiting.id);
    world.api.delete(&path).await?;
    Ok(qr)
}

/// Starts a Redis for a cluster and records every command it receives.
async fn overheard(backing: Backing, folder: &Path) -> Result<Option<(Redis, Overheard)>> {
    if backing != Backing::Cluster {
        return Ok(None);
    }
    let redis = Redis::start(folder).await?;
    let heard = redis.overhear().await?;
    Ok(Some((redis, heard)))
}

/// Returns the database before and after a kill, and the log of both runs.
async fn all_that_is_kept(
    world: &mut World,
    session: &str,
) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let running = world.gateway.database.dump(world.folder()).await?;
    world.gateway.kill_and_restart().await?;
    world.api.session_in(session, "connected").await?;
    let dump = [running, world.gateway.database.dump(world.folder()).await?].concat();
    let log = world.gateway.logs()?;
    assert!(
        dump.len() > 10_000 && log.len() > 200,
        "there is nothing to search"
    );
    assert!(
        holds(&dump, session.as_bytes()),
        "the dump lacks a value that is in the clear"
    );
    Ok(vec![("database", dump), ("log", log)])
}

/// Has the contact call, and the session reject the call with a text. Contacts who opt out would get the same text.
async fn a_call_that_is_answered(world: &World, session: &str) -> Result<()> {
    let answer = json!({ "auto_reject": { "text": ANSWERED } });
    let path = format!("/v1/sessions/{session}");
    world.api.patch(&path, &answer).await?.into::<Value>(200)?;
    let confirmed = json!({ "confirmation": ANSWERED });
    let set = world.api.request(Method::PUT, "/v1/opt-out-settings");
    Api::reply(set.json(&confirmed)).await?.into::<Value>(200)?;
    // A rule that nothing matches.
    let rule = json!({ "name": ANSWERED, "match": { "exact": [format!("{ANSWERED} {ANSWERED}")] },
        "answer": { "type": "text", "text": { "body": ANSWERED } } });
    let made = world.api.post("/v1/auto-replies", &rule).await?;
    made.into::<Value>(201)?;
    world.simulator.ring(CONTACT, NUMBER, json!({})).await?;
    Ok(())
}

/// Sends requests that fail in every way that could put a text or a number into a log.
async fn refused_requests(world: &World, session: &str) -> Result<()> {
    let broken = format!("{{\"text\":{{\"body\":\"{BROKEN}\"}},");
    let raw = world
        .api
        .request(Method::POST, "/v1/messages")
        .header("Content-Type", "application/json");
    assert_eq!(Api::reply(raw.body(broken)).await?.status.as_u16(), 400);
    for body in [
        json!({ "session_id": session, "type": "text", "to": CONTACT, "text": { "body": BROKEN }, "also": BROKEN }),
        json!({ "session_id": session, "type": BROKEN, "to": CONTACT, "text": { "body": BROKEN } }),
        json!({ "session_id": session, "type": "text", "to": BROKEN, "text": { "body": BROKEN } }),
    ] {
        let refused = world.api.post("/v1/messages", &body).await?;
        assert!(refused.status.is_client_error());
        assert!(
            !refused.body.to_string().contains(BROKEN),
            "a refusal repeats the input: {}",
            refused.body
        );
    }
    let code = world
        .api
        .post(
            &format!("/v1/sessions/{session}/pairing-code"),
            &json!({ "phone": BROKEN }),
        )
        .await?;
    assert!(code.status.is_client_error());
    let other: Value = world.api.with_key(BROKEN).get("/v1/sessions").await?.body;
    assert_eq!(other["code"], json!("invalid_api_key"));
    Ok(())
}

/// Returns whether `needle` is in `hay`.
fn holds(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}
