//! What limits count, and when they let go. Most stories have limits of an organisation in a sandbox: there gaps are short.

use std::time::Duration;

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, Receiver, on_both_stores, soon, wall_clock, within,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{BOB, EVE, IDA, NUMBER, Story, entry, id};

/// Stories about the stores.
mod stores {
    use super::*;

    on_both_stores!(
        safety_nearly_equal_texts_to_new_recipients_wait_in_a_sandbox_too,
        safety_nearly_equal_texts_are_refused_when_they_are_accepted,
        safety_an_answer_counts_once_and_lets_go_what_waited_for_it,
        safety_an_answer_to_a_warm_message_makes_no_room_for_a_first_one,
        safety_an_answer_to_another_organisation_of_the_number_counts,
        safety_a_message_that_is_sent_again_counts_once,
        safety_a_message_that_is_sent_again_waits_for_no_answer_to_itself,
        safety_own_limits_are_foreseen_when_a_message_is_accepted,
        safety_the_first_five_people_keep_no_quiet_hours,
        safety_a_reply_whose_window_has_closed_goes_as_a_warm_message,
        safety_two_replies_to_one_contact_are_three_seconds_apart,
        safety_replies_that_nobody_answers_wait,
        queue_a_message_that_was_held_shows_no_time_that_nobody_asked_for,
        queue_the_first_message_after_a_pause_thinks,
        queue_a_scheduled_message_has_not_waited_before_its_time,
        queue_what_a_limit_holds_until_tomorrow_holds_up_nothing_that_is_scheduled_before,
        queue_of_one_class_the_highest_priority_goes_first,
    );
}

const NOTICE: &str = "Your parcel 1042 has left our house and will be with you tomorrow.";

/// Sets limits of an organisation.
async fn set(api: &Api, limits: &Value) -> Result<()> {
    let put = api.request(Method::PUT, "/v1/policy").json(limits);
    Api::reply(put).await?.into::<Value>(200).map(drop)
}

fn notice(fields: &Value) -> Value {
    let mut all = json!({ "text": { "body": NOTICE } });
    for (name, value) in fields.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    all
}

/// Waits until this holds a message.
async fn held(story: &Story, message: &Value, hold: &str) -> Result<Value> {
    soon(&format!("{hold} holds it"), async || {
        let shown = story.world.api.whole_message(id(message)?).await?;
        Ok((shown["queue"]["hold"] == hold).then_some(shown))
    })
    .await
}

/// Sends a text before these limits are set. One that they hold for longer than it lives is refused.
async fn sent_to_wait(story: &Story, to: &str, limits: &Value) -> Result<Value> {
    story.act("pause").await?;
    set(&story.world.api, &json!({})).await?;
    let sent = story.send(to, json!({})).await?;
    set(&story.world.api, limits).await?;
    story.act("resume").await?;
    Ok(sent)
}

/// Somebody writes to the number, and it is told. Returns who hears of what comes in.
async fn asks(story: &Story, who: &str) -> Result<Receiver> {
    let received = story.world.endpoint(&["message.received"]).await?;
    let asked = story.world.simulator.say(who, NUMBER, "Is it ready?");
    asked.await?;
    received.wait_for("message.received", 1).await?;
    Ok(received)
}

/// The one who wrote did so more than a day ago.
async fn a_day_passes(story: &Story) -> Result<()> {
    let long_ago = "UPDATE acquaintance SET last_inbound_at = last_inbound_at - 90000000";
    let changed = story.world.gateway.database.execute(long_ago).await?;
    assert_eq!(changed, 1);
    Ok(())
}

/// Waits until these are sent, and checks that they went in this order.
async fn go_in_this_order<'m>(
    story: &Story,
    messages: impl IntoIterator<Item = &'m Value>,
) -> Result<()> {
    let mut written = Vec::new();
    for message in messages {
        let sent = story.world.api.message_at(id(message)?, "sent").await?;
        written.push(sent.wa_message_id.context("a WhatsApp id")?);
    }
    let frames = story.world.simulator.ledger("sent").await?;
    let frames: Vec<_> = frames.iter().map(|frame| frame.id.clone()).collect();
    assert_eq!(frames, written);
    Ok(())
}

async fn used(story: &Story, cap: &str) -> Result<Value> {
    let queue = story.queue().await?;
    Ok(entry(&queue["caps"], "name", cap)["used"].clone())
}

async fn safety_nearly_equal_texts_to_new_recipients_wait_in_a_sandbox_too(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    set(api, &json!({ "near_duplicates": 1 })).await?;
    // What waits itself holds nothing.
    story.act("pause").await?;
    let first = story.send(BOB, notice(&json!({}))).await?;
    let waits = story.send(EVE, notice(&json!({}))).await?;
    story.act("resume").await?;
    api.message_at(id(&first)?, "sent").await?;
    held(&story, &waits, "near_duplicates").await?;
    // Not what says something else, nor a code, nor to somebody who has got it already.
    let passes = [
        story
            .send(IDA, notice(&json!({ "purpose": "code" })))
            .await?,
        story.send(BOB, notice(&json!({}))).await?,
        story
            .send(
                "+4915199000004",
                json!({ "text": { "body": "When may we come to repair the lamp in your hall?" } }),
            )
            .await?,
    ];
    for message in &passes[..2] {
        api.message_at(id(message)?, "sent").await?;
    }
    // Nobody has this number.
    api.message_at(id(&passes[2])?, "failed").await?;
    held(&story, &waits, "near_duplicates").await?;
    story
        .world
        .simulator
        .say(EVE, NUMBER, "Where is it?")
        .await?;
    api.message_at(id(&waits)?, "sent").await?;
    story.world.finish().await
}

async fn safety_nearly_equal_texts_are_refused_when_they_are_accepted(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::under(backing, "strict").await?;
    set(&story.world.api, &json!({ "near_duplicates": 1 })).await?;
    story.act("pause").await?;
    // It is not sent yet, and counts.
    story.send(BOB, notice(&json!({}))).await?;
    story.send(BOB, notice(&json!({}))).await?;
    let mut body = Api::text(&story.session, EVE, NOTICE);
    let refused = story.world.api.post("/v1/messages", &body).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (422, "near_duplicates"),
        "{}",
        refused.body
    );
    body["purpose"] = json!("code");
    story
        .world
        .api
        .post("/v1/messages", &body)
        .await?
        .into::<Value>(202)?;
    story.world.finish_with_work_undone().await
}

async fn safety_an_answer_counts_once_and_lets_go_what_waited_for_it(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    set(api, &json!({ "unanswered_in_30_days": 2 })).await?;
    for contact in [BOB, EVE] {
        let sent = story.send(contact, json!({})).await?;
        api.message_at(id(&sent)?, "sent").await?;
    }
    assert_eq!(used(&story, "unanswered_in_30_days").await?, 2);
    let third = sent_to_wait(&story, IDA, &json!({ "unanswered_in_30_days": 2 })).await?;
    held(&story, &third, "unanswered_in_30_days").await?;
    // Bob answers twice. It makes room for one.
    for said in ["Thanks!", "Really."] {
        story.world.simulator.say(BOB, NUMBER, said).await?;
    }
    api.message_at(id(&third)?, "sent").await?;
    assert_eq!(used(&story, "unanswered_in_30_days").await?, 2);
    let fourth = sent_to_wait(
        &story,
        "+4915199000004",
        &json!({ "unanswered_in_30_days": 2 }),
    )
    .await?;
    held(&story, &fourth, "unanswered_in_30_days").await?;
    story.world.finish_with_work_undone().await
}

async fn safety_an_answer_to_a_warm_message_makes_no_room_for_a_first_one(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    set(api, &json!({ "unanswered_in_30_days": 1 })).await?;
    let received = asks(&story, IDA).await?;
    a_day_passes(&story).await?;
    for (contact, class) in [(IDA, "warm"), (BOB, "cold")] {
        let sent = story.send(contact, json!({})).await?;
        assert_eq!(sent["class"], class);
        api.message_at(id(&sent)?, "sent").await?;
    }
    let waits = sent_to_wait(&story, EVE, &json!({ "unanswered_in_30_days": 1 })).await?;
    held(&story, &waits, "unanswered_in_30_days").await?;
    story.world.simulator.say(IDA, NUMBER, "Thanks!").await?;
    received.wait_for("message.received", 2).await?;
    // The lane has looked again when this one is sent.
    let reply = story.send(IDA, json!({})).await?;
    api.message_at(id(&reply)?, "sent").await?;
    held(&story, &waits, "unanswered_in_30_days").await?;
    story.world.simulator.say(BOB, NUMBER, "Thanks!").await?;
    api.message_at(id(&waits)?, "sent").await?;
    story.world.finish().await
}

async fn safety_an_answer_to_another_organisation_of_the_number_counts(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    let theirs = story.world.admin.tenant("Globex").await?;
    let other = story.world.linked_for(&theirs, NUMBER).await?.id;
    for tenant in [api, &theirs] {
        set(tenant, &json!({ "unanswered_in_30_days": 1 })).await?;
    }
    let sent = theirs.send(&other, EVE, "theirs").await?;
    theirs.message_at(&sent.id, "sent").await?;
    let waits = sent_to_wait(&story, IDA, &json!({ "unanswered_in_30_days": 1 })).await?;
    held(&story, &waits, "unanswered_in_30_days").await?;
    let received = story
        .world
        .endpoint_for(&theirs, &["message.received"])
        .await?;
    story.world.simulator.say(EVE, NUMBER, "Thanks!").await?;
    received.wait_for("message.received", 1).await?;
    // Both organisations hear of it, in any order. With the next message it is known.
    story.world.simulator.say(EVE, NUMBER, "Really.").await?;
    api.message_at(id(&waits)?, "sent").await?;
    story.world.finish().await
}

async fn safety_a_message_that_is_sent_again_counts_once(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    set(api, &json!({ "messages_a_day": 100 })).await?;
    let fault = json!({ "phone": NUMBER, "on": "message", "do": "drop", "times": 1 });
    story.world.simulator.fault(&fault).await?;
    let message = story.send(BOB, json!({})).await?;
    api.message_at(id(&message)?, "sent").await?;
    let frames = story.world.simulator.ledger("sent").await?;
    assert_eq!(frames.len(), 2, "it was sent again");
    assert_eq!(used(&story, "messages_a_day").await?, 1);
    let steps = story.timeline(&message).await?;
    let claimed = steps.iter().find(|step| step["step"] == "claimed");
    assert_eq!(claimed.context("a claim")?["class"], "cold", "{steps:?}");
    story.world.finish().await
}

async fn safety_a_message_that_is_sent_again_waits_for_no_answer_to_itself(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::limited(backing).await?;
    let api = &story.world.api;
    asks(&story, BOB).await?;
    a_day_passes(&story).await?;
    let fault = json!({ "phone": NUMBER, "on": "message", "do": "drop", "times": 1 });
    story.world.simulator.fault(&fault).await?;
    let message = story.send(BOB, json!({ "purpose": "code" })).await?;
    assert_eq!(message["class"], "warm");
    // Longer than the longest gap, and shorter than the ten minutes between two messages that nobody answers.
    within(Duration::from_mins(2), "it is sent again", async || {
        let sent = story.world.simulator.ledger("sent").await?;
        Ok((sent.len() == 2).then_some(()))
    })
    .await?;
    api.message_at(id(&message)?, "sent").await?;
    story.world.finish().await
}

async fn safety_own_limits_are_foreseen_when_a_message_is_accepted(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::limited(backing).await?;
    let api = &story.world.api;
    set(api, &json!({ "new_conversations_a_day": 1 })).await?;
    let fault = json!({ "phone": NUMBER, "on": "message", "do": "drop", "times": 1 });
    story.world.simulator.fault(&fault).await?;
    let first = story.send(BOB, json!({ "purpose": "security" })).await?;
    api.message_at(id(&first)?, "sending").await?;
    // The one that is being sent is before it. By itself it would expire first.
    let later = api.in_seconds(3 * 86_400).await?;
    let second = story
        .send(EVE, json!({ "purpose": "order", "expires_at": later }))
        .await?;
    assert_eq!(
        (&second["queue"]["position"], &second["queue"]["hold"]),
        (&json!(1), &json!("new_conversations")),
        "{second}"
    );
    story.world.finish_with_work_undone().await
}

async fn safety_the_first_five_people_keep_no_quiet_hours(backing: Backing) -> Result<Finished> {
    let story = Story::limited(backing).await?;
    let night = crate::safety::where_it_is_night();
    let phone = passerelle_tests::simulator::Phone::default();
    story.world.simulator.phone(night, phone).await?;
    let sent = story
        .send(night, json!({ "purpose": "appointment" }))
        .await?;
    assert_eq!(
        (&sent["trial"]["used"], &sent["queue"]["hold"]),
        (&json!(1), &Value::Null),
        "{sent}"
    );
    story.world.api.message_at(id(&sent)?, "sent").await?;
    story.world.finish().await
}

async fn safety_a_reply_whose_window_has_closed_goes_as_a_warm_message(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::limited(backing).await?;
    asks(&story, BOB).await?;
    story.act("pause").await?;
    let reply = story.send(BOB, json!({})).await?;
    assert_eq!(reply["class"], "reply");
    a_day_passes(&story).await?;
    story.act("resume").await?;
    story.world.api.message_at(id(&reply)?, "sent").await?;
    let steps = story.timeline(&reply).await?;
    let class = |name: &str| {
        let step = steps.iter().find(|step| step["step"] == name);
        step.map(|step| step["class"].clone())
    };
    assert_eq!(class("accepted"), Some(json!("reply")), "{steps:?}");
    assert_eq!(class("claimed"), Some(json!("warm")), "{steps:?}");
    assert_eq!(used(&story, "messages_a_day").await?, 1);
    story.world.finish().await
}

async fn safety_two_replies_to_one_contact_are_three_seconds_apart(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::limited(backing).await?;
    let api = &story.world.api;
    asks(&story, BOB).await?;
    let first = story.send(BOB, json!({})).await?;
    api.message_at(id(&first)?, "sent").await?;
    // A gap was drawn that is over already.
    let database = &story.world.gateway.database;
    let state = database.text("SELECT state FROM number").await?;
    let mut state: Value = serde_json::from_str(&state)?;
    state["any"]["q"] = json!(0);
    let changed = database
        .execute_on("UPDATE number SET state = $1", &state.to_string())
        .await?;
    assert_eq!(changed, 1);
    for over in [
        "UPDATE number SET next_at = 1",
        "UPDATE lane SET next_at = 1, paced_until = 1",
    ] {
        database.execute(over).await?;
    }
    let second = story.send(BOB, json!({})).await?;
    api.message_at(id(&second)?, "sent").await?;
    let frames = story.world.simulator.ledger("sent").await?;
    let gap = i64::try_from(frames[1].wire_us)? - i64::try_from(frames[0].wire_us)?;
    assert!(gap > 2_900_000, "{gap}");
    story.world.finish().await
}

async fn safety_replies_that_nobody_answers_wait(backing: Backing) -> Result<Finished> {
    let story = Story::under(backing, "strict").await?;
    let api = &story.world.api;
    asks(&story, BOB).await?;
    story.act("pause").await?;
    let mut sent = Vec::new();
    for _ in 0..31 {
        sent.push(story.send(BOB, json!({})).await?);
    }
    let (last, before) = sent.split_last().context("messages")?;
    // As if thirty of them had gone a moment ago.
    let database = &story.world.gateway.database;
    for message in before {
        let gone = "UPDATE message SET status = 'sent', sent_at = created_at - 30000 WHERE id = $1";
        assert_eq!(database.execute_on(gone, id(message)?).await?, 1);
    }
    for earlier in [
        "UPDATE acquaintance SET last_inbound_at = last_inbound_at - 60000",
        "UPDATE lane SET pending = 1",
    ] {
        database.execute(earlier).await?;
    }
    story.act("resume").await?;
    held(&story, last, "unanswered").await?;
    story.world.simulator.say(BOB, NUMBER, "Thanks!").await?;
    api.message_at(id(last)?, "sent").await?;
    story.world.finish().await
}

async fn queue_a_message_that_was_held_shows_no_time_that_nobody_asked_for(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    set(api, &json!({ "new_conversations_a_day": 1 })).await?;
    let first = story.send(BOB, json!({})).await?;
    api.message_at(id(&first)?, "sent").await?;
    let waits = sent_to_wait(&story, EVE, &json!({ "new_conversations_a_day": 1 })).await?;
    held(&story, &waits, "new_conversations").await?;
    // A day later.
    let database = &story.world.gateway.database;
    for later in [
        "UPDATE number SET state = NULL",
        "UPDATE message SET send_at = 1 WHERE status = 'queued'",
        "UPDATE lane SET next_at = 1",
    ] {
        database.execute(later).await?;
    }
    api.message_at(id(&waits)?, "sent").await?;
    let shown = api.whole_message(id(&waits)?).await?;
    assert_eq!(shown.get("send_at"), None, "{shown}");
    story.world.finish().await
}

async fn queue_the_first_message_after_a_pause_thinks(backing: Backing) -> Result<Finished> {
    let story = Story::limited(backing).await?;
    let received = story.world.endpoint(&["message.received"]).await?;
    for contact in [BOB, EVE] {
        story
            .world
            .simulator
            .say(contact, NUMBER, "Is it ready?")
            .await?;
    }
    received.wait_for("message.received", 2).await?;
    story.act("pause").await?;
    let reply = story.send(BOB, json!({})).await?;
    // It has waited for long.
    let database = &story.world.gateway.database;
    let long = "UPDATE message SET created_at = created_at - 600000 WHERE status = 'queued'";
    assert_eq!(database.execute(long).await?, 1);
    database
        .execute("UPDATE lane SET opened_at = opened_at - 600000")
        .await?;
    let before = wall_clock().timestamp_millis();
    story.act("resume").await?;
    story.world.api.message_at(id(&reply)?, "sent").await?;
    let steps = story.timeline(&reply).await?;
    let claimed = steps.iter().find(|step| step["step"] == "claimed");
    let planned = super::millis(&claimed.context("a claim")?["send_at"])?;
    let resumed = database.number("SELECT opened_at FROM lane").await?;
    assert!(resumed >= before, "{resumed} {before}");
    // It thinks for a second or more, and types.
    assert!(planned - resumed >= 1000, "{}", planned - resumed);
    story.world.finish().await
}

async fn queue_a_scheduled_message_has_not_waited_before_its_time(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    set(api, &json!({ "messages_a_day": 100 })).await?;
    asks(&story, IDA).await?;
    story.act("pause").await?;
    let at = api.in_seconds(2).await?;
    let scheduled = story.send(BOB, json!({ "send_at": at })).await?;
    // It was accepted a day ago. What has waited for so long goes as early as a reply.
    let database = &story.world.gateway.database;
    let ago = "UPDATE message SET created_at = created_at - 86400000 WHERE status = 'queued'";
    assert_eq!(database.execute(ago).await?, 1);
    let reply = story.send(IDA, json!({})).await?;
    soon("its time has come", async || {
        let at = super::millis(&json!(at))?;
        Ok((wall_clock().timestamp_millis() > at).then_some(()))
    })
    .await?;
    story.act("resume").await?;
    go_in_this_order(&story, [&reply, &scheduled]).await?;
    story.world.finish().await
}

async fn queue_what_a_limit_holds_until_tomorrow_holds_up_nothing_that_is_scheduled_before(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    let limit = json!({ "messages_a_day": 1 });
    set(api, &limit).await?;
    let first = story.send(BOB, json!({})).await?;
    api.message_at(id(&first)?, "sent").await?;
    asks(&story, IDA).await?;
    let at = api.in_seconds(8).await?;
    let scheduled = story.send(IDA, json!({ "send_at": at })).await?;
    let waits = sent_to_wait(&story, EVE, &limit).await?;
    held(&story, &waits, "day").await?;
    let shown = api.whole_message(id(&scheduled)?).await?;
    assert_eq!(shown["status"], "queued", "its time has not come: {shown}");
    api.message_at(id(&scheduled)?, "sent").await?;
    held(&story, &waits, "day").await?;
    story.world.finish_with_work_undone().await
}

async fn queue_of_one_class_the_highest_priority_goes_first(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    set(api, &json!({ "messages_a_day": 100 })).await?;
    story.act("pause").await?;
    let mut waiting = Vec::new();
    for (to, priority) in [(BOB, "low"), (EVE, "normal"), (IDA, "high")] {
        waiting.push(story.send(to, json!({ "priority": priority })).await?);
    }
    story.act("resume").await?;
    go_in_this_order(&story, waiting.iter().rev()).await?;
    story.world.finish().await
}
