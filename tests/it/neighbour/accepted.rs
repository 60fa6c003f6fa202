//! What is accepted stays whole: nothing that a message needs is lost with the answer to a commit, and nothing
//! that came in is acknowledged before it is stored.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use passerelle_tests::{
    Api, Backing, Finished, World, on_both_stores,
    receiver::{Arrival, Receiver},
    simulator::Phone,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

on_both_stores!(
    a_message_whose_commit_was_not_answered_keeps_its_file,
    an_upload_whose_commit_was_not_answered_can_be_read,
    what_cannot_be_decrypted_survives_a_crash_before_it_is_stored,
    many_that_cannot_be_decrypted_are_all_reported,
    what_only_the_phone_can_read_comes_from_the_phone,
    what_came_from_the_phone_survives_a_crash_before_it_is_stored,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const PAPER: &[u8] = b"Your order 4711 is on its way.\n";

/// Starts the gateway again, so that the answer to one commit at this place is lost.
async fn lose_one_answer(world: &mut World, place: &str) -> Result<()> {
    world.gateway.stop().await?;
    world.gateway.setup.failpoints = Some(format!("{place}=1*return"));
    world.gateway.start().await
}

async fn a_message_whose_commit_was_not_answered_keeps_its_file(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    lose_one_answer(&mut world, "accept.answer").await?;
    let file = json!({ "type": "document", "document": { "base64": STANDARD.encode(PAPER), "file_name": "order.txt" } });
    let body = Api::of_kind(&session, CONTACT, file);
    let lost = world.api.send_once("once", &body).await?;
    assert_eq!(
        (lost.status.as_u16(), lost.code()),
        (503, "dependency_down")
    );
    // Repeated with its key, the request is answered as the first one would have been.
    let again = world.api.send_once("once", &body).await?;
    let id = again.body["id"]
        .as_str()
        .with_context(|| again.body.to_string())?;
    world.api.message_at(id, "read").await?;
    let chat = world.simulator.chat(CONTACT, NUMBER).await?;
    assert_eq!(chat.len(), 1, "{chat:?}");
    let media = &chat[0]["message"]["media"];
    assert_eq!(
        (&media["undecryptable"], &media["length"]),
        (&Value::Null, &json!(PAPER.len()))
    );
    world.finish().await
}

async fn an_upload_whose_commit_was_not_answered_can_be_read(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    lose_one_answer(&mut world, "ingest.answer").await?;
    let lost = world.api.upload("document", PAPER).await?;
    assert_eq!(
        (lost.status.as_u16(), lost.code()),
        (503, "dependency_down")
    );
    let id = world.gateway.database.text("SELECT id FROM media").await?;
    let content = world
        .api
        .request(Method::GET, &format!("/v1/media/{id}/content"));
    let (status, _, bytes) = Api::bytes(content).await?;
    assert_eq!((status, bytes.as_slice()), (StatusCode::OK, PAPER));
    world.finish().await
}

async fn what_cannot_be_decrypted_survives_a_crash_before_it_is_stored(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.undecryptable"]).await?;
    world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.gateway.stop().await?;
    world.gateway.setup.failpoints = Some("inbound.before_commit=return".to_owned());
    world.gateway.start().await?;
    let unreadable = json!({ "message": { "type": "undecryptable" } });
    let lost = world.simulator.tell(CONTACT, NUMBER, unreadable).await?;
    let gateway = &mut world.gateway;
    gateway.crash_and_restart(Duration::from_secs(30)).await?;
    let told = receiver.wait_for("message.undecryptable", 1).await?;
    assert_eq!(
        told[0].body["data"]["message"]["wa_message_id"],
        json!(lost)
    );
    world.finish().await
}

async fn many_that_cannot_be_decrypted_are_all_reported(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["message.undecryptable", "message.received"])
        .await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.gateway.stop().await?;
    for _ in 0..100 {
        let unreadable = json!({ "message": { "type": "undecryptable" } });
        world.simulator.tell(CONTACT, NUMBER, unreadable).await?;
    }
    world.gateway.start().await?;
    world
        .simulator
        .say(CONTACT, NUMBER, "and one that can")
        .await?;
    receiver.wait_for("message.received", 1).await?;
    receiver.wait_for("message.undecryptable", 100).await?;
    let stored = world.api.messages(&format!("session_id={session}")).await?;
    assert_eq!(stored.len(), 101);
    world.finish().await
}

/// Says a text that the number's phone can decrypt and the gateway cannot. Returns its id.
async fn say_to_the_phone_only(world: &World, text: &str) -> Result<String> {
    let said = json!({ "message": { "type": "undecryptable", "phone_text": text } });
    world.simulator.tell(CONTACT, NUMBER, said).await
}

/// Checks that the message was reported first without and then with its text, as one message.
async fn came_from_the_phone(world: &World, receiver: &Receiver, text: &str) -> Result<()> {
    let unread = receiver.wait_for("message.undecryptable", 1).await?;
    let read = receiver.wait_for("message.received", 1).await?;
    assert_eq!(read[0].text(), text);
    let id = |told: &Arrival| told.body["data"]["message"]["id"].clone();
    assert_eq!(id(&read[0]), id(&unread[0]));
    let stored = world.api.messages("direction=inbound").await?;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].body(), text);
    Ok(())
}

async fn what_only_the_phone_can_read_comes_from_the_phone(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["message.undecryptable", "message.received"])
        .await?;
    world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    say_to_the_phone_only(&world, "Are you open today?").await?;
    came_from_the_phone(&world, &receiver, "Are you open today?").await?;
    world.finish().await
}

async fn what_came_from_the_phone_survives_a_crash_before_it_is_stored(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["message.undecryptable", "message.received"])
        .await?;
    world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.gateway.stop().await?;
    // The first commit stores that it cannot be decrypted.
    world.gateway.setup.failpoints = Some("inbound.before_commit=1*off->return".to_owned());
    world.gateway.start().await?;
    say_to_the_phone_only(&world, "Are you open today?").await?;
    let gateway = &mut world.gateway;
    gateway.crash_and_restart(Duration::from_secs(30)).await?;
    came_from_the_phone(&world, &receiver, "Are you open today?").await?;
    world.finish().await
}
