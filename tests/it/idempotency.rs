//! `Idempotency-Key`: repeating a request has no further effect.

use anyhow::{Context as _, Result};
use passerelle_tests::{Api, Backing, Finished, World, on_every_shape, simulator::Phone};
use serde_json::json;
use std::collections::BTreeSet;

on_every_shape!(
    the_same_body_under_the_same_key_is_answered_again_and_sent_once,
    another_body_under_the_same_key_is_refused,
    fifty_at_once_under_one_key_make_one_message,
    a_refused_request_does_not_use_up_its_key,
    a_key_of_one_organisation_means_nothing_to_another,
    a_repeat_after_a_kill_is_answered_again,
    a_repeat_after_the_expiry_is_answered_again,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

async fn the_same_body_under_the_same_key_is_answered_again_and_sent_once(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let body = Api::text(&session.id, CONTACT, "once");
    let first = world.api.send_once("order-1", &body).await?;
    assert_eq!(first.status.as_u16(), 202);
    let id = first.body["id"].as_str().unwrap_or_default();
    world.api.message_at(id, "read").await?;
    let again = world.api.send_once("order-1", &body).await?;
    assert_eq!(again.status.as_u16(), 202);
    assert_eq!(again.body, first.body, "the first answer is returned again");
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let other = world.api.send_once("order-2", &body).await?;
    assert_ne!(other.body["id"], first.body["id"]);
    world
        .api
        .message_at(other.body["id"].as_str().unwrap_or_default(), "read")
        .await?;
    assert_eq!(world.simulator.shown(CONTACT).await?, ["once", "once"]);
    world.finish().await
}

async fn another_body_under_the_same_key_is_refused(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("support").await?;
    let first = Api::text(&session.id, CONTACT, "one");
    world
        .api
        .send_once("k", &first)
        .await?
        .into::<serde_json::Value>(202)?;
    let other = Api::text(&session.id, CONTACT, "two");
    let refused = world.api.send_once("k", &other).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (422, "idempotency_key_reused")
    );
    assert_eq!(world.api.messages("").await?.len(), 1);
    world.finish_with_work_undone().await
}

async fn fifty_at_once_under_one_key_make_one_message(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let body = Api::text(&session.id, CONTACT, "one of fifty");
    let replies = (0..50).map(|_| world.api.send_once("fifty", &body));
    let replies = futures_util::future::try_join_all(replies).await?;
    let mut ids = BTreeSet::new();
    for reply in replies {
        match reply.status.as_u16() {
            202 => drop(ids.insert(reply.body["id"].to_string())),
            409 => assert_eq!(reply.code(), "idempotency_in_progress"),
            other => panic!("{other} {}", reply.body),
        }
    }
    assert_eq!(ids.len(), 1);
    let stored = world.api.messages("direction=outbound").await?;
    assert_eq!(stored.len(), 1);
    world.api.message_at(&stored[0].id, "read").await?;
    assert_eq!(world.simulator.shown(CONTACT).await?, ["one of fifty"]);
    world.finish().await
}

async fn a_refused_request_does_not_use_up_its_key(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("support").await?;
    let refused = world
        .api
        .send_once("k", &Api::text(&session.id, CONTACT, ""))
        .await?;
    assert_eq!(refused.status.as_u16(), 422);
    let taken = world
        .api
        .send_once("k", &Api::text(&session.id, CONTACT, "now with a text"))
        .await?;
    assert_eq!(taken.status.as_u16(), 202);
    for bad in ["", &"k".repeat(256)] {
        let reply = world
            .api
            .send_once(bad, &Api::text(&session.id, CONTACT, "x"))
            .await?;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (400, "idempotency_key_invalid")
        );
    }
    world.finish_with_work_undone().await
}

async fn a_key_of_one_organisation_means_nothing_to_another(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let other = world.admin.tenant("Globex").await?;
    let (ours, theirs) = (
        world.api.create_session("a").await?,
        other.create_session("b").await?,
    );
    let first = world
        .api
        .send_once("k", &Api::text(&ours.id, CONTACT, "ours"))
        .await?;
    let second = other
        .send_once("k", &Api::text(&theirs.id, CONTACT, "theirs"))
        .await?;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 202));
    assert_ne!(first.body["id"], second.body["id"]);
    assert_eq!(second.body["text"]["body"], json!("theirs"));
    world.finish_with_work_undone().await
}

async fn a_repeat_after_a_kill_is_answered_again(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let session = world.api.create_session("support").await?;
    let body = Api::text(&session.id, CONTACT, "kept");
    let first = world.api.send_once("k", &body).await?;
    world.gateway.kill_and_restart().await?;
    let again = world.api.send_once("k", &body).await?;
    assert_eq!((again.status.as_u16(), &again.body), (202, &first.body));
    assert_eq!(world.api.messages("").await?.len(), 1);
    world.finish_with_work_undone().await
}

async fn a_repeat_after_the_expiry_is_answered_again(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let session = world.api.create_session("support").await?;
    let mut body = Api::text(&session.id, CONTACT, "soon over");
    body["expires_at"] = json!(world.api.in_seconds(1).await?);
    let first = world.api.send_once("k", &body).await?;
    let id = first.body["id"]
        .as_str()
        .context("an accepted message has an id")?;
    world.api.message_at(id, "expired").await?;
    let again = world.api.send_once("k", &body).await?;
    assert_eq!(
        (again.status.as_u16(), &again.body["id"]),
        (202, &first.body["id"])
    );
    let late = world.api.send_once("another key", &body).await?;
    assert_eq!((late.status.as_u16(), late.code()), (422, "invalid_expiry"));
    world.finish().await
}
