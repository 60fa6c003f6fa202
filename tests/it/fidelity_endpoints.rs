//! An endpoint is changed while deliveries run: the next attempt is made with the new settings, and one that is under
//! way ends as it began.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, Receiver, World, on_every_shape, receiver::Answer, soon,
};
use serde_json::{Value, json};
use std::time::Duration;

on_every_shape!(
    a_change_is_for_the_next_attempt_and_never_for_one_under_way,
    a_retry_goes_where_the_change_says,
    what_the_old_address_answers_disables_no_changed_endpoint,
    groups_and_sessions_choose_the_events,
    further_headers_arrive_and_their_values_are_shown_nowhere,
    a_disabled_endpoint_waits_and_goes_on_when_it_is_enabled,
    a_change_that_is_refused_changes_nothing,
);

const ENDPOINTS: &str = "/v1/webhook-endpoints";
const CANCELED: &str = "message.canceled";
const CONTACT: &str = "+4915199000001";

/// Sends a message that is canceled at once, which makes one event. Returns the message's id.
async fn cancel_one(api: &Api, session: &str) -> Result<String> {
    let queued = api.send(session, CONTACT, "never mind").await?.id;
    let cancel = format!("/v1/messages/{queued}/cancel");
    api.act(&cancel).await?.into::<Value>(200)?;
    Ok(queued)
}

/// Creates an endpoint with these settings. Returns its path.
async fn endpoint(world: &World, receiver: &Receiver, mut settings: Value) -> Result<String> {
    settings["url"] = json!(receiver.url());
    let made: Value = world.api.post(ENDPOINTS, &settings).await?.into(201)?;
    receiver.trust(made["secret"].as_str().context("a secret")?);
    let id = made["id"].as_str().context("an id")?;
    Ok(format!("{ENDPOINTS}/{id}"))
}

/// Starts two receivers that accept the same endpoint's signatures, and the endpoint at the first one.
async fn two(world: &World) -> Result<(Receiver, Receiver, String)> {
    let (old, new) = (Receiver::start().await?, Receiver::start().await?);
    let settings = json!({ "url": old.url(), "events": [CANCELED] });
    let made: Value = world.api.post(ENDPOINTS, &settings).await?.into(201)?;
    for receiver in [&old, &new] {
        receiver.trust(made["secret"].as_str().context("a secret")?);
    }
    let id = made["id"].as_str().context("an id")?;
    Ok((old, new, format!("{ENDPOINTS}/{id}")))
}

async fn change(world: &World, path: &str, change: Value) -> Result<Value> {
    world.api.patch(path, &change).await?.into(200)
}

/// Returns the status of the delivery of the event with this id.
async fn status_of(world: &World, event: &str) -> Result<String> {
    let page: Value = world
        .api
        .get("/v1/webhook-deliveries?limit=100")
        .await?
        .into(200)?;
    let rows = page["data"].as_array().context("a page has rows")?;
    let row = rows.iter().find(|row| row["event_id"] == event);
    let status = row.context("a delivery of the event")?["status"].as_str();
    Ok(status.context("a status")?.to_owned())
}

async fn a_change_is_for_the_next_attempt_and_never_for_one_under_way(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("front desk").await?.id;
    let (old, new, path) = two(&world).await?;
    old.answer_next([Answer::After(Duration::from_secs(4))]);
    let first = cancel_one(&world.api, &session).await?;
    old.begun(1).await?;
    let settings = json!({ "url": new.url(), "headers": { "X-Shop": "new" } });
    let shown = change(&world, &path, settings).await?;
    assert_eq!(shown["url"], json!(new.url()));
    let second = cancel_one(&world.api, &session).await?;
    let told = new.wait_for(CANCELED, 1).await?;
    assert_eq!(told[0].body["data"]["message"]["id"], json!(second));
    assert_eq!(told[0].headers["x-shop"], "new");
    assert!(
        old.arrivals().is_empty(),
        "the first one is still under way"
    );
    let told = old.wait_for(CANCELED, 1).await?;
    assert_eq!(told[0].body["data"]["message"]["id"], json!(first));
    assert!(!told[0].headers.contains_key("x-shop"));
    soon("the first delivery is recorded as it ended", async || {
        let status = status_of(&world, &told[0].id).await?;
        Ok((status == "delivered").then_some(()))
    })
    .await?;
    assert_eq!((old.arrivals().len(), new.arrivals().len()), (1, 1));
    world.finish().await
}

async fn a_retry_goes_where_the_change_says(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("front desk").await?.id;
    let (old, new, path) = two(&world).await?;
    old.answer_next([Answer::Status(500)]);
    cancel_one(&world.api, &session).await?;
    let failed = old.posted(CANCELED, 1).await?;
    change(&world, &path, json!({ "url": new.url() })).await?;
    let told = new.wait_for(CANCELED, 1).await?;
    assert_eq!(told[0].id, failed[0].id);
    assert_eq!(old.arrivals().len(), 1);
    world.finish().await
}

async fn what_the_old_address_answers_disables_no_changed_endpoint(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("front desk").await?.id;
    let (old, new, path) = two(&world).await?;
    old.answer_next([Answer::Late(410, Duration::from_secs(3))]);
    cancel_one(&world.api, &session).await?;
    old.begun(1).await?;
    change(&world, &path, json!({ "url": new.url() })).await?;
    // The event goes to the new address, although the old one said that it is gone for ever.
    let told = new.wait_for(CANCELED, 1).await?;
    assert_eq!(told[0].id, old.posted(CANCELED, 1).await?[0].id);
    let shown: Value = world.api.get(&path).await?.into(200)?;
    assert_eq!(shown["status"], "enabled", "{shown}");
    assert!(shown.get("failing_since").is_none(), "{shown}");
    world.finish().await
}

async fn groups_and_sessions_choose_the_events(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let mine = world.api.create_session("front desk").await?.id;
    let other = world.api.create_session("back office").await?.id;
    let every = world.endpoint(&[]).await?;
    let (grouped, any, of_session) = (
        Receiver::start().await?,
        Receiver::start().await?,
        Receiver::start().await?,
    );
    endpoint(
        &world,
        &grouped,
        json!({ "events": ["message.*", "message.*"] }),
    )
    .await?;
    endpoint(&world, &any, json!({ "events": ["*"] })).await?;
    let filter = json!({ "events": ["message.canceled"], "sessions": [mine, mine] });
    let path = endpoint(&world, &of_session, filter).await?;
    let shown: Value = world.api.get(&path).await?.into(200)?;
    assert_eq!(shown["sessions"], json!([mine]));
    let quiet = Receiver::start().await?;
    endpoint(&world, &quiet, json!({ "events": ["session.*"] })).await?;
    let first = cancel_one(&world.api, &mine).await?;
    let second = cancel_one(&world.api, &other).await?;
    for receiver in [&every, &grouped, &any] {
        receiver.wait_for(CANCELED, 2).await?;
    }
    let told = of_session.wait_for(CANCELED, 1).await?;
    assert_eq!(told[0].body["data"]["message"]["id"], json!(first));
    let shown = change(&world, &path, json!({ "sessions": [other] })).await?;
    assert_eq!(shown["sessions"], json!([other]));
    cancel_one(&world.api, &mine).await?;
    let third = cancel_one(&world.api, &other).await?;
    let told = of_session.wait_for(CANCELED, 2).await?;
    assert_eq!(told[1].body["data"]["message"]["id"], json!(third));
    // Without the filter the events of both come, and of every type.
    let shown = change(&world, &path, json!({ "sessions": null, "events": null })).await?;
    assert_eq!(
        (&shown["sessions"], &shown["events"]),
        (&json!([]), &json!([]))
    );
    cancel_one(&world.api, &mine).await?;
    let told = of_session.wait_for(CANCELED, 3).await?;
    assert!(
        told.iter()
            .all(|one| one.body["data"]["message"]["id"] != json!(second))
    );
    every.wait_for(CANCELED, 5).await?;
    assert!(quiet.arrivals().is_empty());
    world.finish().await
}

async fn further_headers_arrive_and_their_values_are_shown_nowhere(
    backing: Backing,
) -> Result<Finished> {
    const CANARY: &str = "canary-4711";
    let world = World::start(backing).await?;
    let session = world.api.create_session("front desk").await?.id;
    let receiver = Receiver::start().await?;
    let headers = json!({ "Authorization": format!("Bearer {CANARY}"), "X-Shop": "a b, c" });
    let settings = json!({ "events": [CANCELED], "headers": headers });
    let path = endpoint(&world, &receiver, settings).await?;
    cancel_one(&world.api, &session).await?;
    let told = receiver.wait_for(CANCELED, 1).await?;
    let arrived = &told[0].headers;
    assert_eq!(arrived["authorization"], format!("Bearer {CANARY}"));
    assert_eq!(arrived["x-shop"], "a b, c");
    assert_eq!(arrived["content-type"], "application/json");
    let shown: Value = world.api.get(&path).await?.into(200)?;
    assert_eq!(shown["header_names"], json!(["authorization", "x-shop"]));
    let listed: Value = world.api.get(ENDPOINTS).await?.into(200)?;
    for answer in [&shown, &listed] {
        assert!(!answer.to_string().contains(CANARY), "{answer}");
    }
    let stored = world.gateway.database.rows_with(CANARY).await?;
    assert!(stored.is_empty(), "{stored:?}");
    // Given headers replace all that there were, and null removes them.
    let shown = change(&world, &path, json!({ "headers": { "x-one": "1" } })).await?;
    assert_eq!(shown["header_names"], json!(["x-one"]));
    let shown = change(&world, &path, json!({ "inline_media": true })).await?;
    assert_eq!(shown["header_names"], json!(["x-one"]));
    let shown = change(&world, &path, json!({ "headers": null })).await?;
    assert_eq!(shown["header_names"], json!([]));
    assert_eq!(shown["inline_media"], json!(true));
    cancel_one(&world.api, &session).await?;
    let told = receiver.wait_for(CANCELED, 2).await?;
    assert!(!told[1].headers.contains_key("x-one"));
    assert_eq!(receiver.signatures().forged(), Vec::<String>::new());
    world.finish().await
}

async fn a_disabled_endpoint_waits_and_goes_on_when_it_is_enabled(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("front desk").await?.id;
    let (receiver, other, path) = two(&world).await?;
    receiver.answer_next([Answer::Status(500)]);
    let waiting = cancel_one(&world.api, &session).await?;
    let failed = receiver.posted(CANCELED, 1).await?;
    soon("the failure is recorded", async || {
        let status = status_of(&world, &failed[0].id).await?;
        Ok((status == "due").then_some(()))
    })
    .await?;
    let shown = change(&world, &path, json!({ "enabled": false })).await?;
    assert_eq!(shown["status"], "disabled");
    assert_eq!(shown["disabled_reason"], "requested");
    let database = &world.gateway.database;
    let now = "UPDATE delivery SET due_at = 0 WHERE status = 'due'";
    assert_eq!(database.execute(now).await?, 1);
    endpoint(&world, &other, json!({ "events": [CANCELED] })).await?;
    let dropped = cancel_one(&world.api, &session).await?;
    other.wait_for(CANCELED, 1).await?;
    assert_eq!(receiver.arrivals().len(), 1, "nothing is posted meanwhile");
    assert_eq!(status_of(&world, &failed[0].id).await?, "due");
    let shown = change(&world, &path, json!({ "enabled": true })).await?;
    assert_eq!(shown["status"], "enabled");
    assert!(shown.get("disabled_reason").is_none(), "{shown}");
    let told = receiver.wait_for(CANCELED, 1).await?;
    assert_eq!(told[0].body["data"]["message"]["id"], json!(waiting));
    let last = cancel_one(&world.api, &session).await?;
    let told = receiver.wait_for(CANCELED, 2).await?;
    let ids: Vec<_> = told
        .iter()
        .map(|one| &one.body["data"]["message"]["id"])
        .collect();
    assert_eq!(ids, [&json!(waiting), &json!(last)]);
    assert!(!ids.contains(&&json!(dropped)));
    world.finish().await
}

async fn a_change_that_is_refused_changes_nothing(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = Receiver::start().await?;
    let settings = json!({ "events": ["message.*"], "headers": { "x-one": "1" } });
    let path = endpoint(&world, &receiver, settings).await?;
    let before: Value = world.api.get(&path).await?.into(200)?;
    let stranger = world.admin.tenant("Stranger").await?;
    let theirs = stranger.create_session("theirs").await?.id;
    let many: Value = (0..21).map(|n| (format!("x-{n}"), json!("1"))).collect();
    for (change, status, code) in [
        (json!({ "url": "http://10.0.0.1/" }), 422, "url_not_allowed"),
        (json!({ "url": null }), 400, "validation_failed"),
        (json!({ "enabled": null }), 400, "validation_failed"),
        (json!({ "inline_media": "yes" }), 400, "validation_failed"),
        (json!({ "secret": "whsec_x" }), 400, "unknown_field"),
        (
            json!({ "events": ["*", "mess.*"] }),
            422,
            "unknown_event_type",
        ),
        (json!({ "sessions": [theirs] }), 422, "session_not_found"),
        (json!({ "sessions": ["x"] }), 400, "invalid_id"),
        (
            json!({ "headers": { "Webhook-Id": "x" } }),
            422,
            "invalid_headers",
        ),
        (
            json!({ "headers": { "content-type": "x" } }),
            422,
            "invalid_headers",
        ),
        (
            json!({ "headers": { "host": "x" } }),
            422,
            "invalid_headers",
        ),
        (
            json!({ "headers": { "x-a": "1\r\nx-b: 2" } }),
            422,
            "invalid_headers",
        ),
        (
            json!({ "headers": { "x-a": "x".repeat(5000) } }),
            422,
            "invalid_headers",
        ),
        (json!({ "headers": many }), 422, "invalid_headers"),
        (json!({ "headers": { "x-a": 1 } }), 400, "validation_failed"),
    ] {
        // What is right in the same request is not done either.
        let mut change = change;
        for (field, value) in [("events", json!(["media.*"])), ("headers", json!(null))] {
            if change.get(field).is_none() {
                change[field] = value;
            }
        }
        let refused = world.api.patch(&path, &change).await?;
        let got = (refused.status.as_u16(), refused.code());
        assert_eq!(got, (status, code), "{change}: {}", refused.body);
        let new = json!({ "url": receiver.url(), "events": [] });
        if change.get("enabled").is_none() && status == 422 {
            let mut new = new.clone();
            for (field, value) in change.as_object().context("an object")? {
                new[field] = value.clone();
            }
            if new["headers"].is_null() {
                new["headers"] = json!({});
            }
            let refused = world.api.post(ENDPOINTS, &new).await?;
            assert_eq!(refused.code(), code, "{new}");
        }
    }
    let after: Value = world.api.get(&path).await?.into(200)?;
    assert_eq!(before, after);
    let foreign = stranger.patch(&path, &json!({ "enabled": false })).await?;
    assert_eq!(
        (foreign.status.as_u16(), foreign.code()),
        (404, "not_found")
    );
    let same = change(&world, &path, json!({})).await?;
    assert_eq!(before, same);
    world.finish().await
}
