//! The process may end at any moment. Linked numbers stay linked, and accepted work is done.

use anyhow::Result;
use passerelle_tests::{
    Backing, Finished, Setup, World, on_every_shape, simulator::Phone, within, world::numbers,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{collections::BTreeSet, time::Duration};

on_every_shape!(
    a_hundred_linked_sessions_killed_at_seeded_moments_are_all_back_without_a_qr,
    sends_in_flight_when_killed_at_seeded_moments_are_shown_once,
    asked_to_end_the_gateway_finishes_and_the_phones_stay_linked,
);

const CONTACT: &str = "+4915199000001";

/// Returns the number of kills: a few, or many with `--long`.
fn rounds() -> u32 {
    if std::env::var_os("PASSERELLE_TEST_LONG").is_some() {
        20
    } else {
        4
    }
}

/// Makes a random source and prints its seed.
pub(crate) fn seeded() -> StdRng {
    let seed = std::env::var("PASSERELLE_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(20_261_122);
    eprintln!("seed {seed} (set PASSERELLE_TEST_SEED for another)");
    StdRng::seed_from_u64(seed)
}

async fn a_hundred_linked_sessions_killed_at_seeded_moments_are_all_back_without_a_qr(
    backing: Backing,
) -> Result<Finished> {
    let mut rng = seeded();
    let mut world = World::start(backing).await?;
    let all: Vec<_> = numbers(100).collect();
    world.linked_many(all.clone()).await?;
    for _ in 0..rounds() {
        world.gateway.kill().await?;
        world.gateway.spawn()?;
        // The time of the kill is what is tested. Nothing is waited for.
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..10_000))).await;
    }
    world.gateway.kill_and_restart().await?;
    within(
        Duration::from_mins(1),
        "all hundred are connected",
        async || {
            let sessions = world.api.sessions().await?;
            assert_eq!(sessions.len(), 100);
            assert!(
                sessions.iter().all(|one| one.desired == "running"),
                "a kill changed what is wanted"
            );
            assert!(
                sessions.iter().all(|one| one.state != "qr"),
                "a linked session waits for a QR"
            );
            Ok(sessions
                .iter()
                .all(|one| one.state == "connected")
                .then_some(()))
        },
    )
    .await?;
    for number in &all {
        let phone = world.simulator.phone_state(number).await?;
        assert_eq!(
            phone["devices"].as_array().map(Vec::len),
            Some(1),
            "{number} was linked again"
        );
    }
    world.finish().await
}

async fn sends_in_flight_when_killed_at_seeded_moments_are_shown_once(
    backing: Backing,
) -> Result<Finished> {
    let mut rng = seeded();
    let setup = Setup {
        gap_floor_ms: 50,
        gap_ceiling_ms: 100,
        ..Setup::default()
    };
    let mut world = World::with(backing, setup).await?;
    let sessions = world.linked_many(numbers(3)).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let mut accepted = BTreeSet::new();
    for round in 0..rounds() {
        for n in 0..8 {
            for session in &sessions {
                let text = format!("{round}.{n} of {}", session.id);
                world.api.send(&session.id, CONTACT, &text).await?;
                accepted.insert(text);
            }
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..1_500))).await;
        world.gateway.kill_and_restart().await?;
    }
    world.lanes_empty(Duration::from_secs(90)).await?;
    within(Duration::from_secs(20), "all texts are shown", async || {
        let shown = world.simulator.shown(CONTACT).await?;
        let once: BTreeSet<_> = shown.iter().cloned().collect();
        assert_eq!(once.len(), shown.len(), "a text was shown twice");
        Ok((once == accepted).then_some(()))
    })
    .await?;
    world.finish().await
}

async fn asked_to_end_the_gateway_finishes_and_the_phones_stay_linked(
    backing: Backing,
) -> Result<Finished> {
    let mut world = World::start(backing).await?;
    let session = world.linked("+4915170000001").await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    for n in 0..5 {
        world
            .api
            .send(&session.id, CONTACT, &format!("{n}"))
            .await?;
    }
    let status = world.gateway.stop().await?;
    assert!(status.success(), "{status}");
    let phone = world.simulator.phone_state("+4915170000001").await?;
    assert_eq!(
        phone["devices"].as_array().map(Vec::len),
        Some(1),
        "a stop must not unlink"
    );
    world.gateway.start().await?;
    world.lanes_empty(Duration::from_secs(30)).await?;
    within(
        Duration::from_secs(20),
        "all texts are shown in order",
        async || {
            Ok((world.simulator.shown(CONTACT).await? == ["0", "1", "2", "3", "4"]).then_some(()))
        },
    )
    .await?;
    assert!(
        world.simulator.ledger("repeat").await?.is_empty(),
        "a graceful stop must not repeat a message"
    );
    world.finish().await
}
