//! The process is killed at every named point of the send, inbound and webhook paths, and held to
//! its promise. The points are those of ARCHITECTURE.md's table and of `jobs/src/crash.rs`.

use anyhow::{Context as _, Result, bail};
use passerelle_tests::{Api, Backing, Finished, Setup, World, on_both_stores, soon, within};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    time::Duration,
};

use crate::pacing::{by_number, under_floor};

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
const SIGABRT: i32 = 6;

macro_rules! crash_points {
    ($($test:ident = $point:literal),+ $(,)?) => {
        /// The points that are killed at here.
        const KILLED_AT: &[&str] = &[$($point),+];

        $(async fn $test(backing: Backing) -> Result<Finished> {
            killed_at(backing, $point).await
        })+

        on_both_stores!($($test),+);
    };
}

crash_points!(
    crash_point_accept_before_commit = "accept.before_commit",
    crash_point_accept_after_commit = "accept.after_commit",
    crash_point_claim_before_commit = "claim.before_commit",
    crash_point_claim_after_commit = "claim.after_commit",
    crash_point_wire_before = "wire.before",
    crash_point_wire_after = "wire.after",
    crash_point_complete_before_commit = "complete.before_commit",
    crash_point_complete_after_commit = "complete.after_commit",
    crash_point_outcome_before_commit = "outcome.before_commit",
    crash_point_receipt_before_commit = "receipt.before_commit",
    crash_point_receipt_after_commit = "receipt.after_commit",
    crash_point_inbound_before_commit = "inbound.before_commit",
    crash_point_inbound_after_commit = "inbound.after_commit",
    crash_point_delivery_claimed = "delivery.claimed",
    crash_point_delivery_posted = "delivery.posted",
);

#[test]
fn every_crash_point_in_the_code_is_listed_and_killed_at() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let killed: BTreeSet<_> = KILLED_AT.iter().map(ToString::to_string).collect();
    let table = std::fs::read_to_string(root.join("ARCHITECTURE.md"))?;
    let (_, table) = table
        .split_once("## Crash points")
        .context("the table is there")?;
    let (table, _) = table.split_once("\n## ").context("the table ends")?;
    let listed: BTreeSet<_> = table
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    assert_eq!(
        listed, killed,
        "ARCHITECTURE.md's table and this file differ"
    );
    let mut named = BTreeSet::new();
    for krate in ["jobs", "engine", "api"] {
        points_in(&root.join(krate).join("src"), &mut named)?;
    }
    assert_eq!(named, killed, "the code's points and this file differ");
    Ok(())
}

/// Collects what stands in `crash::point("…")` and `fail_point!("…")` below a folder.
fn points_in(folder: &Path, named: &mut BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            points_in(&path, named)?;
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = std::fs::read_to_string(&path)?;
            for call in ["point(\"", "fail_point!(\""] {
                for rest in text.split(call).skip(1) {
                    let (name, _) = rest.split_once('"').context("a name ends")?;
                    named.insert(name.to_owned());
                }
            }
        }
    }
    Ok(())
}

/// Kills the process the first time it passes `point` (with `--long`, the third time), while five
/// texts go out to a contact who answers each. Then: each text shown once and in order, each answer stored once, each
/// told by one event, every gap kept.
async fn killed_at(backing: Backing, point: &str) -> Result<Finished> {
    let mut world = World::with(
        backing,
        Setup {
            ack_timeout_ms: 3_000,
            ..Setup::default()
        },
    )
    .await?;
    let receiver = world
        .endpoint(&["message.received", "message.sent"])
        .await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.echo(CONTACT).await?;
    world.gateway.stop().await?;
    let is_refusal = point == "outcome.before_commit";
    let passes = if std::env::var_os("PASSERELLE_TEST_LONG").is_some() && !is_refusal {
        "2*off->"
    } else {
        ""
    };
    world.gateway.setup.failpoints = Some(format!("{point}={passes}return"));
    world.gateway.start().await?;
    if is_refusal {
        // What was refused and not committed goes out again, and is taken then.
        let fault = json!({ "phone": NUMBER, "on": "ack", "do": "nack", "code": 463, "times": 1 });
        world.simulator.fault(&fault).await?;
    }

    let texts: Vec<_> = (0..5).map(|n| format!("text {n}")).collect();
    let mut crashed = false;
    for text in &texts {
        let body = Api::text(&session, CONTACT, text);
        if world.api.send_once(text, &body).await.is_err() {
            crash(&mut world, point).await?;
            crashed = true;
            world
                .api
                .send_once(text, &body)
                .await?
                .into::<serde_json::Value>(202)?;
        }
    }
    if !crashed {
        crash(&mut world, point).await?;
    }
    world.lanes_empty(Duration::from_mins(1)).await?;
    shown_once_and_in_order(&world, &texts).await?;
    for frames in by_number(world.simulator.ledger("sent").await?).values() {
        if frames[0].from.contains(NUMBER.trim_start_matches('+')) {
            assert_eq!(under_floor(frames, 200), Vec::<u64>::new());
        }
    }
    answers_stored_once(&world, &session, texts.len()).await?;
    receiver
        .wait_for_within(Duration::from_secs(90), "message.received", texts.len())
        .await?;
    one_event_each(&receiver.of("message.received"));
    world.finish().await
}

/// Waits for the crash, which must be the point's, and starts the gateway again.
async fn crash(world: &mut World, point: &str) -> Result<()> {
    let status = world
        .gateway
        .crash_and_restart(Duration::from_secs(30))
        .await;
    let status = status.with_context(|| format!("{point} was never hit"))?;
    if status.signal() != Some(SIGABRT) {
        bail!("it ended with {status}, not at {point}");
    }
    Ok(())
}

async fn shown_once_and_in_order(world: &World, texts: &[String]) -> Result<()> {
    within(Duration::from_secs(30), "all are shown", async || {
        let shown = world.simulator.shown(CONTACT).await?;
        assert!(
            shown.len() <= texts.len(),
            "something was shown twice: {shown:?}"
        );
        Ok((shown.len() == texts.len()).then(|| assert_eq!(shown, texts)))
    })
    .await
}

async fn answers_stored_once(world: &World, session: &str, count: usize) -> Result<()> {
    soon("every answer is stored", async || {
        let query = format!("session_id={session}&direction=inbound");
        let answers = world.api.messages(&query).await?;
        assert!(answers.len() <= count, "an answer is stored twice");
        Ok((answers.len() == count).then_some(()))
    })
    .await
}

/// A message is told by one event, however often that is delivered.
fn one_event_each(arrivals: &[passerelle_tests::receiver::Arrival]) {
    let mut events: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for one in arrivals {
        let message = one.body["data"]["message"]["id"].to_string();
        events.entry(message).or_default().insert(&one.id);
    }
    for (message, ids) in events {
        assert_eq!(ids.len(), 1, "{message} was told by several events");
    }
}
