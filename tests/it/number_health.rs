//! The health of a number: what WhatsApp signals about it is told and shown, and worsens at once.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, World, on_every_shape, receiver::Receiver, simulator::Phone, soon,
    wall_clock,
};
use reqwest::Method;
use serde_json::{Value, json};

on_every_shape!(
    safety_a_time_lock_that_whatsapp_pushes_is_told_and_shown_with_its_end,
    safety_a_refusal_says_whether_the_number_or_the_recipient_is_the_cause,
    safety_a_message_to_who_wrote_is_sent_once_more_after_a_refusal,
    safety_a_stranger_who_writes_before_the_refusal_gets_the_message_once_more,
    safety_the_quota_of_new_chats_is_asked_for_and_pushed,
    safety_each_signal_of_the_connection_restricts_the_number,
    safety_a_number_that_was_unlinked_under_a_lock_only_answers_when_it_is_linked_again,
    safety_sessions_of_one_number_have_one_health,
    safety_opt_outs_after_first_messages_stop_first_messages,
    safety_a_number_that_recovers_is_told,
);

const NUMBER: &str = "+4915170000001";
const DAY: i64 = 24 * 60 * 60 * 1000;

const RESTRICTED: &str = "session.restricted";
const RECOVERED: &str = "session.recovered";

async fn health(api: &Api, session: &str) -> Result<Value> {
    let path = format!("/v1/sessions/{session}/health");
    api.get(&path).await?.into(200)
}

fn figure(health: &Value, name: &str) -> Value {
    let figures = health["figures"].as_array().cloned().unwrap_or_default();
    let mut named = figures.into_iter().filter(|one| one["name"] == name);
    named.next().unwrap_or_default()["value"].clone()
}

/// Returns how many milliseconds from now a time of an answer is.
fn from_now(time: &Value) -> Result<i64> {
    let time = time.as_str().context("a time")?;
    let time = chrono::DateTime::parse_from_rfc3339(time)?;
    Ok(time.timestamp_millis() - wall_clock().timestamp_millis())
}

fn is_about(time: &Value, expected: i64) -> Result<()> {
    let left = from_now(time)?;
    anyhow::ensure!(
        (left - expected).abs() < 5 * 60_000,
        "{time} is {left} ms from now, not {expected}"
    );
    Ok(())
}

/// Waits until the health of a session says so.
async fn healthy_when(
    api: &Api,
    session: &str,
    what: &str,
    says: impl Fn(&Value) -> bool,
) -> Result<Value> {
    soon(what, async || {
        let shown = health(api, session).await?;
        Ok(says(&shown).then_some(shown))
    })
    .await
}

async fn put(world: &World, what: &str, number: &str, body: Value) -> Result<()> {
    let path = format!("/{what}/{number}");
    let put = world.simulator.call(Method::PUT, &path, Some(&body));
    put.await.map(drop)
}

async fn lock_for(world: &World, number: &str, days: i64, push: bool) -> Result<()> {
    let until = wall_clock().timestamp_millis() + days * DAY;
    let lock =
        json!({ "active": true, "until_ms": until, "kind": "WEB_COMPANION_ONLY", "push": push });
    put(world, "timelock", number, lock).await
}

/// Returns the nth event's level and first reason.
async fn told(receiver: &Receiver, kind: &str, nth: usize) -> Result<(String, String)> {
    let told = receiver.wait_for(kind, nth).await?;
    let health = &told[nth - 1].body["data"]["health"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((text(&health["level"]), text(&health["reasons"][0])))
}

fn pair(level: &str, reason: &str) -> (String, String) {
    (level.to_owned(), reason.to_owned())
}

async fn safety_a_time_lock_that_whatsapp_pushes_is_told_and_shown_with_its_end(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let receiver = world.endpoint(&[RESTRICTED]).await?;
    let session = world.linked(NUMBER).await?.id;
    let shown = healthy_when(&world.api, &session, "it was asked for", |shown| {
        shown["timelock"]["active"] == false
    })
    .await?;
    assert_eq!(
        (&shown["level"], &shown["enforced"]),
        (&json!("ok"), &json!(false))
    );
    lock_for(&world, NUMBER, 10, true).await?;
    let event = &receiver.wait_for(RESTRICTED, 1).await?[0].body;
    let said = &event["data"]["health"];
    assert_eq!(event["data"]["session"]["id"], json!(session));
    assert_eq!(said["level"], "cold_stop");
    assert_eq!(said["reasons"], json!(["reachout_timelock"]));
    is_about(&said["until"], 11 * DAY)?;
    // What was learned survives a kill.
    world.gateway.kill_and_restart().await?;
    world.api.session_in(&session, "connected").await?;
    let shown = health(&world.api, &session).await?;
    assert_eq!(shown["level"], "cold_stop");
    assert_eq!(shown["timelock"]["active"], true);
    assert_eq!(shown["timelock"]["kind"], "WEB_COMPANION_ONLY");
    is_about(&shown["timelock"]["ends_at"], 10 * DAY)?;
    is_about(&shown["restrictions"][0]["until"], 11 * DAY)?;
    // WhatsApp lifts it early.
    put(&world, "timelock", NUMBER, json!({ "active": false })).await?;
    let shown = healthy_when(&world.api, &session, "the lock is lifted", |shown| {
        shown["timelock"]["active"] == false
    })
    .await?;
    assert_eq!(shown["level"], "cold_stop");
    is_about(&shown["until"], 60 * 60_000)?;
    assert_eq!(receiver.of(RESTRICTED).len(), 1, "it is told once");
    world.finish().await
}

async fn refused(world: &World, session: &str, to: &str) -> Result<String> {
    let fault = json!({ "phone": NUMBER, "on": "ack", "do": "nack", "code": 463, "times": 1 });
    world.simulator.fault(&fault).await?;
    let refused = world.api.send(session, to, "hello").await?;
    let refused = world.api.message_at(&refused.id, "failed").await?;
    Ok(refused.error_code().to_owned())
}

async fn safety_a_refusal_says_whether_the_number_or_the_recipient_is_the_cause(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&[RESTRICTED]).await?;
    let session = world.linked(NUMBER).await?.id;
    let strangers: Vec<_> = (1..=4).map(|n| format!("+4915199000{n:03}")).collect();
    for stranger in &strangers {
        world.simulator.phone(stranger, Phone::default()).await?;
    }
    for (stranger, level) in [(0, "ok"), (1, "ok"), (1, "ok"), (2, "cold_stop")] {
        let code = refused(&world, &session, &strangers[stranger]).await?;
        assert_eq!(code, "recipient_requires_prior_contact");
        let shown = health(&world.api, &session).await?;
        assert_eq!(shown["level"], level, "{stranger}: {shown}");
    }
    let expected = pair("cold_stop", "refused_new_chats");
    assert_eq!(told(&receiver, RESTRICTED, 1).await?, expected);
    let shown = health(&world.api, &session).await?;
    is_about(&shown["until"], DAY)?;
    assert_eq!(figure(&shown, "refused_without_timelock"), 4);
    assert_eq!(figure(&shown, "refused_strangers"), 3);
    // In another number's hour: the number is the cause, and WhatsApp did not push that.
    let database = &world.gateway.database;
    database.execute("UPDATE number SET health = NULL").await?;
    lock_for(&world, NUMBER, 10, false).await?;
    let code = refused(&world, &session, &strangers[3]).await?;
    assert_eq!(code, "reachout_timelocked");
    let expected = pair("cold_stop", "reachout_timelock");
    assert_eq!(told(&receiver, RESTRICTED, 2).await?, expected);
    let shown = health(&world.api, &session).await?;
    is_about(&shown["until"], 11 * DAY)?;
    assert_eq!(figure(&shown, "refused_under_timelock"), 1);
    // A sandbox goes on.
    let sent = world
        .api
        .send(&session, &strangers[0], "still here")
        .await?;
    world.api.message_at(&sent.id, "read").await?;
    world.finish().await
}

async fn safety_a_message_to_who_wrote_is_sent_once_more_after_a_refusal(
    backing: Backing,
) -> Result<Finished> {
    const CONTACT: &str = "+4915199000001";
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.simulator.say(CONTACT, NUMBER, "Is it ready?").await?;
    receiver.wait_for("message.received", 1).await?;
    let fault = json!({ "phone": NUMBER, "on": "ack", "do": "nack", "code": 463, "times": 1 });
    world.simulator.fault(&fault).await?;
    let answer = world.api.send(&session, CONTACT, "Yes").await?;
    let waits = soon("the message waits", async || {
        let message = world.api.whole_message(&answer.id).await?;
        Ok(message["send_at"].is_string().then_some(message))
    })
    .await?;
    assert_eq!(waits["status"], "queued");
    let left = from_now(&waits["send_at"])?;
    assert!((30_000..=60_000).contains(&left), "{left}");
    // The lane goes on meanwhile.
    let next = world.api.send(&session, CONTACT, "Come by").await?;
    world.api.message_at(&next.id, "read").await?;
    let shown = health(&world.api, &session).await?;
    assert_eq!(shown["level"], "ok");
    assert_eq!(figure(&shown, "refused_strangers"), 0);
    assert_eq!(figure(&shown, "refused_without_timelock"), 1);
    // The minute is over. It is refused again, and fails.
    world.simulator.fault(&fault).await?;
    let database = &world.gateway.database;
    let due = "UPDATE message SET send_at = 1 WHERE status = 'queued'";
    assert_eq!(database.execute(due).await?, 1);
    let due = "UPDATE lane SET next_at = 1, rests = 0";
    database.execute(due).await?;
    // It wakes the lane.
    let last = world.api.send(&session, CONTACT, "See you").await?;
    let failed = world.api.message_at(&answer.id, "failed").await?;
    assert_eq!(failed.error_code(), "whatsapp_463");
    world.api.message_at(&last.id, "read").await?;
    let frames = world.simulator.ledger("sent").await?;
    let of_answer = frames
        .iter()
        .filter(|frame| Some(&frame.id) == answer.wa_message_id.as_ref());
    assert_eq!(of_answer.count(), 2, "the same id twice");
    world.finish().await
}

async fn safety_a_stranger_who_writes_before_the_refusal_gets_the_message_once_more(
    backing: Backing,
) -> Result<Finished> {
    const CONTACT: &str = "+4915199000001";
    const OTHER: &str = "+4915199000002";
    let world = World::start(backing).await?;
    let limits = json!({ "messages_a_day": 100 });
    let limited = world.api.request(Method::PUT, "/v1/policy").json(&limits);
    Api::reply(limited).await?.into::<Value>(200)?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?.id;
    for phone in [CONTACT, OTHER] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    // WhatsApp refuses it, but not at once.
    for fault in [
        json!({ "phone": NUMBER, "on": "message", "do": "delay", "delay_ms": 4000, "times": 1 }),
        json!({ "phone": NUMBER, "on": "ack", "do": "nack", "code": 463, "times": 1 }),
    ] {
        world.simulator.fault(&fault).await?;
    }
    let first = world.api.send(&session, CONTACT, "hello").await?;
    world.api.message_at(&first.id, "sending").await?;
    world.simulator.say(CONTACT, NUMBER, "Is it ready?").await?;
    receiver.wait_for("message.received", 1).await?;
    let waits = soon("the message waits", async || {
        let message = world.api.whole_message(&first.id).await?;
        assert_ne!(message["status"], "failed", "{message}");
        Ok((message["status"] == "queued").then_some(message))
    })
    .await?;
    assert_eq!(waits["class"], "cold");
    let left = from_now(&waits["send_at"])?;
    assert!((30_000..=60_000).contains(&left), "{left}");
    let shown = health(&world.api, &session).await?;
    assert_eq!(figure(&shown, "refused_strangers"), 0);
    // The minute is over.
    let database = &world.gateway.database;
    for due in [
        "UPDATE message SET send_at = 1 WHERE status = 'queued'",
        "UPDATE lane SET next_at = 1, rests = 0",
    ] {
        assert_eq!(database.execute(due).await?, 1);
    }
    // It wakes the lane.
    let other = world.api.send(&session, OTHER, "hello").await?;
    for message in [&first, &other] {
        world.api.message_at(&message.id, "read").await?;
    }
    // What is sent twice counts once.
    let path = format!("/v1/sessions/{session}/queue");
    let queue: Value = world.api.get(&path).await?.into(200)?;
    let mut caps = queue["caps"].as_array().into_iter().flatten();
    let cap = caps.find(|cap| cap["name"] == "messages_a_day");
    assert_eq!(cap.context("a limit")?["used"], 2, "{queue}");
    world.finish().await
}

async fn safety_the_quota_of_new_chats_is_asked_for_and_pushed(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&[RESTRICTED, RECOVERED]).await?;
    world.simulator.phone(NUMBER, Phone::default()).await?;
    let ends = wall_clock().timestamp_millis() + 9 * DAY;
    let quota = |status: &str, used: u64, push: bool| json!({ "status": status, "total": 300, "used": used, "cycle_end_ms": ends, "push": push });
    put(
        &world,
        "capping",
        NUMBER,
        quota("FIRST_WARNING", 240, false),
    )
    .await?;
    let session = world.linked(NUMBER).await?.id;
    let shown = healthy_when(&world.api, &session, "the quota is shown", |shown| {
        shown["new_chat_quota"].is_object()
    })
    .await?;
    let told_quota = &shown["new_chat_quota"];
    assert_eq!(told_quota["status"], "FIRST_WARNING");
    assert_eq!(
        (&told_quota["total"], &told_quota["used"]),
        (&json!(300), &json!(240))
    );
    assert_eq!(told_quota["caps_divided_by"], 2);
    is_about(&told_quota["cycle_ends_at"], 9 * DAY)?;
    assert_eq!(shown["level"], "ok");
    put(&world, "capping", NUMBER, quota("CAPPED", 300, true)).await?;
    let expected = pair("cold_stop", "new_chat_cap");
    assert_eq!(told(&receiver, RESTRICTED, 1).await?, expected);
    let shown = health(&world.api, &session).await?;
    is_about(&shown["until"], 9 * DAY)?;
    put(&world, "capping", NUMBER, quota("NONE", 0, true)).await?;
    let expected = pair("slow", "new_chat_cap");
    assert_eq!(told(&receiver, RECOVERED, 1).await?, expected);
    world.finish().await
}

async fn safety_each_signal_of_the_connection_restricts_the_number(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&[RESTRICTED]).await?;
    // 429 of the stream.
    let session = world.linked("+4915170000001").await?.id;
    world.simulator.kick("+4915170000001", "429").await?;
    let expected = pair("paused", "rate_limited");
    assert_eq!(told(&receiver, RESTRICTED, 1).await?, expected);
    let shown = health(&world.api, &session).await?;
    is_about(&shown["until"], 15 * 60_000)?;
    assert_eq!(figure(&shown, "rate_limits"), 1);
    // 402 and 403 of the login.
    for (nth, reason, level, why) in [
        (2, 402, "paused", "temporary_ban"),
        (3, 403, "locked", "account_locked"),
    ] {
        let phone = format!("+491517000000{nth}");
        let session = world.linked(&phone).await?.id;
        let mut fault = json!({ "phone": phone, "on": "login", "do": "refuse", "reason": reason });
        if reason == 402 {
            fault["code"] = json!(101);
            fault["expire"] = json!(7200);
        }
        world.simulator.fault(&fault).await?;
        world.simulator.kick(&phone, "close").await?;
        assert_eq!(told(&receiver, RESTRICTED, nth).await?, pair(level, why));
        let shown = health(&world.api, &session).await?;
        if reason == 402 {
            is_about(&shown["until"], 3 * 60 * 60_000)?;
        } else {
            assert_eq!(shown["until"], Value::Null);
        }
    }
    // Recipients without WhatsApp.
    let session = world.linked("+4915170000009").await?.id;
    for n in 1..=3 {
        let sent = world
            .api
            .send(&session, &format!("+491519988800{n}"), "hello")
            .await?;
        let failed = world.api.message_at(&sent.id, "failed").await?;
        assert_eq!(failed.error_code(), "recipient_not_on_whatsapp");
    }
    let expected = pair("cold_stop", "not_on_whatsapp");
    assert_eq!(told(&receiver, RESTRICTED, 4).await?, expected);
    world.finish().await
}

async fn safety_a_number_that_was_unlinked_under_a_lock_only_answers_when_it_is_linked_again(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&[RESTRICTED, RECOVERED]).await?;
    let session = world.linked(NUMBER).await?.id;
    lock_for(&world, NUMBER, 1, true).await?;
    told(&receiver, RESTRICTED, 1).await?;
    world.simulator.unlink(NUMBER, 1).await?;
    world.api.session_in(&session, "logged_out").await?;
    let expected = pair("locked", "unlinked");
    assert_eq!(told(&receiver, RESTRICTED, 2).await?, expected);
    world.api.connect(&session).await?;
    let qr = world.api.qr(&session).await?;
    world.simulator.scan(NUMBER, &qr).await?;
    world.api.session_in(&session, "connected").await?;
    let expected = pair("reply_only", "linked_again");
    assert_eq!(told(&receiver, RECOVERED, 1).await?, expected);

    // A tenant who logs a number out, and an owner who unlinks a healthy one, say nothing about it.
    let other = world.linked("+4915170000002").await?.id;
    world.simulator.unlink("+4915170000002", 1).await?;
    world.api.session_in(&other, "logged_out").await?;
    assert_eq!(health(&world.api, &other).await?["level"], "ok");
    let third = world.linked("+4915170000003").await?.id;
    lock_for(&world, "+4915170000003", 1, true).await?;
    told(&receiver, RESTRICTED, 3).await?;
    let logout = format!("/v1/sessions/{third}/logout");
    world.api.act(&logout).await?.into::<Value>(202)?;
    world.api.session_in(&third, "logged_out").await?;
    assert_eq!(health(&world.api, &third).await?["level"], "cold_stop");
    world.finish().await
}

async fn safety_sessions_of_one_number_have_one_health(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let other = world.admin.tenant("Other").await?;
    let (ours, theirs) = (
        world.endpoint(&[RESTRICTED]).await?,
        world.endpoint_for(&other, &[RESTRICTED]).await?,
    );
    let mine = world.linked(NUMBER).await?.id;
    let their = world.linked_for(&other, NUMBER).await?.id;
    world.simulator.kick(NUMBER, "429").await?;
    for (receiver, session) in [(&ours, &mine), (&theirs, &their)] {
        let told = receiver.wait_for(RESTRICTED, 1).await?;
        assert_eq!(told[0].body["session_id"], json!(session));
        assert_eq!(told[0].body["data"]["session"]["id"], json!(session));
    }
    let (mine, their) = (
        health(&world.api, &mine).await?,
        health(&other, &their).await?,
    );
    assert_eq!(mine["level"], "paused");
    assert_eq!(mine["restrictions"], their["restrictions"]);
    world.finish().await
}

async fn safety_opt_outs_after_first_messages_stop_first_messages(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&[RESTRICTED]).await?;
    let session = world.linked(NUMBER).await?.id;
    let people: Vec<_> = (1..=3).map(|n| format!("+4915199000{n:03}")).collect();
    for person in &people {
        world.simulator.phone(person, Phone::default()).await?;
        let sent = world
            .api
            .send(&session, person, "Your order is ready")
            .await?;
        world.api.message_at(&sent.id, "read").await?;
    }
    let database = &world.gateway.database;
    let cold = "UPDATE message SET class = 'cold' WHERE direction = 'outbound'";
    assert_eq!(database.execute(cold).await?, 3);
    for person in &people {
        world.simulator.say(person, NUMBER, "stop").await?;
    }
    let expected = pair("cold_stop", "opt_outs");
    assert_eq!(told(&receiver, RESTRICTED, 1).await?, expected);
    let shown = health(&world.api, &session).await?;
    is_about(&shown["until"], 7 * DAY)?;
    assert_eq!(figure(&shown, "opt_outs"), 3);
    world.finish().await
}

async fn safety_a_number_that_recovers_is_told(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&[RESTRICTED, RECOVERED]).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.kick(NUMBER, "429").await?;
    told(&receiver, RESTRICTED, 1).await?;
    world.api.session_in(&session, "connected").await?;
    let database = &world.gateway.database;
    let due = "SELECT count(*) FROM number WHERE health_due_at IS NOT NULL";
    assert_eq!(database.number(due).await?, 1);
    // As if it had been long ago.
    let past = r#"UPDATE number SET health_due_at = 1, health = '{"restrictions":[{"reason":"rate_limited","level":"paused","since":1,"until":2,"ends_at_once":true},{"reason":"disconnects","level":"slow","since":1,"until":2}],"told":{"level":"paused","reasons":["rate_limited"]}}'"#;
    database.execute(past).await?;
    assert_eq!(told(&receiver, RECOVERED, 1).await?, pair("ok", ""));
    assert_eq!(health(&world.api, &session).await?["level"], "ok");
    assert_eq!(database.number(due).await?, 0);
    world.finish().await
}
