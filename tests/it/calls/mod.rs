//! Calls: each is told once, ends as it ended, and can be rejected by the tenant or by the session itself.

mod auto_reject;
mod away;
mod ends;

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, World, on_every_shape,
    receiver::Receiver,
    simulator::{Entry, Phone},
    soon,
};
use serde_json::{Value, json};

on_every_shape!(fidelity_calls_are_told_once_and_rejected_by_the_tenant,);

const NUMBER: &str = "+4915170000001";
const CALLER: &str = "+4915199000001";
const OTHER: &str = "+4915199000002";
const TEXT: &str = "We do not answer calls. Please write to us.";

/// Starts a world with a linked session, two phones that call, and an endpoint for every event.
async fn linked(backing: Backing) -> Result<(World, String, Receiver)> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&[]).await?;
    let session = world.linked(NUMBER).await?.id;
    for phone in [CALLER, OTHER] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    Ok((world, session, receiver))
}

/// Waits for the event of this type about a call, and returns its data.
async fn told(receiver: &Receiver, kind: &str, call: &str) -> Result<Value> {
    soon(&format!("{kind} is told of {call}"), async || {
        let arrived = receiver.of(kind).into_iter();
        let mut arrived = arrived.map(|one| one.body["data"].clone());
        Ok(arrived.find(|data| data["call"]["id"] == json!(call)))
    })
    .await
}

/// Waits for the end of a call, and returns how it ended.
async fn outcome(receiver: &Receiver, call: &str) -> Result<String> {
    let ended = told(receiver, "call.ended", call).await?;
    let outcome = ended["call"]["outcome"].as_str().context("an outcome")?;
    Ok(outcome.to_owned())
}

/// Returns how many different events of a type told of this call.
fn times(receiver: &Receiver, kind: &str, call: &str) -> usize {
    let told = receiver.of(kind).into_iter();
    let told = told.filter(|one| one.body["data"]["call"]["id"] == json!(call));
    let ids: std::collections::BTreeSet<_> = told.map(|one| one.id).collect();
    ids.len()
}

async fn reject(api: &Api, session: &str, call: &str) -> Result<(u16, Value)> {
    let path = format!("/v1/sessions/{session}/calls/{call}/reject");
    let reply = api.act(&path).await?;
    Ok((reply.status.as_u16(), reply.body))
}

/// Asserts that a refusal has this status and code.
fn refused((status, body): (u16, Value), expected: u16, code: &str) {
    assert_eq!((status, &body["code"]), (expected, &json!(code)), "{body}");
}

/// Waits until the caller's phone has heard this about the call, and returns the entry.
async fn heard(world: &World, phone: &str, call: &str, what: &str) -> Result<Entry> {
    soon(&format!("{phone} hears {what}"), async || {
        let heard = world.simulator.ledger("heard").await?;
        Ok(heard
            .into_iter()
            .find(|one| one.to == phone && one.id == call && one.detail.as_deref() == Some(what)))
    })
    .await
}

async fn change(world: &World, session: &str, body: Value) -> Result<Value> {
    let path = format!("/v1/sessions/{session}");
    world.api.patch(&path, &body).await?.into(200)
}

/// Returns the texts that the gateway sent to a phone.
async fn texts(world: &World, to: &str) -> Result<Vec<String>> {
    let chat = world.simulator.chat(to, NUMBER).await?;
    let ours = chat.into_iter().filter(|one| one["from"] == json!(NUMBER));
    let text = |one: Value| one["message"]["text"].as_str().map(str::to_owned);
    Ok(ours.filter_map(text).collect())
}

async fn fidelity_calls_are_told_once_and_rejected_by_the_tenant(
    backing: Backing,
) -> Result<Finished> {
    let (mut world, session, receiver) = linked(backing).await?;
    let body = json!({ "phone": CALLER, "name": "Ada" });
    world
        .simulator
        .call(reqwest::Method::POST, "/phones", Some(&body))
        .await?;
    let said = world.simulator.say(CALLER, NUMBER, "I will call.").await?;
    let message = receiver.wait_for("message.received", 1).await?[0].body["data"].clone();
    assert_eq!(message["message"]["wa_message_id"], json!(said));
    // A call that is offered again while it rings is told once.
    let id = world.simulator.ring(CALLER, NUMBER, json!({})).await?;
    let data = told(&receiver, "call.received", &id).await?;
    let call = &data["call"];
    for (field, value) in [
        ("object", json!("call")),
        ("session_id", json!(session)),
        ("from", json!(CALLER)),
        ("contact_id", message["contact"]["id"].clone()),
        ("media", json!("voice")),
        ("group_call", json!(false)),
        ("ringing", json!(true)),
    ] {
        assert_eq!(call[field], value, "{field}");
    }
    assert!(
        call["offered_at"].is_string() && call.get("outcome").is_none(),
        "{call}"
    );
    assert_eq!(data["contact"], message["contact"]);
    assert_eq!(data["contact"]["push_name"], "Ada");
    world
        .simulator
        .ring(CALLER, NUMBER, json!({ "id": id }))
        .await?;
    // The tenant rejects it: the caller hears that this device did.
    let (status, rejected) = reject(&world.api, &session, &id).await?;
    let expected =
        json!({ "id": id, "object": "call", "session_id": session, "outcome": "rejected" });
    assert_eq!((status, rejected), (200, expected));
    let entry = heard(&world, CALLER, &id, "reject").await?;
    assert_eq!(entry.from, NUMBER);
    // As everybody's phone, the caller's tells the other devices.
    let ended = heard(&world, NUMBER, &id, "terminate").await?;
    assert_eq!(ended.text.as_deref(), Some("rejected_elsewhere"));
    assert_eq!(outcome(&receiver, &id).await?, "rejected");
    let ended = told(&receiver, "call.ended", &id).await?;
    assert_eq!(ended["contact"], data["contact"]);
    assert!(ended["call"]["ended_at"].is_string(), "{ended}");
    assert!(ended["call"].get("ringing").is_none(), "{ended}");
    refused(reject(&world.api, &session, &id).await?, 409, "call_over");
    refused(
        reject(&world.api, &session, "C0FFEE").await?,
        404,
        "not_found",
    );
    let long = "A".repeat(200);
    refused(reject(&world.api, &session, &long).await?, 404, "not_found");
    // Another tenant's call does not exist for a stranger, nor does its session.
    let missed = world
        .simulator
        .ring(CALLER, NUMBER, json!({ "video": true }))
        .await?;
    let data = told(&receiver, "call.received", &missed).await?;
    assert_eq!(data["call"]["media"], "video");
    let stranger = world.admin.tenant("Stranger").await?;
    refused(
        reject(&stranger, &session, &missed).await?,
        404,
        "not_found",
    );
    let theirs = world.linked_for(&stranger, "+4915170000002").await?.id;
    refused(reject(&stranger, &theirs, &missed).await?, 404, "not_found");
    // A process that starts knows no call, and tells of none again.
    world.gateway.stop().await?;
    world.gateway.start().await?;
    world.api.session_in(&session, "connected").await?;
    world
        .simulator
        .ring(CALLER, NUMBER, json!({ "id": missed }))
        .await?;
    let rejected = soon("the call is known again", async || {
        let (status, _) = reject(&world.api, &session, &missed).await?;
        Ok((status != 404).then_some(status))
    })
    .await?;
    assert_eq!(rejected, 200);
    assert_eq!(outcome(&receiver, &missed).await?, "rejected");
    for call in [&id, &missed] {
        for kind in ["call.received", "call.ended"] {
            assert_eq!(times(&receiver, kind, call), 1, "{kind}");
        }
    }
    world.api.disconnect(&session).await?;
    world.api.session_in(&session, "stopped").await?;
    refused(
        reject(&world.api, &session, &missed).await?,
        409,
        "session_not_ready",
    );
    world.finish().await
}
