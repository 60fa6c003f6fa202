//! The gap between two sends of a number, measured by when the server read the frames from the socket.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Setup, World, on_every_shape,
    simulator::{Entry, Phone},
    world::numbers,
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

on_every_shape!(
    a_second_send_waits_for_the_first_ones_gap,
    two_hundred_messages_over_twenty_numbers_keep_their_order_and_their_gaps,
    the_gap_holds_over_a_kill,
    the_gap_holds_over_a_reconnect_asked_for_by_the_tenant,
    the_gap_holds_when_the_store_forgets_it,
    what_a_phone_asks_for_again_comes_late_and_all_else_in_order,
);

const CONTACT: &str = "+4915199000001";
/// The server may read one frame slightly late and the next one immediately.
const JITTER_US: u64 = 5_000;

/// Groups the frames by number, in order, without retries: when a phone cannot decrypt a message and asks
/// for it again, the library answers at once under the same id, outside of the lane.
pub(crate) fn by_number(frames: Vec<Entry>) -> BTreeMap<String, Vec<Entry>> {
    let mut numbers: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for frame in frames.into_iter().filter(|frame| !frame.retry) {
        numbers.entry(frame.from.clone()).or_default().push(frame);
    }
    for frames in numbers.values_mut() {
        frames.sort_by_key(|frame| frame.wire_us);
    }
    numbers
}

/// Returns the gaps of a number that are below the floor, each with WhatsApp's id and the time of the
/// frames around it.
pub(crate) fn under_floor(frames: &[Entry], floor_ms: u64) -> Vec<String> {
    let mut under = Vec::new();
    for two in frames.windows(2) {
        let gap = two[1].wire_us - two[0].wire_us;
        if gap + JITTER_US < floor_ms * 1000 {
            let [before, after] = [&two[0], &two[1]].map(|frame| (&frame.id, frame.at_ms));
            let number = &two[0].from;
            under.push(format!("{number}: {gap} us from {before:?} to {after:?}"));
        }
    }
    under
}

async fn a_second_send_waits_for_the_first_ones_gap(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        gap_floor_ms: 1_000,
        gap_ceiling_ms: 1_500,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked("+4915170000001").await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    world.api.send(&session.id, CONTACT, "first").await?;
    let second = world.api.send(&session.id, CONTACT, "second").await?;
    world.api.message_at(&second.id, "read").await?;
    let frames = world.simulator.ledger("sent").await?;
    assert_eq!(frames.len(), 2);
    let gap = frames[1].wire_us - frames[0].wire_us;
    assert!(
        (1_000_000 - JITTER_US..3_000_000).contains(&gap),
        "the gap was {gap} µs"
    );
    world.finish().await
}

async fn two_hundred_messages_over_twenty_numbers_keep_their_order_and_their_gaps(
    backing: Backing,
) -> Result<Finished> {
    let world = World::start(backing).await?;
    world
        .simulator
        .phone(
            CONTACT,
            Phone {
                reads: false,
                ..Phone::default()
            },
        )
        .await?;
    let sessions = world.linked_many(numbers(20)).await?;
    for n in 0..10 {
        let round = sessions.iter().map(|session| {
            let (api, id) = (&world.api, &session.id);
            async move { api.send(id, CONTACT, &format!("{n:02}")).await }
        });
        futures_util::future::try_join_all(round).await?;
    }
    world.lanes_empty(Duration::from_mins(1)).await?;
    let lanes = by_number(world.simulator.ledger("sent").await?);
    assert_eq!(lanes.len(), 20);
    let texts = texts_by_id(&world).await?;
    let wanted: Vec<_> = (0..10).map(|n| format!("{n:02}")).collect();
    for (number, frames) in &lanes {
        let order: Vec<_> = frames
            .iter()
            .filter_map(|frame| texts.get(&frame.id))
            .collect();
        assert_eq!(
            order,
            wanted.iter().collect::<Vec<_>>(),
            "{number} is out of order"
        );
        assert_eq!(
            under_floor(frames, 200),
            Vec::<String>::new(),
            "{number} sent too fast"
        );
    }
    world.finish().await
}

/// Returns the texts of all outbound messages by WhatsApp's id.
pub(crate) async fn texts_by_id(world: &World) -> Result<BTreeMap<String, String>> {
    let messages = world.api.messages("direction=outbound").await?;
    messages
        .into_iter()
        .map(|message| {
            let text = message.body().to_owned();
            Ok((
                message
                    .wa_message_id
                    .context("an outbound message has a WhatsApp id")?,
                text,
            ))
        })
        .collect()
}

async fn the_gap_holds_over_a_kill(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        gap_floor_ms: 3_000,
        gap_ceiling_ms: 3_500,
        ..Setup::default()
    };
    let mut world = World::with(backing, setup).await?;
    let session = world.linked("+4915170000001").await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let first = world.api.send(&session.id, CONTACT, "first").await?;
    let second = world.api.send(&session.id, CONTACT, "second").await?;
    world.api.message_at(&first.id, "sent").await?;
    world.gateway.kill_and_restart().await?;
    world.api.message_at(&second.id, "read").await?;
    let frames = world.simulator.ledger("sent").await?;
    assert_eq!(under_floor(&frames, 3_000), Vec::<String>::new());
    world.finish().await
}

async fn the_gap_holds_over_a_reconnect_asked_for_by_the_tenant(
    backing: Backing,
) -> Result<Finished> {
    let setup = Setup {
        gap_floor_ms: 3_000,
        gap_ceiling_ms: 3_500,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked("+4915170000001").await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let first = world.api.send(&session.id, CONTACT, "first").await?;
    let second = world.api.send(&session.id, CONTACT, "second").await?;
    world.api.message_at(&first.id, "sent").await?;
    world.api.disconnect(&session.id).await?;
    world.api.session_in(&session.id, "stopped").await?;
    world.api.connect(&session.id).await?;
    world.api.message_at(&second.id, "read").await?;
    let frames = world.simulator.ledger("sent").await?;
    assert_eq!(under_floor(&frames, 3_000), Vec::<String>::new());
    world.finish().await
}

/// The second check uses the process's own monotonic clock, so a jump of the database's clock cannot
/// shorten the gap.
async fn the_gap_holds_when_the_store_forgets_it(backing: Backing) -> Result<Finished> {
    let setup = Setup {
        gap_floor_ms: 3_000,
        gap_ceiling_ms: 3_500,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked("+4915170000001").await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let first = world.api.send(&session.id, CONTACT, "first").await?;
    world.api.message_at(&first.id, "sent").await?;
    world
        .gateway
        .database
        .execute("UPDATE lane SET next_at = 0")
        .await?;
    let second = world.api.send(&session.id, CONTACT, "second").await?;
    world.api.message_at(&second.id, "read").await?;
    let frames = world.simulator.ledger("sent").await?;
    assert_eq!(frames.len(), 2);
    assert_eq!(under_floor(&frames, 3_000), Vec::<String>::new());
    world.finish().await
}

/// A phone that could not read a text keeps its place, and asks for it. The answer is not the lane's, so texts after it may be
/// read earlier. The lane waits for no phone.
async fn what_a_phone_asks_for_again_comes_late_and_all_else_in_order(
    backing: Backing,
) -> Result<Finished> {
    const NUMBER: &str = "+4915170000001";
    const TEXTS: [&str; 3] = ["first", "second", "third"];
    let setup = Setup {
        gap_floor_ms: 1_500,
        gap_ceiling_ms: 2_000,
        ..Setup::default()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    // From now on both have a Signal session, and its messages have a code at their end.
    let receiver = world.endpoint(&["message.received"]).await?;
    world.simulator.say(CONTACT, NUMBER, "hello").await?;
    receiver.wait_for("message.received", 1).await?;
    let fault = json!({ "phone": NUMBER, "on": "message", "do": "corrupt", "times": 1 });
    world.simulator.fault(&fault).await?;
    let late =
        json!({ "phone": NUMBER, "on": "message", "do": "delay", "delay_ms": 8_000, "times": 1 });
    world.simulator.fault(&late).await?;
    let mut ids = Vec::new();
    for text in TEXTS {
        ids.push(world.api.send(&session.id, CONTACT, text).await?.id);
    }
    for id in ids {
        world.api.message_at(&id, "read").await?;
    }
    let texts = texts_by_id(&world).await?;
    let of = |frame: &Entry| texts[&frame.id].clone();
    let frames = world.simulator.ledger("sent").await?;
    let again: Vec<_> = frames.iter().filter(|frame| frame.retry).map(of).collect();
    assert_eq!(again, ["first"]);
    let lanes = by_number(frames);
    let written: Vec<_> = lanes[NUMBER].iter().map(of).collect();
    assert_eq!(written, TEXTS);
    let asked = world.simulator.ledger("unreadable").await?;
    assert_eq!(asked.iter().map(of).collect::<Vec<_>>(), ["first"]);
    let shown = world.simulator.ledger("shown").await?;
    let shown: Vec<_> = shown
        .iter()
        .filter(|entry| entry.to == CONTACT)
        .map(of)
        .collect();
    assert_eq!(shown, ["second", "third", "first"]);
    world.finish().await
}
