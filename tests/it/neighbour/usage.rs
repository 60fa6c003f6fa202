//! An organisation and the operator see what is used of each limit, and what is allowed.

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Finished, Setup, World, on_every_shape};
use serde_json::{Value, json};

on_every_shape!(neighbour_sees_what_it_uses_of_its_limits);

const CONTACT: &str = "+4915199000001";
const FILE: &[u8] = b"%PDF-1.4\n";

/// Returns a limit of an answer.
fn limit(usage: &Value, name: &str) -> Result<Value> {
    let limits = usage["limits"].as_array().context("limits")?;
    let found = limits.iter().find(|limit| limit["name"] == name);
    Ok(found.cloned().unwrap_or_default())
}

async fn neighbour_sees_what_it_uses_of_its_limits(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        sessions_per_organisation: 2,
        requests_per_minute: 1_000,
        flags: ["--lane-limit", "7", "--media-quota", "3"]
            .map(str::to_owned)
            .to_vec(),
        ..Setup::quick()
    };
    let world = World::with(backing, setup).await?;
    let noisy = world.admin.create_organisation("Noisy").await?;
    let (_, key) = world.admin.create_key(&noisy, "noisy").await?;
    let api = world.api.with_key(&key);
    let quiet = api.create_session("quiet").await?.id;
    let session = api.create_session("busy").await?.id;
    api.create_endpoint("http://127.0.0.1:9/hook", &[]).await?;
    let file: Value = api.upload("document", FILE).await?.into(201)?;
    for text in ["one", "two", "three"] {
        api.send(&session, CONTACT, text).await?;
    }
    let path = format!("/v1/organisations/{noisy}/usage");
    let usage: Value = api.get("/v1/usage").await?.into(200)?;
    let of_operator: Value = world.admin.get(&path).await?.into(200)?;
    let expected = [
        json!({ "name": "qr_streams", "used": 0, "allowed": 200, "code": "limit_reached" }),
        json!({ "name": "sessions", "used": 2, "allowed": 2, "code": "session_limit",
                "flag": "--sessions-per-organisation" }),
        json!({ "name": "webhook_endpoints", "used": 1, "allowed": 20, "code": "limit_reached" }),
        json!({ "name": "auto_replies", "used": 0, "allowed": 100, "code": "limit_reached" }),
        json!({ "name": "media_bytes", "used": file["size"], "allowed": 3 << 20,
                "code": "media_quota_reached", "flag": "--media-quota" }),
        json!({ "name": "pairing_codes", "used": 0, "allowed": 20, "code": "pairing_code_limit" }),
        json!({ "name": "waiting_messages", "session_id": session, "used": 3, "allowed": 7,
                "code": "queue_full", "flag": "--lane-limit" }),
    ];
    for usage in [&usage, &of_operator] {
        assert_eq!(usage["object"], "usage");
        let limits = usage["limits"].as_array().context("limits")?;
        assert_eq!(limits[1..], expected, "{usage}");
        assert_eq!(limits[0]["name"], "requests");
        assert_eq!(limits[0]["allowed"], 100);
        assert_eq!(limits[0]["code"], "rate_limited");
        assert_eq!(limits[0]["flag"], "--requests-per-minute");
    }
    // The request itself is one of those that it shows.
    let asked = limit(&usage, "requests")?["used"].as_u64();
    assert!(asked.is_some_and(|asked| asked > 0), "{usage}");
    refused_with_its_code(&api, &usage).await?;
    // Nothing of it is another organisation's.
    let ours: Value = world.api.get("/v1/usage").await?.into(200)?;
    assert_eq!(limit(&ours, "sessions")?["used"], 0, "{ours}");
    assert_eq!(limit(&ours, "waiting_messages")?, Value::Null, "{ours}");
    // What is deleted is not used any more.
    for id in [&quiet, &session] {
        let deleted = api.delete(&format!("/v1/sessions/{id}")).await?;
        assert_eq!(deleted.status.as_u16(), 204);
    }
    let usage: Value = api.get("/v1/usage").await?.into(200)?;
    assert_eq!(limit(&usage, "sessions")?["used"], 0, "{usage}");
    assert_eq!(limit(&usage, "waiting_messages")?, Value::Null, "{usage}");
    let nobody = "/v1/organisations/org_01kaq6h3zve9qbw4r2t8n5c7xd/usage";
    assert_eq!(world.admin.get(nobody).await?.code(), "not_found");
    assert_eq!(world.api.get(&path).await?.code(), "insufficient_scope");
    assert_eq!(
        world.admin.get("/v1/usage").await?.code(),
        "insufficient_scope"
    );
    world.finish_with_work_undone().await
}

/// Fails unless a limit that is used up refuses with the code that it names.
async fn refused_with_its_code(api: &Api, usage: &Value) -> Result<()> {
    let sessions = limit(usage, "sessions")?;
    let refused = api
        .post("/v1/sessions", &json!({ "name": "one more" }))
        .await?;
    assert_eq!(sessions["code"], refused.code());
    let detail = refused.body["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains(sessions["flag"].as_str().context("a flag")?),
        "{detail}"
    );
    Ok(())
}
