//! Contacts: one stable id per person, whichever identifier is known, which can also be written to.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, World, on_every_shape, receiver::Arrival, simulator::Phone,
};
use reqwest::Method;
use serde_json::{Value, json};

on_every_shape!(
    whoever_is_written_to_has_an_id_that_can_be_written_to,
    a_contact_without_a_known_number_is_written_to_by_their_id,
    two_contacts_who_turn_out_to_be_one_become_one,
    an_opt_out_of_either_of_two_holds_for_the_one_they_become,
    a_number_check_shows_that_two_contacts_are_one,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

/// Starts a world with a linked session and the contact's phone, which shows or hides its number.
async fn linked(backing: Backing, shows_number: bool) -> Result<(World, String)> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let phone = json!({ "phone": CONTACT, "shows_number": shows_number });
    world
        .simulator
        .call(Method::POST, "/phones", Some(&phone))
        .await?;
    Ok((world, session))
}

fn text(body: &str) -> Value {
    json!({ "type": "text", "text": { "body": body } })
}

fn message(arrival: &Arrival) -> &Value {
    &arrival.body["data"]["message"]
}

fn contact_of(message: &Value) -> Result<String> {
    let id = message["contact_id"].as_str().context("a contact's id")?;
    Ok(id.to_owned())
}

async fn whoever_is_written_to_has_an_id_that_can_be_written_to(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked(backing, true).await?;
    let receiver = world
        .endpoint(&["message.received", "contact.merged"])
        .await?;
    let first = world.api.send_kind(&session, CONTACT, text("one")).await?;
    let first = world.api.whole_message(&first.id).await?;
    assert_eq!(
        (&first["to"], &first["phone"]),
        (&json!(CONTACT), &json!(CONTACT))
    );
    let id = contact_of(&first)?;
    let second = world.api.send_kind(&session, &id, text("two")).await?;
    world.api.message_at(&second.id, "sent").await?;
    let second = world.api.whole_message(&second.id).await?;
    assert_eq!(
        (&second["to"], contact_of(&second)?),
        (&json!(CONTACT), id.clone())
    );
    world.simulator.say(CONTACT, NUMBER, "Thanks").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    assert_eq!(contact_of(message(&told[0]))?, id);
    let lid = message(&told[0])["lid"].clone();
    assert!(lid.is_string());
    // What is known of the contact is shown from now on.
    let third = world
        .api
        .send_kind(&session, CONTACT, text("three"))
        .await?;
    let third = world.api.whole_message(&third.id).await?;
    assert_eq!((&third["lid"], contact_of(&third)?), (&lid, id.clone()));

    let nobody = json!({ "session_id": session, "to": "ctc_01kaq6h3zve9qbw4r2t8n5c7xd", "type": "text", "text": { "body": "x" } });
    let refused = world.api.post("/v1/messages", &nobody).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (422, "contact_not_found")
    );
    // A contact of another organisation is not found.
    let other = world.admin.tenant("Other").await?;
    let theirs = other.create_session("theirs").await?.id;
    let theirs = json!({ "session_id": theirs, "to": id, "type": "text", "text": { "body": "x" } });
    let refused = other.post("/v1/messages", &theirs).await?;
    assert_eq!(refused.code(), "contact_not_found");
    assert_eq!(receiver.of("contact.merged").len(), 0);
    world.finish().await
}

async fn a_contact_without_a_known_number_is_written_to_by_their_id(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked(backing, false).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let said = world.simulator.say(CONTACT, NUMBER, "Who am I?").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let asked = message(&told[0]);
    assert!(
        asked.get("phone").is_none() && asked.get("from").is_none(),
        "{asked}"
    );
    let mut answer = text("Nobody knows");
    answer["reply_to"] = asked["id"].clone();
    let sent = world
        .api
        .send_kind(&session, &contact_of(asked)?, answer)
        .await?;
    world.api.message_at(&sent.id, "read").await?;
    let sent = world.api.whole_message(&sent.id).await?;
    assert!(sent.get("phone").is_none(), "{sent}");
    assert_eq!(sent["lid"], asked["lid"]);
    let lid = sent["lid"].as_str().context("a LID")?;
    assert_eq!(sent["to"], format!("{lid}@lid"));
    assert_eq!(sent["reply_to"]["wa_message_id"], json!(said));
    assert_eq!(world.simulator.shown(CONTACT).await?, ["Nobody knows"]);
    world.finish().await
}

/// Makes two contacts of one person: the contact writes without a phone number, and a message waits for the
/// number. Returns the contact ids, first the one by LID, then the one by phone number, and the message's id.
async fn met_twice(world: &World, session: &str, words: &str) -> Result<(String, String, String)> {
    let receiver = world.endpoint(&["message.received"]).await?;
    world.simulator.say(CONTACT, NUMBER, words).await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let by_lid = contact_of(message(&told[0]))?;
    world.api.disconnect(session).await?;
    world.api.session_in(session, "stopped").await?;
    let sent = world.api.send_kind(session, CONTACT, text("Hello")).await?;
    let by_phone = contact_of(&world.api.whole_message(&sent.id).await?)?;
    assert_ne!(by_lid, by_phone);
    Ok((by_lid, by_phone, sent.id))
}

async fn two_contacts_who_turn_out_to_be_one_become_one(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing, false).await?;
    let receiver = world
        .endpoint(&["message.received", "contact.merged"])
        .await?;
    let (by_lid, by_phone, sent) = met_twice(&world, &session, "one").await?;
    // The number is looked up before the message leaves.
    world.api.connect(&session).await?;
    world.api.message_at(&sent, "sent").await?;
    world.simulator.say(CONTACT, NUMBER, "two").await?;
    let merged = receiver.wait_for("contact.merged", 1).await?;
    let data = &merged[0].body["data"];
    assert_eq!(
        (&data["contact"]["id"], &data["merged_contact_id"]),
        (&json!(by_phone), &json!(by_lid))
    );
    assert_eq!(data["contact"]["phone"], json!(CONTACT));
    assert!(data["contact"]["lid"].is_string());
    // All earlier messages now show the same contact, and both ids lead to it.
    let told = receiver.wait_for("message.received", 2).await?;
    for arrival in &told {
        let id = message(arrival)["id"].as_str().context("an id")?;
        assert_eq!(contact_of(&world.api.whole_message(id).await?)?, by_phone);
        for to in [&by_lid, &by_phone] {
            let mut answer = text("Hello again");
            answer["reply_to"] = json!(id);
            let sent = world.api.send_kind(&session, to, answer).await?;
            world.api.message_at(&sent.id, "sent").await?;
            let sent = world.api.whole_message(&sent.id).await?;
            assert_eq!(
                (&sent["to"], contact_of(&sent)?),
                (&json!(CONTACT), by_phone.clone())
            );
        }
    }
    world.simulator.say(CONTACT, NUMBER, "three").await?;
    receiver.wait_for("message.received", 3).await?;
    assert_eq!(receiver.of("contact.merged").len(), 1);
    world.finish().await
}

async fn an_opt_out_of_either_of_two_holds_for_the_one_they_become(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked(backing, false).await?;
    let receiver = world
        .endpoint(&["contact.merged", "contact.opted_out"])
        .await?;
    let (by_lid, by_phone, sent) = met_twice(&world, &session, "STOP").await?;
    receiver.wait_for("contact.opted_out", 1).await?;
    world.api.connect(&session).await?;
    let failed = world.api.message_at(&sent, "failed").await?;
    assert_eq!(failed.error_code(), "recipient_opted_out");
    receiver.wait_for("contact.merged", 1).await?;
    for to in [CONTACT, &by_lid, &by_phone] {
        let message =
            json!({ "session_id": session, "to": to, "type": "text", "text": { "body": "x" } });
        let refused = world.api.post("/v1/messages", &message).await?;
        assert_eq!(refused.code(), "recipient_opted_out", "{to}");
    }
    world.finish().await
}

async fn a_number_check_shows_that_two_contacts_are_one(backing: Backing) -> Result<Finished> {
    let (world, session) = linked(backing, false).await?;
    let receiver = world.endpoint(&["contact.merged"]).await?;
    let (by_lid, by_phone, _) = met_twice(&world, &session, "one").await?;
    world.api.connect(&session).await?;
    world.api.session_in(&session, "connected").await?;
    let path = format!("/v1/sessions/{session}/number-checks");
    let checked = world.api.post(&path, &json!({ "phone": CONTACT })).await?;
    let checked: Value = checked.into(200)?;
    let merged = receiver.wait_for("contact.merged", 1).await?;
    let data = &merged[0].body["data"];
    assert_eq!(
        (&data["contact"]["id"], &data["merged_contact_id"]),
        (&json!(by_phone), &json!(by_lid))
    );
    assert_eq!(data["contact"]["lid"], checked["lid"]);
    world.finish().await
}
