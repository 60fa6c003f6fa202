//! Consents of contacts: stored, revoked, ended by opt-outs, and followed over merges.

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Finished, on_both_stores, on_every_shape, soon};
use reqwest::Method;
use serde_json::{Value, json};

use super::{BOB, NUMBER, OTHER, Story, id, refused};

on_every_shape!(consent_of_a_contact_holds_for_every_number_until_it_ends);

mod stores {
    use super::*;

    on_both_stores!(
        consent_follows_the_contact_when_two_become_one,
        consent_given_again_is_stored_once,
    );
}

async fn consent_of_a_contact_holds_for_every_number_until_it_ends(
    backing: Backing,
) -> Result<Finished> {
    let story = Story::without_trial(backing).await?;
    let world = &story.world;
    let order = || json!({ "purpose": "order" });
    let given =
        json!({ "purpose": "order", "consent": { "source": "checkout", "proof": "order 1042" } });
    let first: Value = story.send(BOB, given).await?.into(202)?;
    let contact = first["contact_id"]
        .as_str()
        .context("a contact")?
        .to_owned();
    let listed = story.consents(&contact).await?;
    let [checkout] = listed.as_slice() else {
        anyhow::bail!("one consent: {listed:?}");
    };
    assert_eq!(
        (&checkout["id"], &checkout["source"], &checkout["proof"]),
        (
            &first["consent_id"],
            &json!("checkout"),
            &json!("order 1042")
        )
    );
    // It need not be said again, nor for another number.
    let again: Value = story.send(BOB, order()).await?.into(202)?;
    assert_eq!(again["consent_id"], first["consent_id"]);
    let other = world.linked(OTHER).await?.id;
    let there: Value = story.send_through(&other, BOB, order()).await?.into(202)?;
    assert_eq!(there["consent_id"], first["consent_id"]);
    // Revoked, it counts no more, and stays.
    let path = format!("/v1/contacts/{contact}/consents/{}", id(checkout)?);
    assert_eq!(world.api.delete(&path).await?.status.as_u16(), 204);
    assert_eq!(world.api.delete(&path).await?.code(), "not_found");
    refused(
        &story.send(BOB, order()).await?,
        "consent_required",
        "/consent",
    );
    let ended = &story.consents(&contact).await?[0];
    assert!(ended["ended_at"].is_string(), "{ended}");
    // Stored with the contact.
    let at = "2026-11-01T09:00:00.000Z";
    let body = json!({ "source": "reception", "at": at });
    let stored: Value = story.consent(&contact, &body).await?.into(201)?;
    assert_eq!(
        (&stored["given_at"], &stored["contact_id"]),
        (&json!(at), &json!(contact))
    );
    let sent: Value = story.send(BOB, order()).await?.into(202)?;
    assert_eq!(sent["consent_id"], stored["id"]);
    // An opt-out ends it, and what was given before does not count when the contact opts in again.
    let opt_out = json!({ "contact_id": contact });
    let out: Value = world.api.post("/v1/opt-outs", &opt_out).await?.into(200)?;
    assert_eq!(
        story.send(BOB, order()).await?.code(),
        "recipient_opted_out"
    );
    let opt_in = format!("/v1/opt-outs/{contact}");
    assert_eq!(world.api.delete(&opt_in).await?.status.as_u16(), 204);
    refused(
        &story.send(BOB, order()).await?,
        "consent_required",
        "/consent",
    );
    assert_eq!(
        story.consents(&contact).await?[0]["ended_at"],
        out["opted_out_at"]
    );
    let old: Value = story.consent(&contact, &body).await?.into(201)?;
    assert_eq!(old["ended_at"], out["opted_out_at"]);
    let old = json!({ "purpose": "order", "consent": body });
    refused(&story.send(BOB, old).await?, "consent_required", "/consent");
    let anew = json!({ "purpose": "order", "consent": { "source": "reception" } });
    let sent: Value = story.send(BOB, anew).await?.into(202)?;
    let newest = &story.consents(&contact).await?[0];
    assert_eq!(newest["id"], sent["consent_id"]);
    assert!(newest.get("ended_at").is_none(), "{newest}");
    story.world.finish_with_work_undone().await
}

async fn consent_follows_the_contact_when_two_become_one(backing: Backing) -> Result<Finished> {
    let story = Story::without_trial(backing).await?;
    let world = &story.world;
    let receiver = world
        .endpoint(&["message.received", "contact.merged"])
        .await?;
    let shows = async |shows: bool| {
        let phone = json!({ "phone": BOB, "shows_number": shows });
        let call = world.simulator.call(Method::POST, "/phones", Some(&phone));
        call.await.map(drop)
    };
    shows(false).await?;
    // A person without a number writes, and agrees at the reception.
    world.simulator.say(BOB, NUMBER, "hello").await?;
    let told = receiver.wait_for("message.received", 1).await?;
    let by_lid = id(&told[0].body["data"]["contact"])?;
    let body = json!({ "source": "reception" });
    let stored: Value = story.consent(&by_lid, &body).await?.into(201)?;
    // The number is known from an order, without a consent. The session does not know that it is one person.
    let opt_out = json!({ "phone": BOB });
    let out: Value = world.api.post("/v1/opt-outs", &opt_out).await?.into(200)?;
    let by_phone = out["contact_id"].as_str().context("a contact")?.to_owned();
    world
        .api
        .delete(&format!("/v1/opt-outs/{by_phone}"))
        .await?;
    let late: Value = story.consent(&by_lid, &body).await?.into(201)?;
    shows(true).await?;
    world.simulator.say(BOB, NUMBER, "it is me").await?;
    receiver.wait_for("contact.merged", 1).await?;
    // Of either id, the consent from before the opt-out has ended, and the later one counts.
    for contact in [&by_lid, &by_phone] {
        let listed = story.consents(contact).await?;
        assert_eq!(listed.len(), 2);
        assert_eq!(
            (&listed[0]["id"], &listed[1]["id"]),
            (&late["id"], &stored["id"])
        );
        assert!(listed[0].get("ended_at").is_none(), "{listed:?}");
        assert_eq!(listed[1]["ended_at"], out["opted_out_at"]);
    }
    // Through another number, which the contact never wrote to.
    let other = world.linked(OTHER).await?.id;
    let order = json!({ "purpose": "order" });
    for to in [BOB, &by_lid, &by_phone] {
        let sent: Value = story
            .send_through(&other, to, order.clone())
            .await?
            .into(202)?;
        assert_eq!(
            (&sent["class"], &sent["consent_id"]),
            (&json!("cold"), &late["id"])
        );
    }
    story.world.finish_with_work_undone().await
}

async fn consent_given_again_is_stored_once(backing: Backing) -> Result<Finished> {
    let story = Story::start(backing).await?;
    let checkout =
        || json!({ "purpose": "order", "consent": { "source": "checkout", "proof": "1042" } });
    let mut body = Api::text(&story.session, BOB, "hello");
    body["purpose"] = json!("order");
    body["consent"] = checkout()["consent"].clone();
    let first: Value = story.world.api.send_once("k", &body).await?.into(202)?;
    let replayed: Value = story.world.api.send_once("k", &body).await?.into(202)?;
    assert_eq!(replayed, first);
    let second: Value = story.send(BOB, checkout()).await?.into(202)?;
    assert_eq!(second["consent_id"], first["consent_id"]);
    let contact = first["contact_id"].as_str().context("a contact")?;
    assert_eq!(story.consents(contact).await?.len(), 1);
    let other = json!({ "purpose": "order", "consent": { "source": "checkout", "proof": "1043" } });
    let third: Value = story.send(BOB, other).await?.into(202)?;
    assert_ne!(third["consent_id"], first["consent_id"]);
    assert_eq!(story.consents(contact).await?.len(), 2);
    // What a contact said goes with the contact, and nothing of it is readable in the store.
    let secret = story.world.gateway.database.rows_with("checkout").await?;
    assert!(secret.is_empty(), "{secret:?}");
    let path = format!("/v1/sessions/{}", story.session);
    story.world.api.delete(&path).await?;
    soon("the consents are erased", async || {
        let left = "SELECT count(*) FROM consent";
        let left = story.world.gateway.database.number(left).await?;
        Ok((left == 0).then_some(()))
    })
    .await?;
    story.world.finish_with_work_undone().await
}
