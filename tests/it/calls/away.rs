//! Calls that came while the session was away.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, on_both_stores, soon};
use reqwest::Method;
use serde_json::json;

use super::{
    CALLER, NUMBER, OTHER, TEXT, change, heard, linked, outcome, refused, reject, texts, told,
};

on_both_stores!(fidelity_calls_while_the_session_is_away_are_told_when_it_is_back,);

async fn fidelity_calls_while_the_session_is_away_are_told_when_it_is_back(
    backing: Backing,
) -> Result<Finished> {
    let (world, session, receiver) = linked(backing).await?;
    change(&world, &session, json!({ "auto_reject": { "text": TEXT } })).await?;
    // A notice of a group call names the caller by LID alone.
    world.simulator.say(CALLER, NUMBER, "I will call.").await?;
    receiver.wait_for("message.received", 1).await?;
    let made = json!({ "subject": "Team", "creator": CALLER, "members": [NUMBER] });
    let made = world
        .simulator
        .call(Method::POST, "/groups", Some(&made))
        .await?;
    let group = made["id"].as_str().context("a group has an id")?;
    world.api.disconnect(&session).await?;
    world.api.session_in(&session, "stopped").await?;
    let old = json!({ "age_seconds": 600, "video": true });
    let missed = world.simulator.ring(CALLER, NUMBER, old.clone()).await?;
    world
        .simulator
        .on_call(CALLER, &missed, "hang_up", 0)
        .await?;
    let answered = world.simulator.ring(CALLER, NUMBER, old.clone()).await?;
    world
        .simulator
        .on_call(NUMBER, &answered, "accept", 0)
        .await?;
    heard(&world, NUMBER, &answered, "offer").await?;
    let of_group = world.simulator.ring(CALLER, group, old.clone()).await?;
    // WhatsApp says nothing of the end of this one.
    let silent = world.simulator.ring(OTHER, NUMBER, old).await?;
    // This one still rings.
    let rings = world.simulator.ring(OTHER, NUMBER, json!({})).await?;
    soon("the caller's phone has told of the answer", async || {
        let said = world.simulator.ledger("call").await?;
        Ok(said
            .into_iter()
            .find(|one| one.id == answered && one.text.as_deref() == Some("accepted_elsewhere")))
    })
    .await?;
    world.api.connect(&session).await?;
    for (call, from, media, is_on, how) in [
        (&missed, CALLER, "video", false, "missed"),
        (&answered, CALLER, "video", false, "accepted_elsewhere"),
        (&of_group, CALLER, "video", false, "missed"),
        (&silent, OTHER, "video", false, "missed"),
        (&rings, OTHER, "voice", true, "rejected"),
    ] {
        let data = told(&receiver, "call.received", call).await?;
        let shown = &data["call"];
        assert_eq!(
            (&shown["from"], &shown["media"], &shown["ringing"]),
            (&json!(from), &json!(media), &json!(is_on)),
            "{how}"
        );
        let named = (call == &of_group).then(|| json!(group));
        assert_eq!(shown.get("group_id"), named.as_ref());
        assert_eq!(outcome(&receiver, call).await?, how);
    }
    refused(
        reject(&world.api, &session, &silent).await?,
        409,
        "call_over",
    );
    heard(&world, OTHER, &rings, "reject").await?;
    soon("who still rang has the text", async || {
        Ok((texts(&world, OTHER).await? == [TEXT]).then_some(()))
    })
    .await?;
    // What was over could not be rejected, and its caller gets no text.
    let rejected = world.simulator.ledger("heard").await?;
    let rejected = rejected
        .iter()
        .filter(|one| one.detail.as_deref() == Some("reject"));
    assert_eq!(rejected.count(), 1);
    assert_eq!(texts(&world, CALLER).await?, Vec::<String>::new());
    world.finish().await
}
