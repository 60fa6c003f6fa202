//! What a contact deletes for everybody is gone wherever it was kept.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Setup, World, on_every_shape, receiver::Answer, simulator::Phone,
};
use serde_json::json;

on_every_shape!(erase_what_a_contact_deletes_for_everybody_from_events_and_edits);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

async fn erase_what_a_contact_deletes_for_everybody_from_events_and_edits(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let edits = world
        .endpoint(&["message.edited", "message.deleted"])
        .await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    // The event is posted again after the deletion.
    receiver.answer_next([Answer::RetryAfter(6)]);
    let said = world.simulator.say(CONTACT, NUMBER, "At five").await?;
    let told = receiver.posted("message.received", 1).await?;
    let first = told[0].body["data"]["message"].clone();
    assert_eq!(first["text"]["body"], "At five");
    let edit = json!({ "message": { "type": "edit", "target": said, "text": "At six" } });
    world.simulator.tell(CONTACT, NUMBER, edit).await?;
    let edited = edits.wait_for("message.edited", 1).await?;
    let edit = edited[0].body["data"]["message"]["id"]
        .as_str()
        .context("an id")?;
    let delete = json!({ "message": { "type": "revoke", "target": said } });
    world.simulator.tell(CONTACT, NUMBER, delete).await?;
    let deleted = edits.wait_for("message.deleted", 1).await?;
    let told = receiver.posted("message.received", 2).await?;
    assert_eq!(
        told[0].id, told[1].id,
        "the second attempt of the same event"
    );
    let again = &told[1].body["data"]["message"];
    assert_eq!(again["type"], "deleted", "{again}");
    assert_eq!(again["text"], json!(null), "{again}");
    assert!(again["deleted_at"].is_string(), "{again}");
    for field in ["id", "from", "session_id", "wa_message_id", "created_at"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    let change = &deleted[0].body["data"]["message"];
    assert_eq!(change["type"], "delete", "the event of the deletion stays");
    let edit = world.api.whole_message(edit).await?;
    assert_eq!(edit["type"], "deleted", "{edit}");
    // Another message is not touched.
    world.simulator.say(CONTACT, NUMBER, "See you").await?;
    let told = receiver.posted("message.received", 3).await?;
    assert_eq!(told[2].body["data"]["message"]["text"]["body"], "See you");
    let texts = world.api.messages(&format!("session_id={session}")).await?;
    assert!(texts.iter().any(|message| message.body() == "See you"));
    world.finish().await
}
