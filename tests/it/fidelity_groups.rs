//! Groups live: who came, went and administers, which settings changed, and by whom; reading a group and leaving it.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, World, on_both_stores, on_every_shape, receiver::Receiver, simulator::Phone,
    soon,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::tenancy::bare;

on_every_shape!(
    fidelity_each_change_of_a_group_is_reported_with_who_and_by_whom,
    fidelity_a_member_reads_a_group_and_nobody_else_does,
    fidelity_a_group_is_left_and_what_waits_for_it_fails_and_the_lane_goes_on,
);

/// Stories about the stores.
mod stores {
    use super::*;

    on_both_stores!(
        fidelity_a_thousand_members_at_once_are_one_event,
        fidelity_the_timer_of_a_group_is_learnt_from_its_settings,
    );
}

const NUMBER: &str = "+4915170000001";
const BOB: &str = "+4915199000001";
const EVE: &str = "+4915199000002";
const ADA: &str = "+4915199000003";
const CARL: &str = "+4915199000004";
const DAY: u32 = 86_400;

/// A world with a linked session, some phones, and an endpoint for every event of groups.
struct Story {
    world: World,
    session: String,
    receiver: Receiver,
    /// How many events of members and of settings came.
    seen: [usize; 2],
}

impl Story {
    async fn start(backing: Backing) -> Result<Self> {
        let world = World::start(backing).await?;
        let receiver = world.endpoint(&["group.*", "message.received"]).await?;
        let session = world.linked(NUMBER).await?.id;
        for phone in [BOB, EVE, ADA, CARL] {
            world.simulator.phone(phone, Phone::default()).await?;
        }
        Ok(Self {
            world,
            session,
            receiver,
            seen: [0, 0],
        })
    }

    /// Makes a group as Bob.
    async fn group(&self, mode: &str, members: &[&str]) -> Result<String> {
        let made = json!({ "subject": "Team", "creator": BOB, "members": members, "addressing_mode": mode });
        let made = self.control("/groups", &made).await?;
        Ok(made["id"].as_str().context("a group has an id")?.to_owned())
    }

    async fn control(&self, path: &str, body: &Value) -> Result<Value> {
        let simulator = &self.world.simulator;
        simulator.call(Method::POST, path, Some(body)).await
    }

    /// Changes members, and returns the event of it.
    async fn members(&mut self, group: &str, change: Value) -> Result<Value> {
        let path = format!("/groups/{group}/members");
        self.control(&path, &change).await?;
        self.next("group.participants", group).await
    }

    /// Changes a setting, and returns the event of it.
    async fn set(&mut self, group: &str, change: Value) -> Result<Value> {
        let path = format!("/groups/{group}/settings");
        self.control(&path, &change).await?;
        self.next("group.updated", group).await
    }

    /// Returns the data of the next event of this type. Only one is under way at a time.
    async fn next(&mut self, kind: &str, group: &str) -> Result<Value> {
        let seen = &mut self.seen[usize::from(kind == "group.updated")];
        *seen += 1;
        let arrived = self.receiver.wait_for(kind, *seen).await?;
        assert_eq!(arrived.len(), *seen, "one event for a change");
        let event = arrived.last().context("an event")?;
        assert_eq!(event.body["session_id"], json!(self.session));
        let data = event.body["data"].clone();
        let expected = json!({ "id": group, "object": "group" });
        assert_eq!(data["group"], expected);
        assert!(data["changed_at"].is_string(), "{data}");
        Ok(data)
    }

    fn path(&self, group: &str) -> String {
        format!("/v1/groups/{group}?session_id={}", self.session)
    }

    fn leave(&self, group: &str) -> String {
        format!("/v1/groups/{group}/leave?session_id={}", self.session)
    }
}

/// Checks an event of members: what happened to whom, and by whom.
fn is(event: &Value, action: &str, who: &str, by: &str) {
    assert_eq!(event["action"], action, "{event}");
    assert_eq!(event["participant_count"], json!(1), "{event}");
    let own = who == NUMBER;
    assert_eq!(event["includes_this_number"], json!(own), "{event}");
    let named = event["participants"].as_array().map(Vec::as_slice);
    let [named] = named.unwrap_or_default() else {
        panic!("one member: {event}");
    };
    assert!(named["lid"].is_string(), "{event}");
    for (person, phone) in [(named, who), (&event["by"], by)] {
        assert_eq!(person["phone"], phone, "{event}");
        assert_eq!(person["this_number"], json!(phone == NUMBER), "{event}");
    }
}

async fn fidelity_each_change_of_a_group_is_reported_with_who_and_by_whom(
    backing: Backing,
) -> Result<Finished> {
    let mut story = Story::start(backing).await?;
    // Eve is a contact: she wrote to the number.
    story.world.simulator.say(EVE, NUMBER, "Hello").await?;
    let said = story.receiver.wait_for("message.received", 1).await?;
    let eve = said[0].body["data"]["contact"].clone();
    for mode in ["lid", "pn"] {
        let group = story.group(mode, &[NUMBER, EVE]).await?;
        let made = story.next("group.participants", &group).await?;
        is(&made, "added", NUMBER, BOB);
        members_are_told(&mut story, &group, &eve).await?;
        settings_are_told(&mut story, &group, &eve).await?;
        own_membership_is_told(&mut story, &group).await?;
    }
    story.world.finish().await
}

async fn members_are_told(story: &mut Story, group: &str, eve: &Value) -> Result<()> {
    let added = story
        .members(group, json!({ "add": [ADA], "by": EVE }))
        .await?;
    is(&added, "added", ADA, EVE);
    // A contact is shown with its id and its names, and nobody becomes one by being named.
    for field in ["push_name", "name"] {
        assert_eq!(added["by"][field], eve[field], "{added}");
    }
    assert_eq!(added["by"]["contact_id"], eve["id"], "{added}");
    assert_eq!(added["participants"][0].get("contact_id"), None, "{added}");
    let joined = story.members(group, json!({ "join": [CARL] })).await?;
    is(&joined, "joined", CARL, CARL);
    for (change, action) in [("promote", "promoted"), ("demote", "demoted")] {
        let told = story.members(group, json!({ change: [CARL] })).await?;
        is(&told, action, CARL, BOB);
    }
    let left = story.members(group, json!({ "leave": [CARL] })).await?;
    is(&left, "left", CARL, CARL);
    let removed = story.members(group, json!({ "remove": [ADA] })).await?;
    is(&removed, "removed", ADA, BOB);
    let contacts: Value = story.world.api.get("/v1/contacts").await?.into(200)?;
    assert_eq!(contacts["data"].as_array().map(Vec::len), Some(1));
    Ok(())
}

async fn settings_are_told(story: &mut Story, group: &str, eve: &Value) -> Result<()> {
    for (set, changed) in [
        (json!({ "subject": "Lunch" }), json!({ "subject": "Lunch" })),
        (
            json!({ "description": "At noon" }),
            json!({ "description": "At noon" }),
        ),
        (json!({ "description": "" }), json!({ "description": "" })),
        (
            json!({ "admins_only": true }),
            json!({ "admins_only": true }),
        ),
        (
            json!({ "admins_only": false }),
            json!({ "admins_only": false }),
        ),
        (json!({ "locked": true }), json!({ "locked": true })),
        (json!({ "locked": false }), json!({ "locked": false })),
        (
            json!({ "join_approval": true }),
            json!({ "join_approval": true }),
        ),
        (
            json!({ "expires_seconds": DAY }),
            json!({ "expires_in": DAY }),
        ),
        (json!({ "expires_seconds": 0 }), json!({ "expires_in": 0 })),
    ] {
        let mut set = set;
        set["by"] = json!(EVE);
        let told = story.set(group, set).await?;
        assert_eq!(told["changes"], changed);
        let by = &told["by"];
        assert_eq!((&by["phone"], &by["contact_id"]), (&json!(EVE), &eve["id"]));
    }
    Ok(())
}

async fn own_membership_is_told(story: &mut Story, group: &str) -> Result<()> {
    for (change, action, by) in [
        (json!({ "promote": [NUMBER] }), "promoted", BOB),
        (json!({ "remove": [NUMBER] }), "removed", BOB),
        (json!({ "add": [NUMBER], "by": EVE }), "added", EVE),
        (json!({ "leave": [NUMBER] }), "left", NUMBER),
        (json!({ "join": [NUMBER] }), "joined", NUMBER),
    ] {
        let told = story.members(group, change).await?;
        is(&told, action, NUMBER, by);
    }
    Ok(())
}

async fn fidelity_a_member_reads_a_group_and_nobody_else_does(
    backing: Backing,
) -> Result<Finished> {
    let mut story = Story::start(backing).await?;
    let api = story.world.api.clone();
    story.world.simulator.say(EVE, NUMBER, "Hello").await?;
    let said = story.receiver.wait_for("message.received", 1).await?;
    let eve = said[0].body["data"]["contact"]["id"].clone();
    let foreign = story.group("lid", &[EVE]).await?;
    for mode in ["lid", "pn"] {
        let group = story.group(mode, &[NUMBER, EVE]).await?;
        story.next("group.participants", &group).await?;
        let path = story.path(&group);
        for set in [
            json!({ "description": "Since 2024" }),
            json!({ "locked": true }),
            json!({ "expires_seconds": DAY }),
        ] {
            story.set(&group, set).await?;
        }
        let read: Value = api.get(&path).await?.into(200)?;
        let expected = json!({
            "id": group, "object": "group", "session_id": story.session, "subject": "Team", "description": "Since 2024",
            "members": 3, "admins_only": false, "locked": true, "join_approval": false, "expires_in": DAY,
        });
        for (field, value) in expected.as_object().context("fields")? {
            assert_eq!(&read[field], value, "{field}: {read}");
        }
        assert!(read["created_at"].is_string(), "{read}");
        assert_eq!(read["owner"]["phone"], BOB, "{read}");
        let participants = read["participants"].as_array().context("members")?;
        assert_eq!(participants[0]["phone"], BOB, "who made it comes first");
        for (phone, role) in [(BOB, "owner"), (EVE, "member"), (NUMBER, "member")] {
            let found = participants.iter().find(|one| one["phone"] == phone);
            let found = found.context("a member")?;
            assert_eq!(found["role"], role, "{found}");
            assert_eq!(found["this_number"], json!(phone == NUMBER), "{found}");
            assert!(found["lid"].is_string(), "{found}");
            let contact = found.get("contact_id").cloned().unwrap_or_default();
            assert_eq!(contact == eve, phone == EVE, "{found}");
        }
    }
    // A group that the number is not in, and one that never existed, get the same answer.
    let never = "120363999999999999@g.us";
    let mut answers = Vec::new();
    for group in [foreign.as_str(), never] {
        let refused = api.get(&story.path(group)).await?;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (404, "not_in_group")
        );
        answers.push(bare(&refused, group));
    }
    assert_eq!(answers[0], answers[1]);
    strangers_are_refused(&story, &foreign).await?;
    let mut paced = None;
    for _ in 0..12 {
        let reply = api.get(&story.path(never)).await?;
        if reply.status.as_u16() == 429 {
            paced = Some(reply);
            break;
        }
    }
    let paced = paced.context("twelve at once are too many")?;
    assert_eq!(paced.code(), "group_request_paced");
    assert!(paced.headers.contains_key("retry-after"));
    story.world.finish().await
}

async fn strangers_are_refused(story: &Story, group: &str) -> Result<()> {
    let api = &story.world.api;
    let stranger = story.world.admin.tenant("Other").await?;
    let idle = api.create_session("idle").await?.id;
    let asks = [
        (
            api,
            format!("/v1/groups/49151?session_id={}", story.session),
            (400, "invalid_id"),
        ),
        (
            api,
            format!("/v1/groups/{group}?session_id={idle}"),
            (409, "session_not_ready"),
        ),
        (&stranger, story.path(group), (404, "not_found")),
    ];
    for (api, path, expected) in asks {
        let refused = api.get(&path).await?;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            expected,
            "{path}"
        );
        let leave = path.replace('?', "/leave?");
        let refused = api.act(&leave).await?;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            expected,
            "{leave}"
        );
    }
    Ok(())
}

async fn fidelity_a_group_is_left_and_what_waits_for_it_fails_and_the_lane_goes_on(
    backing: Backing,
) -> Result<Finished> {
    let mut story = Story::start(backing).await?;
    let api = story.world.api.clone();
    let group = story.group("lid", &[NUMBER, EVE]).await?;
    story.next("group.participants", &group).await?;
    let text = |body: &str| json!({ "type": "text", "text": { "body": body } });
    let first = api
        .send_kind(&story.session, &group, text("Hello, all"))
        .await?;
    api.message_at(&first.id, "sent").await?;
    // These keep the lane busy until the number has left.
    for n in 0..5 {
        api.send_kind(&story.session, BOB, text(&format!("{n}")))
            .await?;
    }
    let waits = api
        .send_kind(&story.session, &group, text("Still here?"))
        .await?;
    let after = api.send_kind(&story.session, BOB, text("Bye")).await?;
    let leave = story.leave(&group);
    let left: Value = api.act(&leave).await?.into(200)?;
    let expected =
        json!({ "id": group, "object": "group", "session_id": story.session, "left": true });
    assert_eq!(left, expected);
    is(
        &story.next("group.participants", &group).await?,
        "left",
        NUMBER,
        NUMBER,
    );
    let again: Value = api.act(&leave).await?.into(200)?;
    assert_eq!(again, expected);
    let refused = api.get(&story.path(&group)).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (404, "not_in_group")
    );
    api.message_at(&waits.id, "failed").await?;
    let failed = api.whole_message(&waits.id).await?;
    assert_eq!(failed["error"]["code"], "not_in_group", "{failed}");
    api.message_at(&after.id, "sent").await?;
    let late = api
        .send_kind(&story.session, &group, text("Anybody?"))
        .await?;
    api.message_at(&late.id, "failed").await?;
    let simulator = &story.world.simulator;
    let there = simulator
        .call(Method::GET, &format!("/groups/{group}"), None)
        .await?;
    assert_eq!(there["members"].get(NUMBER), None);
    // A group of others stays as it is, and nothing tells whether it exists.
    let others = story.group("lid", &[EVE]).await?;
    let mut answers = Vec::new();
    for group in [others.as_str(), "120363999999999999@g.us"] {
        let left: Value = api.act(&story.leave(group)).await?.into(200)?;
        answers.push(left.to_string().replace(group, "…"));
    }
    assert_eq!(answers[0], answers[1]);
    story.world.finish().await
}

async fn fidelity_a_thousand_members_at_once_are_one_event(backing: Backing) -> Result<Finished> {
    const MANY: usize = 1000;
    let mut story = Story::start(backing).await?;
    let group = story.group("lid", &[NUMBER]).await?;
    story.next("group.participants", &group).await?;
    let mut many: Vec<String> = (0..MANY).map(|n| format!("+49151880{n:05}")).collect();
    let added = story.members(&group, json!({ "add": many })).await?;
    assert_eq!(added["participant_count"], json!(MANY));
    assert_eq!(added["includes_this_number"], json!(false));
    let named = added["participants"].as_array().context("members")?;
    assert_eq!(named.len(), 100);
    let read: Value = story.world.api.get(&story.path(&group)).await?.into(200)?;
    assert_eq!(read["members"], json!(MANY + 2));
    let listed = read["participants"].as_array().context("members")?;
    assert_eq!(listed.len(), MANY + 2);
    // This number is among them, and so it is named.
    many.push(NUMBER.to_owned());
    let removed = story.members(&group, json!({ "remove": many })).await?;
    assert_eq!(removed["participant_count"], json!(MANY + 1));
    assert_eq!(removed["includes_this_number"], json!(true));
    assert_eq!(removed["participants"][0]["phone"], NUMBER);
    assert_eq!(removed["participants"][0]["this_number"], json!(true));
    story.world.finish().await
}

async fn fidelity_the_timer_of_a_group_is_learnt_from_its_settings(
    backing: Backing,
) -> Result<Finished> {
    let mut story = Story::start(backing).await?;
    let group = story.group("lid", &[NUMBER, EVE]).await?;
    story.next("group.participants", &group).await?;
    for seconds in [DAY, 7 * DAY, 0] {
        story
            .set(&group, json!({ "expires_seconds": seconds }))
            .await?;
        assert_eq!(timer(&story, &group).await?, seconds);
    }
    // Nobody says the timer of a group that the number comes into, but the group has it.
    let path = format!("/groups/{group}/settings");
    story.members(&group, json!({ "remove": [NUMBER] })).await?;
    story
        .control(&path, &json!({ "expires_seconds": DAY }))
        .await?;
    story.members(&group, json!({ "add": [NUMBER] })).await?;
    assert_eq!(timer(&story, &group).await?, DAY);
    story.world.finish().await
}

/// Sends to the group. Returns the timer with which a phone shows the message; 0 if it stays.
async fn timer(story: &Story, group: &str) -> Result<u32> {
    let text = json!({ "type": "text", "text": { "body": "Hello" } });
    let sent = story
        .world
        .api
        .send_kind(&story.session, group, text)
        .await?;
    let wa_id = sent.wa_message_id.context("a WhatsApp id")?;
    let shown = soon("a phone shows it", async || {
        let chat = story.world.simulator.chat(BOB, group).await?;
        Ok(chat.into_iter().find(|one| one["id"] == json!(wa_id)))
    })
    .await?;
    let seconds = shown["message"]["expires_seconds"].as_u64().unwrap_or(0);
    Ok(u32::try_from(seconds)?)
}
