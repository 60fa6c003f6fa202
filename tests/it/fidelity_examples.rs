//! Each type of event has an example, and an endpoint receives it when its owner asks.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Receiver, World, on_every_shape, receiver::Arrival, soon,
};
use serde_json::{Value, json};

on_every_shape!(
    each_example_of_the_document_is_one_that_arrives_as_a_test,
    a_test_is_signed_retried_and_listed_like_a_real_delivery,
);

const CONTACT: &str = "+4915199000001";

/// Removes what differs from one event to the next.
fn lasting(mut event: Value) -> Result<Value> {
    let fields = event.as_object_mut().context("an event is an object")?;
    for field in ["id", "timestamp", "org_id", "sequence", "test"] {
        fields.remove(field);
    }
    if let Some(media) = event.pointer_mut("/data/media") {
        for field in ["url", "url_expires_at"] {
            if let Some(link) = media.get_mut(field) {
                *link = json!("signed when it is posted");
            }
        }
    }
    Ok(event)
}

async fn test(world: &World, path: &str, kind: &str) -> Result<Value> {
    let body = json!({ "event_type": kind });
    let test = format!("{path}/test");
    world.api.post(&test, &body).await?.into(202)
}

/// Creates an endpoint that asks for nothing that happens here. Returns its path.
async fn endpoint(world: &World, receiver: &Receiver) -> Result<String> {
    let new = json!({ "url": receiver.url(), "events": ["session.banned"] });
    let made = world.api.post("/v1/webhook-endpoints", &new).await?;
    let made: Value = made.into(201)?;
    receiver.trust(made["secret"].as_str().context("a secret")?);
    let id = made["id"].as_str().context("an id")?;
    Ok(format!("/v1/webhook-endpoints/{id}"))
}

async fn each_example_of_the_document_is_one_that_arrives_as_a_test(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = Receiver::start().await?;
    let path = endpoint(&world, &receiver).await?;
    let document: Value = world.api.get("/openapi.json").await?.into(200)?;
    let webhooks = document["webhooks"].as_object().context("webhooks")?;
    let types: Value = world.api.get("/v1/event-types").await?.into(200)?;
    let types = types["data"].as_array().context("a list")?;
    assert_eq!(types.len(), webhooks.len());
    for kind in types {
        let name = kind["name"].as_str().context("a name")?;
        let about = &webhooks[name]["post"];
        assert_eq!(kind["description"], about["summary"]);
        let body = &about["requestBody"]["content"]["application/json"];
        // `message.received` has one of each kind.
        let of_text = &body["examples"]["text"]["value"];
        let documented = body.get("example").unwrap_or(of_text);
        assert_eq!(&kind["example"], documented, "{name}");
        test(&world, &path, name).await?;
        let arrived = receiver.wait_for(name, 1).await?;
        let body = &arrived[0].body;
        assert_eq!(body["test"], json!(true), "{name}");
        assert_eq!(body["org_id"], json!(world.org), "{name}");
        assert_eq!(body["id"], json!(arrived[0].id), "{name}");
        assert_eq!(
            lasting(body.clone())?,
            lasting(documented.clone())?,
            "{name}"
        );
    }
    assert_eq!(receiver.signatures().forged(), Vec::<String>::new());
    // A real event has the fields of its example, and no mark.
    let every = world.endpoint(&["message.canceled"]).await?;
    let session = world.api.create_session("front desk").await?.id;
    let attached = json!({ "type": "text", "text": { "body": "never mind" },
        "purpose": "order", "client_ref": "order-1042", "metadata": { "shop": "berlin" } });
    let queued = world.api.send_kind(&session, CONTACT, attached).await?.id;
    let cancel = format!("/v1/messages/{queued}/cancel");
    world.api.act(&cancel).await?.into::<Value>(200)?;
    let real = every.wait_for("message.canceled", 1).await?;
    assert!(real[0].body.get("test").is_none(), "{}", real[0].body);
    assert_eq!(real[0].body["sequence"], json!(1), "a test takes no number");
    let example = receiver.wait_for("message.canceled", 1).await?;
    // Nobody has asked WhatsApp for the recipient's LID yet.
    assert_eq!(fields(&real[0], &[]), fields(&example[0], &["lid"]));
    world.finish().await
}

/// Returns the names of the message's fields, without some.
fn fields(arrival: &Arrival, without: &[&str]) -> Vec<String> {
    let message = arrival.body["data"]["message"].as_object();
    let names = message
        .into_iter()
        .flat_map(|fields| fields.keys().cloned());
    names
        .filter(|name| !without.contains(&name.as_str()))
        .collect()
}

async fn a_test_is_signed_retried_and_listed_like_a_real_delivery(
    backing: Backing,
) -> Result<Finished> {
    use passerelle_tests::receiver::Answer;
    let world = World::start(backing).await?;
    let receiver = Receiver::start().await?;
    let path = endpoint(&world, &receiver).await?;
    receiver.answer_next([Answer::Status(500)]);
    let delivery = test(&world, &path, "message.received").await?;
    assert_eq!(delivery["test"], json!(true));
    assert_eq!(delivery["event_type"], "message.received");
    let arrived = receiver.wait_for("message.received", 1).await?;
    assert_eq!(json!(arrived[0].id), delivery["event_id"]);
    assert_eq!(receiver.of("message.received").len(), 2);
    let id = delivery["id"].as_str().context("an id")?;
    let read = format!("/v1/webhook-deliveries/{id}");
    let ended = soon("the delivery is recorded", async || {
        let read: Value = world.api.get(&read).await?.into(200)?;
        Ok((read["status"] == "delivered").then_some(read))
    })
    .await?;
    assert_eq!(
        ended["attempts"].as_array().map(Vec::len),
        Some(2),
        "{ended}"
    );
    let list: Value = world.api.get("/v1/webhook-deliveries").await?.into(200)?;
    assert_eq!(list["data"][0]["id"], delivery["id"]);
    assert_eq!(list["data"][0]["test"], json!(true));
    // Without a type it is a message that came in.
    let test = format!("{path}/test");
    let usual: Value = world.api.post(&test, &json!({})).await?.into(202)?;
    assert_eq!(usual["event_type"], "message.received");
    receiver.wait_for("message.received", 2).await?;
    for (body, status, code) in [
        (
            json!({ "event_type": "message.invented" }),
            422,
            "unknown_event_type",
        ),
        (
            json!({ "event_type": "message.*" }),
            422,
            "unknown_event_type",
        ),
        (json!({ "event_type": 5 }), 400, "validation_failed"),
        (json!({ "kind": "message.received" }), 400, "unknown_field"),
    ] {
        let refused = world.api.post(&test, &body).await?;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (status, code),
            "{body}"
        );
    }
    let stranger = world.admin.tenant("Stranger").await?;
    let foreign = stranger.post(&test, &json!({})).await?;
    assert_eq!(
        (foreign.status.as_u16(), foreign.code()),
        (404, "not_found")
    );
    world
        .api
        .patch(&path, &json!({ "enabled": false }))
        .await?
        .into::<Value>(200)?;
    let refused = world.api.post(&test, &json!({})).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (409, "endpoint_disabled")
    );
    world.finish().await
}
