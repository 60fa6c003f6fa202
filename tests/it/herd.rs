//! Many numbers that come back at once connect one after the other, as fast as their address may, numbers
//! with waiting messages first.

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use passerelle_tests::{
    Backing, Finished, Receiver, Setup, World, on_both_stores, simulator::Phone, wall_clock,
    within, world::numbers,
};
use serde_json::json;
use std::time::Duration;

on_both_stores!(
    after_a_restart_those_with_messages_connect_first_and_nobody_too_soon,
    where_whatsapp_has_too_many_connections_they_come_half_as_fast,
    who_waits_for_its_turn_holds_up_no_end,
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

#[derive(Debug)]
struct Turn {
    session: String,
    at: DateTime<Utc>,
    /// Milliseconds after the first turn.
    since: i64,
}

/// Returns when the lines with a text were logged after a moment, with the session that each names.
fn logged(world: &World, text: &str, after: DateTime<Utc>) -> Result<Vec<(String, DateTime<Utc>)>> {
    let log = String::from_utf8(world.gateway.logs()?)?;
    let mut all = Vec::new();
    for line in log.lines().filter(|line| line.contains(text)) {
        let at = line.split_whitespace().next().context("a time")?;
        let session = line.split("session.id=").nth(1).unwrap_or_default();
        let session = session.split([' ', '}']).next().unwrap_or_default();
        all.push((
            session.to_owned(),
            DateTime::parse_from_rfc3339(at)?.to_utc(),
        ));
    }
    all.retain(|(_, at)| *at > after);
    all.sort_by_key(|(_, at)| *at);
    Ok(all)
}

/// Returns the turns to connect after a moment.
fn turns(world: &World, after: DateTime<Utc>) -> Result<Vec<Turn>> {
    let all = logged(world, "its turn to connect", after)?;
    let first = all.first().context("one at least")?.1;
    let turn = |(session, at): (String, DateTime<Utc>)| Turn {
        session,
        at,
        since: (at - first).num_milliseconds(),
    };
    Ok(all.into_iter().map(turn).collect())
}

/// Checks that no others than these had their turn while a session waited for its own.
fn passed_by(world: &World, session: &str, by: &[&String], after: DateTime<Utc>) -> Result<()> {
    let waits = logged(world, "it waits to connect", after)?;
    let from = waits.iter().find(|(waiting, _)| waiting == session);
    let from = from.context("it waited")?.1;
    let turns = turns(world, from)?;
    let place = turns.iter().position(|turn| turn.session == session);
    let before = &turns[..place.context("it had its turn")?];
    let mut before = before.iter();
    let passed = before.find(|turn| !by.contains(&&turn.session));
    ensure!(passed.is_none(), "{session} waited from {from}: {turns:?}");
    Ok(())
}

async fn connected(receiver: &Receiver, count: usize) -> Result<()> {
    let told = receiver.wait_for_within(BACK, "session.connected", count);
    told.await.map(drop)
}

/// Returns the least milliseconds between the first and the last of this many turns at this rate. A turn
/// is logged slightly later than it happens.
fn least(turns: i64, per_second: i64) -> i64 {
    (turns - 1) * 1000 / per_second - 100
}

async fn after_a_restart_those_with_messages_connect_first_and_nobody_too_soon(
    backing: Backing,
) -> Result<Finished> {
    let setup = Setup {
        // The second message still waits for its gap during the restart.
        gap_floor_ms: 60_000,
        gap_ceiling_ms: 60_000,
        ..Setup::default()
    };
    let mut world = World::with(backing, setup).await?;
    let sessions = world.linked_many(numbers(10)).await?;
    let numbers: Vec<_> = numbers(10).collect();
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let receiver = world.endpoint(&["session.connected"]).await?;
    let heard = world.endpoint(&["message.received"]).await?;
    world.simulator.say(CONTACT, &numbers[8], "hello").await?;
    heard.wait_for("message.received", 1).await?;
    let first = world.api.send(&sessions[9].id, CONTACT, "one").await?;
    world.api.message_at(&first.id, "read").await?;
    let second = world.api.send(&sessions[9].id, CONTACT, "two").await?;
    world.gateway.kill().await?;
    let before = wall_clock();
    // The numbers were linked long ago.
    let aged = "UPDATE link SET linked_at = linked_at - 7200000";
    world.gateway.database.execute(aged).await?;
    // At one per second, all of them wait before the first one connects.
    world.gateway.setup.connects_per_second = 1;
    world.gateway.start().await?;
    connected(&receiver, 10).await?;
    let back = turns(&world, before)?;
    let (written, spoken) = (&sessions[9].id, &sessions[8].id);
    passed_by(&world, written, &[], before).context("a message waits there")?;
    passed_by(&world, spoken, &[written], before).context("somebody wrote to it")?;
    assert!(back[9].since >= least(10, 1), "{back:?}");
    // WhatsApp restarts. The numbers reconnect by themselves, all at once. The last ones wait longer than
    // the timeout of a connection.
    let before = wall_clock();
    for number in &numbers {
        world.simulator.kick(number, "close").await?;
    }
    connected(&receiver, 20).await?;
    let again = turns(&world, before)?;
    // After a rest one connects immediately.
    assert!(again[9].since >= least(9, 1), "{again:?}");
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
    let before = wall_clock();
    world.gateway.start().await?;
    connected(&receiver, 10).await?;
    let turns = turns(&world, before)?;
    assert_eq!(turns.len(), 11, "one of them came twice");
    // Some may already be connecting when the first is refused. From then on they come half as fast.
    let refused = logged(&world, "WhatsApp refuses connections", before)?;
    let refused = refused.first().context("the refusal")?.1;
    let slower = turns.iter().map(|turn| turn.at).filter(|at| *at > refused);
    let slower: Vec<_> = slower.collect();
    assert!(slower.len() >= 4, "{refused}: {turns:?}");
    let took = (slower[slower.len() - 1] - refused).num_milliseconds();
    // At the refusal one token may be left.
    let turns_after = i64::try_from(slower.len())? - 1;
    assert!(took >= least(turns_after, 3), "{refused}: {turns:?}");
    world.finish().await
}

async fn who_waits_for_its_turn_holds_up_no_end(backing: Backing) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let sessions = world.linked_many(numbers(24)).await?;
    world.gateway.stop().await?;
    world.gateway.setup.connects_per_second = 1;
    let before = wall_clock();
    world.gateway.start().await?;
    within(BACK, "one number has had its turn", async || {
        Ok(turns(&world, before).is_ok().then_some(()))
    })
    .await?;
    // The last number's turn would come after more than twenty seconds.
    let ended = tokio::time::timeout(Duration::from_secs(12), world.gateway.stop());
    ended.await.context("the stop waits for the turns")??;
    world.gateway.setup.connects_per_second = 1_000;
    world.gateway.start().await?;
    for session in sessions {
        world.api.session_in(&session.id, "connected").await?;
    }
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
    connected(&receiver, 16).await?;
    // By now each host knows the other one. All numbers reconnect at once.
    let before = wall_clock();
    for number in numbers(16) {
        world.simulator.kick(&number, "close").await?;
    }
    let turns = within(BACK, "all numbers have had their turn", async || {
        let turns = turns(&world, before).unwrap_or_default();
        Ok((turns.len() >= 16).then_some(turns))
    })
    .await?;
    // After a rest the hosts together have the tokens of one second.
    assert!(turns[15].since >= least(12, 4), "{turns:?}");
    world.finish().await
}
