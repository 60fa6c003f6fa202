//! The phone keeps ringing: a connected session does not show as online, unless the tenant wants it to.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Setup, World,
    api::{Api, Reply},
    on_both_stores, on_every_shape,
    simulator::{Entry, Phone},
    soon, within,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

on_every_shape!(fidelity_presence_is_taken_back_at_each_connect_and_each_change_of_the_name,);

/// Stories about the stores.
mod stores {
    use super::*;

    on_both_stores!(
        fidelity_presence_is_shown_from_the_first_typing_notice_to_the_message,
        fidelity_presence_of_a_session_that_comes_first_stays,
    );
}

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

/// Returns what the session's device announced, in order.
async fn announced(world: &World) -> Result<Vec<String>> {
    let noted = world.simulator.ledger("presence").await?;
    let of = noted.into_iter().filter(|entry| entry.from == NUMBER);
    Ok(of.filter_map(|entry| entry.detail).collect())
}

/// Waits until the device has announced this many pairs: `available`, and `unavailable` after it.
async fn pairs(world: &World, count: usize) -> Result<()> {
    pairs_within(world, count, Duration::from_secs(20)).await
}

async fn pairs_within(world: &World, count: usize, time: Duration) -> Result<()> {
    let what = format!("{count} pairs were announced");
    let mut all = Vec::new();
    let seen = within(time, &what, async || {
        all = announced(world).await?;
        let pairs = all
            .chunks(2)
            .filter(|pair| *pair == ["available", "unavailable"]);
        assert!(all.len() <= 2 * count, "{all:?}");
        Ok((pairs.count() == count).then_some(()))
    });
    seen.await.with_context(|| format!("{all:?}"))
}

async fn rename(world: &World, name: &str) -> Result<()> {
    let body = json!({ "phone": NUMBER, "name": name });
    world
        .simulator
        .call(Method::POST, "/phones", Some(&body))
        .await?;
    Ok(())
}

async fn update(world: &World, session: &str, body: Value) -> Result<Reply> {
    let path = format!("/v1/sessions/{session}");
    Api::reply(world.api.request(Method::PATCH, &path).json(&body)).await
}

async fn fidelity_presence_is_taken_back_at_each_connect_and_each_change_of_the_name(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["message.received", "session.connected"])
        .await?;
    let session = world.linked(NUMBER).await?;
    pairs(&world, 1).await?;
    // A new name, a lost connection, and a new process.
    rename(&world, "Ada & Co").await?;
    pairs(&world, 2).await?;
    let mut connects = 1;
    loop {
        world.simulator.kick(NUMBER, "close").await?;
        connects += 1;
        receiver.wait_for("session.connected", connects).await?;
        // A connection that was lost while the number still learned what its phone told it at linking is followed by one
        // at which the library announces nothing.
        if connects == 5
            || pairs_within(&world, 3, Duration::from_secs(3))
                .await
                .is_ok()
        {
            break;
        }
    }
    pairs(&world, 3).await?;
    world.gateway.stop().await?;
    world.gateway.start().await?;
    receiver.wait_for("session.connected", connects + 1).await?;
    pairs(&world, 4).await?;
    // The sender still sees two ticks: the receipt does not say that the number is away.
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let said = world
        .simulator
        .say(CONTACT, NUMBER, "Are you there?")
        .await?;
    receiver.wait_for("message.received", 1).await?;
    let receipt = soon("a receipt of the gateway has come", async || {
        let receipts = world.simulator.ledger("receipt").await?;
        Ok(receipts
            .into_iter()
            .find(|one| one.id == said && one.from == NUMBER))
    })
    .await?;
    assert_eq!(receipt.detail.as_deref(), Some("delivery"));
    assert_eq!(world.api.session(&session.id).await?.state, "connected");
    world.finish().await
}

/// Returns the entries of the session's device of these kinds that came after `after`, as `kind:type`.
async fn steps(world: &World, after: u64) -> Result<Vec<(Entry, String)>> {
    let mut all = Vec::new();
    for kind in ["presence", "chatstate", "sent"] {
        all.extend(world.simulator.ledger(kind).await?);
    }
    all.retain(|entry| entry.n > after && entry.from == NUMBER);
    all.sort_by_key(|entry| entry.n);
    let named = all.into_iter().map(|entry| {
        let name = match entry.kind.as_str() {
            "sent" => "sent".to_owned(),
            _ => entry.detail.clone().unwrap_or_default(),
        };
        (entry, name)
    });
    Ok(named.collect())
}

async fn fidelity_presence_is_shown_from_the_first_typing_notice_to_the_message(
    backing: Backing,
) -> Result<Finished> {
    let setup = Setup {
        typing_ms: 500,
        gap_floor_ms: 600,
        gap_ceiling_ms: 700,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    pairs(&world, 1).await?;
    let before = steps(&world, 0).await?;
    let before = before.last().map(|(entry, _)| entry.n).context("a pair")?;
    // A person types first, and the gateway types before each message by itself.
    let path = format!("/v1/sessions/{session}/typing");
    let typing = json!({ "to": CONTACT, "state": "typing" });
    world.api.post(&path, &typing).await?.into::<Value>(200)?;
    let sent = world.api.send(&session, CONTACT, "Hello").await?;
    world.api.message_at(&sent.id, "read").await?;
    let expected = ["available", "composing", "composing", "sent", "unavailable"];
    soon("the number was online until the message", async || {
        let steps = steps(&world, before).await?;
        let names: Vec<_> = steps.iter().map(|(_, name)| name.as_str()).collect();
        Ok((names == expected).then_some(()))
    })
    .await?;
    // Without a message it is online for fifteen seconds, however often typing is shown.
    let last = steps(&world, before).await?;
    let last = last.last().map(|(entry, _)| entry.n).context("entries")?;
    for _ in 0..3 {
        world.api.post(&path, &typing).await?.into::<Value>(200)?;
    }
    let all = within(
        Duration::from_secs(30),
        "the number is offline again",
        async || {
            let steps = steps(&world, last).await?;
            let is_over = steps.iter().any(|(_, name)| name == "unavailable");
            Ok(is_over.then_some(steps))
        },
    )
    .await?;
    let names: Vec<_> = all.iter().map(|(_, name)| name.as_str()).collect();
    let shown = [
        "available",
        "composing",
        "composing",
        "composing",
        "unavailable",
    ];
    assert_eq!(names, shown);
    let seconds = Duration::from_micros(all[4].0.wire_us - all[0].0.wire_us).as_secs_f64();
    assert!((14.5..17.0).contains(&seconds), "{seconds}");
    world.finish().await
}

async fn fidelity_presence_of_a_session_that_comes_first_stays(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let receiver = world.endpoint(&["session.connected"]).await?;
    let made = json!({ "name": "front desk", "presence": "gateway_first" });
    let made: Value = world.api.post("/v1/sessions", &made).await?.into(201)?;
    assert_eq!(made["presence"], "gateway_first");
    let session = made["id"].as_str().context("an id")?.to_owned();
    world.simulator.phone(NUMBER, Phone::default()).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.api.connect(&session).await?;
    let qr = world.api.qr(&session).await?;
    world.simulator.scan(NUMBER, &qr).await?;
    receiver.wait_for("session.connected", 1).await?;
    let sent = world.api.send(&session, CONTACT, "Hello").await?;
    world.api.message_at(&sent.id, "read").await?;
    world.gateway.kill_and_restart().await?;
    receiver.wait_for("session.connected", 2).await?;
    let sent = world.api.send(&session, CONTACT, "Again").await?;
    world.api.message_at(&sent.id, "read").await?;
    let all = announced(&world).await?;
    assert!(
        all.len() >= 2 && all.iter().all(|one| one == "available"),
        "{all:?}"
    );
    // The setting changes at once, both ways, and a wrong one changes nothing.
    let set =
        async |body: Value| -> Result<Value> { update(&world, &session, body).await?.into(200) };
    assert_eq!(
        set(json!({ "presence": "phone_first" })).await?["presence"],
        "phone_first"
    );
    let is_last = async |state: &str| {
        soon("the new presence is announced", async || {
            let last = announced(&world).await?.pop();
            Ok((last.as_deref() == Some(state)).then_some(()))
        })
        .await
    };
    is_last("unavailable").await?;
    assert_eq!(set(json!({})).await?["presence"], "phone_first");
    let wrong = update(&world, &session, json!({ "presence": "nobody_first" })).await?;
    assert_eq!(
        (wrong.status.as_u16(), wrong.code()),
        (400, "validation_failed")
    );
    let wrong = update(&world, &session, json!({ "presense": "phone_first" })).await?;
    assert_eq!(wrong.code(), "unknown_field");
    assert_eq!(
        set(json!({ "presence": "gateway_first" })).await?["presence"],
        "gateway_first"
    );
    is_last("available").await?;
    // A session that is stopped takes it for its next connect.
    world.api.disconnect(&session).await?;
    world.api.session_in(&session, "stopped").await?;
    set(json!({ "presence": "phone_first" })).await?;
    world.api.connect(&session).await?;
    is_last("unavailable").await?;
    world.finish().await
}
