//! One person, one contact, whatever the spelling of the number: WhatsApp answers its canonical form for each spelling.

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Finished, World, on_every_shape, simulator::Phone};
use reqwest::Method;
use serde_json::{Value, json};

on_every_shape!(
    stop_holds_for_each_spelling,
    stop_holds_for_a_spelling_that_waits_to_be_looked_up,
    references_are_found_whatever_the_spelling,
    a_spelling_without_whatsapp_fails_and_its_lane_goes_on,
    a_number_check_teaches_a_spelling,
);

const NUMBER: &str = "+4915170000001";
const OTHER: &str = "+4915170000002";
/// As WhatsApp writes it, and as it is written in Brazil: with and without the ninth digit.
const CONTACT: &str = "+551187654321";
const SPELLING: &str = "+5511987654321";
const NOBODY: &str = "+551180000000";

/// Makes the contact's phone with its further spelling.
async fn contact(world: &World) -> Result<()> {
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let phone = json!({ "phone": CONTACT, "spellings": [SPELLING] });
    let call = world.simulator.call(Method::POST, "/phones", Some(&phone));
    call.await.map(drop)
}

async fn refused(world: &World, session: &str, to: &str) -> Result<String> {
    let reply = world
        .api
        .post("/v1/messages", &Api::text(session, to, "x"))
        .await?;
    Ok(reply.code().to_owned())
}

fn contact_of(message: &Value) -> Result<String> {
    let id = message["contact_id"].as_str().context("a contact's id")?;
    Ok(id.to_owned())
}

async fn stop_holds_for_each_spelling(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&[
            "message.sent",
            "message.received",
            "contact.opted_out",
            "contact.merged",
        ])
        .await?;
    let session = world.linked(NUMBER).await?.id;
    contact(&world).await?;
    // The first message to a spelling goes to the number as WhatsApp writes it, and shows it.
    let first = world.api.send(&session, SPELLING, "one").await?;
    world.api.message_at(&first.id, "read").await?;
    let first = world.api.whole_message(&first.id).await?;
    assert_eq!(
        (&first["to"], &first["phone"]),
        (&json!(CONTACT), &json!(CONTACT))
    );
    let told = receiver.wait_for("message.sent", 1).await?;
    assert_eq!(told[0].body["data"]["message"]["to"], json!(CONTACT));
    assert_eq!(world.simulator.shown(CONTACT).await?, ["one"]);
    let id = contact_of(&first)?;
    // Both spellings are that contact now, and known contacts cost no question.
    let asked = world.simulator.stats().await?["usync"].clone();
    for to in [SPELLING, CONTACT, &id] {
        let sent = world
            .api
            .send_kind(
                &session,
                to,
                json!({ "type": "text", "text": { "body": "two" } }),
            )
            .await?;
        let shown = world.api.whole_message(&sent.id).await?;
        assert_eq!(
            (&shown["to"], contact_of(&shown)?),
            (&json!(CONTACT), id.clone()),
            "{to}"
        );
        world.api.message_at(&sent.id, "read").await?;
    }
    assert_eq!(world.simulator.stats().await?["usync"], asked);
    world.simulator.say(CONTACT, NUMBER, "Stop").await?;
    let told = receiver.wait_for("contact.opted_out", 1).await?;
    assert_eq!(told[0].body["data"]["contact"]["id"], json!(id));
    for to in [SPELLING, CONTACT, &id] {
        assert_eq!(
            refused(&world, &session, to).await?,
            "recipient_opted_out",
            "{to}"
        );
    }
    assert_eq!(receiver.of("contact.merged").len(), 0);
    world.finish().await
}

async fn stop_holds_for_a_spelling_that_waits_to_be_looked_up(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["contact.opted_out", "contact.merged"])
        .await?;
    let session = world.linked(NUMBER).await?.id;
    let listening = world.linked(OTHER).await?.id;
    contact(&world).await?;
    world.api.disconnect(&session).await?;
    world.api.session_in(&session, "stopped").await?;
    // Nobody can know yet that this is the contact.
    let waiting = world.api.send(&session, SPELLING, "never").await?;
    let accepted = contact_of(&world.api.whole_message(&waiting.id).await?)?;
    world.simulator.say(CONTACT, OTHER, "stop").await?;
    let told = receiver.wait_for("contact.opted_out", 1).await?;
    let id = told[0].body["data"]["contact"]["id"].clone();
    assert_ne!(id, json!(accepted));
    world.api.connect(&session).await?;
    let failed = world.api.message_at(&waiting.id, "failed").await?;
    assert_eq!(failed.error_code(), "recipient_opted_out");
    let merged = receiver.wait_for("contact.merged", 1).await?;
    let data = &merged[0].body["data"];
    assert_eq!(
        (&data["contact"]["id"], &data["merged_contact_id"]),
        (&id, &json!(accepted))
    );
    for (session, to) in [
        (&session, SPELLING),
        (&listening, &accepted),
        (&listening, CONTACT),
    ] {
        assert_eq!(
            refused(&world, session, to).await?,
            "recipient_opted_out",
            "{to}"
        );
    }
    assert_eq!(world.simulator.shown(CONTACT).await?, Vec::<String>::new());
    world.finish().await
}

async fn references_are_found_whatever_the_spelling(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["message.received", "message.reaction"])
        .await?;
    let session = world.linked(NUMBER).await?.id;
    contact(&world).await?;
    let sent = world.api.send(&session, SPELLING, "one").await?;
    world.api.message_at(&sent.id, "read").await?;
    let wa_id = world.api.whole_message(&sent.id).await?["wa_message_id"].clone();
    let reaction = json!({ "message": { "type": "reaction", "target": wa_id, "text": "👍" } });
    world.simulator.tell(CONTACT, NUMBER, reaction).await?;
    let told = receiver.wait_for("message.reaction", 1).await?;
    assert_eq!(
        told[0].body["data"]["message"]["reaction"]["message_id"],
        json!(sent.id)
    );
    let quote = json!({ "text": "Which one?", "quote": wa_id });
    world.simulator.tell(CONTACT, NUMBER, quote).await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let message = &told[0].body["data"]["message"];
    assert_eq!(message["reply_to"]["message_id"], json!(sent.id));
    for (to, about) in [(CONTACT, &json!(sent.id)), (SPELLING, &message["id"])] {
        let answer = json!({ "type": "text", "text": { "body": "This one" }, "reply_to": about });
        let answer = world.api.send_kind(&session, to, answer).await?;
        world.api.message_at(&answer.id, "read").await?;
    }
    world.finish().await
}

async fn a_spelling_without_whatsapp_fails_and_its_lane_goes_on(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.failed"]).await?;
    let session = world.linked(NUMBER).await?.id;
    contact(&world).await?;
    let nobody = world.api.send(&session, NOBODY, "one").await?;
    let behind = world.api.send(&session, SPELLING, "two").await?;
    let failed = world.api.message_at(&nobody.id, "failed").await?;
    assert_eq!(failed.error_code(), "recipient_not_on_whatsapp");
    let told = receiver.wait_for("message.failed", 1).await?;
    assert_eq!(told[0].body["data"]["message"]["to"], json!(NOBODY));
    world.api.message_at(&behind.id, "read").await?;
    // The answer is kept, so nobody asks again.
    let asked = world.simulator.stats().await?["usync"].clone();
    let again = world.api.send(&session, NOBODY, "three").await?;
    let failed = world.api.message_at(&again.id, "failed").await?;
    assert_eq!(failed.error_code(), "recipient_not_on_whatsapp");
    assert_eq!(world.simulator.stats().await?["usync"], asked);
    world.finish().await
}

async fn a_number_check_teaches_a_spelling(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?.id;
    contact(&world).await?;
    world.simulator.say(CONTACT, NUMBER, "Hello").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let id = contact_of(&told[0].body["data"]["message"])?;
    let path = format!("/v1/sessions/{session}/number-checks");
    let checked: Value = world
        .api
        .post(&path, &json!({ "phone": SPELLING }))
        .await?
        .into(200)?;
    assert_eq!(
        (
            &checked["phone"],
            &checked["requested_phone"],
            &checked["on_whatsapp"]
        ),
        (&json!(CONTACT), &json!(SPELLING), &json!(true))
    );
    let answer = world.api.send(&session, SPELLING, "Hello").await?;
    let answer = world.api.whole_message(&answer.id).await?;
    assert_eq!((&answer["to"], contact_of(&answer)?), (&json!(CONTACT), id));
    world.finish().await
}
