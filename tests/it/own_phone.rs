//! What the number's owner writes on the phone or on another linked device: stored, listed and reported once, as
//! an outbound message that was sent.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use passerelle_tests::{
    Backing, Finished, Setup, World, on_both_stores, on_every_shape,
    receiver::{Arrival, Receiver},
    simulator::Phone,
    soon,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

on_every_shape!(own_phone_s_message_is_told_of_each_kind_and_moves_on_by_receipts,);

/// Stories about the stores.
mod stores {
    use super::*;

    on_both_stores!(
        own_phone_s_reactions_edits_and_deletions_change_what_they_name,
        own_phone_writes_in_groups_that_name_members_both_ways,
        own_phone_is_told_from_another_linked_device_and_neither_is_told_twice,
        own_phone_is_told_once_over_repeats_crashes_and_pauses,
        own_phone_s_message_that_cannot_be_decrypted_is_told_once,
    );
}

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const OTHER: &str = "+4915199000002";
/// A gap that is longer than the test takes.
const GAP_MS: u64 = 30_000;

/// Starts a world with a linked session, the contact's phone, and an endpoint for every event.
async fn linked(backing: Backing, setup: Setup) -> Result<(World, String, Receiver)> {
    let world = World::with(backing, setup).await?;
    let receiver = world.endpoint(&[]).await?;
    let session = world.linked(NUMBER).await?.id;
    // It reads when it is told to.
    let contact = Phone {
        reads: false,
        ..Phone::default()
    };
    world.simulator.phone(CONTACT, contact).await?;
    Ok((world, session, receiver))
}

/// Has the contact read a message of this number.
async fn reads(world: &World, wa_id: &str) -> Result<()> {
    let path = format!("/phones/{}/read", CONTACT.replace('+', "%2B"));
    let body = json!({ "from": NUMBER, "ids": [wa_id] });
    world
        .simulator
        .call(Method::POST, &path, Some(&body))
        .await?;
    Ok(())
}

fn message(arrival: &Arrival) -> &Value {
    &arrival.body["data"]["message"]
}

/// Waits for the event of this type about the message with this WhatsApp id.
async fn told(receiver: &Receiver, kind: &str, wa_id: &str) -> Result<Value> {
    soon(&format!("{kind} is told"), async || {
        let arrived = receiver.of(kind).into_iter();
        let mut arrived = arrived.map(|one| one.body["data"].clone());
        Ok(arrived.find(|data| data["message"]["wa_message_id"] == json!(wa_id)))
    })
    .await
}

/// Returns how many different events of a type told of this WhatsApp id.
fn times(receiver: &Receiver, kind: &str, wa_id: &str) -> usize {
    let told = receiver.of(kind).into_iter();
    let told = told.filter(|one| message(one)["wa_message_id"] == json!(wa_id));
    let ids: std::collections::BTreeSet<_> = told.map(|one| one.id).collect();
    ids.len()
}

async fn own_phone_s_message_is_told_of_each_kind_and_moves_on_by_receipts(
    backing: Backing,
) -> Result<Finished> {
    // The lane would keep a message waiting after the first one.
    let setup = Setup {
        gap_floor_ms: GAP_MS,
        gap_ceiling_ms: GAP_MS,
        ..Setup::default()
    };
    let (world, session, receiver) = linked(backing, setup).await?;
    let asked = world.simulator.say(CONTACT, NUMBER, "Is it ready?").await?;
    let question = told(&receiver, "message.received", &asked).await?["message"].clone();
    assert_eq!(question.get("source"), None);
    let sent = world.api.send(&session, CONTACT, "One moment.").await?;
    world.api.message_at(&sent.id, "sent").await?;
    assert_eq!(
        world.api.whole_message(&sent.id).await?["source"],
        "gateway"
    );
    let card = "BEGIN:VCARD\nVERSION:3.0\nFN:Ada\nTEL:+4915199000002\nEND:VCARD";
    let said = [
        ("text", json!({ "text": "Yes, it is.", "quote": asked })),
        (
            "location",
            json!({ "message": { "type": "location", "latitude": 1.5, "longitude": 2.0 } }),
        ),
        (
            "contacts",
            json!({ "message": { "type": "contact", "name": "Ada", "vcard": card } }),
        ),
        (
            "poll",
            json!({ "message": { "type": "poll", "name": "When?", "options": ["a", "b"], "selectable": 1 } }),
        ),
        (
            "document",
            json!({ "message": { "type": "document", "bytes_base64": STANDARD.encode("a file"),
            "file_name": "a.txt", "mimetype": "text/plain" } }),
        ),
        (
            "voice",
            json!({ "message": { "type": "voice", "size": 2000 } }),
        ),
        (
            "unsupported",
            json!({ "message": { "type": "event", "name": "Opening" } }),
        ),
    ];
    for (kind, said) in said {
        let wa_id = world.simulator.tell(NUMBER, CONTACT, said).await?;
        let data = told(&receiver, "message.sent", &wa_id).await?;
        let message = &data["message"];
        let expected = json!({ "source": "phone", "direction": "outbound", "type": kind, "status": "sent",
            "to": CONTACT, "contact_id": question["contact_id"], "session_id": session });
        for (field, value) in expected.as_object().context("an object")? {
            assert_eq!(&message[field], value, "{field} of {kind}");
        }
        let id = message["id"].as_str().context("an id")?;
        reads(&world, &wa_id).await?;
        let read = world.api.message_at(id, "read").await?;
        assert!(read.delivered_at.is_some() && read.sent_at.is_some());
        told(&receiver, "message.read", &wa_id).await?;
        assert_eq!(times(&receiver, "message.sent", &wa_id), 1);
        match kind {
            "text" => assert_eq!(message["reply_to"]["message_id"], question["id"]),
            "poll" => {
                let vote = json!({ "message": { "type": "poll_vote", "target": wa_id, "options": ["b"] } });
                let vote = world.simulator.tell(CONTACT, NUMBER, vote).await?;
                let vote = told(&receiver, "message.poll_vote", &vote).await?;
                let vote = &vote["message"]["poll_vote"];
                assert_eq!(
                    (&vote["options"], &vote["message_id"]),
                    (&json!(["b"]), &json!(id))
                );
            }
            "document" => {
                let file = soon("the file is here", async || {
                    let here = receiver.of("media.available").into_iter();
                    let mut files = here.map(|one| one.body["data"]["media"].clone());
                    Ok(files.find(|file| file["message_id"] == json!(id)))
                });
                let file = file.await?;
                assert_eq!(
                    (&file["id"], &file["size"]),
                    (&data["media"]["id"], &json!(6))
                );
            }
            _ => {}
        }
    }
    // Nothing of this waited in the lane or made anything wait: only one message has ever been in it.
    let queue = world.api.session(&session).await?.queue;
    assert_eq!(queue.map(|queue| queue.pending), Some(0));
    let listed = world.api.messages("direction=outbound").await?;
    assert_eq!(listed.len(), 8);
    world.finish().await
}

async fn own_phone_s_reactions_edits_and_deletions_change_what_they_name(
    backing: Backing,
) -> Result<Finished> {
    let (world, session, receiver) = linked(backing, Setup::default()).await?;
    let theirs = world.simulator.say(CONTACT, NUMBER, "It works!").await?;
    let theirs = told(&receiver, "message.received", &theirs).await?["message"].clone();
    let ours = world.api.send(&session, CONTACT, "frist").await?;
    world.api.message_at(&ours.id, "delivered").await?;
    let wa_id = ours.wa_message_id.context("a WhatsApp id")?;
    let change = async |kind: &str, message: Value| {
        let said = json!({ "message": message });
        let said = world.simulator.tell(NUMBER, CONTACT, said).await?;
        let sent = told(&receiver, "message.sent", &said).await?["message"].clone();
        let told = told(&receiver, kind, &said).await?["message"].clone();
        assert_eq!(
            (&told["id"], &told["source"]),
            (&sent["id"], &json!("phone"))
        );
        anyhow::Ok(told)
    };
    let liked = json!({ "type": "reaction", "target": theirs["wa_message_id"], "text": "👍" });
    let liked = change("message.reaction", liked).await?["reaction"].clone();
    assert_eq!(
        (&liked["message_id"], &liked["from_me"], &liked["emoji"]),
        (&theirs["id"], &json!(false), &json!("👍"))
    );
    // The owner corrects and deletes what the gateway sent.
    let edited = json!({ "type": "edit", "target": wa_id, "text": "first" });
    let edited = change("message.edited", edited).await?;
    assert_eq!(edited["edit"]["message_id"], json!(ours.id));
    let now = world.api.whole_message(&ours.id).await?;
    assert_eq!(
        (&now["text"]["body"], now["edited_at"].is_string()),
        (&json!("first"), true)
    );
    let gone = json!({ "type": "revoke", "target": wa_id });
    change("message.deleted", gone).await?;
    let now = world.api.whole_message(&ours.id).await?;
    assert_eq!((&now["type"], now.get("text")), (&json!("deleted"), None));
    // The contact's reaction to what the phone said names it.
    let said = world.simulator.say(NUMBER, CONTACT, "Bye").await?;
    let said = told(&receiver, "message.sent", &said).await?["message"].clone();
    let liked =
        json!({ "message": { "type": "reaction", "target": said["wa_message_id"], "text": "👋" } });
    let liked = world.simulator.tell(CONTACT, NUMBER, liked).await?;
    let liked = told(&receiver, "message.reaction", &liked).await?["message"]["reaction"].clone();
    assert_eq!(
        (&liked["message_id"], &liked["from_me"]),
        (&said["id"], &json!(true))
    );
    // The gateway edits and quotes what the phone said.
    let edit = json!({ "type": "edit", "edit": { "message_id": said["id"], "body": "Goodbye" } });
    let edit = world.api.send_kind(&session, CONTACT, edit).await?;
    world.api.message_at(&edit.id, "sent").await?;
    let id = said["id"].as_str().context("an id")?;
    assert_eq!(
        world.api.whole_message(id).await?["text"]["body"],
        "Goodbye"
    );
    world.finish().await
}

async fn own_phone_writes_in_groups_that_name_members_both_ways(
    backing: Backing,
) -> Result<Finished> {
    let (world, session, receiver) = linked(backing, Setup::default()).await?;
    world.simulator.phone(OTHER, Phone::default()).await?;
    for mode in ["lid", "pn"] {
        let made = json!({ "subject": "Team", "creator": CONTACT, "members": [NUMBER, OTHER], "addressing_mode": mode });
        let made = world
            .simulator
            .call(Method::POST, "/groups", Some(&made))
            .await?;
        let group = made["id"].as_str().context("a group has an id")?;
        let theirs = world.simulator.say(OTHER, group, "Hello all").await?;
        let theirs = told(&receiver, "message.received", &theirs).await?["message"].clone();
        let answer = json!({ "text": "Hello!", "quote": theirs["wa_message_id"] });
        let said = world.simulator.tell(NUMBER, group, answer).await?;
        let said = told(&receiver, "message.sent", &said).await?["message"].clone();
        let expected = json!({ "source": "phone", "direction": "outbound", "to": group, "group_id": group, "status": "sent" });
        for (field, value) in expected.as_object().context("an object")? {
            assert_eq!(&said[field], value, "{field} in a group by {mode}");
        }
        assert_eq!((said.get("contact_id"), said.get("phone")), (None, None));
        assert_eq!(said["reply_to"]["message_id"], theirs["id"]);
        let liked = json!({ "message": { "type": "reaction", "target": theirs["wa_message_id"], "text": "👍" } });
        let liked = world.simulator.tell(NUMBER, group, liked).await?;
        let liked = told(&receiver, "message.reaction", &liked).await?["message"].clone();
        assert_eq!(
            (&liked["reaction"]["message_id"], &liked["source"]),
            (&theirs["id"], &json!("phone"))
        );
        let edit = json!({ "message": { "type": "edit", "target": said["wa_message_id"], "text": "Hi!" } });
        let edit = world.simulator.tell(NUMBER, group, edit).await?;
        told(&receiver, "message.edited", &edit).await?;
        let id = said["id"].as_str().context("an id")?;
        assert_eq!(world.api.whole_message(id).await?["text"]["body"], "Hi!");
    }
    assert_eq!(
        world
            .api
            .messages(&format!("session_id={session}&direction=outbound"))
            .await?
            .len(),
        6
    );
    world.finish().await
}

async fn own_phone_is_told_from_another_linked_device_and_neither_is_told_twice(
    backing: Backing,
) -> Result<Finished> {
    let (world, session, receiver) = linked(backing, Setup::default()).await?;
    // Another organisation is linked to the same number: one more linked device.
    let other = world.admin.tenant("Other").await?;
    let their_receiver = world.endpoint_for(&other, &[]).await?;
    let theirs = world.linked_for(&other, NUMBER).await?.id;
    for (api, session, here, there) in [
        (&other, &theirs, &their_receiver, &receiver),
        (&world.api, &session, &receiver, &their_receiver),
    ] {
        let sent = api.send(session, CONTACT, "from a device").await?;
        let wa_id = sent.wa_message_id.context("a WhatsApp id")?;
        let source = |data: Value| data["message"]["source"].clone();
        assert_eq!(
            source(told(there, "message.sent", &wa_id).await?),
            "linked_device"
        );
        assert_eq!(source(told(here, "message.sent", &wa_id).await?), "gateway");
        reads(&world, &wa_id).await?;
        told(there, "message.read", &wa_id).await?;
        let times = [
            times(here, "message.sent", &wa_id),
            times(there, "message.sent", &wa_id),
        ];
        assert_eq!(times, [1, 1]);
    }
    let said = world
        .simulator
        .say(NUMBER, CONTACT, "from the phone")
        .await?;
    for receiver in [&receiver, &their_receiver] {
        assert_eq!(
            told(receiver, "message.sent", &said).await?["message"]["source"],
            "phone"
        );
    }
    for api in [&world.api, &other] {
        assert_eq!(api.messages("direction=outbound").await?.len(), 3);
    }
    world.finish().await
}

async fn own_phone_is_told_once_over_repeats_crashes_and_pauses(
    backing: Backing,
) -> Result<Finished> {
    let setup = Setup {
        failpoints: Some("inbound.after_commit=return".to_owned()),
        ..Setup::default()
    };
    let (mut world, session, receiver) = linked(backing, setup).await?;
    let mut all = vec![
        world
            .simulator
            .say(NUMBER, CONTACT, "committed, not acknowledged")
            .await?,
    ];
    world
        .gateway
        .crash_and_restart(Duration::from_secs(40))
        .await?;
    all.push(
        world
            .simulator
            .say_copies(NUMBER, CONTACT, "three times", 3)
            .await?,
    );
    world.gateway.stop().await?;
    for n in 0..5 {
        all.push(
            world
                .simulator
                .say(NUMBER, CONTACT, &format!("meanwhile {n}"))
                .await?,
        );
    }
    world.gateway.start().await?;
    world.api.session_in(&session, "connected").await?;
    // WhatsApp gives back what this gateway sent.
    let ours = world.api.send(&session, CONTACT, "by the gateway").await?;
    world.api.message_at(&ours.id, "delivered").await?;
    let ours = ours.wa_message_id.context("a WhatsApp id")?;
    let echo = json!({ "text": "by the gateway", "id": ours });
    world.simulator.tell(NUMBER, CONTACT, echo).await?;
    // The same id in another chat is another message.
    world.simulator.phone(OTHER, Phone::default()).await?;
    let elsewhere = json!({ "text": "elsewhere", "id": all[0] });
    world.simulator.tell(NUMBER, OTHER, elsewhere).await?;
    let last = world.simulator.say(NUMBER, CONTACT, "last").await?;
    told(&receiver, "message.sent", &last).await?;
    all.push(last);
    for wa_id in &all[1..] {
        told(&receiver, "message.sent", wa_id).await?;
        assert_eq!(times(&receiver, "message.sent", wa_id), 1);
    }
    soon("both messages under one id are told", async || {
        Ok((times(&receiver, "message.sent", &all[0]) == 2).then_some(()))
    })
    .await?;
    assert_eq!(times(&receiver, "message.sent", &ours), 1);
    let listed = world.api.messages("direction=outbound").await?;
    assert_eq!(listed.len(), all.len() + 2);
    world.finish().await
}

async fn own_phone_s_message_that_cannot_be_decrypted_is_told_once(
    backing: Backing,
) -> Result<Finished> {
    let (world, _, receiver) = linked(backing, Setup::default()).await?;
    // An earlier message shows which number has the LID that the chat is named by.
    let hello = world.simulator.say(CONTACT, NUMBER, "Hello").await?;
    told(&receiver, "message.received", &hello).await?;
    let lost = json!({ "message": { "type": "undecryptable" } });
    let wa_id = world.simulator.tell(NUMBER, CONTACT, lost).await?;
    let lost = told(&receiver, "message.undecryptable", &wa_id).await?["message"].clone();
    assert_eq!(
        (&lost["source"], &lost["to"], &lost["type"]),
        (&json!("phone"), &json!(CONTACT), &json!("undecryptable"))
    );
    let last = world.simulator.say(NUMBER, CONTACT, "last").await?;
    told(&receiver, "message.sent", &last).await?;
    assert_eq!(times(&receiver, "message.undecryptable", &wa_id), 1);
    assert_eq!(times(&receiver, "message.sent", &wa_id), 0);
    assert_eq!(world.api.messages("direction=outbound").await?.len(), 2);
    world.finish().await
}
