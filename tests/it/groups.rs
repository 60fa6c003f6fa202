//! Groups of a number: sending to them, and receiving from their members.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, World, api::Reply, on_every_shape, receiver::Arrival, simulator::Phone, soon,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

on_every_shape!(
    every_member_of_a_group_gets_a_message_once,
    every_member_of_a_group_that_names_numbers_gets_a_message_once,
    a_message_that_no_member_could_read_is_sent_again_to_each,
    what_a_member_says_comes_in_with_the_group_and_who_said_it,
    an_answer_in_a_group_names_who_said_what_it_answers,
    nobody_in_a_group_changes_what_another_one_wrote,
    a_group_and_a_person_are_two_chats,
    a_group_the_number_is_not_in_fails_the_message_and_holds_up_nothing,
    the_groups_of_a_number_are_listed,
    a_word_said_in_a_group_is_no_opt_out,
    typing_is_shown_to_a_group_and_to_a_contact_by_id,
    a_receipt_for_what_came_in_in_a_group_goes_to_its_writer,
);

const NUMBER: &str = "+4915170000001";
const BOB: &str = "+4915199000001";
const EVE: &str = "+4915199000002";

/// A world with a linked session and a group that Bob made. Eve and the session's number are members.
struct Story {
    world: World,
    session: String,
    group: String,
}

impl Story {
    async fn start(backing: Backing, mode: &str) -> Result<Self> {
        let world = World::start(backing).await?;
        let session = world.linked(NUMBER).await?.id;
        for phone in [BOB, EVE] {
            world.simulator.phone(phone, Phone::default()).await?;
        }
        let made = json!({
            "subject": "Team", "creator": BOB, "members": [NUMBER, EVE], "addressing_mode": mode,
        });
        let made = world
            .simulator
            .call(Method::POST, "/groups", Some(&made))
            .await?;
        let group = made["id"].as_str().context("a group has an id")?.to_owned();
        Ok(Self {
            world,
            session,
            group,
        })
    }

    /// Sends to the group, waits until it is sent, and returns our id and WhatsApp's id.
    async fn send(&self, kind: Value) -> Result<(String, String)> {
        let api = &self.world.api;
        let sent = api.send_kind(&self.session, &self.group, kind).await?;
        api.message_at(&sent.id, "sent").await?;
        Ok((
            sent.id,
            sent.wa_message_id
                .context("a WhatsApp id is chosen at accept")?,
        ))
    }

    /// Returns what a member's phone shows of a message in the group.
    async fn shown(&self, phone: &str, wa_id: &str) -> Result<Value> {
        soon("a member's phone shows it", async || {
            let chat = self.world.simulator.chat(phone, &self.group).await?;
            Ok(chat.into_iter().find(|one| one["id"] == json!(wa_id)))
        })
        .await
    }

    /// Sends a message from a member to the group and returns WhatsApp's id.
    async fn says(&self, phone: &str, said: Value) -> Result<String> {
        self.world.simulator.tell(phone, &self.group, said).await
    }
}

fn message(arrival: &Arrival) -> &Value {
    &arrival.body["data"]["message"]
}

fn text(body: &str) -> Value {
    json!({ "type": "text", "text": { "body": body } })
}

fn of_text<'a>(told: &'a [Arrival], body: &str) -> Result<&'a Value> {
    let found = told
        .iter()
        .map(message)
        .find(|one| one["text"]["body"] == json!(body));
    found.with_context(|| format!("{body} was reported"))
}

async fn every_member_of_a_group_gets_a_message_once(backing: Backing) -> Result<Finished> {
    every_member_gets_it(backing, "lid").await
}

async fn every_member_of_a_group_that_names_numbers_gets_a_message_once(
    backing: Backing,
) -> Result<Finished> {
    every_member_gets_it(backing, "pn").await
}

async fn every_member_gets_it(backing: Backing, mode: &str) -> Result<Finished> {
    let story = Story::start(backing, mode).await?;
    let world = &story.world;
    let (id, wa_id) = story.send(text("Hello, all")).await?;
    for phone in [BOB, EVE] {
        let shown = story.shown(phone, &wa_id).await?;
        assert_eq!(shown["message"]["text"], "Hello, all");
    }
    let read = world.api.message_at(&id, "read").await?;
    assert_eq!(read.id, id);
    let kept = world.api.whole_message(&id).await?;
    assert_eq!(
        (&kept["to"], &kept["group_id"]),
        (&json!(story.group), &json!(story.group))
    );
    assert!(kept.get("phone").is_none() && kept.get("contact_id").is_none());
    let sent = world.simulator.ledger("sent").await?;
    assert_eq!(sent.iter().filter(|one| one.id == wa_id).count(), 1);
    let shown = world.simulator.ledger("shown").await?;
    assert_eq!(shown.iter().filter(|one| one.id == wa_id).count(), 2);
    story.world.finish().await
}

/// All members ask again in the same moment.
async fn a_message_that_no_member_could_read_is_sent_again_to_each(
    backing: Backing,
) -> Result<Finished> {
    let mut story = Story::start(backing, "lid").await?;
    let world = &story.world;
    let members: Vec<_> = (10..22).map(|n| format!("+49151990000{n}")).collect();
    let all = [&members[..], &[NUMBER.to_owned()]].concat();
    let made = json!({ "subject": "All", "creator": BOB, "members": all });
    let made = world
        .simulator
        .call(Method::POST, "/groups", Some(&made))
        .await?;
    story.group = made["id"].as_str().context("a group has an id")?.to_owned();
    let unreadable = json!({ "phone": NUMBER, "on": "message", "do": "corrupt", "times": 1 });
    world.simulator.fault(&unreadable).await?;
    let (_, wa_id) = story.send(text("Hello, all")).await?;
    for phone in &members {
        let shown = story.shown(phone, &wa_id).await?;
        assert_eq!(shown["message"]["text"], "Hello, all");
    }
    let asked = world.simulator.ledger("unreadable").await?;
    // Also Bob, who made the group, and the phone of the number itself.
    assert_eq!(asked.iter().filter(|one| one.id == wa_id).count(), 14);
    story.world.finish().await
}

async fn what_a_member_says_comes_in_with_the_group_and_who_said_it(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing, "lid").await?;
    let world = &story.world;
    let receiver = world.endpoint(&["message.received"]).await?;
    story.says(BOB, json!({ "text": "Lunch?" })).await?;
    let mention = json!({ "text": "ask @4915170000001", "mentions": [NUMBER] });
    story.says(EVE, mention).await?;
    let poll = json!({ "message": { "type": "poll", "name": "When?", "options": ["a", "b"], "selectable": 1 } });
    story.says(EVE, poll).await?;
    let told = receiver.wait_for("message.received", 3).await?;
    let lunch = of_text(&told, "Lunch?")?;
    assert_eq!(
        (&lunch["group_id"], &lunch["from"], &lunch["phone"]),
        (&json!(story.group), &json!(BOB), &json!(BOB))
    );
    assert!(
        lunch["lid"].is_string() && lunch["contact_id"].is_string(),
        "{lunch}"
    );
    let asked = of_text(&told, "ask @4915170000001")?;
    assert_eq!(asked["mentions"], json!([NUMBER]));
    assert_ne!(asked["contact_id"], lunch["contact_id"]);
    for arrival in &told {
        let id = message(arrival)["id"].as_str().context("an id")?;
        assert_eq!(&world.api.whole_message(id).await?, message(arrival));
    }
    story.world.finish().await
}

async fn an_answer_in_a_group_names_who_said_what_it_answers(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing, "lid").await?;
    let world = &story.world;
    let receiver = world
        .endpoint(&["message.received", "message.reaction"])
        .await?;
    let asked = story.says(BOB, json!({ "text": "Is it ready?" })).await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let question = message(&told[0])["id"]
        .as_str()
        .context("an id")?
        .to_owned();
    let mut answer = text("Yes.");
    answer["reply_to"] = json!(question);
    let (our_id, our_wa_id) = story.send(answer).await?;
    let shown = story.shown(EVE, &our_wa_id).await?;
    let quoted = &shown["message"]["quoted"];
    assert_eq!(
        (&quoted["id"], &quoted["from"]),
        (&json!(asked), &json!(BOB))
    );
    let thumb =
        json!({ "type": "reaction", "reaction": { "message_id": question, "emoji": "👍" } });
    let (_, reaction) = story.send(thumb).await?;
    let shown = world.simulator.ledger("shown").await?;
    let reacted = shown.iter().find(|one| one.id == reaction);
    assert!(reacted.is_some(), "the reaction reached a phone");

    // Eve answers us, and reacts to Bob's message and to ours.
    story
        .says(EVE, json!({ "text": "Thanks!", "quote": our_wa_id }))
        .await?;
    for target in [&asked, &our_wa_id] {
        let message = json!({ "message": { "type": "reaction", "target": target, "text": "🎉" } });
        story.says(EVE, message).await?;
    }
    let told = receiver.wait_for("message.received", 2).await?;
    let thanks = of_text(&told, "Thanks!")?;
    let expected = (&json!(our_id), &json!(true));
    assert_eq!(
        (
            &thanks["reply_to"]["message_id"],
            &thanks["reply_to"]["from_me"]
        ),
        expected
    );
    let reactions = receiver.wait_for("message.reaction", 3).await?;
    let of = |target: &str| {
        let found = reactions.iter().map(message).find(|one| {
            one["direction"] == "inbound" && one["reaction"]["wa_message_id"] == json!(target)
        });
        found
            .map(|one| one["reaction"].clone())
            .context("a reaction was reported")
    };
    let (bobs, ours) = (of(&asked)?, of(&our_wa_id)?);
    assert_eq!(
        (&bobs["message_id"], &bobs["from_me"]),
        (&json!(question), &json!(false))
    );
    assert!(bobs["participant"].is_string(), "{bobs}");
    assert_eq!(
        (&ours["message_id"], &ours["from_me"]),
        (&json!(our_id), &json!(true))
    );
    story.world.finish().await
}

async fn nobody_in_a_group_changes_what_another_one_wrote(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing, "lid").await?;
    let world = &story.world;
    let receiver = world
        .endpoint(&["message.received", "message.deleted", "message.edited"])
        .await?;
    let first = story.says(EVE, json!({ "text": "one" })).await?;
    let second = story.says(EVE, json!({ "text": "two" })).await?;
    let told = receiver.wait_for("message.received", 2).await?;
    let id_of = |body: &str| {
        let id = of_text(&told, body)?["id"].as_str().context("an id")?;
        anyhow::Ok(id.to_owned())
    };
    let (one, two) = (id_of("one")?, id_of("two")?);
    // As an admin, Bob may delete Eve's message on the phones. That is reported, but our copy does not
    // change.
    let revoke = |target: &str| json!({ "message": { "type": "revoke", "target": target } });
    story.says(BOB, revoke(&first)).await?;
    let deleted = receiver.wait_for("message.deleted", 1).await?;
    assert_eq!(message(&deleted[0])["delete"]["message_id"], json!(one));
    assert_eq!(world.api.whole_message(&one).await?["type"], "text");
    // Eve may edit her own message.
    let edit = json!({ "message": { "type": "edit", "target": second, "text": "2" } });
    story.says(EVE, edit).await?;
    receiver.wait_for("message.edited", 1).await?;
    assert_eq!(world.api.whole_message(&two).await?["text"]["body"], "2");
    story.says(EVE, revoke(&second)).await?;
    receiver.wait_for("message.deleted", 2).await?;
    assert_eq!(world.api.whole_message(&two).await?["type"], "deleted");
    // We may edit and delete our own message, on every phone.
    let (ours, our_wa_id) = story.send(text("ours")).await?;
    let gone = json!({ "type": "delete", "delete": { "message_id": ours } });
    story.send(gone).await?;
    soon("it is gone from a member's phone", async || {
        let chat = world.simulator.chat(EVE, &story.group).await?;
        let there = chat.iter().find(|one| one["id"] == json!(our_wa_id));
        Ok(there
            .is_none_or(|one| one["deleted"] == json!(true))
            .then_some(()))
    })
    .await?;
    assert_eq!(world.api.whole_message(&ours).await?["type"], "deleted");
    story.world.finish().await
}

async fn a_group_and_a_person_are_two_chats(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing, "lid").await?;
    let world = &story.world;
    let receiver = world.endpoint(&["message.received"]).await?;
    story.says(BOB, json!({ "text": "to all" })).await?;
    world.simulator.say(BOB, NUMBER, "to you").await?;
    let told = receiver.wait_for("message.received", 2).await?;
    let (all, you) = (of_text(&told, "to all")?, of_text(&told, "to you")?);
    assert_eq!(all["contact_id"], you["contact_id"]);
    assert!(you.get("group_id").is_none());
    for (to, answered) in [(BOB, all), (story.group.as_str(), you)] {
        let refused = json!({
            "session_id": story.session, "type": "text", "to": to, "text": { "body": "Yes." },
            "reply_to": answered["id"],
        });
        let refused = world.api.post("/v1/messages", &refused).await?;
        assert_eq!(refused.code(), "target_not_found", "{to}");
    }
    story.world.finish().await
}

async fn a_group_the_number_is_not_in_fails_the_message_and_holds_up_nothing(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing, "lid").await?;
    let world = &story.world;
    let nowhere = "120363999999999999@g.us";
    for (to, leave) in [(nowhere, false), (story.group.as_str(), true)] {
        if leave {
            // The gateway knows the group's members from an earlier message.
            story.send(text("goodbye")).await?;
            let path = format!("/groups/{}/members", story.group);
            let change = json!({ "remove": [NUMBER] });
            world
                .simulator
                .call(Method::POST, &path, Some(&change))
                .await?;
        }
        let sent = world
            .api
            .send_kind(&story.session, to, text("Anybody?"))
            .await?;
        let after = world
            .api
            .send_kind(&story.session, BOB, text("Hello"))
            .await?;
        let failed = world.api.message_at(&sent.id, "failed").await?;
        assert_eq!(failed.id, sent.id);
        let failed = world.api.whole_message(&sent.id).await?;
        assert_eq!(failed["error"]["code"], "not_in_group", "{failed}");
        world.api.message_at(&after.id, "sent").await?;
    }
    story.world.finish().await
}

async fn the_groups_of_a_number_are_listed(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing, "lid").await?;
    let world = &story.world;
    let other = json!({ "subject": "Others", "creator": BOB, "members": [EVE] });
    world
        .simulator
        .call(Method::POST, "/groups", Some(&other))
        .await?;
    let path = format!("/v1/sessions/{}/groups", story.session);
    let listed: Value = world.api.get(&path).await?.into(200)?;
    let expected = json!({ "data": [{
        "id": story.group, "object": "group", "subject": "Team", "members": 3, "admins_only": false,
    }] });
    assert_eq!(listed, expected);
    let mut paced = None;
    for _ in 0..12 {
        let reply: Reply = world.api.get(&path).await?;
        if reply.status != StatusCode::OK {
            paced = Some(reply);
            break;
        }
    }
    let paced = paced.context("twelve at once are too many")?;
    assert_eq!(
        (paced.status.as_u16(), paced.code()),
        (429, "group_list_paced")
    );
    assert!(paced.headers.contains_key("retry-after"));
    let tenant = world.admin.tenant("Other").await?;
    assert_eq!(tenant.get(&path).await?.status, StatusCode::NOT_FOUND);
    let idle = world.api.create_session("idle").await?.id;
    let refused = world
        .api
        .get(&format!("/v1/sessions/{idle}/groups"))
        .await?;
    assert_eq!(refused.code(), "session_not_ready");
    story.world.finish().await
}

async fn typing_is_shown_to_a_group_and_to_a_contact_by_id(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing, "lid").await?;
    let world = &story.world;
    let receiver = world.endpoint(&["message.received"]).await?;
    world.simulator.say(EVE, NUMBER, "Hello").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let contact = message(&told[0])["contact_id"].as_str().context("an id")?;
    let path = format!("/v1/sessions/{}/typing", story.session);
    for (to, shown_to) in [(story.group.as_str(), story.group.as_str()), (contact, EVE)] {
        let typing = json!({ "to": to, "state": "typing" });
        let shown: Value = world.api.post(&path, &typing).await?.into(200)?;
        assert_eq!(shown["to"], json!(to));
        soon("typing reaches the server", async || {
            let states = world.simulator.ledger("chatstate").await?;
            let there = states.iter().find(|one| one.to == shown_to);
            Ok(there
                .filter(|one| one.detail.as_deref() == Some("composing"))
                .map(|_| ()))
        })
        .await?;
    }
    let nobody = json!({ "to": "ctc_01kaq6h3zve9qbw4r2t8n5c7xd", "state": "typing" });
    assert_eq!(
        world.api.post(&path, &nobody).await?.code(),
        "contact_not_found"
    );
    story.world.finish().await
}

async fn a_word_said_in_a_group_is_no_opt_out(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing, "lid").await?;
    let receiver = story.world.endpoint(&["message.received"]).await?;
    story.says(BOB, json!({ "text": "STOP" })).await?;
    receiver.wait_for("message.received", 1).await?;
    let api = &story.world.api;
    for to in [BOB, story.group.as_str()] {
        let sent = api.send_kind(&story.session, to, text("Hello")).await?;
        api.message_at(&sent.id, "sent").await?;
    }
    story.world.finish().await
}

async fn a_receipt_for_what_came_in_in_a_group_goes_to_its_writer(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing, "lid").await?;
    let world = &story.world;
    let receiver = world.endpoint(&["message.received"]).await?;
    let said = story.says(EVE, json!({ "text": "Read me" })).await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let id = message(&told[0])["id"].as_str().context("an id")?;
    let read: Value = world
        .api
        .act(&format!("/v1/messages/{id}/read"))
        .await?
        .into(200)?;
    assert!(read["read_at"].is_string());
    soon("the receipt reaches the server", async || {
        let receipts = world.simulator.ledger("receipt").await?;
        let ours = receipts.iter().find(|one| {
            one.id == said && one.detail.as_deref() == Some("read") && one.from == NUMBER
        });
        Ok(ours.filter(|one| one.to == EVE).map(|_| ()))
    })
    .await?;
    story.world.finish().await
}
