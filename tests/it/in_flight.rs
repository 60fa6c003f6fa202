//! A message in flight when something fails is neither lost nor reported wrongly.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, on_every_shape, simulator::Phone, soon,
};
use serde_json::json;
use std::{os::unix::process::ExitStatusExt as _, time::Duration};

on_every_shape!(
    a_claimed_message_that_no_job_has_in_hand_goes_out_all_the_same,
    a_death_while_a_stray_message_is_taken_up_loses_nothing,
    a_death_while_a_message_is_taken_back_leaves_it_queued,
    two_deaths_before_the_wire_do_not_make_it_unknown,
    what_may_have_been_shown_cannot_be_canceled,
    who_holds_uncertain_sends_decides_what_becomes_of_them,
);

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const SIGABRT: i32 = 6;

async fn a_claimed_message_that_no_job_has_in_hand_goes_out_all_the_same(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.gateway.stop().await?;
    // The claim panics after its commit, before a job gets the message.
    world.gateway.setup.failpoints = Some("claim.after_commit=1*panic".to_owned());
    world.gateway.start().await?;
    let stray = world.api.send(&session, CONTACT, "stray").await?;
    let next = world.api.send(&session, CONTACT, "next").await?;
    world.api.message_at(&stray.id, "read").await?;
    world.api.message_at(&next.id, "read").await?;
    assert_eq!(world.simulator.shown(CONTACT).await?, ["stray", "next"]);
    world.finish().await
}

/// The points where a process is killed while it recovers an orphaned message, and while it removes a
/// message from its lane.
pub(crate) const KILLED_AT: [&str; 2] = ["orphans.before_commit", "leave.before_commit"];

async fn a_death_while_a_stray_message_is_taken_up_loses_nothing(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.gateway.stop().await?;
    let armed = format!("claim.after_commit=1*panic;{}=return", KILLED_AT[0]);
    world.gateway.setup.failpoints = Some(armed);
    world.gateway.start().await?;
    let stray = world.api.send(&session, CONTACT, "stray").await?;
    let crashed = world
        .gateway
        .crash_and_restart(Duration::from_secs(30))
        .await?;
    assert_eq!(crashed.signal(), Some(SIGABRT));
    world.api.message_at(&stray.id, "read").await?;
    assert_eq!(world.simulator.shown(CONTACT).await?, ["stray"]);
    world.finish().await
}

async fn a_death_while_a_message_is_taken_back_leaves_it_queued(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.canceled"]).await?;
    let session = world.api.create_session("offline").await?.id;
    let queued = world.api.send(&session, CONTACT, "never mind").await?;
    world.gateway.stop().await?;
    world.gateway.setup.failpoints = Some(format!("{}=return", KILLED_AT[1]));
    world.gateway.start().await?;
    let cancel = format!("/v1/messages/{}/cancel", queued.id);
    assert!(
        world.api.act(&cancel).await.is_err(),
        "the request was answered"
    );
    let crashed = world
        .gateway
        .crash_and_restart(Duration::from_secs(30))
        .await?;
    assert_eq!(crashed.signal(), Some(SIGABRT));
    assert_eq!(world.api.message(&queued.id).await?.status, "queued");
    assert_eq!(world.api.act(&cancel).await?.status.as_u16(), 200);
    receiver.wait_for("message.canceled", 1).await?;
    assert_eq!(world.api.message(&queued.id).await?.status, "canceled");
    let finished = world.finish().await?;
    assert_eq!(
        receiver.arrivals().len(),
        1,
        "the event was delivered twice"
    );
    Ok(finished)
}

async fn two_deaths_before_the_wire_do_not_make_it_unknown(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let receiver = world.endpoint(&["message.unknown"]).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.gateway.stop().await?;
    world.gateway.setup.failpoints = Some("wire.before=return".to_owned());
    world.gateway.start().await?;
    let sent = world.api.send(&session, CONTACT, "in the end").await?;
    for _ in 0..2 {
        let died = world.gateway.ended(Duration::from_secs(30));
        assert_eq!(died.await?.signal(), Some(SIGABRT));
        world.gateway.kill().await?;
        world.gateway.spawn()?;
    }
    let restarted = world.gateway.crash_and_restart(Duration::from_secs(30));
    assert_eq!(restarted.await?.signal(), Some(SIGABRT));
    world.api.message_at(&sent.id, "read").await?;
    assert_eq!(world.simulator.shown(CONTACT).await?, ["in the end"]);
    assert_eq!(receiver.of("message.unknown").len(), 0);
    world.finish().await
}

async fn what_may_have_been_shown_cannot_be_canceled(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        ack_timeout_ms: 30_000,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    // The recipient is offline, so no receipt confirms the message.
    let offline = Phone {
        online: false,
        ..Phone::default()
    };
    world.simulator.phone(CONTACT, offline).await?;
    let silence = json!({ "phone": NUMBER, "on": "ack", "do": "drop", "times": 1 });
    world.simulator.fault(&silence).await?;
    let sent = world.api.send(&session, CONTACT, "perhaps shown").await?;
    soon("the message was sent to WhatsApp", async || {
        let frames = world.simulator.ledger("sent").await?;
        Ok((!frames.is_empty()).then_some(()))
    })
    .await?;
    // The session stops and leaves the message at the head of its lane.
    world.api.disconnect(&session).await?;
    world.api.session_in(&session, "stopped").await?;
    world.api.message_at(&sent.id, "queued").await?;
    let cancel = format!("/v1/messages/{}/cancel", sent.id);
    let refused = world.api.act(&cancel).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (409, "message_not_cancelable")
    );
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.api.connect(&session).await?;
    world.api.message_at(&sent.id, "read").await?;
    let frames = world.simulator.ledger("sent").await?;
    let ids: Vec<_> = frames.iter().map(|frame| frame.id.as_str()).collect();
    let first = ids.first().context("no frame was sent")?;
    assert!(ids.iter().all(|id| id == first), "another id: {ids:?}");
    assert_eq!(world.simulator.shown(CONTACT).await?, ["perhaps shown"]);
    world.finish().await
}

async fn who_holds_uncertain_sends_decides_what_becomes_of_them(
    backing: Backing,
) -> Result<Finished> {
    let setup = Setup {
        ack_timeout_ms: 1_500,
        ..Setup::default()
    };
    let mut world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?;
    assert_eq!(session.uncertain_sends, "resend");
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let policy = format!("/v1/sessions/{}/uncertain-sends", session.id);
    let put = |policy: &str, body| {
        let request = world.api.request(reqwest::Method::PUT, policy).json(&body);
        Api::reply(request)
    };
    let refused = put(&policy, json!({ "policy": "again" })).await?;
    assert_eq!(refused.code(), "validation_failed", "{}", refused.body);
    let held = put(&policy, json!({ "policy": "hold" })).await?;
    assert_eq!(held.body["uncertain_sends"], "hold", "{}", held.body);
    // WhatsApp does not acknowledge the message.
    let silence = json!({ "phone": NUMBER, "on": "message", "do": "drop", "times": 1 });
    world.simulator.fault(&silence).await?;
    let silent = world.api.send(&session.id, CONTACT, "into silence").await?;
    world.api.message_at(&silent.id, "unknown").await?;
    // The process dies after it writes the message. The recipient is offline, so no receipt confirms it
    // later.
    let offline = json!({ "phone": CONTACT, "online": false });
    world
        .simulator
        .call(reqwest::Method::POST, "/phones", Some(&offline))
        .await?;
    world.gateway.stop().await?;
    world.gateway.setup.failpoints = Some("wire.after=return".to_owned());
    world.gateway.start().await?;
    let written = world.api.send(&session.id, CONTACT, "and gone").await?;
    let crashed = world.gateway.crash_and_restart(Duration::from_secs(30));
    assert_eq!(crashed.await?.signal(), Some(SIGABRT));
    world.api.message_at(&written.id, "unknown").await?;
    let next = world.api.send(&session.id, CONTACT, "next").await?;
    world.api.message_at(&next.id, "sent").await?;
    let frames = world.simulator.ledger("sent").await?;
    assert_eq!(frames.len(), 3, "a message was written twice");
    world.finish().await
}
