//! The gap between two sends of a number, measured by when the server read the frames from the socket.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Setup, World, on_every_shape,
    simulator::{Entry, Phone},
    world::numbers,
};
use std::{collections::BTreeMap, time::Duration};

on_every_shape!(
    a_second_send_waits_for_the_first_ones_gap,
    two_hundred_messages_over_twenty_numbers_keep_their_order_and_their_gaps,
    the_gap_holds_over_a_kill,
    the_gap_holds_over_a_reconnect_asked_for_by_the_tenant,
    the_gap_holds_when_the_store_forgets_it,
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
