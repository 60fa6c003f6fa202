//! Automatic replies: rules answer once, in order, and not people, machines, or those who opted out.

use anyhow::{Context as _, Result, ensure};
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, api::Reply, on_both_stores, on_every_shape,
    receiver::Receiver, simulator::Phone, soon, wait::wall_clock, within,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::BTreeSet, os::unix::process::ExitStatusExt as _, time::Duration};

on_every_shape!(
    replies_answer_in_order_with_what_is_known_and_tell_it,
    replies_to_a_conversation_with_kills_in_between_come_once,
);

/// Stories about the stores.
mod stores {
    use super::*;

    on_both_stores!(
        replies_bad_rules_are_refused_at_their_place_and_change_nothing,
        replies_between_two_machines_end_and_rest,
        replies_greet_the_first_message_and_answer_once_in_a_time,
        replies_keep_their_file_as_long_as_the_rule_is_there,
        replies_of_a_rule_that_cannot_be_read_hold_up_no_other,
        replies_rest_for_people_for_the_api_and_for_who_opted_out,
        replies_to_groups_old_messages_and_reactions_are_asked_for,
    );
}

pub(crate) const NUMBER: &str = "+4915170000001";
const OTHER: &str = "+4915170000002";
pub(crate) const CONTACT: &str = "+4915199000001";
const NEIGHBOUR: &str = "+4915199000002";
const SIGABRT: i32 = 6;

/// Creates a rule and returns it.
pub(crate) async fn rule(api: &Api, rule: Value) -> Result<Value> {
    api.post("/v1/auto-replies", &rule).await?.into(201)
}

pub(crate) fn text(body: &str) -> Value {
    json!({ "type": "text", "text": { "body": body } })
}

/// A rule that answers this text, whatever happened before.
pub(crate) fn echo_free(said: &str, answer: &str) -> Value {
    json!({ "name": said, "match": { "exact": [said] }, "conditions": { "person_minutes": 0 },
        "answer": text(answer) })
}

async fn put(api: &Api, path: &str, body: &Value) -> Result<Reply> {
    Api::reply(api.request(Method::PUT, path).json(body)).await
}

fn path_of(rule: &Value) -> Result<String> {
    Ok(format!(
        "/v1/auto-replies/{}",
        rule["id"].as_str().context("an id")?
    ))
}

/// Waits until a phone shows exactly these texts.
pub(crate) async fn shows(world: &World, phone: &str, texts: &[&str]) -> Result<()> {
    let what = format!("{phone} shows {texts:?}");
    within(Duration::from_mins(1), &what, async || {
        let shown = world.simulator.shown(phone).await?;
        ensure!(shown.len() <= texts.len(), "it shows {shown:?}");
        Ok((shown == texts).then_some(()))
    })
    .await
}

/// Starts a world with a linked session and the contact's phone.
pub(crate) async fn linked(backing: Backing) -> Result<(World, String)> {
    let world = World::with(backing, Setup::quick()).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    Ok((world, session))
}

/// Waits until so many messages have come, and all that was queued for them is sent. Those of two people come in any order.
async fn heard(world: &World, messages: usize) -> Result<()> {
    soon("the messages are here", async || {
        let all = world.api.messages("direction=inbound").await?;
        Ok((all.len() == messages).then_some(()))
    })
    .await?;
    world.lanes_empty(Duration::from_mins(1)).await
}

async fn contact_id(world: &World, phone: &str) -> Result<String> {
    let path = format!("/v1/contacts?phone={}", phone.replace('+', "%2B"));
    let page: Value = world.api.get(&path).await?.into(200)?;
    let id = page["data"][0]["id"].as_str().context("a contact")?;
    Ok(id.to_owned())
}

async fn replies_answer_in_order_with_what_is_known_and_tell_it(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = linked(backing).await?;
    let api = &world.api;
    let receiver = world.endpoint(&["rule.matched"]).await?;
    let file: Value = api
        .upload("document", b"%PDF-1.4\n% prices\n".as_slice())
        .await?
        .into(201)?;
    let document = json!({ "media_id": file["id"], "file_name": "prices.pdf", "caption": "For {{ contact.name | default('you') }}" });
    let list = rule(
        api,
        json!({ "name": "list", "position": 1, "then": "continue", "match": { "keywords": ["price"] },
            "answer": { "type": "document", "document": document } }),
    )
    .await?;
    let says = rule(
        api,
        json!({ "name": "says", "position": 2, "session_id": session, "match": { "regex": "(?i)price of (a )?lamp" },
            "answer": text("You asked: {{ message.text }}") , "conditions": { "once_per_seconds": 10 } }),
    )
    .await?;
    let last = rule(
        api,
        json!({ "name": "last", "position": 3, "match": { "prefixes": ["What"] }, "answer": text("never") }),
    )
    .await?;
    let question = "What is the PRICE of a lamp?";
    world.simulator.say(CONTACT, NUMBER, question).await?;
    let answer = format!("You asked: {question}");
    shows(&world, CONTACT, &[&answer]).await?;
    let chat = world.simulator.chat(CONTACT, NUMBER).await?;
    let shown: Vec<_> = chat.iter().map(|one| &one["message"]).collect();
    assert_eq!(
        shown.len(),
        3,
        "the question, the list and the answer: {shown:?}"
    );
    assert_eq!(
        (&shown[1]["type"], &shown[1]["file_name"]),
        (&json!("document"), &json!("prices.pdf"))
    );
    // The name that the simulated phone gives itself.
    assert_eq!(shown[1]["caption"], "For Phone");
    let told = receiver.wait_for("rule.matched", 2).await?;
    let mut rules = BTreeSet::new();
    for arrival in &told {
        let data = &arrival.body["data"];
        assert_eq!(data["outcome"], "answered");
        rules.insert(data["rule"]["name"].clone().to_string());
        let reply = data["reply_message_id"].as_str().context("a reply")?;
        api.message_at(reply, "read").await?;
    }
    assert_eq!(rules.len(), 2, "{rules:?}");
    for (made, hits) in [(&list, 1), (&says, 1), (&last, 0)] {
        let now: Value = api.get(&path_of(made)?).await?.into(200)?;
        assert_eq!(now["hits"], hits, "{now}");
        assert_eq!(now["last_hit_at"].is_string(), hits > 0, "{now}");
    }
    // The same, without sending anything.
    let asked = json!({ "message": { "text": question }, "session_id": session,
        "contact": { "name": "Ada" } });
    let tried: Value = api
        .post(&format!("{}/test", path_of(&says)?), &asked)
        .await?
        .into(200)?;
    assert_eq!(tried["fires"], true);
    let why: Vec<_> = tried["rules"]
        .as_array()
        .context("rules")?
        .iter()
        .map(|one| one["why"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(why, ["fires", "fires", "stopped"]);
    let caption = &tried["rules"][0]["answer"]["document"]["caption"];
    assert_eq!(caption, "For Ada");
    assert_eq!(receiver.of("rule.matched").len(), 2);
    // What was queued by a rule that is deleted is sent; afterwards it answers nothing.
    for made in [&list, &says] {
        let gone = api.delete(&path_of(made)?).await?;
        assert_eq!(gone.status.as_u16(), 204);
        assert_eq!(api.get(&path_of(made)?).await?.code(), "not_found");
    }
    let renamed =
        json!({ "name": "renamed", "match": { "prefixes": ["What"] }, "answer": text("at last") });
    let replaced: Value = put(api, &path_of(&last)?, &renamed).await?.into(200)?;
    assert_eq!(
        (&replaced["name"], &replaced["id"]),
        (&json!("renamed"), &last["id"])
    );
    world.simulator.say(CONTACT, NUMBER, "What now?").await?;
    let told = receiver.wait_for("rule.matched", 3).await?;
    assert_eq!(told[2].body["data"]["rule"]["name"], "renamed");
    world.lanes_empty(Duration::from_mins(1)).await?;
    world.finish().await
}

async fn replies_to_a_conversation_with_kills_in_between_come_once(
    backing: Backing,
) -> Result<Finished> {
    let (mut world, _) = linked(backing).await?;
    let receiver = world.endpoint(&["rule.matched"]).await?;
    rule(
        &world.api,
        json!({ "name": "orders", "match": { "regex": "^order ([0-9]+)$" }, "conditions": { "person_minutes": 0 },
            "answer": text("We look after {{ message.text }}.") }),
    )
    .await?;
    let mut answers = Vec::new();
    let said = ["1001", "2002", "3003", "4004", "5005"];
    // The transaction of the message, what follows it, and every step of the reply.
    let points = [
        "inbound.before_commit",
        "inbound.after_commit",
        "claim.after_commit",
        "wire.before",
        "wire.after",
    ];
    for (order, point) in said.iter().zip(points) {
        world.gateway.stop().await?;
        world.gateway.setup.failpoints = Some(format!("{point}=return"));
        world.gateway.start().await?;
        let asked = format!("order {order}");
        world.simulator.say(CONTACT, NUMBER, &asked).await?;
        let ended = world.gateway.crash_and_restart(Duration::from_mins(1));
        let status = ended
            .await
            .with_context(|| format!("{point} was never hit"))?;
        ensure!(
            status.signal() == Some(SIGABRT),
            "it ended with {status}, not at {point}"
        );
        answers.push(format!("We look after {asked}."));
        let wanted: Vec<_> = answers.iter().map(String::as_str).collect();
        shows(&world, CONTACT, &wanted).await?;
        world.lanes_empty(Duration::from_mins(1)).await?;
    }
    world.lanes_empty(Duration::from_mins(1)).await?;
    let wanted: Vec<_> = answers.iter().map(String::as_str).collect();
    shows(&world, CONTACT, &wanted).await?;
    let messages = world.api.messages("direction=outbound").await?;
    assert_eq!(messages.len(), said.len(), "one reply each");
    receiver.wait_for("rule.matched", said.len()).await?;
    let ids: BTreeSet<_> = receiver
        .of("rule.matched")
        .into_iter()
        .map(|one| one.id)
        .collect();
    assert_eq!(ids.len(), said.len(), "one event each");
    world.finish().await
}

async fn replies_between_two_machines_end_and_rest(backing: Backing) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let receiver = world.endpoint(&["rule.matched"]).await?;
    let one = world.linked(NUMBER).await?.id;
    let two = world.linked(OTHER).await?.id;
    // Each number is the other's contact, and each answers what the other says.
    for (session, said, answer) in [(&one, "ping", "pong"), (&two, "pong", "ping")] {
        let mut made = echo_free(said, answer);
        made["session_id"] = json!(session);
        rule(&world.api, made).await?;
    }
    world.api.send(&two, NUMBER, "ping").await?;
    let stopped = |receiver: &Receiver| {
        let told = receiver.of("rule.matched").into_iter();
        let mut data = told.map(|one| one.body["data"].clone());
        data.find(|data| data["outcome"] == "loop")
    };
    let looped = within(Duration::from_mins(1), "the loop ends", async || {
        Ok(stopped(&receiver))
    })
    .await?;
    assert!(looped["rests_until"].is_string(), "{looped}");
    assert_eq!(looped.get("reply_message_id"), None);
    world.lanes_empty(Duration::from_mins(1)).await?;
    let outbound = world.api.messages("direction=outbound").await?;
    assert!(outbound.len() <= 8, "{} messages", outbound.len());
    // The chat rests; others are answered.
    let count = receiver.of("rule.matched").len();
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let chat = looped["message_id"].as_str().context("a message")?;
    let chat = world.api.message(chat).await?.session_id;
    let (from, to, says, answer) = if chat == one {
        (&two, NUMBER, "ping", "pong")
    } else {
        (&one, OTHER, "pong", "ping")
    };
    let again = world.api.send(from, to, says).await?;
    world.api.message_at(&again.id, "sent").await?;
    world.simulator.say(CONTACT, to, says).await?;
    shows(&world, CONTACT, &[answer]).await?;
    let told = receiver.wait_for("rule.matched", count + 1).await?;
    let contact = contact_id(&world, CONTACT).await?;
    let last = &told.last().context("an event")?.body["data"];
    assert_eq!(last["contact_id"], json!(contact), "the chat must rest");
    world.finish().await
}

async fn replies_greet_the_first_message_and_answer_once_in_a_time(
    backing: Backing,
) -> Result<Finished> {
    let (world, _) = linked(backing).await?;
    world.simulator.phone(NEIGHBOUR, Phone::default()).await?;
    world.simulator.say(NEIGHBOUR, NUMBER, "hello").await?;
    soon("the first message is here", async || {
        let all = world.api.messages("direction=inbound").await?;
        Ok((!all.is_empty()).then_some(()))
    })
    .await?;
    let api = &world.api;
    rule(
        api,
        json!({ "name": "welcome", "position": 1, "then": "continue", "match": { "first_contact": true },
            "answer": text("Welcome!") }),
    )
    .await?;
    let any = json!({ "name": "any", "position": 2, "then": "continue", "match": { "any": true },
        "conditions": { "once_per_seconds": 3600 }, "answer": text("We read it soon.") });
    rule(api, any).await?;
    rule(api, echo_free("menu", "1, 2 or 3")).await?;
    for said in ["hello", "menu", "and"] {
        world.simulator.say(CONTACT, NUMBER, said).await?;
    }
    world.simulator.say(NEIGHBOUR, NUMBER, "menu").await?;
    shows(
        &world,
        CONTACT,
        &["Welcome!", "We read it soon.", "1, 2 or 3"],
    )
    .await?;
    // Who wrote before the rule was there is not new.
    shows(&world, NEIGHBOUR, &["We read it soon.", "1, 2 or 3"]).await?;
    world.lanes_empty(Duration::from_mins(1)).await?;
    world.finish().await
}

async fn replies_of_a_rule_that_cannot_be_read_hold_up_no_other(
    backing: Backing,
) -> Result<Finished> {
    let (world, _) = linked(backing).await?;
    let api = &world.api;
    let damaged = rule(api, echo_free("menu", "never")).await?;
    let damaged = damaged["id"].as_str().context("an id")?;
    let database = &world.gateway.database;
    let column = "auto_reply.rule_sealed";
    database.damage(column, "id", damaged).await?;
    rule(api, echo_free("menu", "1, 2 or 3")).await?;
    world.simulator.say(CONTACT, NUMBER, "menu").await?;
    shows(&world, CONTACT, &["1, 2 or 3"]).await?;
    let listed: Value = api.get("/v1/auto-replies").await?.into(200)?;
    assert_eq!(listed["unreadable"][0]["id"], json!(damaged));
    let path = format!("/v1/auto-replies/{damaged}");
    assert_eq!(api.get(&path).await?.code(), "unreadable_row");
    // It can be deleted.
    let gone = api.delete(&path).await?;
    assert_eq!(gone.status.as_u16(), 204);
    world.lanes_empty(Duration::from_mins(1)).await?;
    world.finish().await
}

async fn replies_rest_for_people_for_the_api_and_for_who_opted_out(
    backing: Backing,
) -> Result<Finished> {
    let (world, _) = linked(backing).await?;
    let api = &world.api;
    let rests =
        json!({ "name": "hours", "match": { "keywords": ["open"] }, "answer": text("From nine.") });
    rule(api, rests).await?;
    rule(api, echo_free("menu", "1, 2 or 3")).await?;
    rule(api, echo_free("prices", "ten euros")).await?;
    world
        .simulator
        .say(CONTACT, NUMBER, "When do you open?")
        .await?;
    shows(&world, CONTACT, &["From nine."]).await?;
    // The owner answers on the phone: only the rule that does not mind goes on.
    world
        .simulator
        .say(NUMBER, CONTACT, "It is me, Bob.")
        .await?;
    soon("the owner's message is here", async || {
        let all = api.messages("direction=outbound").await?;
        Ok((all.len() == 2).then_some(()))
    })
    .await?;
    world
        .simulator
        .say(CONTACT, NUMBER, "So, are you open?")
        .await?;
    world.simulator.say(CONTACT, NUMBER, "menu").await?;
    let so_far = ["From nine.", "It is me, Bob.", "1, 2 or 3"];
    shows(&world, CONTACT, &so_far).await?;
    // The API lets all of them rest.
    let contact = contact_id(&world, CONTACT).await?;
    let path = format!("/v1/contacts/{contact}/automation");
    let until = api.in_seconds(3600).await?;
    let set = json!({ "rests_until": until });
    let now: Value = put(api, &path, &set).await?.into(200)?;
    let is_until = |shown: &Value| {
        let parsed = shown.as_str().map(chrono::DateTime::parse_from_rfc3339);
        parsed.and_then(Result::ok) == chrono::DateTime::parse_from_rfc3339(&until).ok()
    };
    assert!(is_until(&now["rests_until"]), "{now}");
    let shown: Value = api
        .get(&format!("/v1/contacts/{contact}"))
        .await?
        .into(200)?;
    assert!(is_until(&shown["automation_rests_until"]), "{shown}");
    for bad in [
        api.in_seconds(-1).await?,
        api.in_seconds(366 * 86_400).await?,
    ] {
        let refused = put(api, &path, &json!({ "rests_until": bad })).await?;
        assert_eq!(refused.code(), "invalid_rest");
        assert_eq!(refused.body["errors"][0]["pointer"], "/rests_until");
    }
    world.simulator.phone(NEIGHBOUR, Phone::default()).await?;
    world.simulator.say(CONTACT, NUMBER, "menu please").await?;
    // What it says for the first time is no loop.
    world.simulator.say(CONTACT, NUMBER, "prices").await?;
    world.simulator.say(NEIGHBOUR, NUMBER, "menu").await?;
    shows(&world, NEIGHBOUR, &["1, 2 or 3"]).await?;
    heard(&world, 6).await?;
    shows(&world, CONTACT, &so_far).await?;
    let gone_on: Value = put(api, &path, &json!({})).await?.into(200)?;
    assert_eq!(gone_on.get("rests_until"), None);
    world.simulator.say(CONTACT, NUMBER, "Menu!").await?;
    let so_far = [so_far.as_slice(), &["1, 2 or 3"]].concat();
    shows(&world, CONTACT, &so_far).await?;
    // A word that opts out is not answered, and neither is anything after it.
    rule(api, echo_free("stop", "never")).await?;
    world.simulator.say(CONTACT, NUMBER, "stop").await?;
    world.simulator.say(CONTACT, NUMBER, "Prices").await?;
    world.simulator.say(NEIGHBOUR, NUMBER, "Menu").await?;
    shows(&world, NEIGHBOUR, &["1, 2 or 3", "1, 2 or 3"]).await?;
    heard(&world, 10).await?;
    shows(&world, CONTACT, &so_far).await?;
    // Nothing was queued for it either.
    let failed = api.messages("direction=outbound&status=failed").await?;
    assert_eq!(failed.len(), 0, "{failed:?}");
    world.finish().await
}

async fn replies_to_groups_old_messages_and_reactions_are_asked_for(
    backing: Backing,
) -> Result<Finished> {
    let (mut world, session) = linked(backing).await?;
    world.simulator.phone(NEIGHBOUR, Phone::default()).await?;
    let group = json!({ "subject": "Team", "creator": NEIGHBOUR, "members": [CONTACT, NUMBER] });
    let group = world.simulator.call(Method::POST, "/groups", Some(&group));
    let group = group.await?["id"].clone();
    let group = group.as_str().context("a group has an id")?;
    rule(&world.api, echo_free("menu", "for people")).await?;
    let mut in_groups = echo_free("lunch", "at noon");
    in_groups["conditions"]["private_only"] = json!(false);
    in_groups["conditions"]["max_age_seconds"] = json!(86_400);
    in_groups["conditions"]["once_per_seconds"] = json!(3600);
    rule(&world.api, in_groups).await?;
    world.simulator.say(CONTACT, group, "menu").await?;
    world.simulator.say(CONTACT, group, "lunch").await?;
    for phone in [CONTACT, NEIGHBOUR] {
        soon("the group sees the answer", async || {
            let chat = world.simulator.chat(phone, group).await?;
            let texts = chat.iter().map(|one| one["message"]["text"].clone());
            let texts: Vec<_> = texts.collect();
            ensure!(!texts.contains(&json!("for people")), "{texts:?}");
            Ok(texts.contains(&json!("at noon")).then_some(()))
        })
        .await?;
    }
    // The group has its answer, whoever asks.
    world.simulator.say(NEIGHBOUR, group, "lunch").await?;
    // A reaction says nothing that is answered.
    let sent = world.api.send(&session, CONTACT, "hello").await?;
    let sent = world.api.message_at(&sent.id, "read").await?;
    let target = sent.wa_message_id.context("a WhatsApp id")?;
    let any = json!({ "name": "any", "position": 999, "match": { "any": true }, "answer": text("never"),
        "conditions": { "person_minutes": 0, "once_per_seconds": 10, "from": world.api.in_seconds(-60).await? } });
    let any = rule(&world.api, any).await?;
    let liked = json!({ "message": { "type": "reaction", "target": target, "text": "👍" } });
    world.simulator.tell(CONTACT, NUMBER, liked).await?;
    soon("the reaction is here", async || {
        let all = world
            .api
            .messages("direction=inbound&type=reaction")
            .await?;
        Ok((!all.is_empty()).then_some(()))
    })
    .await?;
    let gone = world.api.delete(&path_of(&any)?).await?;
    assert_eq!(gone.status.as_u16(), 204);
    // A rule that answered does so no longer when it is deleted.
    let parting = rule(&world.api, echo_free("bye", "see you")).await?;
    let has = async |text: &str| {
        let shown = world.simulator.shown(CONTACT).await?;
        ensure!(!shown.contains(&"never".to_owned()), "{shown:?}");
        Ok(shown.contains(&text.to_owned()).then_some(shown))
    };
    world.simulator.say(CONTACT, NUMBER, "bye").await?;
    soon("the rule answers", async || has("see you").await).await?;
    let gone = world.api.delete(&path_of(&parting)?).await?;
    assert_eq!(gone.status.as_u16(), 204);
    world.simulator.say(CONTACT, NUMBER, "bye").await?;
    world.simulator.say(CONTACT, NUMBER, "menu").await?;
    let shown = soon("the other one answers", async || has("for people").await).await?;
    let answers = shown.iter().filter(|text| *text == "see you");
    assert_eq!(answers.count(), 1, "{shown:?}");
    // What waited at WhatsApp while the gateway was down is too old for one rule, and not for the other.
    let mut soon_after = echo_free("now", "never");
    soon_after["conditions"]["max_age_seconds"] = json!(1);
    rule(&world.api, soon_after).await?;
    world.lanes_empty(Duration::from_mins(1)).await?;
    let shown = world.simulator.shown(CONTACT).await?;
    let answers = shown.iter().filter(|text| *text == "at noon");
    assert_eq!(answers.count(), 1, "{shown:?}");
    world.gateway.stop().await?;
    world.simulator.say(CONTACT, NUMBER, "now").await?;
    world.simulator.say(CONTACT, NUMBER, "lunch").await?;
    let said = wall_clock();
    soon("the messages are old", async || {
        Ok((wall_clock() - said > chrono::TimeDelta::seconds(3)).then_some(()))
    })
    .await?;
    world.gateway.start().await?;
    soon("the contact is answered", async || {
        let shown = world.simulator.shown(CONTACT).await?;
        ensure!(!shown.contains(&"never".to_owned()), "{shown:?}");
        let answers = shown.iter().filter(|text| *text == "at noon");
        Ok((answers.count() == 2).then_some(()))
    })
    .await?;
    world.lanes_empty(Duration::from_mins(1)).await?;
    world.finish().await
}

async fn replies_keep_their_file_as_long_as_the_rule_is_there(
    backing: Backing,
) -> Result<Finished> {
    let (world, _) = linked(backing).await?;
    let api = &world.api;
    let upload = async |text: &[u8]| {
        let file: Value = api.upload("document", text.to_vec()).await?.into(201)?;
        let id = file["id"].as_str().context("an id")?;
        anyhow::Ok(id.to_owned())
    };
    let of_rule = upload(b"%PDF-1.4\n% of the rule\n").await?;
    let other = upload(b"%PDF-1.4\n% of nothing\n").await?;
    let answer = json!({ "type": "document", "document": { "media_id": of_rule } });
    let made = json!({ "name": "list", "match": { "exact": ["list"] }, "answer": answer });
    let made = rule(api, made).await?;
    // Both are past their time; the sweep takes the one that no rule has.
    let past = "UPDATE media SET delete_at = 1, needed_until = 0 WHERE id = $1";
    for id in [&of_rule, &other] {
        world.gateway.database.execute_on(past, id).await?;
    }
    let gone = |id: String| {
        let api = &world.api;
        async move {
            let path = format!("/v1/media/{id}");
            let what = "the file is deleted";
            within(Duration::from_mins(1), what, async || {
                let reply = api.get(&path).await?;
                Ok((reply.status.as_u16() == 404).then_some(()))
            })
            .await
        }
    };
    gone(other).await?;
    let kept = api.get(&format!("/v1/media/{of_rule}")).await?;
    assert_eq!(kept.status.as_u16(), 200, "{}", kept.body);
    let receiver = world.endpoint(&["rule.matched"]).await?;
    world.simulator.say(CONTACT, NUMBER, "list").await?;
    let told = receiver.wait_for("rule.matched", 1).await?;
    let reply = told[0].body["data"]["reply_message_id"].clone();
    let reply = reply.as_str().context("a reply")?;
    // The reply needs the file, too.
    let needed = format!("SELECT needed_until FROM media WHERE id = '{of_rule}'");
    let needed = world.gateway.database.number(&needed).await?;
    let shown = api.whole_message(reply).await?;
    assert_eq!(shown["class"], "reply", "{shown}");
    let expires = shown["expires_at"].as_str().context("an expiry")?;
    let expires = chrono::DateTime::parse_from_rfc3339(expires)?;
    assert!(needed >= expires.timestamp_millis(), "{needed} {expires}");
    api.message_at(reply, "read").await?;
    // Without the rule, the file has its own time again.
    api.delete(&path_of(&made)?).await?;
    world.gateway.database.execute_on(past, &of_rule).await?;
    gone(of_rule.clone()).await?;
    // A rule that names a file that is gone is refused, and one whose file is deleted says so.
    let answer = json!({ "type": "document", "document": { "media_id": of_rule } });
    let late = json!({ "name": "late", "match": { "exact": ["list"] }, "answer": answer });
    let refused = api.post("/v1/auto-replies", &late).await?;
    assert_eq!(refused.code(), "media_not_found", "{}", refused.body);
    let pointer = &refused.body["errors"][0]["pointer"];
    assert_eq!(pointer, "/answer/document/media_id");
    let third = upload(b"%PDF-1.4\n% deleted\n").await?;
    let answer = json!({ "type": "document", "document": { "media_id": third } });
    rule(
        api,
        json!({ "name": "late", "match": { "exact": ["list"] }, "answer": answer }),
    )
    .await?;
    api.delete(&format!("/v1/media/{third}")).await?;
    world.simulator.say(CONTACT, NUMBER, "List").await?;
    let told = receiver.wait_for("rule.matched", 2).await?;
    assert_eq!(told[1].body["data"]["outcome"], "file_unavailable");
    world.finish().await
}

/// Bodies that are refused, each with its code and its place.
fn bad_rules() -> Vec<(Value, u16, &'static str, &'static str)> {
    let with = |path: &str, value: Value| {
        let mut good = json!({ "name": "prices", "match": { "keywords": ["price"] }, "answer": text("Ten euros.") });
        let (parent, field) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(Value::Object(fields)) = good.pointer_mut(parent) {
            fields.insert(field.to_owned(), value);
        }
        good
    };
    let regex = |pattern: &str| with("/match", json!({ "regex": pattern }));
    let hours = |zone: &str, holiday: &str| {
        with(
            "/match/office_hours",
            json!({ "when": "outside", "timezone": zone,
            "open": [{ "days": ["mon"], "from": "09:00", "until": "18:00" }], "holidays": [holiday] }),
        )
    };
    let body = |source: String| with("/answer/text/body", json!(source));
    let document = |file: Value| with("/answer", json!({ "type": "document", "document": file }));
    vec![
        (regex("("), 422, "invalid_pattern", "/match/regex"),
        (regex(r"\w{200}"), 422, "invalid_pattern", "/match/regex"),
        (
            regex(&"a".repeat(513)),
            422,
            "invalid_pattern",
            "/match/regex",
        ),
        (
            body("x".repeat(4097)),
            422,
            "invalid_template",
            "/answer/text/body",
        ),
        (
            body("{% for a in [1,2] %}".to_owned() + &"x".repeat(2049) + "{% endfor %}"),
            422,
            "invalid_template",
            "/answer/text/body",
        ),
        (
            body("{{ contact.secret }}".into()),
            422,
            "invalid_template",
            "/answer/text/body",
        ),
        (
            body("{{".into()),
            422,
            "invalid_template",
            "/answer/text/body",
        ),
        (
            body("{% set a = 'x' %}x".into()),
            422,
            "invalid_template",
            "/answer/text/body",
        ),
        (body(" ".into()), 422, "text_empty", "/answer/text/body"),
        (
            hours("Europe/Atlantis", "2026-12-25"),
            422,
            "invalid_time_zone",
            "/match/office_hours/timezone",
        ),
        (
            hours("Europe/Berlin", "2026-02-30"),
            422,
            "invalid_date",
            "/match/office_hours/holidays/0",
        ),
        (
            with(
                "/match",
                json!({ "first_contact": true, "returning_after_hours": 5 }),
            ),
            422,
            "rule_contradicts",
            "/match/returning_after_hours",
        ),
        (
            with("/match", json!({ "keywords": ["a"], "regex": "b" })),
            422,
            "rule_contradicts",
            "/match/regex",
        ),
        (
            with("/match", json!({ "any": true, "exact": ["b"] })),
            422,
            "rule_contradicts",
            "/match/any",
        ),
        (
            with("/match", json!({ "any": true })),
            422,
            "rule_loops",
            "/conditions/once_per_seconds",
        ),
        (
            body("The price is ten euros.".into()),
            422,
            "rule_loops",
            "/conditions/once_per_seconds",
        ),
        (with("/match", json!({})), 422, "invalid_rule", "/match"),
        (
            with("/match", json!({ "types": ["pigeon"] })),
            422,
            "invalid_rule",
            "/match/types/0",
        ),
        (
            with("/position", json!(-1)),
            422,
            "invalid_rule",
            "/position",
        ),
        (
            with(
                "/answer",
                json!({ "type": "image", "text": { "body": "x" } }),
            ),
            422,
            "invalid_rule",
            "/answer",
        ),
        (with("/name", json!("")), 422, "invalid_name", "/name"),
        (
            with("/session_id", json!("ses_01kaq6h3zve9qbw4r2t8n5c7xd")),
            422,
            "session_not_found",
            "/session_id",
        ),
        (
            document(json!({ "media_id": "med_01kaq6h3zve9qbw4r2t8n5c7xd" })),
            422,
            "media_not_found",
            "/answer/document/media_id",
        ),
        (document(json!({})), 422, "media_source", "/answer/document"),
        (
            with("/answer", json!({ "type": "reaction" })),
            400,
            "validation_failed",
            "/answer/type",
        ),
        (
            with("/then", json!("maybe")),
            400,
            "validation_failed",
            "/then",
        ),
        (with("/until", json!(1)), 400, "unknown_field", "/until"),
    ]
}

async fn replies_bad_rules_are_refused_at_their_place_and_change_nothing(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let api = &world.api;
    let good = rule(api, echo_free("menu", "1, 2 or 3")).await?;
    for (body, status, code, pointer) in bad_rules() {
        for reply in [
            api.post("/v1/auto-replies", &body).await?,
            put(api, &path_of(&good)?, &body).await?,
        ] {
            let found = (reply.status.as_u16(), reply.code());
            assert_eq!(found, (status, code), "{body}: {}", reply.body);
            let place = &reply.body["errors"][0]["pointer"];
            assert_eq!(place, pointer, "{body}: {}", reply.body);
        }
    }
    let listed: Value = api.get("/v1/auto-replies").await?.into(200)?;
    assert_eq!(listed["data"], json!([good]), "nothing is half stored");
    // A file that comes with a rule that is refused is not kept.
    let mut made = echo_free("file", "x");
    made["session_id"] = json!("ses_01kaq6h3zve9qbw4r2t8n5c7xd");
    made["answer"] = json!({ "type": "document", "document": { "base64": "JVBERi0xLjQK" } });
    let refused = api.post("/v1/auto-replies", &made).await?;
    assert_eq!(refused.code(), "session_not_found");
    let left = world.gateway.database.number("SELECT count(*) FROM media");
    assert_eq!(left.await?, 0);
    // At most a hundred rules, and twenty with a regular expression.
    for n in 0..20 {
        let pattern =
            json!({ "name": "n", "match": { "regex": format!("^{n}$") }, "answer": text("x") });
        rule(api, pattern).await?;
    }
    let pattern = json!({ "name": "n", "match": { "regex": "^21$" }, "answer": text("x") });
    let refused = api.post("/v1/auto-replies", &pattern).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (429, "limit_reached")
    );
    for n in 21..100 {
        rule(api, echo_free(&format!("number {n}"), "x")).await?;
    }
    let more = echo_free("one more", "x");
    let refused = api.post("/v1/auto-replies", &more).await?;
    assert_eq!(refused.code(), "limit_reached");
    world.finish().await
}
