//! Pace belongs to the number: a phone that is linked several times sends no faster than once. Its frames are
//! judged where the simulated server read them from the socket.

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, on_both_stores, on_every_shape,
    receiver::Arrival,
    simulator::{Entry, Phone},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

use crate::pacing::{by_number, under_floor};

on_every_shape!(
    one_phone_of_several_organisations_sends_no_faster_than_of_one,
    the_gap_between_two_organisations_holds_over_a_kill,
    a_message_in_flight_of_one_organisation_keeps_the_number_of_the_other_waiting,
    a_second_link_in_one_organisation_is_undone,
    numbers_of_an_older_database_share_their_pace_from_the_next_connect,
);

mod of_one_process {
    use super::*;

    on_both_stores!(the_gap_between_two_organisations_holds_when_the_store_forgets_it);

    use super::the_gap_between_two_organisations_holds_when_the_store_forgets_it;
}

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

/// A number that two organisations have linked.
struct Shared {
    world: World,
    other: Api,
    /// The session of each organisation.
    sessions: [String; 2],
}

impl Shared {
    async fn start(backing: Backing, setup: Setup) -> Result<Self> {
        let world = World::with(backing, setup).await?;
        let other = world.admin.tenant("Other").await?;
        let mine = world.linked(NUMBER).await?.id;
        let theirs = world.linked_for(&other, NUMBER).await?.id;
        world.simulator.phone(CONTACT, Phone::default()).await?;
        let sessions = [mine, theirs];
        Ok(Self {
            world,
            other,
            sessions,
        })
    }

    /// Returns the frames of the number. It is the only one that sends.
    async fn frames(&self) -> Result<Vec<Entry>> {
        let mut numbers = by_number(self.world.simulator.ledger("sent").await?);
        assert_eq!(numbers.len(), 1, "{:?}", numbers.keys());
        numbers.remove(NUMBER).context("the number has sent")
    }

    async fn finish(self) -> Result<Finished> {
        // `finish` knows the lanes of one organisation only.
        self.world.finish().await
    }
}

fn gap_of(seconds: u64) -> Setup {
    Setup {
        gap_floor_ms: seconds * 1000,
        gap_ceiling_ms: seconds * 1000 + 500,
        ..Setup::default()
    }
}

async fn one_phone_of_several_organisations_sends_no_faster_than_of_one(
    backing: Backing,
) -> Result<Finished> {
    let shared = Shared::start(backing, Setup::default()).await?;
    let [mine, theirs] = &shared.sessions;
    let api = &shared.world.api;
    let texts: Vec<_> = (0..10).map(|n| format!("text {n}")).collect();
    let sends = texts.iter().map(|text| api.send(mine, CONTACT, text));
    let ours = try_join_all(sends).await?;
    let sends = texts
        .iter()
        .map(|text| shared.other.send(theirs, CONTACT, text));
    let others = try_join_all(sends).await?;
    for message in &ours {
        api.message_at(&message.id, "read").await?;
    }
    for message in &others {
        shared.other.message_at(&message.id, "read").await?;
    }
    let frames = shared.frames().await?;
    assert_eq!(frames.len(), 20);
    assert_eq!(under_floor(&frames, 200), Vec::<String>::new());
    // They take turns: ours were all accepted first, and theirs did not wait for the last of them.
    let ids: BTreeSet<_> = others
        .iter()
        .filter_map(|sent| sent.wa_message_id.clone())
        .collect();
    let early = frames[..10].iter().filter(|frame| ids.contains(&frame.id));
    assert!(early.count() >= 3, "{ids:?}: {frames:#?}");
    shared.finish().await
}

async fn the_gap_between_two_organisations_holds_over_a_kill(backing: Backing) -> Result<Finished> {
    let mut shared = Shared::start(backing, gap_of(3)).await?;
    let [mine, theirs] = shared.sessions.clone();
    let first = shared.world.api.send(&mine, CONTACT, "first").await?;
    shared.world.api.message_at(&first.id, "sent").await?;
    shared.world.gateway.kill_and_restart().await?;
    let second = shared.other.send(&theirs, CONTACT, "second").await?;
    shared.other.message_at(&second.id, "read").await?;
    let frames = shared.frames().await?;
    assert_eq!(frames.len(), 2);
    assert_eq!(under_floor(&frames, 3_000), Vec::<String>::new());
    shared.finish().await
}

/// The second gate counts on the process's own clock.
async fn the_gap_between_two_organisations_holds_when_the_store_forgets_it(
    backing: Backing,
) -> Result<Finished> {
    let shared = Shared::start(backing, gap_of(3)).await?;
    let [mine, theirs] = &shared.sessions;
    let first = shared.world.api.send(mine, CONTACT, "first").await?;
    shared.world.api.message_at(&first.id, "sent").await?;
    let database = &shared.world.gateway.database;
    database
        .execute("UPDATE lane SET next_at = 0, paced_until = 0")
        .await?;
    database.execute("UPDATE number SET next_at = 0").await?;
    let second = shared.other.send(theirs, CONTACT, "second").await?;
    shared.other.message_at(&second.id, "read").await?;
    let frames = shared.frames().await?;
    assert_eq!(frames.len(), 2);
    assert_eq!(under_floor(&frames, 3_000), Vec::<String>::new());
    shared.finish().await
}

/// Only when WhatsApp has answered, it is known when the message was written and the gap began.
async fn a_message_in_flight_of_one_organisation_keeps_the_number_of_the_other_waiting(
    backing: Backing,
) -> Result<Finished> {
    let shared = Shared::start(backing, gap_of(1)).await?;
    let [mine, theirs] = &shared.sessions;
    let late =
        json!({ "phone": NUMBER, "on": "message", "do": "delay", "delay_ms": 4000, "times": 1 });
    shared.world.simulator.fault(&late).await?;
    let first = shared.world.api.send(mine, CONTACT, "first").await?;
    let second = shared.other.send(theirs, CONTACT, "second").await?;
    shared.world.api.message_at(&first.id, "read").await?;
    shared.other.message_at(&second.id, "read").await?;
    let frames = shared.frames().await?;
    assert_eq!(frames.len(), 2);
    let gap_us = frames[1].wire_us - frames[0].wire_us;
    assert!(
        gap_us >= 3_900_000,
        "the other one was sent after {gap_us} us"
    );
    shared.finish().await
}

fn code(arrival: &Arrival) -> &Value {
    &arrival.body["data"]["session"]["status_reason"]["code"]
}

async fn a_second_link_in_one_organisation_is_undone(backing: Backing) -> Result<Finished> {
    const CODE: &str = "number_linked_already";
    let world = World::start(backing).await?;
    let receiver = world
        .endpoint(&["session.linked", "session.logged_out"])
        .await?;
    let first = world.linked(NUMBER).await?.id;
    receiver.wait_for("session.linked", 1).await?;
    let second = world.api.create_session("the same number").await?.id;
    world.api.connect(&second).await?;
    let qr = world.api.qr(&second).await?;
    world.simulator.scan(NUMBER, &qr).await?;
    world.api.session_in(&second, CODE).await?;
    let told = receiver.wait_for("session.logged_out", 1).await?;
    assert_eq!(code(&told[0]), CODE);
    assert_eq!(told[0].body["session_id"], json!(second));
    let shown: Value = world
        .api
        .get(&format!("/v1/sessions/{second}"))
        .await?
        .into(200)?;
    assert_eq!(shown["status_reason"]["code"], CODE);
    assert_eq!(
        (&shown["phone"], &shown["linked_at"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(receiver.of("session.linked").len(), 1);
    let phone = world.simulator.phone_state(NUMBER).await?;
    assert_eq!(
        phone["devices"].as_array().map(Vec::len),
        Some(1),
        "{phone}"
    );

    // The first one does not notice, and a third one may be linked when it is gone.
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let sent = world.api.send(&first, CONTACT, "still here").await?;
    world.api.message_at(&sent.id, "read").await?;
    let deleted = world.api.delete(&format!("/v1/sessions/{first}")).await?;
    assert_eq!(deleted.status.as_u16(), 204);
    world.api.connect(&second).await?;
    let qr = world.api.qr(&second).await?;
    world.simulator.scan(NUMBER, &qr).await?;
    let linked = world.api.session_in(&second, "connected").await?;
    let sent = world.api.send(&linked.id, CONTACT, "and here").await?;
    world.api.message_at(&sent.id, "read").await?;
    world.finish().await
}

async fn numbers_of_an_older_database_share_their_pace_from_the_next_connect(
    backing: Backing,
) -> Result<Finished> {
    let mut shared = Shared::start(backing, gap_of(2)).await?;
    shared.world.gateway.stop().await?;
    let database = &shared.world.gateway.database;
    // As an earlier version leaves it.
    assert_eq!(
        database
            .execute("UPDATE lane SET number_mac = NULL")
            .await?,
        2
    );
    assert_eq!(database.execute("DELETE FROM number").await?, 1);
    shared.world.gateway.start().await?;
    let [mine, theirs] = shared.sessions.clone();
    shared.world.api.session_in(&mine, "connected").await?;
    shared.other.session_in(&theirs, "connected").await?;
    let first = shared.world.api.send(&mine, CONTACT, "first").await?;
    let second = shared.other.send(&theirs, CONTACT, "second").await?;
    shared.world.api.message_at(&first.id, "read").await?;
    shared.other.message_at(&second.id, "read").await?;
    let frames = shared.frames().await?;
    assert_eq!(frames.len(), 2);
    assert_eq!(under_floor(&frames, 2_000), Vec::<String>::new());
    let known = "UPDATE lane SET number_mac = number_mac WHERE number_mac IS NOT NULL";
    assert_eq!(shared.world.gateway.database.execute(known).await?, 2);
    shared.finish().await
}
