//! `client_ref` and `metadata` of messages and sessions come back in answers, lists and events.

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Finished, World, on_every_shape, simulator::Phone, soon};
use serde_json::{Value, json};

on_every_shape!(
    what_is_attached_to_a_message_comes_back_everywhere,
    what_is_attached_to_a_session_comes_back_and_is_changed,
    references_and_metadata_that_are_not_valid_are_refused,
    a_repeated_request_is_one_with_the_same_metadata,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const CANARY: &str = "canary-4711";

fn text(session: &str) -> Value {
    Api::text(session, CONTACT, "Your order is packed.")
}

/// Adds a reference and metadata to a body.
fn with(mut body: Value, client_ref: &str, metadata: Value) -> Value {
    body["client_ref"] = json!(client_ref);
    body["metadata"] = metadata;
    body
}

async fn what_is_attached_to_a_message_comes_back_everywhere(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let receiver = world.endpoint(&["message.*"]).await?;
    let metadata = json!({ "shop": CANARY, "line": "a\nb ä" });
    let body = with(text(&session), CANARY, metadata.clone());
    let accepted: Value = world.api.post("/v1/messages", &body).await?.into(202)?;
    let id = accepted["id"].as_str().context("an id")?;
    let path = format!("/v1/sessions/{session}/messages/location");
    let place = json!({ "latitude": 52.5, "longitude": 13.4 });
    let other = json!({ "to": CONTACT, "location": place, "client_ref": "other" });
    let other: Value = world.api.post(&path, &other).await?.into(202)?;
    assert_eq!(other["client_ref"], "other");
    assert!(other.get("metadata").is_none(), "{other}");
    world.api.message_at(id, "read").await?;
    let read = world.api.whole_message(id).await?;
    let list = format!("/v1/messages?client_ref={CANARY}");
    let listed: Value = world.api.get(&list).await?.into(200)?;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");
    let mut shown = vec![accepted.clone(), read, listed["data"][0].clone()];
    for kind in ["message.sent", "message.delivered", "message.read"] {
        let told = soon("an event of it", async || {
            let told = receiver.of(kind).into_iter();
            let mut messages = told.map(|one| one.body["data"]["message"].clone());
            Ok(messages.find(|message| message["id"] == json!(id)))
        });
        shown.push(told.await?);
    }
    for message in &shown {
        assert_eq!(message["client_ref"], json!(CANARY), "{message}");
        assert_eq!(message["metadata"], metadata, "{message}");
    }
    // WhatsApp sees nothing of it, and the database has it only encrypted.
    let chat = world.simulator.chat(CONTACT, NUMBER).await?;
    assert!(!json!(chat).to_string().contains(CANARY), "{chat:?}");
    let stored = world.gateway.database.rows_with(CANARY).await?;
    assert!(stored.is_empty(), "{stored:?}");
    // A reference is not unique. Nobody else finds it.
    world
        .api
        .post("/v1/messages", &body)
        .await?
        .into::<Value>(202)?;
    let listed: Value = world.api.get(&list).await?.into(200)?;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2), "{listed}");
    let first: Value = world.api.get(&format!("{list}&limit=1")).await?.into(200)?;
    let cursor = first["next_cursor"].as_str().context("a cursor")?;
    let second: Value = world
        .api
        .get(&format!("{list}&limit=1&cursor={cursor}"))
        .await?
        .into(200)?;
    assert_eq!(second["data"][0]["id"], json!(id));
    let stranger = world.admin.tenant("Stranger").await?;
    let theirs: Value = stranger.get(&list).await?.into(200)?;
    assert_eq!(theirs["data"], json!([]));
    world.finish().await
}

async fn what_is_attached_to_a_session_comes_back_and_is_changed(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["session.*"]).await?;
    let metadata = json!({ "shop": CANARY });
    let new = with(json!({ "name": "front desk" }), "desk-3", metadata.clone());
    let made: Value = world.api.post("/v1/sessions", &new).await?.into(201)?;
    let id = made["id"].as_str().context("an id")?;
    let path = format!("/v1/sessions/{id}");
    let read: Value = world.api.get(&path).await?.into(200)?;
    let listed: Value = world.api.get("/v1/sessions").await?.into(200)?;
    for session in [&made, &read, &listed["data"][0]] {
        assert_eq!(session["client_ref"], "desk-3", "{session}");
        assert_eq!(session["metadata"], metadata, "{session}");
    }
    let stored = world.gateway.database.rows_with(CANARY).await?;
    assert!(stored.is_empty(), "{stored:?}");
    // Each field is changed alone.
    let change =
        async |change: Value| -> Result<Value> { world.api.patch(&path, &change).await?.into(200) };
    let changed = change(json!({ "name": " back office " })).await?;
    assert_eq!(changed["name"], "back office");
    assert_eq!(changed["metadata"], metadata);
    let changed = change(json!({ "metadata": { "floor": "2" } })).await?;
    assert_eq!(changed["metadata"], json!({ "floor": "2" }));
    assert_eq!(
        (&changed["name"], &changed["client_ref"]),
        (&json!("back office"), &json!("desk-3"))
    );
    let changed = change(json!({ "client_ref": null })).await?;
    assert!(changed.get("client_ref").is_none(), "{changed}");
    let same = change(json!({})).await?;
    assert_eq!(same["metadata"], json!({ "floor": "2" }));
    change(json!({ "client_ref": "desk-4" })).await?;
    world.api.connect(id).await?;
    world.simulator.phone(NUMBER, Phone::default()).await?;
    let qr = world.api.qr(id).await?;
    world.simulator.scan(NUMBER, &qr).await?;
    for kind in ["session.linked", "session.connected"] {
        let told = receiver.wait_for(kind, 1).await?;
        let session = &told[0].body["data"]["session"];
        assert_eq!(session["client_ref"], "desk-4", "{session}");
        assert_eq!(session["metadata"], json!({ "floor": "2" }), "{session}");
    }
    let changed = change(json!({ "metadata": null, "client_ref": null })).await?;
    assert!(changed.get("metadata").is_none(), "{changed}");
    let stranger = world.admin.tenant("Stranger").await?;
    let foreign = stranger.patch(&path, &json!({ "name": "mine" })).await?;
    assert_eq!(
        (foreign.status.as_u16(), foreign.code()),
        (404, "not_found")
    );
    assert_eq!(world.api.delete(&path).await?.status.as_u16(), 204);
    let gone = world.api.patch(&path, &json!({ "name": "gone" })).await?;
    assert_eq!((gone.status.as_u16(), gone.code()), (404, "not_found"));
    world.finish().await
}

/// Returns references and metadata that are refused, with the code.
fn bad() -> Vec<(Value, u16, &'static str)> {
    let many: Value = (0..51).map(|n| (format!("n{n}"), json!("x"))).collect();
    let (reference, metadata) = ("invalid_client_ref", "invalid_metadata");
    vec![
        (json!({ "client_ref": "" }), 422, reference),
        (json!({ "client_ref": "x".repeat(129) }), 422, reference),
        (json!({ "client_ref": "a\nb" }), 422, reference),
        (json!({ "client_ref": 1042 }), 400, "validation_failed"),
        (
            json!({ "metadata": { "a": "x".repeat(4096) } }),
            422,
            metadata,
        ),
        (
            json!({ "metadata": { ("x".repeat(41)): "x" } }),
            422,
            metadata,
        ),
        (json!({ "metadata": { "": "x" } }), 422, metadata),
        (json!({ "metadata": many }), 422, metadata),
        (json!({ "metadata": { "a": 1 } }), 400, "validation_failed"),
        (
            json!({ "metadata": { "a": null } }),
            400,
            "validation_failed",
        ),
        (json!({ "metadata": [] }), 400, "validation_failed"),
        (json!({ "metadata": "x" }), 400, "validation_failed"),
    ]
}

async fn references_and_metadata_that_are_not_valid_are_refused(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("front desk").await?.id;
    let path = format!("/v1/sessions/{session}");
    let before: Value = world.api.get(&path).await?.into(200)?;
    for (bad, status, code) in bad() {
        let merged = |mut body: Value| {
            for (field, value) in bad.as_object().into_iter().flatten() {
                body[field] = value.clone();
            }
            body
        };
        let refusals = [
            world
                .api
                .post("/v1/messages", &merged(text(&session)))
                .await?,
            world
                .api
                .post("/v1/sessions", &merged(json!({ "name": "x" })))
                .await?,
            world
                .api
                .patch(&path, &merged(json!({ "name": "renamed" })))
                .await?,
        ];
        for refused in refusals {
            let got = (refused.status.as_u16(), refused.code());
            assert_eq!(got, (status, code), "{bad}: {}", refused.body);
        }
    }
    let null = world.api.patch(&path, &json!({ "name": null })).await?;
    assert_eq!(
        (null.status.as_u16(), null.code()),
        (400, "validation_failed")
    );
    let empty = world.api.patch(&path, &json!({ "name": " " })).await?;
    assert_eq!((empty.status.as_u16(), empty.code()), (422, "invalid_name"));
    let after: Value = world.api.get(&path).await?.into(200)?;
    assert_eq!(before, after);
    assert!(world.api.messages("").await?.is_empty());
    assert_eq!(world.api.sessions().await?.len(), 1);
    let long = format!("/v1/messages?client_ref={}", "x".repeat(129));
    let both = format!("/v1/messages?client_ref=a&session_id={session}");
    for (list, status, code) in [
        (long, 422, "invalid_client_ref"),
        (both, 400, "validation_failed"),
    ] {
        let refused = world.api.get(&list).await?;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (status, code),
            "{list}"
        );
    }
    // What is as long as it may be is taken.
    let longest: Value = (0..50)
        .map(|n| (format!("{n:0>40}"), json!("x".repeat(41))))
        .collect();
    let body = with(text(&session), &"ä".repeat(128), longest.clone());
    let taken: Value = world.api.post("/v1/messages", &body).await?.into(202)?;
    assert_eq!(taken["metadata"], longest);
    world.finish_with_work_undone().await
}

async fn a_repeated_request_is_one_with_the_same_metadata(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("front desk").await?.id;
    let body = with(text(&session), "order-1042", json!({ "shop": "berlin" }));
    let first: Value = world.api.send_once("key-1", &body).await?.into(202)?;
    let again: Value = world.api.send_once("key-1", &body).await?.into(202)?;
    assert_eq!(first["id"], again["id"]);
    assert_eq!(again["client_ref"], "order-1042");
    assert_eq!(again["metadata"], json!({ "shop": "berlin" }));
    let other = with(text(&session), "order-1042", json!({ "shop": "paris" }));
    let refused = world.api.send_once("key-1", &other).await?;
    assert_eq!(refused.code(), "idempotency_key_reused");
    world.finish_with_work_undone().await
}
