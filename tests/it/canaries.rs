//! Nothing sensitive is in the clear: canaries are sought in the database, in a log that was asked to
//! tell everything, and in all that a cluster tells Redis.

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
/// What the phone's history has of each contact.
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
    refused_requests(&world, &session.id).await?;
    world
        .lanes_empty(std::time::Duration::from_secs(20))
        .await?;

    let phone = world.simulator.phone_state(NUMBER).await?;
    let lid = phone["lid"]
        .as_str()
        .and_then(|lid| lid.split('@').next())
        .context("a lid")?
        .to_owned();
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
        ("text of the history", HISTORY.to_owned()),
        ("number", NUMBER[1..].to_owned()),
        ("contact", CONTACT[1..].to_owned()),
        ("lid", lid.split(':').next().unwrap_or_default().to_owned()),
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
        assert!(holds(&heard, b"passerelle:"), "Redis was told something");
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
        // As Redis writes what is no text.
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

/// The Redis of a cluster, and all that it is told.
async fn overheard(backing: Backing, folder: &Path) -> Result<Option<(Redis, Overheard)>> {
    if backing != Backing::Cluster {
        return Ok(None);
    }
    let redis = Redis::start(folder).await?;
    let heard = redis.overhear().await?;
    Ok(Some((redis, heard)))
}

/// The database, as it is at work and after a kill, and the log of both lives.
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
        "there is something to look through"
    );
    assert!(
        holds(&dump, session.as_bytes()),
        "the dump shows what is in the clear"
    );
    Ok(vec![("database", dump), ("log", log)])
}

/// Requests that fail in every way a text or a number could get into a log by.
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
            "a refusal repeats what was sent: {}",
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

/// Whether `needle` stands anywhere in `hay`.
fn holds(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}
