//! What a session does with each call.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, World, on_both_stores, soon};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

use super::{CALLER, NUMBER, OTHER, TEXT, change, heard, linked, outcome, texts, times, told};
use crate::pacing::{by_number, under_floor};

on_both_stores!(
    fidelity_calls_are_rejected_by_the_session_and_the_caller_gets_one_text,
    fidelity_calls_settings_are_checked_shown_and_removed,
);

async fn fidelity_calls_are_rejected_by_the_session_and_the_caller_gets_one_text(
    backing: Backing,
) -> Result<Finished> {
    let (mut world, session, receiver) = linked(backing).await?;
    let with_text = json!({ "auto_reject": { "text": TEXT } });
    let changed = change(&world, &session, with_text).await?;
    assert_eq!(changed["auto_reject"], json!({ "text": TEXT }));
    // The text goes through the lane, behind what waits there.
    for n in 0..3 {
        world
            .api
            .send(&session, OTHER, &format!("order {n}"))
            .await?;
    }
    let id = world.simulator.ring(CALLER, NUMBER, json!({})).await?;
    heard(&world, CALLER, &id, "reject").await?;
    assert_eq!(outcome(&receiver, &id).await?, "rejected");
    soon("the caller has the text", async || {
        Ok((texts(&world, CALLER).await? == [TEXT]).then_some(()))
    })
    .await?;
    let sent = world.api.messages("direction=outbound").await?;
    let text = sent
        .iter()
        .find(|one| one.body() == TEXT)
        .context("it is listed")?;
    world.api.message_at(&text.id, "delivered").await?;
    let frames = by_number(world.simulator.ledger("sent").await?);
    assert_eq!(frames[NUMBER].len(), 4);
    assert_eq!(under_floor(&frames[NUMBER], 200), Vec::<String>::new());
    assert_eq!(frames[NUMBER][3].to, CALLER);
    // The same call again, after a lost connection and in a new process: no second text.
    let again = world.simulator.ring(OTHER, NUMBER, json!({})).await?;
    assert_eq!(outcome(&receiver, &again).await?, "rejected");
    world.gateway.stop().await?;
    world.gateway.start().await?;
    world.api.session_in(&session, "connected").await?;
    world.simulator.kick(NUMBER, "close").await?;
    receiver.wait_for("session.connected", 3).await?;
    let late = json!({ "id": again });
    world.simulator.ring(OTHER, NUMBER, late).await?;
    soon("it is rejected once more", async || {
        let heard = world.simulator.ledger("heard").await?.into_iter();
        let heard = heard.filter(|one| one.id == again && one.to == OTHER);
        Ok((heard.count() == 2).then_some(()))
    })
    .await?;
    // A group is rejected without a text.
    let made = json!({ "subject": "Team", "creator": OTHER, "members": [NUMBER] });
    let made = world
        .simulator
        .call(Method::POST, "/groups", Some(&made))
        .await?;
    let group = made["id"].as_str().context("a group has an id")?;
    let of_group = world.simulator.ring(OTHER, group, json!({})).await?;
    heard(&world, OTHER, &of_group, "reject").await?;
    assert_eq!(outcome(&receiver, &of_group).await?, "rejected");
    // Somebody who opted out is rejected without a text.
    world.simulator.say(CALLER, NUMBER, "stop").await?;
    receiver.wait_for("contact.opted_out", 1).await?;
    let stopped = world.simulator.ring(CALLER, NUMBER, json!({})).await?;
    heard(&world, CALLER, &stopped, "reject").await?;
    assert_eq!(outcome(&receiver, &stopped).await?, "rejected");
    // Without a text.
    let changed = change(&world, &session, json!({ "auto_reject": {} })).await?;
    assert_eq!(changed["auto_reject"], json!({}));
    let silent = world.simulator.ring(OTHER, NUMBER, json!({})).await?;
    heard(&world, OTHER, &silent, "reject").await?;
    assert_eq!(outcome(&receiver, &silent).await?, "rejected");
    // Calls ring again.
    let changed = change(&world, &session, json!({ "auto_reject": null })).await?;
    assert!(changed.get("auto_reject").is_none(), "{changed}");
    let rings = world.simulator.ring(OTHER, NUMBER, json!({})).await?;
    told(&receiver, "call.received", &rings).await?;
    world.simulator.on_call(OTHER, &rings, "hang_up", 0).await?;
    assert_eq!(outcome(&receiver, &rings).await?, "missed");
    world.lanes_empty(Duration::from_secs(30)).await?;
    let counts = [texts(&world, CALLER).await?, texts(&world, OTHER).await?];
    let counts = counts.map(|all| all.iter().filter(|text| *text == TEXT).count());
    assert_eq!(counts, [1, 1]);
    for call in [&id, &again, &of_group, &stopped, &silent, &rings] {
        for kind in ["call.received", "call.ended"] {
            assert_eq!(times(&receiver, kind, call), 1, "{kind}");
        }
    }
    world.finish().await
}

async fn fidelity_calls_settings_are_checked_shown_and_removed(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let new = json!({ "name": "front desk", "auto_reject": { "text": TEXT } });
    let made: Value = world.api.post("/v1/sessions", &new).await?.into(201)?;
    assert_eq!(made["auto_reject"], json!({ "text": TEXT }));
    let path = format!("/v1/sessions/{}", made["id"].as_str().context("an id")?);
    let plain = json!({ "name": "second" });
    let plain: Value = world.api.post("/v1/sessions", &plain).await?.into(201)?;
    assert!(plain.get("auto_reject").is_none(), "{plain}");
    for (setting, status, code, pointer) in [
        (
            json!({ "text": " " }),
            422,
            "text_empty",
            "/auto_reject/text",
        ),
        (
            json!({ "text": "x".repeat(65_537) }),
            422,
            "text_too_long",
            "/auto_reject/text",
        ),
        (
            json!({ "text": 5 }),
            400,
            "validation_failed",
            "/auto_reject/text",
        ),
        (
            json!({ "texts": "x" }),
            400,
            "unknown_field",
            "/auto_reject/texts",
        ),
        (json!("no"), 400, "validation_failed", "/auto_reject"),
    ] {
        let body = json!({ "auto_reject": setting });
        let refused = world.api.patch(&path, &body).await?;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (status, code),
            "{pointer}"
        );
        assert_eq!(refused.body["errors"][0]["pointer"], json!(pointer));
        let new = json!({ "name": "third", "auto_reject": setting });
        let refused = world.api.post("/v1/sessions", &new).await?;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (status, code),
            "{pointer}"
        );
    }
    // Another change keeps it, and so does a refused one.
    let kept: Value = world
        .api
        .patch(&path, &json!({ "name": "desk" }))
        .await?
        .into(200)?;
    assert_eq!(kept["auto_reject"], json!({ "text": TEXT }));
    let listed: Value = world.api.get("/v1/sessions").await?.into(200)?;
    let listed = listed["data"].as_array().context("a list")?;
    assert!(listed.iter().any(|one| one["auto_reject"]["text"] == TEXT));
    let gone = json!({ "auto_reject": null });
    let gone: Value = world.api.patch(&path, &gone).await?.into(200)?;
    assert!(gone.get("auto_reject").is_none(), "{gone}");
    world.finish().await
}
