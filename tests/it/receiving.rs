//! Receiving a text: it is committed once and reported by a signed webhook.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, World, on_every_shape, simulator::Phone, soon};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

on_every_shape!(
    a_text_in_is_stored_and_told_as_a_signed_webhook,
    a_duplicated_frame_is_one_message,
    a_message_with_an_id_that_no_database_takes_holds_up_nothing,
    texts_said_while_the_gateway_is_down_arrive_when_it_is_back,
    events_of_a_session_are_numbered_without_gaps,
    an_unanswered_text_does_not_stop_when_the_gateway_is_killed,
    what_cannot_be_decrypted_is_told_and_takes_its_text_when_it_is_said_again,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

async fn a_text_in_is_stored_and_told_as_a_signed_webhook(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let said = world
        .simulator
        .say(CONTACT, NUMBER, "Where is my order?")
        .await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let body = &told[0].body;
    assert_eq!(
        body["id"],
        json!(told[0].id),
        "the envelope's id is the webhook-id"
    );
    assert_eq!(body["org_id"], json!(world.org));
    assert_eq!(body["session_id"], json!(session.id));
    let message = &body["data"]["message"];
    assert_eq!(message["text"]["body"], json!("Where is my order?"));
    assert_eq!(message["wa_message_id"], json!(said));
    let stored = world
        .api
        .messages(&format!("session_id={}&direction=inbound", session.id))
        .await?;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].body(), "Where is my order?");
    let contact = world.simulator.phone_state(CONTACT).await?;
    let lid = contact["lid"].as_str().context("a phone has a LID")?;
    let lid = lid.split(['@', ':']).next().unwrap_or_default();
    assert_eq!(
        (&message["from"], &message["lid"]),
        (&json!(CONTACT), &json!(lid))
    );
    world.finish().await
}

async fn what_cannot_be_decrypted_is_told_and_takes_its_text_when_it_is_said_again(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let kinds = ["message.received", "message.undecryptable"];
    let receiver = world.endpoint(&kinds).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let say = async |message: Value, age: u64| {
        let said = json!({ "message": message, "age_seconds": age });
        world.simulator.tell(CONTACT, NUMBER, said).await
    };
    let lost = say(json!({ "type": "undecryptable" }), 0).await?;
    let told = receiver.wait_for("message.undecryptable", 1).await?;
    let message = &told[0].body["data"]["message"];
    assert_eq!(
        (
            &message["wa_message_id"],
            &message["type"],
            &message["from"]
        ),
        (&json!(lost), &json!("undecryptable"), &json!(CONTACT))
    );
    let id = message["id"].as_str().context("an id")?;
    assert_eq!(&world.api.whole_message(id).await?, message);

    // The phone is offline at first, because its retry could be faster than the report of the first try.
    let online = |online| Phone {
        online,
        ..Phone::default()
    };
    world.simulator.phone(CONTACT, online(false)).await?;
    // The two frames have different times: it was sent ninety seconds ago, and it is sent again now.
    let unreadable = json!({ "type": "undecryptable", "text": "Can you read this?" });
    let again = say(unreadable, 90).await?;
    let told = receiver.wait_for("message.undecryptable", 2).await?;
    let first = &told[1].body["data"]["message"];
    assert_eq!(first["wa_message_id"], json!(again));
    world.simulator.phone(CONTACT, online(true)).await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let now = &told[0].body["data"]["message"];
    assert_eq!(now["text"]["body"], "Can you read this?");
    for kept in ["id", "created_at", "sent_at"] {
        assert_eq!(now[kept], first[kept], "{kept}");
    }
    let id = now["id"].as_str().context("an id")?;
    assert_eq!(&world.api.whole_message(id).await?, now);
    let listed = world.api.messages(&format!("session_id={session}")).await?;
    assert_eq!(listed.len(), 2);
    world.finish().await
}

async fn a_message_with_an_id_that_no_database_takes_holds_up_nothing(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let odd = json!({ "to": NUMBER, "text": "odd", "id": "a\u{0}b" });
    let say = format!("/phones/{}/say", CONTACT.replace('+', "%2B"));
    for _ in 0..2 {
        world.simulator.call(Method::POST, &say, Some(&odd)).await?;
    }
    world.simulator.say(CONTACT, NUMBER, "plain").await?;
    let told = receiver.wait_for("message.received", 2).await?;
    let mut texts: Vec<_> = told
        .iter()
        .map(passerelle_tests::receiver::Arrival::text)
        .collect();
    texts.sort_unstable();
    assert_eq!(texts, ["odd", "plain"]);
    world.finish().await
}

async fn a_duplicated_frame_is_one_message(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world
        .simulator
        .say_copies(CONTACT, NUMBER, "twice", 3)
        .await?;
    world.simulator.say(CONTACT, NUMBER, "last").await?;
    soon("the last text has arrived", async || {
        Ok(receiver
            .of("message.received")
            .iter()
            .any(|one| one.text() == "last")
            .then_some(()))
    })
    .await?;
    let stored = world
        .api
        .messages(&format!("session_id={}&direction=inbound", session.id))
        .await?;
    let mut texts: Vec<_> = stored
        .iter()
        .map(passerelle_tests::api::Message::body)
        .collect();
    texts.sort_unstable();
    assert_eq!(texts, ["last", "twice"]);
    world.finish().await
}

async fn texts_said_while_the_gateway_is_down_arrive_when_it_is_back(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.gateway.stop().await?;
    for n in 0..20 {
        world
            .simulator
            .say(CONTACT, NUMBER, &format!("while you were out {n}"))
            .await?;
    }
    world.gateway.start().await?;
    let told = receiver.wait_for("message.received", 20).await?;
    let mut texts: Vec<_> = told.iter().map(|one| one.text().to_owned()).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), 20);
    world.finish().await
}

async fn events_of_a_session_are_numbered_without_gaps(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&[]).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.echo(CONTACT).await?;
    for n in 0..5 {
        world
            .api
            .send(&session.id, CONTACT, &format!("{n}"))
            .await?;
    }
    receiver.wait_for("message.received", 5).await?;
    receiver.wait_for("message.read", 5).await?;
    // Webhooks can overtake each other, so a missing sequence number may still arrive.
    soon("the numbers have no gap", async || {
        let mut numbers: Vec<_> = receiver
            .arrivals()
            .iter()
            .filter(|one| one.body["session_id"] == json!(session.id))
            .filter_map(|one| one.body["sequence"].as_u64())
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        let last = numbers[numbers.len() - 1];
        Ok((1..=last).eq(numbers).then_some(()))
    })
    .await?;
    world.finish().await
}

async fn an_unanswered_text_does_not_stop_when_the_gateway_is_killed(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    for round in 0..4 {
        for n in 0..10 {
            world
                .simulator
                .say(CONTACT, NUMBER, &format!("{round}.{n}"))
                .await?;
        }
        world.gateway.kill_and_restart().await?;
    }
    // The claim of a delivery that was interrupted by a kill expires within a minute.
    receiver
        .wait_for_within(Duration::from_secs(100), "message.received", 40)
        .await?;
    let stored = world
        .api
        .messages(&format!("session_id={}&direction=inbound", session.id))
        .await?;
    assert_eq!(stored.len(), 40, "a text was not stored exactly once");
    world.finish().await
}
