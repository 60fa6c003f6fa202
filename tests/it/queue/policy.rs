//! The policy of an organisation: it can be stricter than the gateway, never looser, and counts at once.

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Finished, api::Reply, on_both_stores, on_every_shape, soon};
use reqwest::Method;
use serde_json::{Value, json};

use super::{BOB, EVE, Story, entry, id, millis};

on_every_shape!(safety_limits_of_an_organisation_hold_what_they_hold_at_once_and_only_there);

/// Stories about the stores.
mod stores {
    use super::*;

    on_both_stores!(safety_a_policy_can_be_tightened_and_not_loosened);
}

async fn policy(api: &Api) -> Result<Value> {
    api.get("/v1/policy").await?.into(200)
}

async fn set(api: &Api, limits: &Value) -> Result<Reply> {
    Api::reply(api.request(Method::PUT, "/v1/policy").json(limits)).await
}

async fn safety_a_policy_can_be_tightened_and_not_loosened(backing: Backing) -> Result<Finished> {
    let story = Story::limited(backing).await?;
    let api = &story.world.api;
    let before = policy(api).await?;
    assert_eq!(
        (&before["object"], &before["preset"]),
        (&json!("policy"), &json!("default"))
    );
    assert_eq!(before["hash"].as_str().context("a hash")?.len(), 64);
    assert_eq!(before["limits"]["replies_an_hour"], 600);
    assert_eq!(before["own"], json!({}));
    let risk = before["risk"].as_str().context("the risk")?;
    assert!(risk.contains("may ban"), "{risk}");
    for (limits, pointer) in [
        (json!({ "reply_gap_ms": 1 }), "/reply_gap_ms"),
        (json!({ "warm_gap_ms": 3_600_001 }), "/warm_gap_ms"),
        (json!({ "cold_gap_ms": 1 }), "/cold_gap_ms"),
        (
            json!({ "new_conversations_a_day": 251 }),
            "/new_conversations_a_day",
        ),
        (json!({ "messages_a_day": 2001 }), "/messages_a_day"),
        (json!({ "replies_an_hour": 601 }), "/replies_an_hour"),
        (
            json!({ "unanswered_by_one_contact": 5 }),
            "/unanswered_by_one_contact",
        ),
        (
            json!({ "unanswered_apart_minutes": 9 }),
            "/unanswered_apart_minutes",
        ),
        (
            json!({ "unanswered_in_30_days": 1001 }),
            "/unanswered_in_30_days",
        ),
        (json!({ "near_duplicates": 51 }), "/near_duplicates"),
        (json!({ "quiet_from_minute": 1439 }), "/quiet_from_minute"),
        (json!({ "quiet_to_minute": 1 }), "/quiet_to_minute"),
        (
            json!({ "codes_at_night_an_hour": 61 }),
            "/codes_at_night_an_hour",
        ),
        (json!({ "group_apart_seconds": 59 }), "/group_apart_seconds"),
        (json!({ "group_joined_hours": 49 }), "/group_joined_hours"),
    ] {
        // Half of a policy is never stored.
        let mut limits = limits;
        limits["quiet_holds_warm"] = json!(true);
        let refused = set(api, &limits).await?;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (422, "below_platform_floor"),
            "{limits}"
        );
        assert_eq!(refused.body["errors"][0]["pointer"], json!(pointer));
    }
    for (limits, code) in [
        (json!({ "gap": 1 }), "unknown_field"),
        (json!({ "replies_an_hour": -1 }), "validation_failed"),
        (json!({ "replies_an_hour": "few" }), "validation_failed"),
        (json!([]), "validation_failed"),
    ] {
        assert_eq!(set(api, &limits).await?.code(), code, "{limits}");
    }
    assert_eq!(policy(api).await?, before);
    let own = json!({ "replies_an_hour": 60, "quiet_holds_warm": true });
    let tight: Value = set(api, &own).await?.into(200)?;
    assert_eq!(tight["limits"]["replies_an_hour"], 60);
    assert_eq!(tight["limits"]["quiet_hours"]["holds_warm"], true);
    assert_eq!(tight["own"], own);
    assert_ne!(tight["hash"], before["hash"]);
    assert_eq!(policy(api).await?, tight);
    let cap = story.queue().await?;
    let cap = entry(&cap["caps"], "name", "replies_an_hour").clone();
    assert_eq!(cap["limit"], 60);
    // Only of this organisation.
    let theirs = story.world.admin.tenant("Globex").await?;
    assert_eq!(policy(&theirs).await?, before);
    let reset: Value = api.delete("/v1/policy").await?.into(200)?;
    assert_eq!(reset, before);
    set(api, &own).await?.into::<Value>(200)?;
    let reset: Value = set(api, &json!({})).await?.into(200)?;
    assert_eq!(reset, before);
    story.world.finish().await
}

async fn safety_limits_of_an_organisation_hold_what_they_hold_at_once_and_only_there(
    backing: Backing,
) -> Result<Finished> {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    let limit = json!({ "new_conversations_a_day": 1 });
    set(api, &limit).await?.into::<Value>(200)?;
    let first = story.send(BOB, json!({})).await?;
    api.message_at(id(&first)?, "sent").await?;
    let refused = api
        .post("/v1/messages", &Api::text(&story.session, EVE, "too late"))
        .await?;
    assert_eq!(refused.code(), "would_expire", "a day is too long for it");
    let later = json!({ "expires_at": api.in_seconds(2 * 24 * 60 * 60).await? });
    let second = story.send(EVE, later).await?;
    assert_eq!(second["queue"]["hold"], "new_conversations", "{second}");
    let queue = soon("the limit holds it", async || {
        let queue = story.queue().await?;
        Ok((queue["next"]["hold"] == "new_conversations").then_some(queue))
    })
    .await?;
    let held = entry(&queue["holds"], "hold", "new_conversations");
    assert_eq!(held["messages"], 1, "{queue}");
    let cap = entry(&queue["caps"], "name", "new_conversations_a_day");
    assert_eq!((&cap["limit"], &cap["remaining"]), (&json!(1), &json!(0)));
    let wait = millis(&cap["resets_at"])? - millis(&second["created_at"])?;
    assert!(
        (DAY - 60_000..DAY + 2 * 60 * 60_000).contains(&wait),
        "{wait}"
    );
    let shown = api.whole_message(id(&second)?).await?;
    assert_eq!(shown["queue"]["hold"], "new_conversations");
    let wait = millis(&shown["queue"]["estimated_send_at"])? - millis(&second["created_at"])?;
    assert!(wait > DAY - 60_000, "{wait}");
    // A third one goes a day after the second one, which is held already.
    const ZOE: &str = "+4915199000009";
    let mut third = Api::text(&story.session, ZOE, "the day after");
    third["expires_at"] = json!(api.in_seconds(2 * 24 * 60 * 60).await?);
    let refused = api.post("/v1/messages", &third).await?;
    assert_eq!(refused.code(), "would_expire", "two days are too long");
    let later = json!({ "expires_at": api.in_seconds(4 * 24 * 60 * 60).await? });
    let third = story.send(ZOE, later).await?;
    for third in [&third, &api.whole_message(id(&third)?).await?] {
        assert_eq!(third["queue"]["position"], 1, "{third}");
        let wait = millis(&third["queue"]["estimated_send_at"])? - millis(&third["created_at"])?;
        assert!(
            (2 * DAY - 60_000..2 * DAY + 5 * 60 * 60_000).contains(&wait),
            "{wait}"
        );
    }
    let steps = story.timeline(&second).await?;
    assert_eq!(super::names(&steps), ["accepted", "waiting"], "{steps:?}");
    // It lets others pass: a message that begins no conversation, and those of another organisation.
    story
        .world
        .simulator
        .say(BOB, super::NUMBER, "Thanks!")
        .await?;
    let answer = soon("an answer is a reply", async || {
        let answer = story.send(BOB, json!({})).await?;
        Ok((answer["class"] == "reply").then_some(answer))
    })
    .await?;
    api.message_at(id(&answer)?, "sent").await?;
    let theirs = story.world.admin.tenant("Globex").await?;
    let session = story.world.linked_for(&theirs, "+4915170000002").await?.id;
    let sent = theirs.send(&session, EVE, "hello").await?;
    theirs.message_at(&sent.id, "sent").await?;
    // Without the limit it goes.
    let reset: Value = api.delete("/v1/policy").await?.into(200)?;
    assert_eq!(reset["own"], json!({}));
    api.message_at(id(&second)?, "sent").await?;
    let steps = story.timeline(&second).await?;
    let waited = steps.iter().find(|step| step["step"] == "waiting");
    assert_eq!(waited.context("a wait")?["hold"], "new_conversations");
    story.world.finish_with_work_undone().await
}
