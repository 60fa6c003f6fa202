//! What a tenant sees of the queue: order, places, estimates, limits and holds.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, on_both_stores, on_every_shape, soon};
use serde_json::{Value, json};

use super::{BOB, EVE, IDA, Story, entry, id, millis};

const MINUTE: i64 = 60_000;

on_every_shape!(queue_messages_are_listed_in_the_order_in_which_they_go);

/// Stories about the stores.
mod stores {
    use super::*;

    on_both_stores!(
        queue_of_a_sandbox_has_no_caps_and_the_order_of_the_requests,
        queue_shows_each_cap_and_what_holds_a_message,
    );
}

async fn listed(story: &Story, limit: u32) -> Result<Vec<Value>> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = story.path(&format!("/messages?limit={limit}{cursor}"));
        let page: Value = story.world.api.get(&path).await?.into(200)?;
        all.extend(page["data"].as_array().context("messages")?.clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(all),
        }
    }
}

fn ids(messages: &[Value]) -> Result<Vec<&str>> {
    messages.iter().map(id).collect()
}

async fn queue_messages_are_listed_in_the_order_in_which_they_go(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::limited(backing).await?;
    let received = story.world.endpoint(&["message.received"]).await?;
    let number = super::NUMBER;
    story
        .world
        .simulator
        .say(IDA, number, "Is it ready?")
        .await?;
    received.wait_for("message.received", 1).await?;
    story.act("pause").await?;
    let tomorrow = story.world.api.in_seconds(86_400).await?;
    let later = story
        .send(BOB, json!({ "priority": "high", "send_at": tomorrow }))
        .await?;
    let cold = story.send(BOB, json!({})).await?;
    let second = story.send(EVE, json!({})).await?;
    let urgent = story.send(EVE, json!({ "priority": "high" })).await?;
    let reply = story.send(IDA, json!({ "priority": "low" })).await?;
    assert_eq!(
        (&cold["class"], &reply["class"]),
        (&json!("cold"), &json!("reply"))
    );
    let expected = [&reply, &later, &urgent, &cold, &second];
    let expected: Vec<_> = expected.into_iter().map(id).collect::<Result<_>>()?;
    for limit in [1, 2, 100] {
        let all = listed(&story, limit).await?;
        assert_eq!(ids(&all)?, expected, "pages of {limit}");
    }
    let all = listed(&story, 100).await?;
    // What waits until tomorrow is before nothing that goes today.
    for (nth, position) in [(0, 0), (1, 4), (2, 1), (3, 2), (4, 3)] {
        let place = &all[nth]["queue"];
        assert_eq!(place["position"], position, "{nth}: {place}");
        let read = story.world.api.whole_message(expected[nth]).await?;
        assert_eq!(read["queue"]["position"], position, "{nth}: {read}");
    }
    let queue = story.queue().await?;
    assert_eq!(queue["depth"], 5);
    assert_eq!(entry(&queue["classes"], "class", "reply")["waiting"], 1);
    assert_eq!(entry(&queue["classes"], "class", "cold")["waiting"], 4);
    assert_eq!(entry(&queue["classes"], "class", "warm")["waiting"], 0);
    assert_eq!(entry(&queue["holds"], "hold", "paused")["messages"], 4);
    assert_eq!(entry(&queue["holds"], "hold", "schedule")["messages"], 1);
    assert_eq!(queue["oldest_at"], later["created_at"]);
    // In this order they go.
    story.act("resume").await?;
    let sent = story.world.api.message_at(id(&reply)?, "sent").await?;
    assert_eq!(sent.id, id(&reply)?);
    let rest = listed(&story, 100).await?;
    let places: Vec<_> = rest
        .iter()
        .filter(|one| one["id"] != later["id"])
        .map(|one| millis(&one["queue"]["estimated_send_at"]))
        .collect::<Result<_>>()?;
    assert!(places.is_sorted(), "{places:?}");
    story.world.finish_with_work_undone().await
}

async fn queue_of_a_sandbox_has_no_caps_and_the_order_of_the_requests(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let received = story.world.endpoint(&["message.received"]).await?;
    let number = super::NUMBER;
    story
        .world
        .simulator
        .say(IDA, number, "Is it ready?")
        .await?;
    received.wait_for("message.received", 1).await?;
    let empty = story.queue().await?;
    assert_eq!(empty.get("caps"), None);
    assert_eq!(
        (&empty["depth"], &empty["level"]),
        (&json!(0), &json!("ok"))
    );
    assert_eq!((empty.get("next"), empty.get("oldest_at")), (None, None));
    assert_eq!(empty["holds"], json!([]));
    story.act("pause").await?;
    let cold = story.send(BOB, json!({})).await?;
    let reply = story.send(IDA, json!({})).await?;
    let all = listed(&story, 1).await?;
    assert_eq!(ids(&all)?, [id(&cold)?, id(&reply)?]);
    // A session that is not connected says so.
    story.act("resume").await?;
    story.world.api.message_at(id(&reply)?, "sent").await?;
    story.world.api.disconnect(&story.session).await?;
    story
        .world
        .api
        .session_in(&story.session, "stopped")
        .await?;
    let waits = story.send(BOB, json!({})).await?;
    let read = story.world.api.whole_message(id(&waits)?).await?;
    assert_eq!(read["queue"]["hold"], "disconnected");
    assert_eq!(story.queue().await?["next"]["hold"], "disconnected");
    story.world.finish_with_work_undone().await
}

async fn queue_shows_each_cap_and_what_holds_a_message(backing: Backing) -> Result<Finished> {
    let story = Story::limited(backing).await?;
    let api = &story.world.api;
    let first = story.send(BOB, json!({})).await?;
    api.message_at(id(&first)?, "sent").await?;
    let queue = story.queue().await?;
    for (name, limit, used) in [
        ("replies_an_hour", 600, 0),
        ("messages_an_hour", 30, 1),
        ("messages_a_day", 150, 1),
        ("new_conversations_a_day", 20, 1),
        ("unanswered_in_30_days", 1000, 1),
        ("codes_at_night_an_hour", 60, 0),
    ] {
        let cap = entry(&queue["caps"], "name", name);
        assert_eq!(
            (&cap["limit"], &cap["used"], &cap["remaining"]),
            (&json!(limit), &json!(used), &json!(limit - used)),
            "{cap}"
        );
        assert_eq!(cap["resets_at"].is_string(), used > 0, "{cap}");
    }
    // A second message to somebody who did not answer waits ten minutes.
    let second = story.send(BOB, json!({})).await?;
    let held = soon("it is held", async || {
        let shown = api.whole_message(id(&second)?).await?;
        Ok((shown["queue"]["hold"] == "unanswered").then_some(shown))
    })
    .await?;
    assert_eq!(held.get("send_at"), None, "nobody asked for a time");
    let sent = millis(&api.whole_message(id(&first)?).await?["sent_at"])?;
    for field in ["estimated_send_at", "estimated_send_by"] {
        let wait = millis(&held["queue"][field])? - sent;
        assert!((9 * MINUTE..20 * MINUTE).contains(&wait), "{field} {wait}");
    }
    let queue = story.queue().await?;
    let hold = entry(&queue["holds"], "hold", "unanswered");
    assert_eq!(hold["messages"], 1, "{queue}");
    assert!(millis(&hold["until"])? - sent > 9 * MINUTE);
    assert_eq!(queue["next"]["hold"], "unanswered");
    assert_eq!(entry(&queue["classes"], "class", "cold")["held"], 1);
    let steps = story.timeline(&second).await?;
    assert_eq!(super::names(&steps), ["accepted", "waiting"], "{steps:?}");
    assert_eq!(steps[1]["hold"], "unanswered");
    assert_eq!(steps[1]["until"], hold["until"]);
    // An answer lets it go, as a reply.
    story
        .world
        .simulator
        .say(BOB, super::NUMBER, "Thanks!")
        .await?;
    api.message_at(id(&second)?, "sent").await?;
    let steps = story.timeline(&second).await?;
    let claimed = steps.iter().find(|step| step["step"] == "claimed");
    assert_eq!(claimed.context("a claim")?["class"], "reply", "{steps:?}");
    assert_eq!(steps[0]["trial"], true);
    story.world.finish().await
}
