//! Opt-in links: contacts agree by their own first message.

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Finished, on_both_stores, on_every_shape};
use reqwest::Method;
use serde_json::{Value, json};

use super::{BOB, EVE, NUMBER, OTHER, Story, id};

on_every_shape!(consent_is_given_once_with_the_code_of_a_link);

mod stores {
    use super::*;

    on_both_stores!(
        consent_links_are_made_shown_and_deleted,
        consent_of_a_link_counts_neither_in_groups_nor_elsewhere_nor_late,
    );
}

impl Story {
    async fn link(&self, body: &Value) -> Result<Value> {
        let path = format!("/v1/sessions/{}/opt-in-links", self.session);
        self.world.api.post(&path, body).await?.into(201)
    }
}

fn text(value: &Value, field: &str) -> Result<String> {
    Ok(value[field].as_str().context("a text")?.to_owned())
}

async fn consent_is_given_once_with_the_code_of_a_link(backing: Backing) -> Result<Finished> {
    let story = Story::without_trial(backing).await?;
    let world = &story.world;
    let receiver = world
        .endpoint(&["consent.given", "message.received", "contact.opted_in"])
        .await?;
    let link = story.link(&json!({})).await?;
    let message = text(&link, "message")?;
    let said = world.simulator.say_copies(BOB, NUMBER, &message, 2).await?;
    let told = receiver.wait_for("consent.given", 1).await?;
    let (consent, contact) = (
        &told[0].body["data"]["consent"],
        &told[0].body["data"]["contact"],
    );
    let received = receiver.wait_for("message.received", 1).await?;
    let received = &received[0].body["data"]["message"];
    assert_eq!(received["wa_message_id"], json!(said));
    assert_eq!(
        (
            &consent["source"],
            &consent["proof"],
            &consent["opt_in_link_id"]
        ),
        (&json!("opt_in_link"), &received["id"], &link["id"])
    );
    let contact = id(contact)?;
    let listed = story.consents(&contact).await?;
    assert_eq!(listed, std::slice::from_ref(consent));
    // It is a reply now, and later a cold message that the consent allows.
    let reply: Value = story.send(BOB, json!({})).await?.into(202)?;
    assert_eq!(reply["class"], json!("reply"));
    let other = world.linked(OTHER).await?.id;
    let order = json!({ "purpose": "order" });
    let cold: Value = story
        .send_through(&other, BOB, order.clone())
        .await?
        .into(202)?;
    assert_eq!(
        (&cold["class"], &cold["consent_id"]),
        (&json!("cold"), &consent["id"])
    );
    // Said again, in other words, it is the same consent.
    let again = format!("my code is {}!", text(&link, "code")?.to_lowercase());
    world.simulator.say(BOB, NUMBER, &again).await?;
    receiver.wait_for("message.received", 2).await?;
    assert_eq!(story.consents(&contact).await?.len(), 1);
    // After an opt-out, it opts in and agrees anew.
    let opt_out = json!({ "contact_id": contact });
    world
        .api
        .post("/v1/opt-outs", &opt_out)
        .await?
        .into::<Value>(200)?;
    world.simulator.say(BOB, NUMBER, &message).await?;
    receiver.wait_for("contact.opted_in", 1).await?;
    let told = receiver.wait_for("consent.given", 2).await?;
    let cold: Value = story.send_through(&other, BOB, order).await?.into(202)?;
    assert_eq!(cold["consent_id"], told[1].body["data"]["consent"]["id"]);
    story.world.finish_with_work_undone().await
}

async fn consent_links_are_made_shown_and_deleted(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let api = &story.world.api;
    let unlinked = api.create_session("unlinked").await?.id;
    let early = api
        .post(&format!("/v1/sessions/{unlinked}/opt-in-links"), &json!({}))
        .await?;
    assert_eq!(
        (early.status.as_u16(), early.code()),
        (409, "session_not_ready")
    );
    let path = format!("/v1/sessions/{}/opt-in-links", story.session);
    for (body, code, pointer) in [
        (json!({ "text": " " }), "text_empty", "/text"),
        (json!({ "text": "x".repeat(301) }), "text_too_long", "/text"),
        (
            json!({ "expires_at": "2026-01-01T00:00:00Z" }),
            "invalid_expiry",
            "/expires_at",
        ),
    ] {
        super::refused(&api.post(&path, &body).await?, code, pointer);
    }
    let first = story.link(&json!({ "text": "Ja, gerne:" })).await?;
    let second = story.link(&json!({})).await?;
    let (code, url) = (text(&first, "code")?, text(&first, "url")?);
    assert_eq!(
        url,
        format!("https://wa.me/4915170000001?text=Ja%2C%20gerne%3A%20{code}")
    );
    assert_eq!(first["message"], json!(format!("Ja, gerne: {code}")));
    let listed: Value = api.get(&path).await?.into(200)?;
    assert_eq!(listed["data"], json!([second, first]));
    // The picture is that of the address.
    let qr = format!("{path}/{}/qr", id(&first)?);
    let (status, headers, png) = Api::bytes(api.request(Method::GET, &qr)).await?;
    assert_eq!(
        (status.as_u16(), &headers["content-type"]),
        (200, &"image/png".parse()?)
    );
    assert!(png.starts_with(b"\x89PNG"));
    let svg = api.request(Method::GET, &format!("{qr}?format=svg"));
    let (_, headers, svg) = Api::bytes(svg).await?;
    assert_eq!(headers["content-type"], "image/svg+xml");
    assert!(String::from_utf8(svg)?.contains("<svg"));
    // A deleted one is gone.
    let one = format!("{path}/{}", id(&first)?);
    assert_eq!(api.delete(&one).await?.status.as_u16(), 204);
    assert_eq!(api.delete(&one).await?.code(), "not_found");
    assert_eq!(api.get(&qr).await?.code(), "not_found");
    let listed: Value = api.get(&path).await?.into(200)?;
    assert_eq!(listed["data"], json!([second]));
    // They go with their session, and are sealed until then.
    let database = &story.world.gateway.database;
    assert!(
        database
            .rows_with(&text(&second, "code")?)
            .await?
            .is_empty()
    );
    api.delete(&format!("/v1/sessions/{}", story.session))
        .await?;
    let left = database.number("SELECT count(*) FROM opt_in_link").await?;
    assert_eq!(left, 0);
    story.world.finish_with_work_undone().await
}

async fn consent_of_a_link_counts_neither_in_groups_nor_elsewhere_nor_late(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let world = &story.world;
    let receiver = world
        .endpoint(&["consent.given", "message.received"])
        .await?;
    let other = world.linked(OTHER).await?;
    let link = story.link(&json!({})).await?;
    let soon_over = json!({ "expires_at": world.api.in_seconds(3600).await? });
    let expired = story.link(&soon_over).await?;
    let database = &world.gateway.database;
    database
        .execute("UPDATE opt_in_link SET expires_at = 1 WHERE expires_at IS NOT NULL")
        .await?;
    let deleted = story.link(&json!({})).await?;
    let path = format!(
        "/v1/sessions/{}/opt-in-links/{}",
        story.session,
        id(&deleted)?
    );
    world.api.delete(&path).await?;
    let group = json!({ "subject": "Team", "creator": EVE, "members": [BOB, NUMBER] });
    let group = world.simulator.call(Method::POST, "/groups", Some(&group));
    let group = id(&group.await?)?;
    let other = other.phone.context("a number")?;
    let said = [
        (group.as_str(), &link),
        (&other, &link),
        (NUMBER, &expired),
        (NUMBER, &deleted),
    ];
    for (n, (to, link)) in said.into_iter().enumerate() {
        world
            .simulator
            .say(BOB, to, &text(link, "message")?)
            .await?;
        receiver.wait_for("message.received", n + 1).await?;
    }
    let contact = story.contact(BOB).await?;
    assert!(story.consents(&contact).await?.is_empty());
    // Now where it counts. Events come in order.
    world
        .simulator
        .say(BOB, NUMBER, &text(&link, "message")?)
        .await?;
    receiver.wait_for("consent.given", 1).await?;
    assert_eq!(story.consents(&contact).await?.len(), 1);
    story.world.finish_with_work_undone().await
}
