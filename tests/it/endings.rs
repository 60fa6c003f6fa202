//! What ends a session, and how the tenant is informed.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, World, on_every_shape, receiver::Receiver, soon, within,
};
use serde_json::{Value, json};
use std::time::Duration;

on_every_shape!(
    a_linked_number_is_told_before_it_is_online,
    each_refused_login_ends_the_session_with_its_reason,
    another_connection_of_the_same_device_ends_the_session_as_replaced,
    a_refusal_that_passes_does_not_end_the_session,
    each_end_of_a_connection_means_what_whatsapp_means_by_it,
);

const NUMBER: &str = "+4915170000001";

/// Waits for an event of this type about the session and returns its `data.session`.
async fn told(receiver: &Receiver, session: &str, kind: &str) -> Result<Value> {
    let what = format!("{kind} is reported");
    within(Duration::from_secs(30), &what, async || {
        let mut told = receiver.of(kind).into_iter();
        Ok(told
            .find(|one| one.body["session_id"] == json!(session))
            .map(|one| one.body["data"]["session"].clone()))
    })
    .await
}

async fn a_linked_number_is_told_before_it_is_online(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["session.linked", "session.connected"])
        .await?;
    world.linked(NUMBER).await?;
    let linked = &receiver.wait_for("session.linked", 1).await?[0];
    let connected = &receiver.wait_for("session.connected", 1).await?[0];
    let place = |event: &Value| event["sequence"].as_i64().context("an event has a number");
    assert!(place(&linked.body)? < place(&connected.body)?);
    world.finish().await
}

async fn each_refused_login_ends_the_session_with_its_reason(backing: Backing) -> Result<Finished> {
    // The codes of `<failure reason>` that WhatsApp's server sends.
    const CASES: [(u16, &str, &str); 5] = [
        (401, "session.logged_out", "logged_out"),
        (402, "session.banned", "banned"),
        (403, "session.logged_out", "account_locked"),
        (405, "session.failed", "outdated"),
        (409, "session.failed", "refused"),
    ];
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&[]).await?;
    for (number, (reason, kind, code)) in (1..).zip(CASES) {
        let phone = format!("+49151700000{number:02}");
        let session = world.linked(&phone).await?;
        let mut fault = json!({ "phone": phone, "on": "login", "do": "refuse", "reason": reason });
        if reason == 402 {
            fault["code"] = json!(101);
            fault["expire"] = json!(3600);
        }
        world.simulator.fault(&fault).await?;
        world.simulator.kick(&phone, "close").await?;
        let shown = told(&receiver, &session.id, kind).await?;
        assert_eq!(shown["status_reason"]["code"], json!(code), "{reason}");
        assert_eq!(shown["banned_until"].is_string(), reason == 402, "{shown}");
        let session = world.api.session(&session.id).await?;
        assert_eq!(
            session.desired, "running",
            "only the tenant changes the desired state"
        );
    }
    world.finish().await
}

async fn another_connection_of_the_same_device_ends_the_session_as_replaced(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&[]).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.kick(NUMBER, "replaced").await?;
    let shown = told(&receiver, &session.id, "session.replaced").await?;
    assert_eq!(shown["status_reason"]["code"], json!("replaced"));
    world.api.connect(&session.id).await?;
    world.api.session_in(&session.id, "connected").await?;
    world.finish().await
}

async fn a_refusal_that_passes_does_not_end_the_session(backing: Backing) -> Result<Finished> {
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&["session.disconnected"]).await?;
    let session = world.linked(NUMBER).await?;
    let fault =
        json!({ "phone": NUMBER, "on": "login", "do": "refuse", "reason": 503, "times": 1 });
    world.simulator.fault(&fault).await?;
    world.simulator.kick(NUMBER, "503").await?;
    receiver.wait_for("session.disconnected", 1).await?;
    within(
        Duration::from_mins(1),
        "the session is connected again",
        async || {
            let now = world.api.session(&session.id).await?;
            Ok((now.state == "connected").then_some(()))
        },
    )
    .await?;
    world.finish().await
}

async fn each_end_of_a_connection_means_what_whatsapp_means_by_it(
    backing: Backing,
) -> Result<Finished> {
    // Stream errors and conflicts, as whatsapp-rust 0.7.0 and WhatsApp's own clients handle them.
    const CASES: [(&str, &str, &str); 5] = [
        ("401", "session.logged_out", "logged_out"),
        ("516", "session.logged_out", "logged_out"),
        ("device_removed", "session.logged_out", "logged_out"),
        ("409", "session.replaced", "replaced"),
        ("replaced", "session.replaced", "replaced"),
    ];
    let world = World::start(backing).await?;
    let receiver = world.endpoint(&[]).await?;
    for (number, (how, kind, code)) in (1..).zip(CASES) {
        let phone = format!("+49151700000{number:02}");
        let session = world.linked(&phone).await?;
        world.simulator.kick(&phone, how).await?;
        let shown = told(&receiver, &session.id, kind).await?;
        assert_eq!(shown["status_reason"]["code"], json!(code), "{how}");
    }
    let session = world.linked("+4915170000099").await?;
    for how in ["close", "515", "503"] {
        world.simulator.kick("+4915170000099", how).await?;
        soon("the device is back", async || {
            let phone = world.simulator.phone_state("+4915170000099").await?;
            Ok((phone["devices"][0]["online"] == json!(true)).then_some(()))
        })
        .await?;
        world.api.session_in(&session.id, "connected").await?;
    }
    world.finish().await
}
