//! How a call ended: as the caller or another device of the number ended it.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, on_both_stores, soon};
use reqwest::Method;
use serde_json::json;

use super::{CALLER, NUMBER, OTHER, heard, linked, outcome, refused, reject, times, told};

on_both_stores!(fidelity_calls_end_as_another_device_or_the_caller_ended_them,);

async fn fidelity_calls_end_as_another_device_or_the_caller_ended_them(
    backing: Backing,
) -> Result<Finished> {
    let (world, session, receiver) = linked(backing).await?;
    // Another organisation is linked to the same number: one more linked device.
    let other = world.admin.tenant("Other").await?;
    let theirs = world.linked_for(&other, NUMBER).await?.id;
    let devices = world.simulator.phone_state(NUMBER).await?;
    let devices = devices["devices"].as_array().map(Vec::len);
    assert_eq!(devices, Some(2));
    // Each caller is named by LID or by phone number.
    for (mode, who, what, device, expected) in [
        ("lid", CALLER, "hang_up", 0, "missed"),
        ("pn", CALLER, "time_out", 0, "missed"),
        ("lid", NUMBER, "accept", 0, "accepted_elsewhere"),
        ("pn", NUMBER, "reject", 0, "rejected"),
        ("pn", NUMBER, "accept", 2, "accepted_elsewhere"),
        ("lid", NUMBER, "reject", 2, "rejected"),
    ] {
        let call = json!({ "addressing_mode": mode });
        let id = world.simulator.ring(CALLER, NUMBER, call).await?;
        let data = told(&receiver, "call.received", &id).await?;
        assert_eq!(data["call"]["from"], json!(CALLER), "{mode}");
        assert!(data["contact"]["lid"].is_string(), "{mode}: {data}");
        world.simulator.on_call(who, &id, what, device).await?;
        assert_eq!(
            outcome(&receiver, &id).await?,
            expected,
            "{what} of device {device}"
        );
        if what == "accept" {
            // The end of the conversation is no end for this device.
            world.simulator.on_call(CALLER, &id, "hang_up", 0).await?;
        }
        refused(reject(&world.api, &session, &id).await?, 409, "call_over");
    }
    // Both sessions of the number may reject; the other one hears of it.
    let id = world.simulator.ring(CALLER, NUMBER, json!({})).await?;
    told(&receiver, "call.received", &id).await?;
    soon("the other session knows the call", async || {
        let (status, _) = reject(&other, &theirs, &id).await?;
        Ok((status == 200).then_some(()))
    })
    .await?;
    assert_eq!(outcome(&receiver, &id).await?, "rejected");
    // Two calls at once, of which each ends by itself.
    let one = world.simulator.ring(CALLER, NUMBER, json!({})).await?;
    let two = world
        .simulator
        .ring(OTHER, NUMBER, json!({ "video": true }))
        .await?;
    for call in [&one, &two] {
        told(&receiver, "call.received", call).await?;
    }
    let (status, _) = reject(&world.api, &session, &two).await?;
    assert_eq!(status, 200);
    assert_eq!(outcome(&receiver, &two).await?, "rejected");
    assert_eq!(times(&receiver, "call.ended", &one), 0);
    world.simulator.on_call(CALLER, &one, "hang_up", 0).await?;
    assert_eq!(outcome(&receiver, &one).await?, "missed");
    heard(&world, OTHER, &two, "reject").await?;
    // A group's call: another member's answer ends nothing here.
    let made = json!({ "subject": "Team", "creator": CALLER, "members": [NUMBER, OTHER] });
    let made = world
        .simulator
        .call(Method::POST, "/groups", Some(&made))
        .await?;
    let group = made["id"].as_str().context("a group has an id")?;
    for (who, what, expected) in [
        (CALLER, "hang_up", "missed"),
        (NUMBER, "accept", "accepted_elsewhere"),
    ] {
        let id = world.simulator.ring(CALLER, group, json!({})).await?;
        let call = told(&receiver, "call.received", &id).await?["call"].clone();
        let found = (&call["group_call"], &call["group_id"], &call["from"]);
        assert_eq!(found, (&json!(true), &json!(group), &json!(CALLER)));
        world.simulator.on_call(OTHER, &id, "accept", 0).await?;
        heard(&world, CALLER, &id, "accept").await?;
        world.simulator.on_call(who, &id, what, 0).await?;
        assert_eq!(outcome(&receiver, &id).await?, expected);
        assert_eq!(times(&receiver, "call.ended", &id), 1);
    }
    world.finish().await
}
