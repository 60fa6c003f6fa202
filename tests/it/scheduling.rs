//! When a message is sent: not before a time, before or after others, and changed while it waits.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, on_both_stores, on_every_shape, simulator::Phone,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

on_every_shape!(
    a_scheduled_message_waits_for_its_time_and_holds_up_no_other,
    a_scheduled_message_is_sent_once_over_a_kill,
);

/// Stories about the stores.
mod stores {
    use super::*;

    on_both_stores!(
        of_messages_that_may_go_the_highest_priority_goes_first,
        a_queued_message_can_be_moved_and_a_sent_one_not,
        a_canceled_message_no_longer_holds_its_lane_at_rest,
        a_message_in_flight_is_before_the_next_one,
        times_that_cannot_be_are_refused,
        a_file_is_kept_until_the_new_time_of_its_message,
    );
}

const NUMBER: &str = "+4915170000001";
const BOB: &str = "+4915199000001";
const EVE: &str = "+4915199000002";

struct Story {
    world: World,
    session: String,
}

impl Story {
    async fn start(backing: Backing) -> Result<Self> {
        let world = World::with(backing, Setup::quick()).await?;
        let session = world.linked(NUMBER).await?.id;
        for phone in [BOB, EVE] {
            world.simulator.phone(phone, Phone::default()).await?;
        }
        Ok(Self { world, session })
    }

    /// Sends a text with further fields. Returns the answer.
    async fn accepted(&self, to: &str, text: &str, fields: Value) -> Result<Value> {
        let mut body = Api::text(&self.session, to, text);
        for (name, value) in fields.as_object().context("fields")? {
            body[name] = value.clone();
        }
        self.world.api.post("/v1/messages", &body).await?.into(202)
    }

    /// Waits until the messages are sent. Returns when the server read each of them, in milliseconds since 1970.
    async fn sent(&self, ids: &[&Value]) -> Result<Vec<i64>> {
        let mut at = Vec::new();
        for id in ids {
            let id = id["id"].as_str().context("an id")?;
            let sent = self.world.api.message_at(id, "sent").await?;
            let wa_id = sent.wa_message_id.context("a WhatsApp id")?;
            let frames = self.world.simulator.ledger("sent").await?;
            let frames: Vec<_> = frames.iter().filter(|one| one.id == wa_id).collect();
            assert_eq!(frames.len(), 1, "{frames:?}");
            at.push(frames[0].at_ms);
        }
        Ok(at)
    }

    async fn change(
        &self,
        message: &Value,
        change: &Value,
    ) -> Result<passerelle_tests::api::Reply> {
        let id = message["id"].as_str().context("an id")?;
        self.world
            .api
            .patch(&format!("/v1/messages/{id}"), change)
            .await
    }
}

fn millis(time: &str) -> Result<i64> {
    Ok(chrono::DateTime::parse_from_rfc3339(time)?.timestamp_millis())
}

async fn a_scheduled_message_waits_for_its_time_and_holds_up_no_other(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let soon = story.world.api.in_seconds(4).await?;
    let later = story
        .accepted(BOB, "later", json!({ "send_at": soon }))
        .await?;
    assert_eq!(
        later["send_at"].as_str().map(millis).transpose()?,
        Some(millis(&soon)?)
    );
    let estimated = later["queue"]["estimated_send_at"]
        .as_str()
        .context("an estimate")?;
    assert!(millis(estimated)? >= millis(&soon)?);
    // Also one to the same person, and one whose lane rests by now.
    let first = story.accepted(BOB, "first", json!({})).await?;
    assert_eq!(first["queue"]["position"], 0);
    story.sent(&[&first]).await?;
    let second = story.accepted(EVE, "second", json!({})).await?;
    let sent = story.sent(&[&first, &second, &later]).await?;
    assert!(sent[0] < sent[1] && sent[1] < sent[2], "{sent:?}");
    assert!(sent[2] >= millis(&soon)?, "{sent:?} for {soon}");
    let expires = story
        .world
        .api
        .whole_message(later["id"].as_str().context("an id")?)
        .await?;
    let expires = millis(expires["expires_at"].as_str().context("an expiry")?)?;
    assert_eq!(expires, millis(&soon)? + 24 * 60 * 60 * 1000);
    // A lane with nothing but scheduled messages is not claimed. On a cluster this is another process's log.
    let log = std::fs::read_to_string(story.world.gateway.log_file())?;
    assert!(!log.contains("too high"), "the lane did not rest");
    story.world.finish().await
}

async fn a_scheduled_message_is_sent_once_over_a_kill(backing: Backing) -> Result<Finished> {
    let mut story = Story::start(backing).await?;
    let soon = story.world.api.in_seconds(3).await?;
    let later = story
        .accepted(BOB, "later", json!({ "send_at": soon }))
        .await?;
    story.world.gateway.kill_and_restart().await?;
    let sent = story.sent(&[&later]).await?;
    assert!(sent[0] >= millis(&soon)?, "{sent:?} for {soon}");
    story.world.finish().await
}

async fn of_messages_that_may_go_the_highest_priority_goes_first(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let soon = story.world.api.in_seconds(3).await?;
    let mut accepted = Vec::new();
    for priority in ["low", "normal", "high", "normal", "high"] {
        let fields = json!({ "send_at": soon, "priority": priority });
        accepted.push(story.accepted(BOB, priority, fields).await?);
    }
    assert_eq!(accepted[0]["priority"], "low");
    assert_eq!(accepted[1].get("priority"), None);
    let sent = story.sent(&accepted.iter().collect::<Vec<_>>()).await?;
    let order = [2, 4, 1, 3, 0].map(|place| sent[place]);
    assert!(order.is_sorted(), "{sent:?}");
    story.world.finish().await
}

async fn a_queued_message_can_be_moved_and_a_sent_one_not(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let tomorrow = story.world.api.in_seconds(86_400).await?;
    let one = story
        .accepted(BOB, "one", json!({ "send_at": tomorrow }))
        .await?;
    let other = story
        .accepted(BOB, "other", json!({ "send_at": tomorrow }))
        .await?;
    let soon = story.world.api.in_seconds(2).await?;
    let moved: Value = story
        .change(&other, &json!({ "send_at": soon, "priority": "high" }))
        .await?
        .into(200)?;
    assert_eq!(moved["priority"], "high");
    assert_eq!(
        moved["send_at"].as_str().map(millis).transpose()?,
        Some(millis(&soon)?)
    );
    let sent = story.sent(&[&other]).await?;
    assert!(sent[0] >= millis(&soon)?);
    let refused = story.change(&other, &json!({ "send_at": null })).await?;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::CONFLICT, "message_not_queued")
    );
    let now: Value = story
        .change(&one, &json!({ "send_at": null }))
        .await?
        .into(200)?;
    assert_eq!(now.get("send_at"), None);
    story.sent(&[&one]).await?;
    story.world.finish().await
}

async fn a_canceled_message_no_longer_holds_its_lane_at_rest(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let tomorrow = story.world.api.in_seconds(86_400).await?;
    let later = story
        .accepted(BOB, "later", json!({ "send_at": tomorrow }))
        .await?;
    let id = later["id"].as_str().context("an id")?;
    let _canceled: Value = story
        .world
        .api
        .act(&format!("/v1/messages/{id}/cancel"))
        .await?
        .into(200)?;
    let next = story.accepted(BOB, "next", json!({})).await?;
    story.sent(&[&next]).await?;
    story.world.finish().await
}

async fn a_message_in_flight_is_before_the_next_one(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    let slow =
        json!({ "phone": NUMBER, "on": "ack", "do": "delay", "delay_ms": 3_000, "times": 1 });
    story.world.simulator.fault(&slow).await?;
    // A receipt of a phone that is online would settle it before the acknowledgement.
    let phone = |online| Phone {
        online,
        ..Phone::default()
    };
    story.world.simulator.phone(BOB, phone(false)).await?;
    let first = story.accepted(BOB, "first", json!({})).await?;
    api.message_at(first["id"].as_str().context("an id")?, "sending")
        .await?;
    let tomorrow = api.in_seconds(86_400).await?;
    let later = story
        .accepted(EVE, "later", json!({ "send_at": tomorrow }))
        .await?;
    let next = story.accepted(BOB, "next", json!({})).await?;
    let now = api
        .whole_message(first["id"].as_str().context("an id")?)
        .await?;
    assert_eq!(next["queue"]["position"], 1, "{next} after {now}");
    let later = later["id"].as_str().context("an id")?;
    let _canceled: Value = api
        .act(&format!("/v1/messages/{later}/cancel"))
        .await?
        .into(200)?;
    story.world.simulator.phone(BOB, phone(true)).await?;
    story.sent(&[&first, &next]).await?;
    story.world.finish().await
}

async fn times_that_cannot_be_are_refused(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    let in_days = |days: i64| api.in_seconds(days * 86_400);
    let (past, far, tomorrow) = (in_days(-1).await?, in_days(31).await?, in_days(1).await?);
    let mut body = Api::text(&story.session, BOB, "hi");
    for (fields, code, pointer) in [
        (json!({ "send_at": past }), "invalid_send_at", "/send_at"),
        (json!({ "send_at": far }), "invalid_send_at", "/send_at"),
        (
            json!({ "send_at": tomorrow, "expires_at": tomorrow }),
            "invalid_expiry",
            "/expires_at",
        ),
        (
            json!({ "send_at": "tomorrow" }),
            "validation_failed",
            "/send_at",
        ),
        (
            json!({ "priority": "urgent" }),
            "validation_failed",
            "/priority",
        ),
    ] {
        for (name, value) in fields.as_object().context("fields")? {
            body[name] = value.clone();
        }
        let refused = api.post("/v1/messages", &body).await?;
        assert_eq!(refused.code(), code, "{fields} {}", refused.body);
        assert!(
            refused.body.to_string().contains(pointer),
            "{}",
            refused.body
        );
        body = Api::text(&story.session, BOB, "hi");
    }
    let sent = story.accepted(BOB, "hi", json!({})).await?;
    story.sent(&[&sent]).await?;
    let reaction =
        json!({ "type": "reaction", "reaction": { "message_id": sent["id"], "emoji": "👍" } });
    let mut reaction = Api::of_kind(&story.session, BOB, reaction);
    reaction["send_at"] = json!(tomorrow);
    assert_eq!(
        api.post("/v1/messages", &reaction).await?.code(),
        "unknown_field"
    );
    // Nor does one get a time that waits already.
    let queue = format!("/v1/sessions/{}/queue", story.session);
    api.act(&format!("{queue}/pause"))
        .await?
        .into::<Value>(200)?;
    let about =
        json!({ "type": "reaction", "reaction": { "message_id": sent["id"], "emoji": "👍" } });
    let about = Api::of_kind(&story.session, BOB, about);
    let about: Value = api.post("/v1/messages", &about).await?.into(202)?;
    let refused = story
        .change(&about, &json!({ "send_at": tomorrow }))
        .await?;
    assert_eq!(refused.code(), "invalid_send_at", "{}", refused.body);
    api.act(&format!("{queue}/resume"))
        .await?
        .into::<Value>(200)?;
    story.sent(&[&about]).await?;
    let queued = story
        .accepted(BOB, "hi", json!({ "send_at": tomorrow }))
        .await?;
    for change in [json!({ "send_at": past }), json!({ "send_at": far })] {
        assert_eq!(
            story.change(&queued, &change).await?.code(),
            "invalid_send_at"
        );
    }
    let id = queued["id"].as_str().context("an id")?;
    let _canceled: Value = api
        .act(&format!("/v1/messages/{id}/cancel"))
        .await?
        .into(200)?;
    story.world.finish().await
}

async fn a_file_is_kept_until_the_new_time_of_its_message(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    let in_days = |days: i64| api.in_seconds(days * 86_400);
    let (tomorrow, later) = (in_days(1).await?, in_days(20).await?);
    let file = api.upload("document", b"%PDF-1.4\n% a\n".to_vec()).await?;
    let file = file.into::<Value>(201)?["id"].clone();
    let mut body = Api::of_kind(
        &story.session,
        BOB,
        json!({ "type": "document", "document": { "media_id": file } }),
    );
    body["send_at"] = json!(tomorrow);
    let message: Value = api.post("/v1/messages", &body).await?.into(202)?;
    let moved: Value = story
        .change(&message, &json!({ "send_at": later }))
        .await?
        .into(200)?;
    let expires = millis(moved["expires_at"].as_str().context("an expiry")?)?;
    assert!(expires > millis(&later)?);
    let kept = "SELECT delete_at FROM media";
    let kept = story.world.gateway.database.number(kept).await?;
    assert!(kept >= expires, "{kept} {expires}");
    let id = message["id"].as_str().context("an id")?;
    let canceled = api.act(&format!("/v1/messages/{id}/cancel")).await?;
    canceled.into::<Value>(200)?;
    story.world.finish().await
}
