//! Webhooks are delivered at least once, with the same id and signed. A failing endpoint does not delay
//! others.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Receiver, Setup, World, on_every_shape, receiver::Answer, simulator::Phone,
    within,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

on_every_shape!(
    a_receiver_that_was_down_for_a_while_gets_everything,
    a_receiver_down_during_a_kill_gets_everything,
    a_repeated_attempt_has_the_same_id_and_a_new_timestamp,
    a_redirect_is_a_failure_and_is_not_followed,
    a_gone_endpoint_is_disabled_at_once,
    a_deleted_endpoint_gets_nothing_more,
    a_hanging_endpoint_does_not_hold_up_another,
    after_a_rotation_both_secrets_verify,
    an_endpoint_gets_only_the_events_it_asked_for,
    an_address_inside_is_refused,
    a_huge_reply_is_read_only_in_part,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

async fn say(world: &World, texts: std::ops::Range<u32>) -> Result<()> {
    for n in texts {
        world
            .simulator
            .say(CONTACT, NUMBER, &format!("{n}"))
            .await?;
    }
    Ok(())
}

/// Starts a world with a linked number and a contact.
async fn ready(backing: Backing) -> Result<World> {
    let world = World::with(backing, Setup::quick()).await?;
    world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    Ok(world)
}

/// Waits until this many texts are stored, so that their deliveries are due or were tried.
async fn stored(world: &World, count: usize) -> Result<()> {
    within(
        Duration::from_secs(30),
        "the texts are stored",
        async || Ok((world.api.messages("direction=inbound").await?.len() >= count).then_some(())),
    )
    .await
}

async fn a_receiver_that_was_down_for_a_while_gets_everything(
    backing: Backing,
) -> Result<Finished> {
    let world = ready(backing).await?;
    let mut receiver = world.endpoint(&["message.received"]).await?;
    receiver.down().await?;
    say(&world, 0..30).await?;
    stored(&world, 30).await?;
    receiver.up().await?;
    let told = receiver
        .wait_for_within(Duration::from_secs(40), "message.received", 30)
        .await?;
    let texts: BTreeSet<_> = told.iter().map(|one| one.text().to_owned()).collect();
    assert_eq!(texts.len(), 30);
    world.finish().await
}

async fn a_receiver_down_during_a_kill_gets_everything(backing: Backing) -> Result<Finished> {
    let mut world = ready(backing).await?;
    let mut receiver = world.endpoint(&["message.received"]).await?;
    receiver.down().await?;
    say(&world, 0..30).await?;
    stored(&world, 30).await?;
    world.gateway.kill_and_restart().await?;
    receiver.up().await?;
    // On a busy machine some have failed twice by now, and wait for five minutes.
    let database = &world.gateway.database;
    database
        .execute("UPDATE delivery SET due_at = 0 WHERE status = 'due'")
        .await?;
    // The claim of a delivery that was interrupted by the kill expires within a minute.
    let told = receiver
        .wait_for_within(Duration::from_secs(90), "message.received", 30)
        .await?;
    let texts: BTreeSet<_> = told.iter().map(|one| one.text().to_owned()).collect();
    assert_eq!(texts.len(), 30);
    world.finish().await
}

async fn a_repeated_attempt_has_the_same_id_and_a_new_timestamp(
    backing: Backing,
) -> Result<Finished> {
    let world = ready(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    receiver.answer_next([Answer::Status(500)]);
    say(&world, 0..1).await?;
    receiver.wait_for("message.received", 1).await?;
    let all = receiver.of("message.received");
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].answered, all[1].answered), (500, 204));
    assert_eq!(all[0].id, all[1].id);
    assert_ne!(all[0].timestamp, all[1].timestamp);
    assert_eq!(all[0].raw, all[1].raw);
    let waited = all[1].at - all[0].at;
    assert!(
        (Duration::from_secs(3)..Duration::from_secs(9)).contains(&waited),
        "{waited:?}"
    );
    // The receiver sees an attempt before the gateway records it.
    let delivered = "/v1/webhook-deliveries?status=delivered";
    let id = within(
        Duration::from_secs(10),
        "the delivery is recorded",
        async || {
            let page: Value = world.api.get(delivered).await?.into(200)?;
            Ok(page["data"][0]["id"].as_str().map(str::to_owned))
        },
    )
    .await?;
    let one: Value = world
        .api
        .get(&format!("/v1/webhook-deliveries/{id}"))
        .await?
        .into(200)?;
    assert_eq!(one["attempts"].as_array().map(Vec::len), Some(2), "{one}");
    world.finish().await
}

async fn a_redirect_is_a_failure_and_is_not_followed(backing: Backing) -> Result<Finished> {
    let world = ready(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    receiver.answer_next([Answer::Redirect]);
    say(&world, 0..1).await?;
    receiver.wait_for("message.received", 1).await?;
    let answers: Vec<_> = receiver.arrivals().iter().map(|one| one.answered).collect();
    assert_eq!(answers, [302, 204]);
    world.finish().await
}

async fn a_gone_endpoint_is_disabled_at_once(backing: Backing) -> Result<Finished> {
    let world = ready(backing).await?;
    let gone = world.endpoint(&["message.received"]).await?;
    let other = world.endpoint(&["endpoint.disabled"]).await?;
    gone.answer_next([Answer::Status(410)]);
    say(&world, 0..1).await?;
    other.wait_for("endpoint.disabled", 1).await?;
    say(&world, 1..2).await?;
    stored(&world, 2).await?;
    let list: Value = world.api.get("/v1/webhook-endpoints").await?.into(200)?;
    let disabled = list["data"].as_array().into_iter().flatten();
    let disabled =
        disabled.filter(|one| one["disabled_at"].is_string() || one["enabled"] == json!(false));
    assert_eq!(disabled.count(), 1, "{list}");
    assert_eq!(gone.arrivals().len(), 1);
    world.finish().await
}

async fn a_hanging_endpoint_does_not_hold_up_another(backing: Backing) -> Result<Finished> {
    let world = ready(backing).await?;
    let hanging = world.endpoint(&["message.received"]).await?;
    let quick = world.endpoint(&["message.received"]).await?;
    hanging.answer_next((0..40).map(|_| Answer::After(Duration::from_secs(4))));
    say(&world, 0..20).await?;
    let began = tokio::time::Instant::now();
    quick
        .wait_for_within(Duration::from_secs(10), "message.received", 20)
        .await?;
    assert!(
        hanging.arrivals().len() < 20,
        "the slow endpoint delayed the other one"
    );
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    hanging
        .wait_for_within(Duration::from_mins(1), "message.received", 20)
        .await?;
    world.finish().await
}

async fn after_a_rotation_both_secrets_verify(backing: Backing) -> Result<Finished> {
    let world = ready(backing).await?;
    let receiver = passerelle_tests::Receiver::start().await?;
    let (id, old) = world
        .api
        .create_endpoint(&receiver.url(), &["message.received"])
        .await?;
    receiver.trust(&old);
    let path = format!("/v1/webhook-endpoints/{id}");
    let read: Value = world.api.get(&path).await?.into(200)?;
    assert!(read["secret"].is_null(), "a secret is shown only once");
    let rotated: Value = world
        .api
        .act(&format!("{path}/secret/rotate"))
        .await?
        .into(200)?;
    let new = rotated["secret"]
        .as_str()
        .context("the new secret is shown")?;
    assert_ne!(new, old);
    assert!(rotated["old_secret_expires_at"].is_string());
    say(&world, 0..1).await?;
    receiver.wait_for("message.received", 1).await?;
    receiver.distrust(&old);
    receiver.trust(new);
    say(&world, 1..2).await?;
    receiver.wait_for("message.received", 2).await?;
    assert_eq!(receiver.signatures().forged(), Vec::<String>::new());
    world.finish().await
}

async fn an_endpoint_gets_only_the_events_it_asked_for(backing: Backing) -> Result<Finished> {
    let world = ready(backing).await?;
    let all = world.endpoint(&[]).await?;
    let some = world.endpoint(&["message.sent"]).await?;
    let sessions = world.api.sessions().await?;
    let sent = world.api.send(&sessions[0].id, CONTACT, "hello").await?;
    world.api.message_at(&sent.id, "read").await?;
    all.wait_for("message.read", 1).await?;
    some.wait_for("message.sent", 1).await?;
    assert!(
        some.arrivals()
            .iter()
            .all(|one| one.kind() == "message.sent")
    );
    let unknown = json!({ "url": all.url(), "events": ["message.invented"] });
    let refused = world.api.post("/v1/webhook-endpoints", &unknown).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (422, "unknown_event_type")
    );
    world.finish().await
}

async fn an_address_inside_is_refused(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    for url in [
        "http://10.0.0.1/hook",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/hook",
        "http://[fd00::1]/hook",
        "http://[::ffff:10.0.0.1]/hook",
        "http://0x0a000001/hook",
        "http://192.168.1.1:8080/hook",
        "http://user:secret@example.com/hook",
        "ftp://example.com/hook",
        "file:///etc/passwd",
        "not an address",
    ] {
        let body = json!({ "url": url, "events": [] });
        let refused = world.api.post("/v1/webhook-endpoints", &body).await?;
        assert_eq!(
            (refused.status.as_u16(), refused.code()),
            (422, "url_not_allowed"),
            "{url}"
        );
    }
    world.finish().await
}

async fn a_huge_reply_is_read_only_in_part(backing: Backing) -> Result<Finished> {
    let mut world = ready(backing).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let before = world.gateway.process()?.peak_memory()?;
    receiver.answer_next([Answer::Huge(200 << 20)]);
    say(&world, 0..1).await?;
    receiver.wait_for("message.received", 1).await?;
    let grown = world
        .gateway
        .process()?
        .peak_memory()?
        .saturating_sub(before);
    assert!(
        grown < 40 << 20,
        "{grown} bytes more for a reply of 200 MiB"
    );
    world.finish().await
}

async fn a_deleted_endpoint_gets_nothing_more(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let other = world.endpoint(&["message.received"]).await?;
    let receiver = Receiver::start().await?;
    let (id, secret) = world
        .api
        .create_endpoint(&receiver.url(), &["message.received"])
        .await?;
    receiver.trust(&secret);
    world.simulator.say(CONTACT, NUMBER, "one").await?;
    receiver.wait_for("message.received", 1).await?;
    let path = format!("/v1/webhook-endpoints/{id}");
    assert_eq!(world.api.delete(&path).await?.status.as_u16(), 204);
    for gone in [world.api.delete(&path).await?, world.api.get(&path).await?] {
        assert_eq!((gone.status.as_u16(), gone.code()), (404, "not_found"));
    }
    world.simulator.say(CONTACT, NUMBER, "two").await?;
    other.wait_for("message.received", 2).await?;
    assert_eq!(receiver.of("message.received").len(), 1);
    world.finish().await
}
