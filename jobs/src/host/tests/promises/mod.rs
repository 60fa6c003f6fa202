//! The promises that lanes keep in any order of events: a property test over the store.
//!
//! Steps are drawn at random. Messages are accepted and canceled. Two processes claim, write and settle.
//! WhatsApp answers late or not at all. Jobs get lost. Processes die and take over each other's sessions,
//! and a process that lost its sessions still tries to write. Every step calls the product's own
//! functions, on a real database. After each step [`ledger`] reads the rows and checks:
//!
//! - `pending` counts the messages that are queued or in flight, and a lane has at most one in flight;
//! - places in a lane are given without a gap, and messages go out in their order;
//! - two writes to the wire are at least the floor of the gap apart;
//! - a status never goes back, and a process that lost the lease changes nothing;
//! - at the end every accepted message has exactly one final status, and its events say the same.
//!
//! `PASSERELLE_TEST_LONG` runs many more cases. A failure prints a short list of steps that still fails.

mod ledger;
mod process;
mod world;

use proptest::{prelude::*, sample::select};

use self::world::World;

/// One step of a case. Numbers choose among the objects that exist at that moment; a step without an
/// object does nothing.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A message is accepted; a brief one expires in seconds.
    Accept { lane: usize, brief: bool },
    /// The last request is repeated with its idempotency key.
    Repeat,
    /// The tenant cancels a message.
    Cancel { nth: usize },
    /// Time passes.
    Pass { ms: u32 },
    /// The sweep expires messages that are past their time.
    Expire,
    /// A process claims messages that are due.
    Claim { by: usize },
    /// A process writes a message that it claimed, once its gates are open.
    Write { by: usize, nth: usize },
    /// A process commits the outcome of a message that it claimed.
    Settle { by: usize, nth: usize, how: How },
    /// WhatsApp acknowledged everything that a process wrote; the outcomes are settled in sets.
    SettleAll { by: usize },
    /// WhatsApp's answer to a written message comes late.
    LateUpdate { by: usize, nth: usize, how: How },
    /// The job of a message is lost, but its process lives.
    Lose { by: usize, nth: usize },
    /// A process resolves its orphans.
    Orphans { by: usize },
    /// A process dies and starts again, with nothing in memory.
    Crash { by: usize },
    /// A process takes every session that it does not run.
    TakeOver { by: usize },
    /// A session's connection comes up or goes down.
    Connect { by: usize, lane: usize, up: bool },
}

/// How a message ends. The first five are for a message that was written: WhatsApp's answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Taken,
    Refused,
    Delivered,
    Read,
    /// No answer in time.
    Silence,
    /// The message was not written, as in all that follow. It goes back to the head of its lane.
    PutBack,
    Later,
    Failed,
}

fn step() -> impl Strategy<Value = Step> {
    let (by, lane, nth) = (0..2_usize, 0..3_usize, 0..64_usize);
    let verdicts = vec![How::Taken, How::Refused, How::Delivered, How::Read];
    let outcome = select(vec![
        How::Taken,
        How::Taken,
        How::Refused,
        How::Delivered,
        How::Read,
        How::Silence,
        How::PutBack,
        How::Later,
        How::Failed,
    ]);
    prop_oneof![
        8 => (lane.clone(), prop::bool::weighted(0.2)).prop_map(|(lane, brief)| Step::Accept { lane, brief }),
        1 => Just(Step::Repeat),
        2 => nth.clone().prop_map(|nth| Step::Cancel { nth }),
        4 => (0..12_000_u32).prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::Expire),
        8 => by.clone().prop_map(|by| Step::Claim { by }),
        8 => (by.clone(), nth.clone()).prop_map(|(by, nth)| Step::Write { by, nth }),
        8 => (by.clone(), nth.clone(), outcome).prop_map(|(by, nth, how)| Step::Settle { by, nth, how }),
        2 => by.clone().prop_map(|by| Step::SettleAll { by }),
        3 => (by.clone(), nth.clone(), select(verdicts)).prop_map(|(by, nth, how)| Step::LateUpdate { by, nth, how }),
        1 => (by.clone(), nth).prop_map(|(by, nth)| Step::Lose { by, nth }),
        1 => by.clone().prop_map(|by| Step::Orphans { by }),
        1 => by.clone().prop_map(|by| Step::Crash { by }),
        2 => by.clone().prop_map(|by| Step::TakeOver { by }),
        1 => (by, lane, prop::bool::weighted(0.7)).prop_map(|(by, lane, up)| Step::Connect { by, lane, up }),
    ]
}

/// Plays random lists of steps on one store, each in an organisation of its own.
fn play(open: impl Future<Output = Option<world::Ground>>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(ground) = runtime.block_on(open) else {
        return;
    };
    let lists = prop::collection::vec(step(), 20..70);
    crate::testing::play(&runtime, (128, 1000), &lists, async |steps| {
        let mut world = World::start(&ground).await?;
        for step in steps {
            world.take(step).await?;
        }
        world.end().await
    });
    runtime.block_on(ground.close());
}

#[test]
fn lanes_keep_their_promises_whatever_happens_on_sqlite() {
    play(world::Ground::sqlite());
}

#[test]
fn lanes_keep_their_promises_whatever_happens_on_postgres() {
    play(world::Ground::postgres());
}

const ACCEPT: Step = Step::Accept {
    lane: 0,
    brief: false,
};
/// Longer than any gap.
const PASS: Step = Step::Pass { ms: 12_000 };

/// Plays a fixed list of steps on each database, for cases that random lists reach too rarely.
async fn replay(steps: &[Step]) {
    for ground in [
        world::Ground::sqlite().await,
        world::Ground::postgres().await,
    ] {
        let Some(ground) = ground else { continue };
        let mut world = World::start(&ground).await.unwrap();
        for step in steps {
            world.take(*step).await.unwrap();
        }
        world.end().await.unwrap();
        ground.close().await;
    }
}

#[tokio::test]
async fn a_late_acknowledgement_of_an_orphan_leaves_the_gap_as_it_was() {
    let (by, nth, how) = (0, 0, How::Taken);
    replay(&[
        ACCEPT,
        ACCEPT,
        Step::Claim { by },
        // The message is written later than its claim had planned, and its job is lost.
        PASS,
        Step::Write { by, nth },
        Step::Lose { by, nth },
        Step::LateUpdate { by, nth, how },
        // The new owner does not know the old owner's gate.
        Step::TakeOver { by: 1 },
        Step::Claim { by: 1 },
        Step::Write { by: 1, nth },
    ])
    .await;
}

#[tokio::test]
async fn a_process_that_lost_the_lease_settles_nothing_that_the_new_owner_has_claimed() {
    for (written, how) in [
        (false, How::Failed),
        (false, How::PutBack),
        (true, How::Refused),
        (true, How::Taken),
    ] {
        let mut steps = vec![ACCEPT, Step::Claim { by: 0 }];
        steps.extend(written.then_some(Step::Write { by: 0, nth: 0 }));
        steps.extend([
            Step::TakeOver { by: 1 },
            PASS,
            Step::Claim { by: 1 },
            Step::Settle { by: 0, nth: 0, how },
        ]);
        replay(&steps).await;
    }
}

#[tokio::test]
async fn a_takeover_waits_a_gap_after_a_message_that_was_written_late() {
    replay(&[
        ACCEPT,
        Step::Claim { by: 0 },
        PASS,
        Step::Write { by: 0, nth: 0 },
        Step::TakeOver { by: 1 },
        Step::Claim { by: 1 },
        Step::Write { by: 1, nth: 0 },
    ])
    .await;
}

/// Each session is in the set twice: once under the epoch that was lost, once under the new one.
#[tokio::test]
async fn a_set_tells_messages_of_a_lost_epoch_from_those_of_the_current_one() {
    let mut steps = Vec::new();
    for lane in [0, 0, 1, 1, 2, 2] {
        steps.push(Step::Accept { lane, brief: false });
    }
    let writes = |by, nth| [Step::Write { by, nth }; 3];
    steps.push(Step::Claim { by: 0 });
    steps.extend(writes(0, 0));
    steps.extend([Step::TakeOver { by: 1 }, PASS, Step::Claim { by: 1 }]);
    steps.extend(writes(1, 0));
    steps.push(Step::SettleAll { by: 1 });
    steps.extend([Step::TakeOver { by: 0 }, PASS, Step::Claim { by: 0 }]);
    steps.extend(writes(0, 3));
    steps.push(Step::SettleAll { by: 0 });
    replay(&steps).await;
}
