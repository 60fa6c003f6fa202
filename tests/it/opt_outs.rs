//! What an opt-out does to what is queued, its confirmation, its words, and opt-outs through the API.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, api::Reply, on_both_stores, on_every_shape,
    simulator::Phone, soon,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

on_every_shape!(
    consent_an_opt_out_ends_what_is_queued_in_every_session,
    consent_an_opt_out_is_confirmed_once,
    consent_two_names_end_together_and_a_merge_confirms_nothing,
);

const NUMBER: &str = "+4915170000001";
const OTHER: &str = "+4915170000002";
const LISTENING: &str = "+4915170000003";
const CONTACT: &str = "+4915199000001";
const NEIGHBOUR: &str = "+4915199000002";
const CONFIRMATION: &str = "You get no more messages. Write START to get them again.";

async fn settings(api: &Api, settings: &Value) -> Result<Reply> {
    let request = api.request(Method::PUT, "/v1/opt-out-settings");
    Api::reply(request.json(settings)).await
}

/// Stops a session, so that it claims nothing.
async fn stop(world: &World, session: &str) -> Result<()> {
    world.api.disconnect(session).await?;
    world.api.session_in(session, "stopped").await?;
    Ok(())
}

async fn opt_outs(api: &Api, query: &str) -> Result<Vec<Value>> {
    let page: Value = api.get(&format!("/v1/opt-outs?{query}")).await?.into(200)?;
    Ok(page["data"].as_array().context("opt-outs")?.clone())
}

async fn consent_an_opt_out_ends_what_is_queued_in_every_session(
    backing: Backing,
) -> Result<Finished> {
    let world = World::with(backing, Setup::quick()).await?;
    let receiver = world
        .endpoint(&["message.failed", "message.sent", "contact.opted_out"])
        .await?;
    let one = world.linked(NUMBER).await?.id;
    let two = world.linked(OTHER).await?.id;
    world.linked(LISTENING).await?;
    for phone in [CONTACT, NEIGHBOUR] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    let group = json!({ "subject": "Team", "creator": NEIGHBOUR, "members": [CONTACT, NUMBER] });
    let group = world.simulator.call(Method::POST, "/groups", Some(&group));
    let group = group.await?["id"].clone();
    let group = group.as_str().context("a group has an id")?;
    stop(&world, &one).await?;
    stop(&world, &two).await?;
    let first = world.api.send(&one, CONTACT, "one 0").await?;
    let contact = world.api.whole_message(&first.id).await?["contact_id"].clone();
    let contact = contact.as_str().context("a contact")?;
    let mut waiting = vec![first.id];
    // More than one transaction ends of a lane.
    for n in 1..60 {
        let sent = world.api.send(&one, CONTACT, &format!("one {n}")).await?;
        waiting.push(sent.id);
    }
    waiting.push(world.api.send(&two, contact, "two").await?.id);
    let behind = world.api.send(&one, NEIGHBOUR, "behind").await?;
    let to_group = world.api.send(&one, group, "to all").await?;
    world.simulator.say(CONTACT, LISTENING, "Stop").await?;
    let told = receiver.wait_for("contact.opted_out", 1).await?;
    let told = &told[0].body;
    assert_eq!(told["data"]["source"], json!("word"));
    assert_eq!(told["data"]["contact"]["id"], json!(contact));
    assert!(told["session_id"].is_string(), "{told}");
    // Their sessions are stopped: nothing came to its turn.
    let failed = receiver.wait_for("message.failed", waiting.len()).await?;
    for arrival in &failed {
        let error = &arrival.body["data"]["message"]["error"];
        assert_eq!(error["code"], json!("recipient_opted_out"));
    }
    for id in &waiting {
        let message = world.api.message(id).await?;
        assert_eq!(
            (message.status.as_str(), message.error_code()),
            ("failed", "recipient_opted_out")
        );
    }
    for id in [&behind.id, &to_group.id] {
        assert_eq!(world.api.message(id).await?.status, "queued");
    }
    let pending = world.api.session(&one).await?.queue.context("a queue")?;
    assert_eq!(pending.pending, 2);
    world.api.connect(&one).await?;
    world.api.connect(&two).await?;
    for id in [&behind.id, &to_group.id] {
        world.api.message_at(id, "sent").await?;
    }
    receiver.wait_for("message.sent", 2).await?;
    // What was said in the group is shown to its members, as before.
    soon("the group's message is shown", async || {
        let shown = world.simulator.shown(CONTACT).await?;
        Ok((shown == ["to all"]).then_some(()))
    })
    .await?;
    assert_eq!(receiver.of("message.failed").len(), waiting.len());
    world.finish().await
}

async fn consent_an_opt_out_is_confirmed_once(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["contact.opted_out", "contact.opted_in", "message.failed"])
        .await?;
    let session = world.linked(NUMBER).await?.id;
    for phone in [CONTACT, NEIGHBOUR] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    let wanted = json!({ "confirmation": CONFIRMATION });
    let set: Value = settings(&world.api, &wanted).await?.into(200)?;
    assert_eq!(set["ambiguous_words"], json!(true));
    // The process dies right after the commit, before it could tell anybody.
    world.gateway.stop().await?;
    world.gateway.setup.failpoints = Some("inbound.after_commit=return".to_owned());
    world.gateway.start().await?;
    world.api.session_in(&session, "connected").await?;
    world
        .simulator
        .say_copies(CONTACT, NUMBER, "STOP", 2)
        .await?;
    world
        .gateway
        .crash_and_restart(Duration::from_secs(30))
        .await?;
    receiver.wait_for("contact.opted_out", 1).await?;
    let confirmed = async |count: usize| {
        soon("the confirmations are shown", async || {
            let shown = world.simulator.shown(CONTACT).await?;
            Ok((shown == vec![CONFIRMATION; count]).then_some(()))
        })
        .await
    };
    confirmed(1).await?;
    let listed = world.api.messages("direction=outbound").await?;
    let [one] = listed.as_slice() else {
        anyhow::bail!("one message: {listed:?}");
    };
    assert_eq!(one.body(), CONFIRMATION);
    world.api.message_at(&one.id, "read").await?;
    // Said again, with another word or through the API, it is the same opt-out.
    for said in ["stop", "Unsubscribe", "arrêt"] {
        world.simulator.say(CONTACT, NUMBER, said).await?;
    }
    let again: Value = world
        .api
        .post("/v1/opt-outs", &json!({ "phone": CONTACT }))
        .await?
        .into(200)?;
    assert_eq!(again["source"], json!("word"));
    let other = json!({ "phone": NEIGHBOUR });
    world
        .api
        .post("/v1/opt-outs", &other)
        .await?
        .into::<Value>(200)?;
    receiver.wait_for("contact.opted_out", 2).await?;
    // A new opt-out is confirmed again. What was said before is committed by then.
    world.simulator.say(CONTACT, NUMBER, "start").await?;
    receiver.wait_for("contact.opted_in", 1).await?;
    world.simulator.say(CONTACT, NUMBER, "stop").await?;
    receiver.wait_for("contact.opted_out", 3).await?;
    confirmed(2).await?;
    world.lanes_empty(Duration::from_secs(30)).await?;
    assert_eq!(world.simulator.shown(CONTACT).await?.len(), 2);
    assert!(world.simulator.shown(NEIGHBOUR).await?.is_empty());
    assert_eq!(receiver.of("message.failed").len(), 0);
    world.finish().await
}

async fn consent_two_names_end_together_and_a_merge_confirms_nothing(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["contact.merged", "contact.opted_out", "message.failed"])
        .await?;
    let session = world.linked(NUMBER).await?.id;
    world.linked(LISTENING).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let shows = async |shows: bool| {
        let phone = json!({ "phone": CONTACT, "shows_number": shows });
        let call = world.simulator.call(Method::POST, "/phones", Some(&phone));
        call.await.map(drop)
    };
    shows(false).await?;
    let wanted = json!({ "confirmation": CONFIRMATION });
    settings(&world.api, &wanted).await?.into::<Value>(200)?;
    stop(&world, &session).await?;
    // A message waits for the phone number, and nobody knows yet whose it is.
    let waiting = world.api.send(&session, CONTACT, "never").await?;
    world.simulator.say(CONTACT, LISTENING, "stop").await?;
    let told = receiver.wait_for("contact.opted_out", 1).await?;
    let by_lid = told[0].body["data"]["contact"]["id"].clone();
    soon("the opt-out is confirmed", async || {
        let shown = world.simulator.shown(CONTACT).await?;
        Ok((shown == [CONFIRMATION]).then_some(()))
    })
    .await?;
    assert_eq!(world.api.message(&waiting.id).await?.status, "queued");
    // Now the contact shows both names: two contacts are one, and what waits for the number ends.
    shows(true).await?;
    world.simulator.say(CONTACT, LISTENING, "Stop!").await?;
    let merged = receiver.wait_for("contact.merged", 1).await?;
    assert_eq!(merged[0].body["data"]["merged_contact_id"], by_lid);
    let failed = receiver.wait_for("message.failed", 1).await?;
    assert_eq!(failed[0].body["data"]["message"]["id"], json!(waiting.id));
    assert_eq!(
        world.api.message(&waiting.id).await?.error_code(),
        "recipient_opted_out"
    );
    let listed = opt_outs(&world.api, "phone=%2B4915199000001").await?;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["source"], json!("word"));
    let by_old_id = by_lid.as_str().context("an id")?;
    let found = opt_outs(&world.api, &format!("contact_id={by_old_id}")).await?;
    assert_eq!(found, listed);
    world.lanes_empty(Duration::from_secs(30)).await?;
    assert_eq!(world.simulator.shown(CONTACT).await?, [CONFIRMATION]);
    assert_eq!(receiver.of("contact.opted_out").len(), 1);
    world.finish().await
}

mod stores {
    use super::*;

    on_both_stores!(
        consent_ambiguous_words_can_be_switched_off,
        consent_opt_outs_through_the_api,
        consent_bad_opt_outs_change_nothing,
    );

    pub(super) use super::{
        consent_ambiguous_words_can_be_switched_off, consent_bad_opt_outs_change_nothing,
        consent_opt_outs_through_the_api,
    };
}

pub(super) async fn consent_ambiguous_words_can_be_switched_off(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["contact.opted_out", "contact.opted_in", "message.received"])
        .await?;
    world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let mut said = 0;
    let mut say = async |text: &str| {
        world.simulator.say(CONTACT, NUMBER, text).await?;
        said += 1;
        receiver.wait_for("message.received", said).await.map(drop)
    };
    let counts = || {
        let (out, back) = ("contact.opted_out", "contact.opted_in");
        (receiver.of(out).len(), receiver.of(back).len())
    };
    let defaults: Value = world.api.get("/v1/opt-out-settings").await?.into(200)?;
    assert_eq!(defaults, json!({ "ambiguous_words": true }));
    // Nobody opted out yet, so "yes" is an answer.
    say("Yes").await?;
    say("please don't stop").await?;
    say("Cancel").await?;
    receiver.wait_for("contact.opted_out", 1).await?;
    say("yes").await?;
    receiver.wait_for("contact.opted_in", 1).await?;
    let off = json!({ "ambiguous_words": false });
    settings(&world.api, &off).await?.into::<Value>(200)?;
    say("cancel").await?;
    say("sair").await?;
    say("unsubscribe").await?;
    receiver.wait_for("contact.opted_out", 2).await?;
    say("yes").await?;
    say("unstop").await?;
    receiver.wait_for("contact.opted_in", 2).await?;
    say("रोकें").await?;
    receiver.wait_for("contact.opted_out", 3).await?;
    assert_eq!(counts(), (3, 2));
    // Another organisation has its own settings.
    let stranger = world.admin.tenant("Other").await?;
    let theirs: Value = stranger.get("/v1/opt-out-settings").await?.into(200)?;
    assert_eq!(theirs["ambiguous_words"], json!(true));
    world.finish().await
}

pub(super) async fn consent_opt_outs_through_the_api(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["contact.opted_out", "contact.opted_in", "message.failed"])
        .await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    stop(&world, &session).await?;
    let waiting = world.api.send(&session, CONTACT, "never").await?;
    // A number in any spelling, to which a message waits.
    let wanted = json!({ "phone": "0049 151 99000001" });
    let out: Value = world.api.post("/v1/opt-outs", &wanted).await?.into(200)?;
    assert_eq!(
        (&out["object"], &out["phone"], &out["source"]),
        (&json!("opt_out"), &json!(CONTACT), &json!("api"))
    );
    let id = out["contact_id"].as_str().context("a contact")?.to_owned();
    receiver.wait_for("message.failed", 1).await?;
    assert_eq!(
        world.api.message(&waiting.id).await?.error_code(),
        "recipient_opted_out"
    );
    // Once more, by the id: nothing changes.
    let by_id = json!({ "contact_id": id });
    let again: Value = world.api.post("/v1/opt-outs", &by_id).await?.into(200)?;
    assert_eq!(again, out);
    let refused = world
        .api
        .post("/v1/messages", &Api::text(&session, &id, "x"))
        .await?;
    assert_eq!(refused.code(), "recipient_opted_out");
    let contact: Value = world
        .api
        .get(&format!("/v1/contacts/{id}"))
        .await?
        .into(200)?;
    assert_eq!(contact["opted_out"], json!(true));
    // A number that nobody wrote to.
    let stranger = json!({ "phone": NEIGHBOUR });
    let second: Value = world.api.post("/v1/opt-outs", &stranger).await?.into(200)?;
    assert_eq!(
        opt_outs(&world.api, "").await?,
        [second.clone(), out.clone()]
    );
    let page: Value = world.api.get("/v1/opt-outs?limit=1").await?.into(200)?;
    assert_eq!(
        (&page["data"], &page["has_more"]),
        (&json!([second]), &json!(true))
    );
    let cursor = page["next_cursor"].as_str().context("a cursor")?;
    assert_eq!(
        opt_outs(&world.api, &format!("cursor={cursor}")).await?,
        std::slice::from_ref(&out)
    );
    assert_eq!(
        opt_outs(&world.api, "phone=%2B49%20151%2099000002").await?,
        std::slice::from_ref(&second)
    );
    assert_eq!(
        opt_outs(&world.api, &format!("contact_id={id}")).await?,
        [out]
    );
    // Nobody else sees or changes them.
    let other = world.admin.tenant("Other").await?;
    assert!(opt_outs(&other, "").await?.is_empty());
    assert!(
        opt_outs(&other, &format!("contact_id={id}"))
            .await?
            .is_empty()
    );
    assert_eq!(
        other.post("/v1/opt-outs", &by_id).await?.code(),
        "contact_not_found"
    );
    assert_eq!(
        other.delete(&format!("/v1/opt-outs/{id}")).await?.code(),
        "not_found"
    );
    // They outlive the session that met the contact.
    world.api.delete(&format!("/v1/sessions/{session}")).await?;
    let session = world.linked(OTHER).await?.id;
    assert_eq!(opt_outs(&world.api, "").await?.len(), 2);
    // Opted in again, once.
    let path = format!("/v1/opt-outs/{id}");
    assert_eq!(world.api.delete(&path).await?.status.as_u16(), 204);
    assert_eq!(world.api.delete(&path).await?.code(), "not_found");
    assert_eq!(opt_outs(&world.api, "").await?, [second]);
    let sent = world.api.send(&session, CONTACT, "welcome back").await?;
    world.api.message_at(&sent.id, "read").await?;
    receiver.wait_for("contact.opted_out", 2).await?;
    let told = receiver.wait_for("contact.opted_in", 1).await?;
    let told = &told[0].body;
    assert_eq!(told["data"]["source"], json!("api"));
    assert_eq!(told["data"]["contact"]["id"], json!(id));
    assert!(told.get("session_id").is_none(), "{told}");
    assert_eq!(receiver.of("contact.opted_out").len(), 2);
    world.finish().await
}

pub(super) async fn consent_bad_opt_outs_change_nothing(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let nobody = "ctc_01kaq6h3zve9qbw4r2t8n5c7xd";
    for (body, status, code, pointer) in [
        (json!({}), 400, "validation_failed", "/phone"),
        (
            json!({ "phone": CONTACT, "contact_id": nobody }),
            400,
            "validation_failed",
            "/phone",
        ),
        (
            json!({ "phone": "0151 23" }),
            422,
            "invalid_phone",
            "/phone",
        ),
        (
            json!({ "contact_id": nobody }),
            422,
            "contact_not_found",
            "/contact_id",
        ),
    ] {
        let refused = world.api.post("/v1/opt-outs", &body).await?;
        let flaw = &refused.body["errors"][0]["pointer"];
        assert_eq!(
            (refused.status.as_u16(), refused.code(), flaw),
            (status, code, &json!(pointer)),
            "{body}: {}",
            refused.body
        );
    }
    let both = format!("/v1/opt-outs?phone=%2B4915199000001&contact_id={nobody}");
    assert_eq!(world.api.get(&both).await?.code(), "validation_failed");
    let unknown = json!({ "phone": CONTACT, "reason": "x" });
    let refused = world.api.post("/v1/opt-outs", &unknown).await?;
    assert_eq!(refused.code(), "unknown_field");
    for (body, code) in [
        (json!({ "confirmation": " " }), "text_empty"),
        (
            json!({ "confirmation": "x".repeat(65_537) }),
            "text_too_long",
        ),
    ] {
        let refused = settings(&world.api, &body).await?;
        assert_eq!(refused.code(), code);
        assert_eq!(refused.body["errors"][0]["pointer"], json!("/confirmation"));
    }
    assert!(opt_outs(&world.api, "").await?.is_empty());
    let kept: Value = world.api.get("/v1/opt-out-settings").await?.into(200)?;
    assert_eq!(kept, json!({ "ambiguous_words": true }));
    world.finish().await
}
