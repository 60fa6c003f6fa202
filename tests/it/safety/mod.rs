//! Pacing by class, with `--safety default`: what the phones see, and what the tenant is told meanwhile.

mod clocks;

use std::time::Duration;

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, on_both_stores, on_every_shape, simulator::Phone, soon,
    wall_clock, within,
};
use reqwest::Method;
use serde_json::{Value, json};

on_every_shape!(
    safety_replies_pass_first_messages_whose_gap_runs,
    safety_a_newcomer_at_night_sees_typing_and_the_text_within_seconds,
);

mod stores {
    use super::*;

    on_both_stores!(
        safety_at_night_a_first_message_waits_until_its_contact_writes,
        safety_what_would_expire_is_refused_at_once,
        safety_gaps_hold_over_a_kill_by_class,
        safety_a_group_gets_one_message_in_a_minute,
        safety_a_strict_number_waits_before_it_writes_to_a_new_group,
    );
}

const NUMBER: &str = "+4915170000001";
const BOB: &str = "+4915199000001";
/// The gap before a first message, as every preset has it.
pub(crate) const COLD_FLOOR_US: i64 = 30_000_000;
/// The gap before a reply.
const REPLY_FLOOR_US: i64 = 2_000_000;
/// From one message to a group to the next.
const GROUP_US: i64 = 60_000_000;
/// A frame is read from the socket a moment after it was written.
pub(crate) const JITTER_US: i64 = 100_000;

async fn start(backing: Backing) -> Result<(World, String)> {
    start_with(backing, "default").await
}

async fn start_with(backing: Backing, preset: &str) -> Result<(World, String)> {
    let setup = Setup {
        flags: vec!["--safety".to_owned(), preset.to_owned()],
        ..Setup::quick()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?.id;
    Ok((world, session))
}

/// Sends a text to a stranger who agreed.
pub(crate) async fn first(
    world: &World,
    session: &str,
    to: &str,
    text: &str,
    fields: Value,
) -> Result<Value> {
    let mut body = Api::text(session, to, text);
    body["purpose"] = json!("security");
    body["consent"] = json!({ "source": "checkout" });
    for (name, value) in fields.as_object().context("fields")? {
        body[name] = value.clone();
    }
    let reply = world.api.post("/v1/messages", &body).await?;
    reply.into(202)
}

/// Waits longer than the longest gap, and than a clock is wrong in these tests.
pub(crate) async fn sent_at_last(world: &World, id: &str) -> Result<()> {
    let sent = async || {
        let status = world.api.message(id).await?.status;
        Ok((!["queued", "sending"].contains(&status.as_str())).then_some(()))
    };
    within(Duration::from_mins(7), "the message is sent", sent).await
}

pub(crate) fn id(message: &Value) -> Result<&str> {
    message["id"].as_str().context("an id")
}

/// Returns when the number's texts were written, in microseconds, in this order.
pub(crate) async fn written(world: &World, count: usize) -> Result<Vec<i64>> {
    let frames = world.simulator.ledger("sent").await?;
    assert_eq!(frames.len(), count, "{frames:?}");
    let at = frames.iter().map(|frame| i64::try_from(frame.wire_us));
    Ok(at.collect::<Result<_, _>>()?)
}

async fn safety_replies_pass_first_messages_whose_gap_runs(backing: Backing) -> Result<Finished> {
    let (world, session) = start(backing).await?;
    world.simulator.phone(BOB, Phone::default()).await?;
    let (one, two) = ("+4915199000011", "+4915199000012");
    for stranger in [one, two] {
        world.simulator.phone(stranger, Phone::default()).await?;
    }
    let sent = first(&world, &session, one, "your new login", json!({})).await?;
    assert_eq!(sent["class"], "cold");
    world.api.message_at(id(&sent)?, "sent").await?;
    let waits = first(&world, &session, two, "another new login", json!({})).await?;
    // Bob writes while the gap before the second stranger runs.
    world.simulator.say(BOB, NUMBER, "are you open?").await?;
    let bob = soon("the gateway knows Bob", async || {
        let page: Value = world
            .api
            .get("/v1/messages?direction=inbound")
            .await?
            .into(200)?;
        Ok(page["data"][0]["contact_id"].as_str().map(str::to_owned))
    });
    let bob = bob.await?;
    let reply = Api::text(&session, &bob, "yes, until six");
    let reply: Value = world.api.post("/v1/messages", &reply).await?.into(202)?;
    assert_eq!(reply["class"], "reply");
    world.api.message_at(id(&reply)?, "sent").await?;
    assert_eq!(world.api.message(id(&waits)?).await?.status, "queued");
    sent_at_last(&world, id(&waits)?).await?;
    let at = written(&world, 3).await?;
    assert!(at[1] - at[0] + JITTER_US >= REPLY_FLOOR_US, "{at:?}");
    assert!(at[2] - at[0] + JITTER_US >= COLD_FLOOR_US, "{at:?}");
    assert_eq!(world.simulator.shown(BOB).await?, ["yes, until six"]);
    world.finish().await
}

/// Returns the number of a person where it is between ten in the evening and seven in the morning.
pub(crate) fn where_it_is_night() -> &'static str {
    match chrono::Timelike::hour(&wall_clock()) {
        // Argentina, three hours behind.
        1..=8 => "+5491155551000",
        // Hawaii, ten hours behind.
        9..=12 => "+18085551000",
        // Japan, nine hours ahead.
        13..=21 => "+819012345000",
        // India, five and a half hours ahead.
        _ => "+919876543000",
    }
}

/// Returns the number of a person where it is between ten in the morning and six in the evening.
fn where_it_is_day() -> &'static str {
    match chrono::Timelike::hour(&wall_clock()) {
        // Japan, nine hours ahead.
        2..=8 => "+819012345000",
        // Germany, an hour or two ahead.
        9..=15 => "+4915199000009",
        // Argentina, three hours behind.
        16..=20 => "+5491155551000",
        // Hawaii, ten hours behind.
        _ => "+18085551000",
    }
}

/// Returns the body that the detail of a refusal shows.
fn shown_body(refused: &Value) -> Result<Value> {
    let detail = refused["detail"].as_str().context("a detail")?;
    let (_, body) = detail.split_once("that works: ").context("a body")?;
    Ok(serde_json::from_str(body)?)
}

async fn safety_a_newcomer_at_night_sees_typing_and_the_text_within_seconds(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = start(backing).await?;
    // Their own phone, and five more.
    let own = where_it_is_night();
    let phones: Vec<_> = (0..6)
        .map(|n| format!("{}{n}", &own[..own.len() - 1]))
        .collect();
    for phone in &phones {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    // Nothing but what `curl` of the first page says.
    let bare = |to: &str| Api::text(&session, to, "Hello from Passerelle");
    let first: Value = world
        .api
        .post("/v1/messages", &bare(&phones[0]))
        .await?
        .into(202)?;
    assert_eq!(first["trial"], json!({ "used": 1, "of": 5 }), "{first}");
    assert_eq!(first["queue"]["hold"], Value::Null, "{first}");
    let shown = async || {
        let shown = world.simulator.shown(&phones[0]).await?;
        Ok((shown == ["Hello from Passerelle"]).then_some(()))
    };
    within(Duration::from_secs(20), "the phone shows it", shown).await?;
    let typing = world.simulator.ledger("chatstate").await?;
    let sent = world.simulator.ledger("sent").await?;
    let typing = typing.iter().find(|entry| {
        entry.detail.as_deref() == Some("composing") && phones[0].contains(&entry.to)
    });
    let typed = sent[0].at_ms - typing.context("typing is shown")?.at_ms;
    assert!(
        (500..15_000).contains(&typed),
        "typing for {typed} ms before the text"
    );
    // Each of the five may get more than one, and the next is somebody whom they asked.
    for (n, phone) in phones.iter().enumerate().take(5).skip(1) {
        let sent: Value = world
            .api
            .post("/v1/messages", &bare(phone))
            .await?
            .into(202)?;
        assert_eq!(sent["trial"], json!({ "used": n + 1, "of": 5 }), "{sent}");
        assert_eq!(sent["queue"]["hold"], Value::Null, "{sent}");
    }
    let sixth = world.api.post("/v1/messages", &bare(&phones[5])).await?;
    assert_eq!(
        (sixth.status.as_u16(), sixth.code()),
        (422, "consent_required"),
        "{}",
        sixth.body
    );
    let body = shown_body(&sixth.body)?;
    assert_eq!(body["to"], json!(phones[5]));
    let pasted: Value = world.api.post("/v1/messages", &body).await?.into(202)?;
    assert_eq!(pasted["to"], json!(phones[5]));
    assert!(pasted["consent_id"].is_string(), "{pasted}");
    // What is cold waits for its turn longer than a test does.
    world.finish_with_work_undone().await
}

async fn safety_at_night_a_first_message_waits_until_its_contact_writes(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = start(backing).await?;
    let phone = where_it_is_night();
    world.simulator.phone(phone, Phone::default()).await?;
    let wish = json!({ "purpose": "appointment" });
    let waits = first(&world, &session, phone, "see you on Monday", wish).await?;
    assert_eq!(waits["queue"]["hold"], "quiet_hours", "{waits}");
    let estimate = waits["queue"]["estimated_send_at"].as_str();
    let estimate = estimate.context("an estimate")?;
    assert!(estimate > waits["created_at"].as_str().context("a time")?);
    // A warning passes, by the same person.
    let passes = first(&world, &session, phone, "a new login", json!({})).await?;
    assert_eq!(passes["queue"]["hold"], Value::Null, "{passes}");
    world.api.message_at(id(&passes)?, "sent").await?;
    assert_eq!(world.api.message(id(&waits)?).await?.status, "queued");
    world.simulator.say(phone, NUMBER, "when again?").await?;
    world.api.message_at(id(&waits)?, "sent").await?;
    let message = world.api.whole_message(id(&waits)?).await?;
    assert_eq!(message["class"], "reply");
    world.finish().await
}

async fn safety_what_would_expire_is_refused_at_once(backing: Backing) -> Result<Finished> {
    let (world, session) = start(backing).await?;
    let mut body = Api::text(&session, where_it_is_night(), "see you soon");
    body["purpose"] = json!("appointment");
    body["consent"] = json!({ "source": "checkout" });
    body["expires_at"] = json!(world.api.in_seconds(120).await?);
    let refused = world.api.post("/v1/messages", &body).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (422, "would_expire"),
        "{}",
        refused.body
    );
    let page: Value = world.api.get("/v1/messages").await?.into(200)?;
    assert_eq!(page["data"], json!([]), "nothing was accepted");
    // It is not night everywhere.
    body["to"] = json!(where_it_is_day());
    let goes: Value = world.api.post("/v1/messages", &body).await?.into(202)?;
    assert_eq!(goes["queue"]["hold"], Value::Null, "{goes}");
    world.finish_with_work_undone().await
}

async fn safety_gaps_hold_over_a_kill_by_class(backing: Backing) -> Result<Finished> {
    let (mut world, session) = start(backing).await?;
    let (one, two) = ("+4915199000011", "+4915199000012");
    for stranger in [one, two] {
        world.simulator.phone(stranger, Phone::default()).await?;
    }
    let sent = first(&world, &session, one, "your new login", json!({})).await?;
    let next = first(&world, &session, two, "another new login", json!({})).await?;
    world.api.message_at(id(&sent)?, "sent").await?;
    world.gateway.kill_and_restart().await?;
    sent_at_last(&world, id(&next)?).await?;
    let at = written(&world, 2).await?;
    assert!(at[1] - at[0] + JITTER_US >= COLD_FLOOR_US, "{at:?}");
    world.finish().await
}

/// Makes a group of Bob and the number.
async fn group(world: &World) -> Result<String> {
    world.simulator.phone(BOB, Phone::default()).await?;
    let made = json!({ "subject": "Team", "creator": BOB, "members": [NUMBER] });
    let made = world
        .simulator
        .call(Method::POST, "/groups", Some(&made))
        .await?;
    Ok(made["id"].as_str().context("a group has an id")?.to_owned())
}

/// Returns a time of a message, in milliseconds.
fn time(value: &Value) -> Result<i64> {
    let text = value.as_str().with_context(|| format!("a time: {value}"))?;
    Ok(chrono::DateTime::parse_from_rfc3339(text)?.timestamp_millis())
}

async fn safety_a_group_gets_one_message_in_a_minute(backing: Backing) -> Result<Finished> {
    let (world, session) = start(backing).await?;
    let team = group(&world).await?;
    let send = async |text: &str| -> Result<Value> {
        let body = Api::text(&session, &team, text);
        world.api.post("/v1/messages", &body).await?.into(202)
    };
    let first = send("Lunch at noon?").await?;
    world.api.message_at(id(&first)?, "sent").await?;
    let second = send("Or at one?").await?;
    assert_eq!(second["queue"]["hold"], "group_spacing", "{second}");
    let sent = world.api.whole_message(id(&first)?).await?;
    let estimate = &second["queue"]["estimated_send_at"];
    let waits = time(estimate)? - time(&sent["sent_at"])?;
    assert!((55_000..75_000).contains(&waits), "{waits} ms");
    // The claim finds the same.
    let held = soon("it is held", async || {
        let shown = world.api.whole_message(id(&second)?).await?;
        Ok((shown["queue"]["hold"] == "group_spacing").then_some(shown))
    });
    held.await?;
    sent_at_last(&world, id(&second)?).await?;
    let at = written(&world, 2).await?;
    assert!(at[1] - at[0] + JITTER_US >= GROUP_US, "{at:?}");
    world.finish().await
}

async fn safety_a_strict_number_waits_before_it_writes_to_a_new_group(
    backing: Backing,
) -> Result<Finished> {
    let (world, session) = start_with(backing, "strict").await?;
    let receiver = world.endpoint(&["group.participants"]).await?;
    let team = group(&world).await?;
    receiver.wait_for("group.participants", 1).await?;
    let body = Api::text(&session, &team, "Hello");
    let waits: Value = world.api.post("/v1/messages", &body).await?.into(202)?;
    // Where it is night in twelve hours it waits longer.
    let hold = &waits["queue"]["hold"];
    assert!(*hold == "new_group" || *hold == "quiet_hours", "{waits}");
    let estimate = &waits["queue"]["estimated_send_at"];
    let hours = (time(estimate)? - time(&waits["created_at"])?) / 3_600_000;
    assert!((11..24).contains(&hours), "{waits}");
    // A code would be too late by then.
    let mut body = body;
    body["purpose"] = json!("code");
    let refused = world.api.post("/v1/messages", &body).await?;
    assert_eq!(refused.code(), "would_expire", "{}", refused.body);
    world.finish_with_work_undone().await
}
