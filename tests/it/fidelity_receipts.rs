//! Who has a message: the receipts of each member of a group, or of one person.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Setup, World, on_both_stores, on_every_shape,
    receiver::{Arrival, Receiver},
    simulator::Phone,
    soon, within,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

on_every_shape!(fidelity_receipts_tell_who_of_a_group_has_a_message_and_since_when,);

/// Stories about the stores.
mod stores {
    use super::*;

    on_both_stores!(
        fidelity_receipts_come_in_any_order_and_twice,
        fidelity_receipts_of_a_person_and_of_a_message_that_came_in,
        fidelity_receipts_of_a_group_of_257_are_not_kept_and_of_256_are,
        fidelity_receipts_stay_when_a_member_leaves,
        fidelity_receipts_of_contacts_that_become_one_are_one,
        fidelity_receipts_go_with_their_session,
        fidelity_receipts_that_come_before_an_own_message_count,
    );
}

const NUMBER: &str = "+4915170000001";
const BOB: &str = "+4915199000001";
const EVE: &str = "+4915199000002";

/// A world with a linked session and a group that Bob made. Eve and the session's number are members. Nobody reads
/// before being told to.
struct Story {
    world: World,
    session: String,
    group: String,
    receiver: Receiver,
}

impl Story {
    async fn start(backing: Backing) -> Result<Self> {
        let world = World::with(backing, Setup::quick()).await?;
        let receiver = world.endpoint(&[]).await?;
        let session = world.linked(NUMBER).await?.id;
        for phone in [BOB, EVE] {
            be(&world, phone, true).await?;
        }
        let group = group(&world, &[NUMBER, EVE]).await?;
        Ok(Self {
            world,
            session,
            group,
            receiver,
        })
    }

    /// Sends a text to the group or a person. Returns our id and WhatsApp's, once it is sent.
    async fn send(&self, to: &str) -> Result<(String, String)> {
        let sent = self.world.api.send(&self.session, to, "Hello").await?;
        self.world.api.message_at(&sent.id, "sent").await?;
        Ok((sent.id, sent.wa_message_id.context("a WhatsApp id")?))
    }

    /// Has a member do something with a message: `read` or `played`.
    async fn does(&self, phone: &str, what: &str, wa_id: &str) -> Result<()> {
        does(&self.world, phone, what, (wa_id, Some(&self.group))).await
    }

    /// Waits until so many people have the message, by this field. Returns them by phone number.
    async fn who(&self, id: &str, field: &str, count: usize) -> Result<BTreeMap<String, Value>> {
        who(&self.world, id, field, count).await
    }
}

/// Makes or changes a phone that reads only when it is told to.
async fn be(world: &World, number: &str, online: bool) -> Result<()> {
    let phone = Phone {
        reads: false,
        online,
        ..Phone::default()
    };
    world.simulator.phone(number, phone).await
}

async fn group(world: &World, members: &[&str]) -> Result<String> {
    let made = json!({ "subject": "Team", "creator": BOB, "members": members });
    let made = world
        .simulator
        .call(Method::POST, "/groups", Some(&made))
        .await?;
    Ok(made["id"].as_str().context("a group has an id")?.to_owned())
}

async fn change_members(world: &World, group: &str, change: &Value) -> Result<()> {
    let path = format!("/groups/{group}/members");
    world
        .simulator
        .call(Method::POST, &path, Some(change))
        .await?;
    Ok(())
}

async fn does(
    world: &World,
    phone: &str,
    what: &str,
    (wa_id, group): (&str, Option<&str>),
) -> Result<()> {
    let path = format!("/phones/{}/{what}", phone.replace('+', "%2B"));
    let body = json!({ "from": NUMBER, "ids": [wa_id], "group": group });
    world
        .simulator
        .call(Method::POST, &path, Some(&body))
        .await?;
    Ok(())
}

async fn receipts(world: &World, id: &str) -> Result<Value> {
    let path = format!("/v1/messages/{id}/receipts?limit=100");
    world.api.get(&path).await?.into(200)
}

async fn who(
    world: &World,
    id: &str,
    field: &str,
    count: usize,
) -> Result<BTreeMap<String, Value>> {
    let what = format!("{count} have {field}");
    soon(&what, async || {
        let listed = receipts(world, id).await?;
        let rows = listed["data"].as_array().context("a list")?;
        let done = rows.iter().filter(|row| row[field].is_string()).count();
        let by_phone = |row: &Value| (row["phone"].as_str().unwrap_or("-").to_owned(), row.clone());
        Ok((done == count).then(|| rows.iter().map(by_phone).collect()))
    })
    .await
}

/// Returns how many events of a type told of a message.
fn times(receiver: &Receiver, kind: &str, id: &str) -> usize {
    let told = receiver.of(kind).into_iter();
    told.filter(|one| one.body["data"]["message"]["id"] == json!(id))
        .count()
}

async fn fidelity_receipts_tell_who_of_a_group_has_a_message_and_since_when(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let world = &story.world;
    // Bob is a contact with a name; of Eve nothing is known but that she is a member.
    let said = json!({ "text": "Lunch?" });
    world.simulator.tell(BOB, &story.group, said).await?;
    let said = story.receiver.wait_for("message.received", 1).await?;
    let bob = said[0].body["data"]["contact"].clone();
    let (id, wa_id) = story.send(&story.group).await?;
    let have = story.who(&id, "delivered_at", 2).await?;
    assert_eq!(have[BOB]["contact_id"], bob["id"], "{have:?}");
    assert_eq!(have[BOB]["name"], bob["name"]);
    assert_eq!(
        (&have[BOB]["object"], &have[BOB]["lid"]),
        (&json!("receipt"), &bob["lid"])
    );
    assert!(have[EVE].get("contact_id").is_none() && have[EVE]["lid"].is_string());
    assert!(have.values().all(|row| row.get("read_at").is_none()));
    let message = world.api.message_at(&id, "delivered").await?;
    assert_eq!(message.status, "delivered");
    story.does(EVE, "read", &wa_id).await?;
    let have = story.who(&id, "read_at", 1).await?;
    assert!(have[EVE]["read_at"].is_string() && have[BOB].get("read_at").is_none());
    story.does(BOB, "read", &wa_id).await?;
    let have = story.who(&id, "read_at", 2).await?;
    // The message's own status is the first member's.
    let whole = world.api.whole_message(&id).await?;
    assert_eq!(
        (&whole["status"], &whole["read_at"]),
        (&json!("read"), &have[EVE]["read_at"])
    );
    let listed = receipts(world, &id).await?;
    assert_eq!(
        (&listed["per_member"], &listed["has_more"]),
        (&json!(true), &json!(false))
    );
    // One page after the other.
    let path = format!("/v1/messages/{id}/receipts?limit=1");
    let first: Value = world.api.get(&path).await?.into(200)?;
    let cursor = first["next_cursor"].as_str().context("a cursor")?;
    let second: Value = world
        .api
        .get(&format!("{path}&cursor={cursor}"))
        .await?
        .into(200)?;
    assert_eq!(json!([first["data"][0], second["data"][0]]), listed["data"]);
    assert_eq!(
        (&second["has_more"], &second["per_member"]),
        (&json!(false), &json!(true))
    );
    // No member has an event of their own. What is told of the next message was stored after all of this one.
    let (next, next_wa_id) = story.send(&story.group).await?;
    story.does(EVE, "read", &next_wa_id).await?;
    soon("the next message was told as read", async || {
        Ok((times(&story.receiver, "message.read", &next) == 1).then_some(()))
    })
    .await?;
    for kind in ["message.delivered", "message.read"] {
        let told = soon(kind, async || {
            let told = times(&story.receiver, kind, &id);
            Ok((told > 0).then_some(told))
        });
        assert_eq!(told.await?, 1, "{kind}");
    }
    let other = world.admin.tenant("Other").await?;
    assert_eq!(other.get(&path).await?.status.as_u16(), 404);
    story.world.finish().await
}

async fn fidelity_receipts_come_in_any_order_and_twice(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let world = &story.world;
    // Eve's phone is away. It keeps what it is told to send, so "read" and "played" come before "delivered".
    be(world, EVE, false).await?;
    let (id, wa_id) = story.send(&story.group).await?;
    story.who(&id, "delivered_at", 1).await?;
    for what in ["played", "read", "read"] {
        story.does(EVE, what, &wa_id).await?;
    }
    be(world, EVE, true).await?;
    let first = soon("it was read and played", async || {
        let have = story.who(&id, "delivered_at", 2).await?;
        let is_done = ["read_at", "played_at"].map(|field| have[EVE][field].is_string());
        Ok((is_done == [true; 2]).then(|| have[EVE].clone()))
    })
    .await?;
    for what in ["played", "read"] {
        story.does(EVE, what, &wa_id).await?;
    }
    // What comes after these is stored after them.
    let (after, _) = story.send(&story.group).await?;
    story.who(&after, "delivered_at", 2).await?;
    let have = story.who(&id, "read_at", 1).await?;
    assert_eq!(
        have[EVE], first,
        "a receipt that comes again changes nothing"
    );
    story.world.finish().await
}

async fn fidelity_receipts_of_a_person_and_of_a_message_that_came_in(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let world = &story.world;
    be(world, BOB, false).await?;
    let (id, wa_id) = story.send(BOB).await?;
    let listed = receipts(world, &id).await?;
    assert_eq!(
        listed,
        json!({ "data": [], "has_more": false, "per_member": true })
    );
    be(world, BOB, true).await?;
    story.who(&id, "delivered_at", 1).await?;
    does(world, BOB, "read", (&wa_id, None)).await?;
    let have = story.who(&id, "read_at", 1).await?;
    let whole = world.api.whole_message(&id).await?;
    for field in ["contact_id", "phone", "delivered_at", "read_at"] {
        assert_eq!(have[BOB][field], whole[field], "{field}");
    }
    world.simulator.say(BOB, NUMBER, "Yes").await?;
    let said = story.receiver.wait_for("message.received", 1).await?;
    let named = &receipts(world, &id).await?["data"][0];
    assert_eq!(named["name"], said[0].body["data"]["contact"]["name"]);
    let said = said[0].body["data"]["message"]["id"].as_str();
    let listed = receipts(world, said.context("an id")?).await?;
    assert_eq!(listed["data"], json!([]));
    story.world.finish().await
}

async fn fidelity_receipts_of_a_group_of_257_are_not_kept_and_of_256_are(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let world = &story.world;
    let members: Vec<_> = (0..255).map(|n| format!("+49151980{n:05}")).collect();
    let mut members: Vec<_> = members.iter().map(String::as_str).collect();
    members.push(NUMBER);
    let large = group(world, &members).await?;
    let (id, wa_id) = story.send(&large).await?;
    does(world, BOB, "read", (&wa_id, Some(&large))).await?;
    world.api.message_at(&id, "read").await?;
    let listed = receipts(world, &id).await?;
    assert_eq!(
        listed,
        json!({ "data": [], "has_more": false, "per_member": false })
    );
    let rows = "SELECT count(*) FROM receipt";
    assert_eq!(world.gateway.database.number(rows).await?, 0);
    // Who leaves changes the keys of the others, so each phone has its message before.
    within(Duration::from_mins(1), "every phone shows it", async || {
        let shown = world.simulator.ledger("shown").await?;
        let count = shown.iter().filter(|one| one.id == wa_id).count();
        Ok((count == 256).then_some(()))
    })
    .await?;
    change_members(world, &large, &json!({ "remove": [members[0]] })).await?;
    // Before the gateway knows of it, it may send with a key that nobody has (docs/internals/assumptions.md).
    let told = async || {
        let told = story.receiver.wait_for("group.participants", 1).await?;
        let mut actions = told.iter().map(|one| &one.body["data"]["action"]);
        anyhow::Ok(actions.any(|action| action == "removed").then_some(()))
    };
    soon("it is told that a member was removed", told).await?;
    let (id, _) = story.send(&large).await?;
    assert_eq!(receipts(world, &id).await?["per_member"], json!(true));
    within(Duration::from_mins(1), "all have it", async || {
        let (mut people, mut cursor) = (std::collections::BTreeSet::new(), String::new());
        loop {
            let path = format!("/v1/messages/{id}/receipts?limit=100{cursor}");
            let page: Value = world.api.get(&path).await?.into(200)?;
            let rows = page["data"].as_array().context("a list")?;
            people.extend(
                rows.iter()
                    .filter_map(|row| row["phone"].as_str().map(str::to_owned)),
            );
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok((people.len() == 255).then_some(())),
            }
        }
    })
    .await?;
    story.world.finish().await
}

async fn fidelity_receipts_stay_when_a_member_leaves(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let (id, wa_id) = story.send(&story.group).await?;
    let before = story.who(&id, "delivered_at", 2).await?;
    change_members(&story.world, &story.group, &json!({ "remove": [EVE] })).await?;
    let (after, _) = story.send(&story.group).await?;
    let have = story.who(&after, "delivered_at", 1).await?;
    assert!(have.contains_key(BOB));
    story.does(BOB, "read", &wa_id).await?;
    let have = story.who(&id, "read_at", 1).await?;
    assert_eq!(have[EVE], before[EVE]);
    story.world.finish().await
}

async fn fidelity_receipts_of_contacts_that_become_one_are_one(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let world = &story.world;
    let hidden = json!({ "phone": EVE, "shows_number": false });
    world
        .simulator
        .call(Method::POST, "/phones", Some(&hidden))
        .await?;
    world.simulator.say(EVE, NUMBER, "Who am I?").await?;
    let said = story.receiver.wait_for("message.received", 1).await?;
    let by_lid = said[0].body["data"]["message"]["contact_id"].clone();
    let (id, wa_id) = story.send(&story.group).await?;
    story.who(&id, "delivered_at", 2).await?;
    let of_eve = async |field: &str| {
        soon("Eve has it", async || {
            let listed = receipts(world, &id).await?;
            let rows = listed["data"].as_array().context("a list")?;
            let of_eve = |row: &&Value| row["lid"] == said[0].body["data"]["message"]["lid"];
            let found = rows
                .iter()
                .find(of_eve)
                .filter(|row| row[field].is_string());
            Ok(found.cloned().map(|row| (row, rows.len())))
        })
        .await
    };
    let (eve, count) = of_eve("delivered_at").await?;
    assert_eq!((&eve["contact_id"], count), (&by_lid, 2));
    // The number is looked up before the message leaves: it is the same person.
    world.api.disconnect(&story.session).await?;
    world.api.session_in(&story.session, "stopped").await?;
    let sent = world.api.send(&story.session, EVE, "Hello").await?;
    let by_phone = world.api.whole_message(&sent.id).await?["contact_id"].clone();
    assert_ne!(by_lid, by_phone);
    world.api.connect(&story.session).await?;
    story.receiver.wait_for("contact.merged", 1).await?;
    story.does(EVE, "read", &wa_id).await?;
    let (eve, count) = of_eve("read_at").await?;
    assert_eq!(
        (&eve["contact_id"], &eve["phone"], count),
        (&by_phone, &json!(EVE), 2)
    );
    world.api.message_at(&sent.id, "sent").await?;
    story.world.finish().await
}

async fn fidelity_receipts_go_with_their_session(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let world = &story.world;
    let (id, _) = story.send(&story.group).await?;
    story.who(&id, "delivered_at", 2).await?;
    let database = &world.gateway.database;
    assert_eq!(database.rows_with(&id).await?["receipt"], 2);
    let path = format!("/v1/sessions/{}", story.session);
    assert_eq!(world.api.delete(&path).await?.status.as_u16(), 204);
    let path = format!("/v1/messages/{id}/receipts");
    assert_eq!(world.api.get(&path).await?.status.as_u16(), 404);
    soon("nothing of the message is left", async || {
        Ok(database.rows_with(&id).await?.is_empty().then_some(()))
    })
    .await?;
    assert_eq!(database.number("SELECT count(*) FROM receipt").await?, 0);
    story.world.finish_with_work_undone().await
}

async fn fidelity_receipts_that_come_before_an_own_message_count(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let world = &story.world;
    let (to_bob, to_all) = ("3AEARLYTOBOB00001", "3AEARLYTOALL00002");
    does(world, BOB, "read", (to_bob, None)).await?;
    for phone in [BOB, EVE] {
        story.does(phone, "read", to_all).await?;
    }
    // What comes in after the receipts is stored after they came.
    world.simulator.say(BOB, NUMBER, "Where are you?").await?;
    story.receiver.wait_for("message.received", 1).await?;
    for (to, id) in [(BOB, to_bob), (story.group.as_str(), to_all)] {
        let said = json!({ "text": "On my way", "id": id });
        world.simulator.tell(NUMBER, to, said).await?;
        let of_id = |one: &Arrival| one.body["data"]["message"]["wa_message_id"] == json!(id);
        let read = soon("it was read", async || {
            Ok(story.receiver.of("message.read").into_iter().find(of_id))
        })
        .await?;
        let message = &read.body["data"]["message"];
        assert_eq!(
            (&message["source"], &message["status"]),
            (&json!("phone"), &json!("read"))
        );
        for kind in ["message.sent", "message.delivered", "message.read"] {
            let id = message["id"].as_str().context("an id")?;
            soon(kind, async || {
                Ok((times(&story.receiver, kind, id) == 1).then_some(()))
            })
            .await?;
        }
        let id = message["id"].as_str().context("an id")?;
        let readers = if to == BOB { 1 } else { 2 };
        let have = story.who(id, "read_at", readers).await?;
        assert!(have.contains_key(BOB) && have.len() == readers);
    }
    story.world.finish().await
}
