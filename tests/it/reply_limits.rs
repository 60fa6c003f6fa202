//! Automatic replies that cannot be made are told and hold up nothing, and an answer is an ordinary reply.

use std::time::Duration;

use anyhow::Result;
use passerelle_tests::{Backing, Finished, Setup, World, on_both_stores, simulator::Phone};
use serde_json::{Value, json};

use crate::auto_replies::{CONTACT, NUMBER, echo_free, linked, rule, shows, text};

on_both_stores!(
    replies_that_cannot_be_made_are_told_and_the_message_is_stored,
    replies_to_one_message_are_five_at_most_and_ordinary_replies,
    replies_by_patterns_follow_each_change_of_the_rules,
);

async fn replies_that_cannot_be_made_are_told_and_the_message_is_stored(
    backing: Backing,
) -> Result<Finished> {
    let setup = Setup {
        flags: ["--lane-limit", "1"].map(str::to_owned).into(),
        ..Setup::quick()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let receiver = world.endpoint(&["rule.matched"]).await?;
    let twice = json!({ "name": "twice", "match": { "prefixes": ["again"] }, "conditions": { "once_per_seconds": 10 },
        "answer": text("{{ message.text }} {{ message.text }}") });
    let twice = rule(&world.api, twice).await?;
    rule(&world.api, echo_free("menu", "1, 2 or 3")).await?;
    // The text that the template makes is too long.
    let long = format!("again {}", "x".repeat(3000));
    world.simulator.say(CONTACT, NUMBER, &long).await?;
    let told = receiver.wait_for("rule.matched", 1).await?;
    let data = &told[0].body["data"];
    assert_eq!(
        (
            &data["rule"]["id"],
            &data["outcome"],
            data.get("reply_message_id")
        ),
        (&twice["id"], &json!("template_failed"), None)
    );
    // No place is left in the lane.
    world
        .api
        .act(&format!("/v1/sessions/{session}/queue/pause"))
        .await?
        .into::<Value>(200)?;
    let fills = world.api.send(&session, CONTACT, "it is full").await?;
    world.simulator.say(CONTACT, NUMBER, "menu").await?;
    let told = receiver.wait_for("rule.matched", 2).await?;
    let data = &told[1].body["data"];
    assert_eq!(
        (&data["outcome"], data.get("reply_message_id")),
        (&json!("queue_full"), None)
    );
    assert_eq!(world.api.messages("direction=inbound").await?.len(), 2);
    // Afterwards all goes on.
    world
        .api
        .act(&format!("/v1/sessions/{session}/queue/resume"))
        .await?
        .into::<Value>(200)?;
    world.api.message_at(&fills.id, "sent").await?;
    world.simulator.say(CONTACT, NUMBER, "menu").await?;
    shows(&world, CONTACT, &["it is full", "1, 2 or 3"]).await?;
    world.lanes_empty(Duration::from_mins(1)).await?;
    world.finish().await
}

async fn replies_to_one_message_are_five_at_most_and_ordinary_replies(
    backing: Backing,
) -> Result<Finished> {
    let (world, _) = linked(backing).await?;
    let receiver = world
        .endpoint(&["contact.opted_out", "contact.opted_in"])
        .await?;
    let answers: Vec<_> = (1..=6).map(|n| format!("answer {n}")).collect();
    for (n, answer) in answers.iter().enumerate() {
        let mut made = echo_free("menu", answer);
        made["position"] = json!(n);
        made["then"] = json!("continue");
        rule(&world.api, made).await?;
    }
    world.simulator.say(CONTACT, NUMBER, "menu").await?;
    let five: Vec<_> = answers[..5].iter().map(String::as_str).collect();
    shows(&world, CONTACT, &five).await?;
    world.lanes_empty(Duration::from_mins(1)).await?;
    let sent = world.api.messages("direction=outbound").await?;
    assert_eq!(sent.len(), 5);
    for one in sent {
        let shown = world.api.whole_message(&one.id).await?;
        assert_eq!(
            (&shown["class"], shown.get("purpose")),
            (&json!("reply"), None)
        );
    }
    // A word with which a contact opts in again is not answered. Said once more, it is a word like others.
    rule(&world.api, echo_free("start", "started")).await?;
    for (said, event) in [("stop", "contact.opted_out"), ("start", "contact.opted_in")] {
        world.simulator.say(CONTACT, NUMBER, said).await?;
        receiver.wait_for(event, 1).await?;
    }
    world.simulator.say(CONTACT, NUMBER, "start").await?;
    let all = [five, vec!["started"]].concat();
    shows(&world, CONTACT, &all).await?;
    world.finish().await
}

/// What patterns find is looked for before the message is stored, with the rules that were known then.
async fn replies_by_patterns_follow_each_change_of_the_rules(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let pattern = |regex: &str, answer: &str| {
        json!({ "name": answer, "match": { "regex": regex }, "answer": text(answer), "session_id": session,
            "conditions": { "person_minutes": 0 } })
    };
    let first = rule(&world.api, pattern("^order [0-9]+$", "a number")).await?;
    let mut wanted = Vec::new();
    for said in ["order 1", "order 22", "order x", "order 333"] {
        world.simulator.say(CONTACT, NUMBER, said).await?;
        if said != "order x" {
            wanted.push("a number");
        }
        shows(&world, CONTACT, &wanted).await?;
    }
    let path = format!(
        "/v1/auto-replies/{}",
        first["id"].as_str().unwrap_or_default()
    );
    world.api.delete(&path).await?;
    rule(&world.api, pattern("^order [a-z]+$", "a word")).await?;
    for said in ["order 4444", "order y", "order 55555", "order zz"] {
        world.simulator.say(CONTACT, NUMBER, said).await?;
    }
    wanted.extend(["a word", "a word"]);
    shows(&world, CONTACT, &wanted).await?;
    world.lanes_empty(Duration::from_mins(1)).await?;
    shows(&world, CONTACT, &wanted).await?;
    world.finish().await
}
