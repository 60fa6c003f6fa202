//! What lanes keep whatever happens, in whatever order: a property test over the store.
//!
//! Steps are drawn at random: messages are accepted and taken back, two processes claim, write and
//! settle, WhatsApp answers late or not at all, jobs get lost, processes die and take each other's
//! sessions over, and the one that was taken over writes all the same. Every step calls what the
//! product calls, on a real database. After each of them [`ledger`] reads the rows:
//!
//! - `pending` is the count of what is queued or in flight, and at most one message of a lane is in flight;
//! - places are given without a gap, and messages go out in their order;
//! - between two writes to the wire lies the floor of the gap;
//! - a status never goes back, and who lost the lease changes nothing;
//! - in the end everything accepted stands in exactly one final state, as its events told.
//!
//! `PASSERELLE_TEST_LONG` runs many more of them. A failure prints a short list of steps that still fails.

mod ledger;
mod process;
mod world;

use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestCaseError, TestRunner},
};

use self::world::World;

/// One thing that happens. A number chooses among what there is by then; where there is nothing of
/// the kind, nothing happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A message is accepted; one that is brief expires in seconds.
    Accept { lane: usize, brief: bool },
    /// The last request comes again under its idempotency key.
    Again,
    /// The tenant takes a message back.
    Cancel { nth: usize },
    /// Time passes.
    Pass { ms: u32 },
    /// The sweep looks for messages past their time.
    Expire,
    /// A process claims what is due.
    Claim { by: usize },
    /// A process writes a message that it claimed, when its gates are open.
    Write { by: usize, nth: usize },
    /// A process commits what became of a message that it claimed.
    Settle { by: usize, nth: usize, how: How },
    /// WhatsApp took everything that a process wrote; what gathers meanwhile is settled in sets.
    SettleAll { by: usize },
    /// WhatsApp says something of a message that was written, late.
    Hear { by: usize, nth: usize, how: How },
    /// The job that had a message in hand is gone; its process lives.
    Lose { by: usize, nth: usize },
    /// A process looks for messages that nobody has in hand.
    Strays { by: usize },
    /// A process dies and starts again, with nothing in memory.
    Crash { by: usize },
    /// A process takes every session that it does not run.
    TakeOver { by: usize },
    /// A session's connection is up, or down.
    Connect { by: usize, lane: usize, up: bool },
}

/// What becomes of a message: of one that was written, what WhatsApp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Taken,
    Refused,
    Delivered,
    Read,
    /// No word in time.
    Silence,
    /// Not written, like all that follow: it goes back to the head of its lane.
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
        1 => Just(Step::Again),
        2 => nth.clone().prop_map(|nth| Step::Cancel { nth }),
        4 => (0..12_000_u32).prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::Expire),
        8 => by.clone().prop_map(|by| Step::Claim { by }),
        8 => (by.clone(), nth.clone()).prop_map(|(by, nth)| Step::Write { by, nth }),
        8 => (by.clone(), nth.clone(), outcome).prop_map(|(by, nth, how)| Step::Settle { by, nth, how }),
        2 => by.clone().prop_map(|by| Step::SettleAll { by }),
        3 => (by.clone(), nth.clone(), select(verdicts)).prop_map(|(by, nth, how)| Step::Hear { by, nth, how }),
        1 => (by.clone(), nth).prop_map(|(by, nth)| Step::Lose { by, nth }),
        1 => by.clone().prop_map(|by| Step::Strays { by }),
        1 => by.clone().prop_map(|by| Step::Crash { by }),
        2 => by.clone().prop_map(|by| Step::TakeOver { by }),
        1 => (by, lane, prop::bool::weighted(0.7)).prop_map(|(by, lane, up)| Step::Connect { by, lane, up }),
    ]
}

/// Plays lists of steps, each in an organisation of its own, on one store.
fn play(open: impl Future<Output = Option<world::Ground>>) {
    let long = std::env::var_os("PASSERELLE_TEST_LONG").is_some();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(ground) = runtime.block_on(open) else {
        return;
    };
    let config = Config {
        cases: if long { 1000 } else { 128 },
        max_shrink_iters: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let lists = prop::collection::vec(step(), 20..70);
    let played = TestRunner::new(config).run(&lists, |steps| {
        let story = async {
            let mut world = World::start(&ground).await?;
            for step in steps {
                world.take(step).await?;
            }
            world.end().await
        };
        runtime
            .block_on(story)
            .map_err(|error: anyhow::Error| TestCaseError::fail(format!("{error:#}")))
    });
    runtime.block_on(ground.close());
    if let Err(failure) = played {
        panic!("{failure}");
    }
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

/// Plays a list of steps on each database: what chance comes to too rarely to be waited for.
async fn tell(steps: &[Step]) {
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
async fn a_late_word_on_a_message_that_nobody_has_in_hand_leaves_the_gap_as_it_was() {
    let (by, nth, how) = (0, 0, How::Taken);
    tell(&[
        ACCEPT,
        ACCEPT,
        Step::Claim { by },
        // It is written later than its claim had meant it to be, and its job is gone.
        PASS,
        Step::Write { by, nth },
        Step::Lose { by, nth },
        Step::Hear { by, nth, how },
        // Who takes it over knows of no gate.
        Step::TakeOver { by: 1 },
        Step::Claim { by: 1 },
        Step::Write { by: 1, nth },
    ])
    .await;
}

#[tokio::test]
async fn who_lost_the_lease_settles_nothing_that_its_new_owner_has_claimed() {
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
        tell(&steps).await;
    }
}

#[tokio::test]
async fn a_takeover_waits_a_gap_for_what_was_written_late() {
    tell(&[
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

/// Each session stands twice in the set: as it was before it was lost, and as it is since it was taken
/// again.
#[tokio::test]
async fn in_a_set_what_was_flown_before_the_lease_was_lost_is_told_from_what_is_flown_now() {
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
    tell(&steps).await;
}
