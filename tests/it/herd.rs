//! Many numbers that come back at once connect one after the other, as fast as their address may, those
//! that somebody waits for first.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Receiver, Setup, World, on_both_stores, simulator::Phone, world::numbers,
};
use serde_json::json;
use std::time::Duration;

on_both_stores!(
    after_a_restart_those_with_messages_connect_first_and_nobody_too_soon,
    where_whatsapp_has_too_many_connections_they_come_half_as_fast,
);

mod cluster {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn hosts_at_one_address_share_its_rate() -> ::anyhow::Result<()> {
        let _finished: ::passerelle_tests::Finished =
            super::hosts_at_one_address_share_its_rate().await?;
        Ok(())
    }
}

const CONTACT: &str = "+4915199000001";
const BACK: Duration = Duration::from_mins(1);

/// The sessions in the order in which they connected, each with when, in milliseconds after the first.
async fn connected(receiver: &Receiver, count: usize) -> Result<Vec<(String, i64)>> {
    let told = receiver.wait_for_within(BACK, "session.connected", count);
    let mut all: Vec<(String, i64)> = Vec::new();
    for arrival in told.await? {
        let session = arrival.body["session_id"].as_str().context("a session")?;
        let at = arrival.body["timestamp"].as_str().context("a time")?;
        let at = chrono::DateTime::parse_from_rfc3339(at)?.timestamp_millis();
        all.push((session.to_owned(), at));
    }
    all.sort_by_key(|(_, at)| *at);
    let first = all.first().context("one at least")?.1;
    Ok(all.into_iter().map(|(id, at)| (id, at - first)).collect())
}

/// Between the first of so many connections and the last one, at this rate, in milliseconds. Making one
/// takes a moment more or less.
fn least(connections: i64, per_second: i64) -> i64 {
    (connections - 1) * 1000 / per_second - 400
}

async fn after_a_restart_those_with_messages_connect_first_and_nobody_too_soon(
    backing: Backing,
) -> Result<Finished> {
    let setup = Setup {
        // The second message waits for its gap while everything starts anew.
        gap_floor_ms: 60_000,
        gap_ceiling_ms: 60_000,
        ..Setup::default()
    };
    let mut world = World::with(backing, setup).await?;
    let sessions = world.linked_many(numbers(6)).await?;
    let numbers: Vec<_> = numbers(6).collect();
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let receiver = world.endpoint(&["session.connected"]).await?;
    let heard = world.endpoint(&["message.received"]).await?;
    world.simulator.say(CONTACT, &numbers[4], "hello").await?;
    heard.wait_for("message.received", 1).await?;
    let first = world.api.send(&sessions[5].id, CONTACT, "one").await?;
    world.api.message_at(&first.id, "read").await?;
    let second = world.api.send(&sessions[5].id, CONTACT, "two").await?;
    world.gateway.kill().await?;
    // All are there before the first may go.
    world.gateway.setup.connects_per_second = 1;
    world.gateway.start().await?;
    let back = connected(&receiver, 6).await?;
    assert_eq!(back[0].0, sessions[5].id, "a message waits there");
    assert_eq!(back[1].0, sessions[4].id, "somebody wrote to it");
    assert!(back[5].1 >= least(6, 1), "{back:?}");
    // WhatsApp restarts: they come back by themselves, and all at once.
    for number in &numbers {
        world.simulator.kick(number, "close").await?;
    }
    let again = connected(&receiver, 12).await?.split_off(6);
    // One at once, after a rest.
    assert!(again[5].1 - again[0].1 >= least(5, 1), "{again:?}");
    let cancel = format!("/v1/messages/{}/cancel", second.id);
    world.api.act(&cancel).await?;
    world.finish().await
}

async fn where_whatsapp_has_too_many_connections_they_come_half_as_fast(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    world.linked_many(numbers(10)).await?;
    let receiver = world.endpoint(&["session.connected"]).await?;
    world.gateway.stop().await?;
    let full = json!({ "on": "login", "do": "refuse", "reason": 503, "times": 1 });
    world.simulator.fault(&full).await?;
    world.gateway.setup.connects_per_second = 6;
    world.gateway.start().await?;
    let connected = connected(&receiver, 10).await?;
    // The second may be on its way when the first is refused.
    assert!(connected[9].1 >= least(8, 3), "{connected:?}");
    world.finish().await
}

async fn hosts_at_one_address_share_its_rate() -> Result<Finished> {
    let setup = Setup {
        flags: vec!["--egress-name".to_owned(), "one".to_owned()],
        ..Setup::default()
    };
    let mut world = World::with(Backing::Cluster, setup).await?;
    world.linked_many(numbers(16)).await?;
    let receiver = world.endpoint(&["session.connected"]).await?;
    world.gateway.stop().await?;
    world.gateway.setup.connects_per_second = 4;
    world.gateway.start().await?;
    let connected = connected(&receiver, 16).await?;
    assert!(connected[15].1 >= least(16, 4), "{connected:?}");
    world.finish().await
}
