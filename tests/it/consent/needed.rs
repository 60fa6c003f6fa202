//! What a message needs, and for whom it needs nothing.

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, on_both_stores, on_every_shape, simulator::Phone, soon,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{BOB, EVE, NUMBER, OTHER, Story, id, refused, shown_body, stranger};

on_every_shape!(consent_a_newcomer_tries_it_out_and_the_sixth_stranger_gets_a_body_that_works);

mod stores {
    use super::*;

    on_both_stores!(
        consent_of_many_strangers_at_once_five_are_tried_out,
        consent_and_purpose_are_asked_for_by_the_contacts_last_message,
        consent_is_not_needed_by_groups_changes_and_the_sandbox,
        consent_old_customers_of_a_linked_phone_are_no_strangers,
        consent_a_message_lives_as_its_purpose_says,
        consent_values_that_cannot_be_change_nothing,
    );
}

async fn consent_a_newcomer_tries_it_out_and_the_sixth_stranger_gets_a_body_that_works(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let (world, trial) = (&story.world, |reply: &Value| reply["trial"].clone());
    let receiver = world.endpoint(&["message.canceled"]).await?;
    // The number's own account first. It is sent like a reply, at any hour.
    let own: Value = story.send(NUMBER, json!({})).await?.into(202)?;
    assert_eq!((&own["class"], trial(&own)), (&json!("reply"), Value::Null));
    world.api.message_at(&id(&own)?, "sent").await?;
    // Five people, each as often as wanted.
    for n in 0..5 {
        let to = if n == 0 { BOB.to_owned() } else { stranger(n) };
        for _ in 0..2 {
            let sent: Value = story.send(&to, json!({})).await?.into(202)?;
            assert_eq!(
                (&sent["class"], trial(&sent)),
                (&json!("cold"), json!({ "used": n + 1, "of": 5 }))
            );
            assert!(sent.get("consent_id").is_none(), "{sent}");
        }
    }
    // The sixth is refused, and nothing is left of it.
    let sixth = story.send(EVE, json!({})).await?;
    refused(&sixth, "consent_required", "/consent");
    let missing = story.send(EVE, json!({ "purpose": "order" })).await?;
    refused(&missing, "consent_required", "/consent");
    assert!(story.contact(EVE).await.is_err());
    // The body in the detail works as it is.
    let body = shown_body(&sixth)?;
    assert_eq!(
        (&body["to"], &body["purpose"], &body["session_id"]),
        (&json!(EVE), &json!("order"), &json!(story.session))
    );
    assert_eq!(shown_body(&missing)?, body);
    let sent: Value = world.api.post("/v1/messages", &body).await?.into(202)?;
    assert_eq!(
        (&sent["class"], &sent["purpose"], trial(&sent)),
        (&json!("cold"), &json!("order"), Value::Null)
    );
    let consent = sent["consent_id"].as_str().context("a consent")?;
    let path = format!("/v1/messages/{}", id(&sent)?);
    let whole: Value = world.api.get(&path).await?.into(200)?;
    assert_eq!(whole["consent_id"], json!(consent));
    // Its events show the same.
    let canceled = world.api.act(&format!("{path}/cancel")).await?;
    canceled.into::<Value>(200)?;
    let told = receiver.wait_for("message.canceled", 1).await?;
    let told = &told[0].body["data"]["message"];
    for field in ["id", "class", "purpose", "consent_id"] {
        assert_eq!(told[field], sent[field], "{field}");
    }
    // What is cold waits for its turn longer than a test does.
    story.world.finish_with_work_undone().await
}

async fn consent_of_many_strangers_at_once_five_are_tried_out(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let sends = (0..20).map(|n| {
        let story = &story;
        async move { story.send(&stranger(n % 10), json!({})).await }
    });
    let replies = try_join_all(sends).await?;
    let mut people: Vec<_> = replies
        .iter()
        .filter(|reply| reply.status.as_u16() == 202)
        .map(|reply| reply.body["to"].to_string())
        .collect();
    for reply in replies.iter().filter(|reply| reply.status.as_u16() != 202) {
        refused(reply, "consent_required", "/consent");
    }
    people.sort();
    people.dedup();
    assert_eq!(people.len(), 5, "{people:?}");
    // Another number has five people of its own.
    let other = story.world.linked(OTHER).await?.id;
    let sent: Value = story
        .send_through(&other, &stranger(9), json!({}))
        .await?
        .into(202)?;
    assert_eq!(sent["trial"], json!({ "used": 1, "of": 5 }));
    // Nobody knows whom a session will write to that was never linked.
    let unlinked = story.world.api.create_session("unlinked").await?.id;
    let early = story.send_through(&unlinked, BOB, json!({})).await?;
    refused(&early, "consent_required", "/consent");
    story.world.finish_with_work_undone().await
}

/// Moves the contacts' last messages to so many hours ago.
async fn hours_ago(world: &World, hours: i64) -> Result<()> {
    let database = &world.gateway.database;
    database
        .execute_on(
            "UPDATE acquaintance SET last_inbound_at = used_at - CAST($1 AS bigint) WHERE last_inbound_at IS NOT NULL",
            &(hours * 60 * 60 * 1000).to_string(),
        )
        .await?;
    Ok(())
}

async fn consent_and_purpose_are_asked_for_by_the_contacts_last_message(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::without_trial(backing).await?;
    let world = &story.world;
    let receiver = world.endpoint(&["message.received"]).await?;
    world.simulator.say(BOB, NUMBER, "hello").await?;
    receiver.wait_for("message.received", 1).await?;
    let reply: Value = story.send(BOB, json!({})).await?.into(202)?;
    assert_eq!(
        (&reply["class"], &reply["purpose"], &reply["trial"]),
        (&json!("reply"), &Value::Null, &Value::Null)
    );
    // The window is of the number that the contact wrote to.
    let other = world.linked(OTHER).await?.id;
    let there: Value = story
        .send_through(&other, BOB, json!({}))
        .await?
        .into(202)?;
    assert_eq!(there["class"], json!("cold"));
    hours_ago(world, 25).await?;
    let bare = story.send(BOB, json!({})).await?;
    refused(&bare, "purpose_required", "/purpose");
    let body = shown_body(&bare)?;
    assert!(body.get("consent").is_none(), "{body}");
    let warm: Value = world.api.post("/v1/messages", &body).await?.into(202)?;
    assert_eq!(
        (&warm["class"], &warm["consent_id"]),
        (&json!("warm"), &Value::Null)
    );
    hours_ago(world, 181 * 24).await?;
    let late = story.send(BOB, json!({ "purpose": "order" })).await?;
    refused(&late, "consent_required", "/consent");
    // One word opens the window again.
    world.simulator.say(BOB, NUMBER, "hello again").await?;
    receiver.wait_for("message.received", 2).await?;
    let reply: Value = story.send(BOB, json!({})).await?.into(202)?;
    assert_eq!(reply["class"], json!("reply"));
    story.world.finish_with_work_undone().await
}

async fn consent_is_not_needed_by_groups_changes_and_the_sandbox(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::without_trial(backing).await?;
    let world = &story.world;
    let group = json!({ "subject": "Team", "creator": EVE, "members": [BOB, NUMBER] });
    let group = world.simulator.call(Method::POST, "/groups", Some(&group));
    let group = id(&group.await?)?;
    let to_group: Value = story.send(&group, json!({})).await?.into(202)?;
    assert!(to_group.get("class").is_none(), "{to_group}");
    let named = json!({ "purpose": "support" });
    let to_group: Value = story.send(&group, named).await?.into(202)?;
    assert_eq!(to_group["purpose"], json!("support"));
    // A change belongs to its message, whatever became of the conversation.
    let receiver = world.endpoint(&["message.received"]).await?;
    world.simulator.say(BOB, NUMBER, "hello").await?;
    receiver.wait_for("message.received", 1).await?;
    let sent: Value = story.send(BOB, json!({})).await?.into(202)?;
    let sent = id(&sent)?;
    world.api.message_at(&sent, "sent").await?;
    hours_ago(world, 181 * 24).await?;
    refused(
        &story.send(BOB, json!({ "purpose": "order" })).await?,
        "consent_required",
        "/consent",
    );
    for change in [
        json!({ "type": "reaction", "reaction": { "message_id": sent, "emoji": "👍" } }),
        json!({ "type": "edit", "edit": { "message_id": sent, "body": "hello!" } }),
        json!({ "type": "delete", "delete": { "message_id": sent } }),
    ] {
        let done = Api::of_kind(&story.session, BOB, change);
        let done: Value = world.api.post("/v1/messages", &done).await?.into(202)?;
        assert!(done.get("class").is_none(), "{done}");
    }
    story.world.finish_with_work_undone().await?;
    // The sandbox takes and shows all of it, and needs nothing.
    let story = Story::with(backing, "sandbox").await?;
    for n in 0..7 {
        let sent: Value = story.send(&stranger(n), json!({})).await?.into(202)?;
        assert_eq!(
            (&sent["class"], &sent["trial"]),
            (&json!("cold"), &Value::Null)
        );
    }
    let fields = json!({ "purpose": "billing", "consent": { "source": "checkout" } });
    let sent: Value = story.send(BOB, fields).await?.into(202)?;
    assert_eq!(sent["purpose"], json!("billing"));
    let consents = story.consents(&story.contact(BOB).await?).await?;
    assert_eq!(consents[0]["id"], sent["consent_id"]);
    story.world.finish_with_work_undone().await
}

async fn consent_old_customers_of_a_linked_phone_are_no_strangers(
    backing: Backing,
) -> Result<Finished> {
    let setup = Setup {
        flags: vec!["--safety".to_owned(), "default".to_owned()],
        ..Setup::quick()
    };
    let world = World::with(backing, setup).await?;
    for phone in [BOB, EVE] {
        world.simulator.phone(phone, Phone::default()).await?;
    }
    // The phone has a chat with one of them before it is linked.
    let phone = json!({ "phone": NUMBER, "contacts": [BOB] });
    let call = world.simulator.call(Method::POST, "/phones", Some(&phone));
    call.await?;
    let session = world.linked(NUMBER).await?.id;
    let story = Story { world, session };
    let class = async |to: &str| {
        let fields = json!({ "purpose": "order", "consent": { "source": "checkout" } });
        let sent: Value = story.send(to, fields).await?.into(202)?;
        anyhow::Ok(sent["class"].clone())
    };
    soon("the token has come with the history", async || {
        Ok((class(BOB).await? == "warm").then_some(()))
    })
    .await?;
    assert_eq!(class(EVE).await?, json!("cold"));
    story.world.finish_with_work_undone().await
}

async fn consent_a_message_lives_as_its_purpose_says(backing: Backing) -> Result<Finished> {
    let story = Story::with(backing, "sandbox").await?;
    let world = &story.world;
    let life = |sent: &Value, from: &str| {
        let at = |field: &str| {
            let text = sent[field].as_str().context("a time")?;
            anyhow::Ok(chrono::DateTime::parse_from_rfc3339(text)?)
        };
        anyhow::Ok((at("expires_at")? - at(from)?).num_minutes())
    };
    for (purpose, minutes) in [
        ("order", 1440),
        ("delivery", 360),
        ("appointment", 1440),
        ("billing", 1440),
        ("account", 1440),
        ("code", 10),
        ("security", 60),
        ("support", 1440),
    ] {
        let sent: Value = story
            .send(BOB, json!({ "purpose": purpose }))
            .await?
            .into(202)?;
        assert_eq!(life(&sent, "created_at")?, minutes, "{purpose}");
        let whole = world.api.whole_message(&id(&sent)?).await?;
        assert_eq!(
            (&whole["expires_at"], &whole["purpose"]),
            (&sent["expires_at"], &json!(purpose))
        );
    }
    // It counts from the time at which the message may go, and its caller may say otherwise.
    let later = json!({ "purpose": "code", "send_at": world.api.in_seconds(600).await? });
    let sent: Value = story.send(BOB, later).await?.into(202)?;
    assert_eq!(life(&sent, "send_at")?, 10);
    let until = world.api.in_seconds(7200).await?;
    let said = json!({ "purpose": "code", "expires_at": until });
    let sent: Value = story.send(BOB, said).await?.into(202)?;
    assert_eq!(life(&sent, "created_at")?, 119);
    // That of the session holds for messages that name none.
    let path = format!("/v1/sessions/{}", story.session);
    let code = json!({ "purpose": "code" });
    let changed: Value = world.api.patch(&path, &code).await?.into(200)?;
    assert_eq!(changed["purpose"], json!("code"));
    let sent: Value = story.send(BOB, json!({})).await?.into(202)?;
    assert_eq!(
        (&sent["purpose"], life(&sent, "created_at")?),
        (&json!("code"), 10)
    );
    let sent: Value = story
        .send(BOB, json!({ "purpose": "delivery" }))
        .await?
        .into(202)?;
    assert_eq!(sent["purpose"], json!("delivery"));
    let removed: Value = world
        .api
        .patch(&path, &json!({ "purpose": null }))
        .await?
        .into(200)?;
    assert!(removed.get("purpose").is_none(), "{removed}");
    let new = json!({ "name": "second", "purpose": "account" });
    let made: Value = world.api.post("/v1/sessions", &new).await?.into(201)?;
    assert_eq!(made["purpose"], json!("account"));
    story.world.finish_with_work_undone().await
}

async fn consent_values_that_cannot_be_change_nothing(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let world = &story.world;
    let tomorrow = world.api.in_seconds(86_400).await?;
    let consent = |consent: Value| json!({ "purpose": "order", "consent": consent });
    for (fields, status, code, pointer) in [
        (
            json!({ "purpose": "advertising" }),
            400,
            "validation_failed",
            "/purpose",
        ),
        (
            consent(json!({})),
            400,
            "validation_failed",
            "/consent/source",
        ),
        (
            consent(json!({ "source": " " })),
            422,
            "invalid_consent",
            "/consent/source",
        ),
        (
            consent(json!({ "source": "x".repeat(65) })),
            422,
            "invalid_consent",
            "/consent/source",
        ),
        (
            consent(json!({ "source": "x", "proof": "x".repeat(513) })),
            422,
            "invalid_consent",
            "/consent/proof",
        ),
        (
            consent(json!({ "source": "x", "at": tomorrow })),
            422,
            "invalid_consent",
            "/consent/at",
        ),
        (
            consent(json!({ "source": "x", "at": "2026-02-30T00:00:00Z" })),
            400,
            "validation_failed",
            "/consent/at",
        ),
        (
            consent(json!({ "source": "x", "by": "me" })),
            400,
            "unknown_field",
            "/consent/by",
        ),
    ] {
        let reply = story.send(BOB, fields.clone()).await?;
        let flaw = &reply.body["errors"][0]["pointer"];
        assert_eq!(
            (reply.status.as_u16(), reply.code(), flaw),
            (status, code, &json!(pointer)),
            "{fields}: {}",
            reply.body
        );
    }
    assert!(story.contact(BOB).await.is_err());
    let own: Value = story.send(BOB, json!({})).await?.into(202)?;
    let contact = own["contact_id"].as_str().context("a contact")?;
    for (body, code, pointer) in [
        (json!({ "source": "" }), "invalid_consent", "/source"),
        (
            json!({ "source": "x", "at": tomorrow }),
            "invalid_consent",
            "/at",
        ),
    ] {
        refused(&story.consent(contact, &body).await?, code, pointer);
    }
    assert!(story.consents(contact).await?.is_empty());
    let nobody = "ctc_01kaq6h3zve9qbw4r2t8n5c7xd";
    let lost = story.consent(nobody, &json!({ "source": "x" })).await?;
    assert_eq!(lost.code(), "not_found");
    let session = format!("/v1/sessions/{}", story.session);
    let reply = world
        .api
        .patch(&session, &json!({ "purpose": "advertising" }))
        .await?;
    assert_eq!(reply.code(), "validation_failed");
    let session: Value = world.api.get(&session).await?.into(200)?;
    assert!(session.get("purpose").is_none(), "{session}");
    story.world.finish_with_work_undone().await
}
