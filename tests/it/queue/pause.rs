//! Pausing the queue, and emptying it.

use anyhow::Result;
use passerelle_tests::{Backing, Finished, api::Reply, on_both_stores, on_every_shape};
use serde_json::{Value, json};

use super::{BOB, EVE, NUMBER, Story, id};

on_every_shape!(queue_that_is_paused_sends_nothing_until_it_is_resumed);

/// Stories about the stores.
mod stores {
    use super::*;

    on_both_stores!(
        queue_messages_expire_while_it_is_paused,
        queue_of_a_number_that_is_paused_holds_up_no_other_session_of_it,
        queue_cancels_what_waits_each_with_its_event,
    );
}

async fn queue_that_is_paused_sends_nothing_until_it_is_resumed(
    backing: Backing,
) -> Result<Finished> {
    let mut story = Story::start(backing).await?;
    // Not even replies.
    let received = story.world.endpoint(&["message.received"]).await?;
    let asked = story.world.simulator.say(BOB, NUMBER, "Is it ready?");
    asked.await?;
    received.wait_for("message.received", 1).await?;
    let paused = story.act("pause").await?;
    assert!(paused["paused_at"].is_string(), "{paused}");
    assert_eq!(paused.get("next"), None, "nothing waits");
    let first = story.send(BOB, json!({})).await?;
    assert_eq!(first["class"], "reply");
    let second = story.send(EVE, json!({})).await?;
    let again = story.act("pause").await?;
    assert_eq!(again["paused_at"], paused["paused_at"], "it is idempotent");
    assert_eq!(again["next"]["hold"], "paused");
    assert_eq!(again["next"]["since"], paused["paused_at"]);
    assert_eq!((&again["depth"], &again["sending"]), (&json!(2), &json!(0)));
    // It stays paused over a kill, and other sessions go on meanwhile.
    story.world.gateway.kill_and_restart().await?;
    let api = &story.world.api;
    api.session_in(&story.session, "connected").await?;
    let other = story.world.linked("+4915170000002").await?.id;
    let passed = api.send(&other, BOB, "another session").await?;
    api.message_at(&passed.id, "sent").await?;
    for (message, position) in [(&first, 0), (&second, 1)] {
        let shown = api.whole_message(id(message)?).await?;
        assert_eq!(shown["status"], "queued");
        let place = &shown["queue"];
        assert_eq!(
            (&place["position"], &place["hold"]),
            (&json!(position), &json!("paused")),
            "{place}"
        );
        assert_eq!(place["estimated_send_at"], Value::Null, "{place}");
        assert_eq!(place, &message["queue"], "as when it was accepted");
    }
    let resumed = story.act("resume").await?;
    assert_eq!(resumed.get("paused_at"), None);
    for message in [&first, &second] {
        api.message_at(id(message)?, "sent").await?;
    }
    assert_eq!(story.act("resume").await?.get("next"), None);
    let sent = api.whole_message(id(&first)?).await?;
    assert_eq!(sent.get("queue"), None, "it is queued no longer");
    story.world.finish().await
}

async fn queue_messages_expire_while_it_is_paused(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    story.act("pause").await?;
    let soon = api.in_seconds(2).await?;
    let message = story.send(BOB, json!({ "expires_at": soon })).await?;
    api.message_at(id(&message)?, "expired").await?;
    let steps = story.timeline(&message).await?;
    assert_eq!(super::names(&steps), ["accepted", "expired"], "{steps:?}");
    assert!(super::millis(&steps[1]["at"])? >= super::millis(&json!(soon))?);
    assert_eq!(story.queue().await?["depth"], 0);
    story.world.finish().await
}

async fn queue_of_a_number_that_is_paused_holds_up_no_other_session_of_it(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let theirs = story.world.admin.tenant("Globex").await?;
    let other = story.world.linked_for(&theirs, super::NUMBER).await?.id;
    // The other one was served last, so this one's turn would be next.
    let sent = theirs.send(&other, BOB, "theirs").await?;
    theirs.message_at(&sent.id, "sent").await?;
    story.act("pause").await?;
    let ours = story.send(BOB, json!({})).await?;
    for _ in 0..2 {
        let sent = theirs.send(&other, EVE, "theirs").await?;
        theirs.message_at(&sent.id, "sent").await?;
    }
    story.act("resume").await?;
    story.world.api.message_at(id(&ours)?, "sent").await?;
    story.world.finish().await
}

async fn canceled(story: &Story, query: &str) -> Result<Reply> {
    let path = story.path(&format!("/messages{query}"));
    story.world.api.delete(&path).await
}

async fn queue_cancels_what_waits_each_with_its_event(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let receiver = story.world.endpoint(&["message.canceled"]).await?;
    let api = &story.world.api;
    story.act("pause").await?;
    let to_bob = story.send(BOB, json!({})).await?;
    let of_order = story.send(EVE, json!({ "client_ref": "order-1" })).await?;
    let mut rest = Vec::new();
    for _ in 0..3 {
        rest.push(story.send(EVE, json!({})).await?);
    }
    let bob = to_bob["contact_id"].as_str().unwrap_or_default();
    for (query, count, message) in [
        (format!("?contact_id={bob}"), 1, &to_bob),
        ("?client_ref=order-1".to_owned(), 1, &of_order),
    ] {
        let done: Value = canceled(&story, &query).await?.into(200)?;
        let expected =
            json!({ "object": "canceled_messages", "canceled": count, "has_more": false });
        assert_eq!(done, expected, "{query}");
        let shown = api.whole_message(id(message)?).await?;
        assert_eq!(shown["status"], "canceled");
        let steps = story.timeline(message).await?;
        assert_eq!(super::names(&steps), ["accepted", "canceled"], "{steps:?}");
    }
    assert_eq!(story.queue().await?["depth"], 3);
    let refused = canceled(&story, "?client_ref=").await?;
    assert_eq!(refused.code(), "invalid_client_ref");
    let done: Value = canceled(&story, "").await?.into(200)?;
    assert_eq!(done["canceled"], 3);
    let done: Value = canceled(&story, "").await?.into(200)?;
    assert_eq!(done["canceled"], 0);
    assert_eq!(story.queue().await?["depth"], 0);
    receiver.wait_for("message.canceled", 5).await?;
    // The queue works on.
    story.act("resume").await?;
    let next = story.send(BOB, json!({})).await?;
    api.message_at(id(&next)?, "sent").await?;
    for message in &rest {
        let shown = api.whole_message(id(message)?).await?;
        assert_eq!(shown["status"], "canceled");
    }
    story.world.finish().await
}
