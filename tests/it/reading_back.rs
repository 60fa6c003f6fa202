//! Messages and chats are read back by contact, group, time, direction and type.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Finished, World, on_every_shape, simulator::Phone};
use serde_json::{Value, json};

on_every_shape!(
    fidelity_messages_are_listed_by_contact_group_time_and_type,
    fidelity_a_chat_shows_its_last_message_and_what_is_unread,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const OTHER: &str = "+4915199000002";

/// Returns the rows of a list.
async fn rows(world: &World, path: &str) -> Result<Vec<Value>> {
    let page: Value = world.api.get(path).await?.into(200)?;
    Ok(page["data"].as_array().context("a list")?.clone())
}

/// Returns the texts of a list of messages.
async fn texts(world: &World, query: &str) -> Result<Vec<String>> {
    let rows = rows(world, &format!("/v1/messages?{query}")).await?;
    let text = |row: &Value| row["text"]["body"].as_str().unwrap_or("-").to_owned();
    Ok(rows.iter().map(text).collect())
}

async fn fidelity_messages_are_listed_by_contact_group_time_and_type(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?.id;
    for phone in [CONTACT, OTHER] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    let first = world.api.send(&session, CONTACT, "one").await?;
    world.api.message_at(&first.id, "read").await?;
    world.simulator.say(CONTACT, NUMBER, "two").await?;
    receiver.wait_for("message.received", 1).await?;
    let location = json!({ "type": "location", "location": { "latitude": 1.5, "longitude": 2.5 } });
    let located = world.api.send_kind(&session, CONTACT, location).await?;
    let other = world.api.send(&session, OTHER, "three").await?;
    world.api.message_at(&other.id, "read").await?;
    let group = "120363000000000000@g.us";
    let grouped = world.api.send(&session, group, "four").await?;
    let whole = world.api.whole_message(&first.id).await?;
    let contact = whole["contact_id"].as_str().context("an id")?;
    let whole = world.api.whole_message(&located.id).await?;
    let when = whole["created_at"].as_str().context("a time")?;
    for (query, wanted) in [
        (format!("contact_id={contact}"), vec!["-", "two", "one"]),
        (
            "phone=0049%20151%20990%2000001".to_owned(),
            vec!["-", "two", "one"],
        ),
        (
            format!("phone={}", OTHER.trim_start_matches('+')),
            vec!["three"],
        ),
        (
            format!("contact_id={contact}&type=text"),
            vec!["two", "one"],
        ),
        (
            format!("contact_id={contact}&direction=inbound"),
            vec!["two"],
        ),
        (
            format!("contact_id={contact}&status=read"),
            vec!["-", "one"],
        ),
        (
            format!("contact_id={contact}&session_id={session}&limit=1"),
            vec!["-"],
        ),
        (
            format!(
                "contact_id={contact}&phone={}",
                OTHER.trim_start_matches('+')
            ),
            vec![],
        ),
        (format!("group_id={group}"), vec!["four"]),
        (format!("group_id={group}&contact_id={contact}"), vec![]),
        ("group_id=120363000000000001@g.us".to_owned(), vec![]),
        ("type=location".to_owned(), vec!["-"]),
        (format!("type=location&session_id={session}"), vec!["-"]),
        ("type=poll".to_owned(), vec![]),
        (
            "direction=outbound&type=text".to_owned(),
            vec!["four", "three", "one"],
        ),
        (format!("since={when}"), vec!["four", "three", "-"]),
        (format!("until={when}"), vec!["two", "one"]),
        (format!("until={when}&direction=inbound"), vec!["two"]),
        (format!("since={when}&until={when}"), vec![]),
        ("phone=%2B4915199999999".to_owned(), vec![]),
        (
            "contact_id=ctc_01kaq6h3zve9qbw4r2t8n5c7xd".to_owned(),
            vec![],
        ),
    ] {
        if query.contains("status=read") {
            world.api.message_at(&located.id, "read").await?;
        }
        assert_eq!(texts(&world, &query).await?, wanted, "{query}");
    }
    // Pages of a filter follow each other.
    let path = format!("/v1/messages?contact_id={contact}&limit=2");
    let page: Value = world.api.get(&path).await?.into(200)?;
    let cursor = page["next_cursor"].as_str().context("another page")?;
    let query = format!("contact_id={contact}&limit=2&cursor={cursor}");
    assert_eq!(texts(&world, &query).await?, ["one"]);
    bad_filters_are_refused(&world).await?;
    // Another organisation sees none of it.
    let neighbour = world.admin.tenant("Neighbour").await?;
    for query in [format!("contact_id={contact}"), format!("group_id={group}")] {
        let page: Value = neighbour
            .get(&format!("/v1/messages?{query}"))
            .await?
            .into(200)?;
        assert_eq!(page["data"], json!([]), "{query}");
    }
    // The number is in no such group.
    world.api.message_at(&grouped.id, "failed").await?;
    world.finish().await
}

async fn bad_filters_are_refused(world: &World) -> Result<()> {
    for (query, code) in [
        ("phone=0612345678", "invalid_phone"),
        ("group_id=team", "invalid_id"),
        ("contact_id=msg_1", "invalid_id"),
        ("type=pigeon", "validation_failed"),
        ("since=yesterday", "validation_failed"),
    ] {
        let refused = world.api.get(&format!("/v1/messages?{query}")).await?;
        assert_eq!(refused.code(), code, "{query}: {}", refused.body);
    }
    Ok(())
}

async fn fidelity_a_chat_shows_its_last_message_and_what_is_unread(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?.id;
    for phone in [CONTACT, OTHER] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    let chats = async || {
        let rows = rows(&world, "/v1/chats").await?;
        let short = |chat: &Value| {
            let last = chat["last_message"]["text"]["body"].clone();
            json!([chat["phone"], last, chat["unread"]])
        };
        anyhow::Ok(rows.iter().map(short).collect::<Vec<_>>())
    };
    assert_eq!(chats().await?, Vec::<Value>::new());
    world.simulator.say(CONTACT, NUMBER, "one").await?;
    receiver.wait_for("message.received", 1).await?;
    world.simulator.say(CONTACT, NUMBER, "two").await?;
    receiver.wait_for("message.received", 2).await?;
    world.simulator.say(OTHER, NUMBER, "three").await?;
    let told = receiver.wait_for("message.received", 3).await?;
    assert_eq!(
        chats().await?,
        [json!([OTHER, "three", 1]), json!([CONTACT, "two", 2])]
    );
    // A read receipt for the last message reads the whole chat.
    let mut told = told.iter().map(|one| &one.body["data"]["message"]);
    let third = told.rfind(|one| one["from"] == json!(OTHER));
    let third = third.and_then(|one| one["id"].as_str()).context("an id")?;
    let path = format!("/v1/messages/{third}/read");
    world.api.act(&path).await?.into::<Value>(200)?;
    // An answer, too.
    let answer = world.api.send(&session, CONTACT, "four").await?;
    assert_eq!(
        chats().await?,
        [json!([CONTACT, "four", 0]), json!([OTHER, "three", 0])]
    );
    world.api.message_at(&answer.id, "read").await?;
    world.simulator.say(CONTACT, NUMBER, "five").await?;
    receiver.wait_for("message.received", 4).await?;
    assert_eq!(
        chats().await?,
        [json!([CONTACT, "five", 1]), json!([OTHER, "three", 0])]
    );
    let page: Value = world.api.get("/v1/chats?limit=1").await?.into(200)?;
    let cursor = page["next_cursor"].as_str().context("another page")?;
    let rest = rows(&world, &format!("/v1/chats?limit=1&cursor={cursor}")).await?;
    assert_eq!(rest[0]["phone"], OTHER);
    assert!(rest[0]["contact_id"].is_string() && rest[0]["session_id"] == json!(session));
    // A reaction is not the last message.
    let reaction =
        json!({ "type": "reaction", "reaction": { "message_id": third, "emoji": "👍" } });
    let reaction = world.api.send_kind(&session, OTHER, reaction).await?;
    world.api.message_at(&reaction.id, "sent").await?;
    assert_eq!(rows(&world, "/v1/chats").await?[0]["phone"], CONTACT);
    let resting = world.api.create_session("back office").await?.id;
    for (session, count) in [(&session, 2), (&resting, 0)] {
        let path = format!("/v1/chats?session_id={session}");
        assert_eq!(rows(&world, &path).await?.len(), count);
    }
    let neighbour = world.admin.tenant("Neighbour").await?;
    let page: Value = neighbour.get("/v1/chats").await?.into(200)?;
    assert_eq!(page["data"], json!([]));
    world.finish().await
}
