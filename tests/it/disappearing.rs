//! Disappearing chats: the chat's timer is learnt, kept, and carried by what is sent.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use passerelle_tests::{
    Backing, Finished, World, on_both_stores, on_every_shape, receiver::Receiver, simulator::Phone,
    soon,
};
use reqwest::Method;
use serde_json::{Value, json};

on_every_shape!(fidelity_a_chat_that_disappears_is_answered_with_its_timer,);

/// Stories about the stores.
mod stores {
    use super::*;

    on_both_stores!(
        fidelity_each_kind_that_can_carries_the_timer_of_its_chat,
        fidelity_the_timer_of_a_chat_is_learnt_from_both_sides_and_kept,
        fidelity_the_timer_of_a_group_is_the_groups_own,
        fidelity_the_timer_of_a_chat_stays_when_two_contacts_become_one,
    );
}

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const OTHER: &str = "+4915199000002";
const DAY: u32 = 86_400;
const WEEK: u32 = 604_800;

async fn linked(backing: Backing) -> Result<(World, String, Receiver)> {
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["message.received", "message.sent"])
        .await?;
    let session = world.linked(NUMBER).await?.id;
    for phone in [CONTACT, OTHER] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    Ok((world, session, receiver))
}

/// Waits for the event about a message and returns the message in it.
async fn told(receiver: &Receiver, kind: &str, wa_id: &str) -> Result<Value> {
    soon("the message is reported", async || {
        let arrived = receiver.of(kind).into_iter();
        let mut arrived = arrived.map(|one| one.body["data"]["message"].clone());
        Ok(arrived.find(|message| message["wa_message_id"] == json!(wa_id)))
    })
    .await
}

/// Has a phone say a text, with the timer that its chat has. Returns the message when it is reported.
async fn says(
    world: &World,
    receiver: &Receiver,
    (from, to): (&str, &str),
    timer: Option<u32>,
) -> Result<Value> {
    let said = json!({ "text": "Hello", "expires_seconds": timer });
    let said = world.simulator.tell(from, to, said).await?;
    let kind = if from == NUMBER {
        "message.sent"
    } else {
        "message.received"
    };
    told(receiver, kind, &said).await
}

/// Sends a message of the gateway. Returns it as it is reported, and the timer with which a phone shows it.
async fn sends(
    world: &World,
    receiver: &Receiver,
    session: &str,
    (to, phone, kind): (&str, &str, Value),
) -> Result<(Value, Value)> {
    let sent = world.api.send_kind(session, to, kind).await?;
    let wa_id = sent.wa_message_id.context("a WhatsApp id")?;
    let told = told(receiver, "message.sent", &wa_id).await?;
    let with = if to.starts_with('+') { NUMBER } else { to };
    let shown = soon("the phone shows it", async || {
        let chat = world.simulator.chat(phone, with).await?;
        Ok(chat.into_iter().find(|one| one["id"] == json!(wa_id)))
    })
    .await?;
    Ok((told, shown["message"]["expires_seconds"].clone()))
}

fn text() -> Value {
    json!({ "type": "text", "text": { "body": "Yes" } })
}

async fn fidelity_a_chat_that_disappears_is_answered_with_its_timer(
    backing: Backing,
) -> Result<Finished> {
    let (world, session, receiver) = linked(backing).await?;
    let (told, shown) = sends(&world, &receiver, &session, (CONTACT, CONTACT, text())).await?;
    assert_eq!((told.get("expires_in"), shown), (None, Value::Null));
    let said = says(&world, &receiver, (CONTACT, NUMBER), Some(DAY)).await?;
    assert_eq!(said["expires_in"], json!(DAY));
    let answer = json!({ "type": "text", "text": { "body": "Yes" }, "reply_to": said["id"] });
    let (told, shown) = sends(&world, &receiver, &session, (CONTACT, CONTACT, answer)).await?;
    assert_eq!((&told["expires_in"], &shown), (&json!(DAY), &json!(DAY)));
    let id = told["id"].as_str().context("an id")?;
    assert_eq!(world.api.whole_message(id).await?["expires_in"], json!(DAY));
    let id = said["id"].as_str().context("an id")?;
    assert_eq!(world.api.whole_message(id).await?["expires_in"], json!(DAY));
    // Another chat has a timer of its own, or none.
    let (told, shown) = sends(&world, &receiver, &session, (OTHER, OTHER, text())).await?;
    assert_eq!((told.get("expires_in"), shown), (None, Value::Null));
    world.finish().await
}

async fn fidelity_each_kind_that_can_carries_the_timer_of_its_chat(
    backing: Backing,
) -> Result<Finished> {
    let (world, session, receiver) = linked(backing).await?;
    let said = says(&world, &receiver, (CONTACT, NUMBER), Some(WEEK)).await?;
    let file = json!({ "base64": STANDARD.encode("a file"), "file_name": "a.txt", "mime_type": "text/plain" });
    let kinds = [
        text(),
        json!({ "type": "location", "location": { "latitude": 1.5, "longitude": 2.5 } }),
        json!({ "type": "contacts", "contacts": [{ "name": "Ada", "phones": [OTHER] }] }),
        json!({ "type": "contacts", "contacts": [{ "name": "Ada", "phones": [OTHER] }, { "name": "Eve", "phones": [OTHER] }] }),
        json!({ "type": "poll", "poll": { "question": "When?", "options": ["a", "b"] } }),
        json!({ "type": "document", "document": file }),
    ];
    let mut ours = Value::Null;
    for kind in kinds {
        let name = kind["type"].clone();
        let (told, shown) = sends(&world, &receiver, &session, (CONTACT, CONTACT, kind)).await?;
        assert_eq!(
            (&told["expires_in"], &shown),
            (&json!(WEEK), &json!(WEEK)),
            "{name}"
        );
        if ours.is_null() {
            ours = told["id"].clone();
        }
    }
    // WhatsApp has no place for it in these.
    let without = [
        json!({ "type": "reaction", "reaction": { "message_id": said["id"], "emoji": "👍" } }),
        json!({ "type": "edit", "edit": { "message_id": ours, "body": "No" } }),
        json!({ "type": "delete", "delete": { "message_id": ours } }),
    ];
    for kind in without {
        let sent = world.api.send_kind(&session, CONTACT, kind).await?;
        let wa_id = sent.wa_message_id.context("a WhatsApp id")?;
        let told = told(&receiver, "message.sent", &wa_id).await?;
        assert_eq!(told.get("expires_in"), None, "{}", told["type"]);
    }
    world.finish().await
}

async fn fidelity_the_timer_of_a_chat_is_learnt_from_both_sides_and_kept(
    backing: Backing,
) -> Result<Finished> {
    let (mut world, session, receiver) = linked(backing).await?;
    let timer = async |world: &World| -> Result<Value> {
        let (told, shown) = sends(world, &receiver, &session, (CONTACT, CONTACT, text())).await?;
        assert_eq!(told.get("expires_in").unwrap_or(&Value::Null), &shown);
        Ok(shown)
    };
    // A notice sets it. What follows it in the chat shows that it was read.
    let set = async |world: &World, from: &str, to: &str, seconds: u32| -> Result<()> {
        let notice = json!({ "message": { "type": "timer", "seconds": seconds } });
        world.simulator.tell(from, to, notice).await?;
        let after = Some(seconds).filter(|seconds| *seconds > 0);
        says(world, &receiver, (from, to), after).await.map(drop)
    };
    set(&world, CONTACT, NUMBER, DAY).await?;
    assert_eq!(timer(&world).await?, json!(DAY));
    world.gateway.kill_and_restart().await?;
    world.api.session_in(&session, "connected").await?;
    assert_eq!(timer(&world).await?, json!(DAY), "it is kept");
    // The owner changes it on the phone.
    set(&world, NUMBER, CONTACT, WEEK).await?;
    assert_eq!(timer(&world).await?, json!(WEEK));
    // A message that was delayed carries the timer of its time.
    let late = json!({ "text": "late", "expires_seconds": DAY, "age_seconds": 600 });
    let late = world.simulator.tell(CONTACT, NUMBER, late).await?;
    let late = told(&receiver, "message.received", &late).await?;
    assert_eq!(
        (&late["expires_in"], timer(&world).await?),
        (&json!(DAY), json!(WEEK))
    );
    // A value that no phone offers is neither shown nor kept.
    let odd = says(&world, &receiver, (CONTACT, NUMBER), Some(u32::MAX)).await?;
    assert_eq!(odd.get("expires_in"), None);
    assert_eq!(timer(&world).await?, json!(WEEK));
    // A message of a phone without a timer says that messages stay, also if the notice was missed.
    says(&world, &receiver, (CONTACT, NUMBER), None).await?;
    assert_eq!(timer(&world).await?, Value::Null);
    let notice = json!({ "message": { "type": "timer", "seconds": 0 } });
    says(&world, &receiver, (NUMBER, CONTACT), Some(DAY)).await?;
    assert_eq!(timer(&world).await?, json!(DAY));
    world.simulator.tell(NUMBER, CONTACT, notice).await?;
    says(&world, &receiver, (CONTACT, NUMBER), None).await?;
    assert_eq!(timer(&world).await?, Value::Null);
    world.finish().await
}

async fn fidelity_the_timer_of_a_group_is_the_groups_own(backing: Backing) -> Result<Finished> {
    let (world, session, receiver) = linked(backing).await?;
    let made = json!({ "subject": "Team", "creator": CONTACT, "members": [NUMBER, OTHER] });
    let made = world
        .simulator
        .call(Method::POST, "/groups", Some(&made))
        .await?;
    let group = made["id"].as_str().context("a group has an id")?;
    says(&world, &receiver, (OTHER, group), Some(DAY)).await?;
    let (told, shown) = sends(&world, &receiver, &session, (group, CONTACT, text())).await?;
    assert_eq!((&told["expires_in"], &shown), (&json!(DAY), &json!(DAY)));
    // It is not the timer of the chat with the member who wrote.
    let (told, shown) = sends(&world, &receiver, &session, (OTHER, OTHER, text())).await?;
    assert_eq!((told.get("expires_in"), shown), (None, Value::Null));
    let said = says(&world, &receiver, (NUMBER, group), Some(WEEK)).await?;
    assert_eq!(said["expires_in"], json!(WEEK));
    let (_, shown) = sends(&world, &receiver, &session, (group, CONTACT, text())).await?;
    assert_eq!(shown, json!(WEEK));
    world.finish().await
}

async fn fidelity_the_timer_of_a_chat_stays_when_two_contacts_become_one(
    backing: Backing,
) -> Result<Finished> {
    let (world, session, receiver) = linked(backing).await?;
    let merged = world.endpoint(&["contact.merged"]).await?;
    let hidden = json!({ "phone": CONTACT, "shows_number": false });
    world
        .simulator
        .call(Method::POST, "/phones", Some(&hidden))
        .await?;
    // The chat is known by the contact's LID, and a message waits for the number.
    let said = says(&world, &receiver, (CONTACT, NUMBER), Some(WEEK)).await?;
    world.api.disconnect(&session).await?;
    world.api.session_in(&session, "stopped").await?;
    let first = world.api.send_kind(&session, CONTACT, text()).await?;
    world.api.connect(&session).await?;
    let told = merged.wait_for("contact.merged", 1).await?;
    let data = &told[0].body["data"];
    assert_eq!(data["merged_contact_id"], said["contact_id"]);
    world.api.message_at(&first.id, "sent").await?;
    let (told, shown) = sends(&world, &receiver, &session, (CONTACT, CONTACT, text())).await?;
    assert_eq!((&told["expires_in"], &shown), (&json!(WEEK), &json!(WEEK)));
    world.finish().await
}
