//! What the health of a number holds, and that it goes as soon as the number has recovered.

use anyhow::Result;
use passerelle_tests::{Backing, Finished, on_both_stores, soon, wall_clock};
use reqwest::Method;
use serde_json::{Value, json};

use super::{BOB, EVE, NUMBER, Story, id, millis};

/// Stories about the stores.
mod stores {
    use super::*;

    on_both_stores!(
        queue_what_health_held_goes_when_the_number_recovers,
        queue_what_a_lock_held_goes_when_the_number_is_linked_again,
    );
}

const DAY: i64 = 24 * 60 * 60 * 1000;

fn agreed() -> Value {
    json!({ "purpose": "security", "consent": { "source": "checkout" } })
}

async fn lock(story: &Story, lock: Value) -> Result<()> {
    let path = format!("/timelock/{NUMBER}");
    let put = story.world.simulator.call(Method::PUT, &path, Some(&lock));
    put.await.map(drop)
}

/// Waits until the lane rests because of its number's health, and returns until when.
async fn rests(story: &Story) -> Result<i64> {
    soon("its health holds the number", async || {
        let queue = story.queue().await?;
        let next = &queue["next"];
        let is_held = next["hold"] == "health";
        is_held
            .then(|| millis(&next["at"]).or(Ok(i64::MAX)))
            .transpose()
    })
    .await
}

async fn queue_what_health_held_goes_when_the_number_recovers(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::limited(backing).await?;
    let api = &story.world.api;
    let until = wall_clock().timestamp_millis() + 10 * DAY;
    lock(
        &story,
        json!({ "active": true, "until_ms": until, "kind": "WEB_COMPANION_ONLY", "push": true }),
    )
    .await?;
    soon("the lock is known", async || {
        Ok((story.queue().await?["level"] == "cold_stop").then_some(()))
    })
    .await?;
    // It expires before the lock ends, which WhatsApp may lift at any time: so it waits.
    let waits = story.send(BOB, agreed()).await?;
    assert_eq!(waits["queue"]["hold"], "health", "{waits}");
    soon("it waits for the lock's end", async || {
        let next = rests(&story).await?;
        Ok((next > wall_clock().timestamp_millis() + 9 * DAY).then_some(()))
    })
    .await?;
    // WhatsApp lifts the lock. The gateway waits one more hour, and not ten days.
    lock(&story, json!({ "active": false, "push": true })).await?;
    soon("it waits for an hour", async || {
        let next = rests(&story).await?;
        Ok((next < wall_clock().timestamp_millis() + 2 * 60 * 60_000).then_some(()))
    })
    .await?;
    // The hour is over.
    let database = &story.world.gateway.database;
    let past = r#"UPDATE number SET health_due_at = 1, health = '{"restrictions":[{"reason":"reachout_timelock","level":"cold_stop","since":1,"until":2,"ends_at_once":true}],"told":{"level":"cold_stop","reasons":["reachout_timelock"]}}'"#;
    database.execute(past).await?;
    api.message_at(id(&waits)?, "sent").await?;
    assert_eq!(story.queue().await?["level"], "ok");
    story.world.finish().await
}

async fn queue_what_a_lock_held_goes_when_the_number_is_linked_again(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::limited(backing).await?;
    let api = &story.world.api;
    let received = story
        .world
        .endpoint(&["message.received", "session.restricted"])
        .await?;
    story
        .world
        .simulator
        .say(EVE, NUMBER, "Is it ready?")
        .await?;
    received.wait_for("message.received", 1).await?;
    // Its owner unlinks the number while it is restricted.
    let until = wall_clock().timestamp_millis() + DAY;
    lock(
        &story,
        json!({ "active": true, "until_ms": until, "kind": "WEB_COMPANION_ONLY", "push": true }),
    )
    .await?;
    received.wait_for("session.restricted", 1).await?;
    story.act("pause").await?;
    let reply = story.send(EVE, json!({})).await?;
    story.world.simulator.unlink(NUMBER, 1).await?;
    api.session_in(&story.session, "logged_out").await?;
    received.wait_for("session.restricted", 2).await?;
    assert_eq!(story.queue().await?["level"], "locked");
    // As if the lane had looked while the number was locked: it rests until somebody ends that.
    let database = &story.world.gateway.database;
    let rests = "UPDATE lane SET rests = 1, hold = 'health', next_at = 9223372036854775807";
    database.execute(rests).await?;
    story.act("resume").await?;
    api.connect(&story.session).await?;
    let qr = api.qr(&story.session).await?;
    story.world.simulator.scan(NUMBER, &qr).await?;
    api.session_in(&story.session, "connected").await?;
    api.message_at(id(&reply)?, "sent").await?;
    story.world.finish().await
}
