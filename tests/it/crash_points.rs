//! Kills the process at every named point of the send, inbound and webhook paths, and checks the promise
//! of each. `docs/internals/crash-points.md` has the table of the points.

use anyhow::{Context as _, Result, bail};
use passerelle_tests::{
    Api, Backing, Finished, Setup, World, on_both_stores, on_every_shape, receiver::Arrival, redis,
    soon, within,
};
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
    ($killed_at:ident, $shapes:ident: $($test:ident = $point:literal $(after $passes:literal)?),+ $(,)?) => {
        /// The points that are tested here.
        pub(crate) const $killed_at: &[&str] = &[$($point),+];

        $(async fn $test(backing: Backing) -> Result<Finished> {
            killed_at(backing, $point, 0 $(+ $passes)?).await
        })+

        $shapes!($($test),+);
    };
}

crash_points!(
    KILLED_AT, on_every_shape:
    crash_point_accept_before_commit = "accept.before_commit",
    crash_point_accept_after_commit = "accept.after_commit",
    crash_point_claim_before_commit = "claim.before_commit",
    crash_point_claim_after_commit = "claim.after_commit",
    crash_point_wire_before = "wire.before",
    crash_point_wire_after = "wire.after",
    crash_point_complete_before_commit = "complete.before_commit",
    crash_point_complete_after_commit = "complete.after_commit",
    crash_point_outcome_before_commit = "outcome.before_commit",
    crash_point_session_before_commit = "session.before_commit",
    crash_point_takeover_before_commit = "takeover.before_commit",
    crash_point_takeover_after_commit = "takeover.after_commit",
    crash_point_keys_before_commit_at_login = "keys.before_commit",
    crash_point_keys_before_commit = "keys.before_commit" after 12,
    crash_point_keys_after_commit = "keys.after_commit" after 12,
    crash_point_receipt_before_commit = "receipt.before_commit",
    crash_point_receipt_after_commit = "receipt.after_commit",
    crash_point_inbound_before_commit = "inbound.before_commit",
    crash_point_inbound_after_commit = "inbound.after_commit",
    crash_point_delivery_claimed = "delivery.claimed" after 4,
    crash_point_delivery_posted = "delivery.posted" after 4,
    crash_point_delivery_before_commit = "delivery.before_commit" after 4,
    crash_point_delivery_after_commit = "delivery.after_commit" after 4,
);

use without_redis::KILLED_AT_WITHOUT_REDIS;

/// Points that no process reaches if its jobs travel as tokens.
mod without_redis {
    use super::*;

    crash_points!(
        KILLED_AT_WITHOUT_REDIS, on_both_stores:
        crash_point_delivery_claim_before_commit = "delivery.claim.before_commit" after 3,
    );
}

/// Points that only a process with Redis reaches.
const KILLED_AT_WITH_REDIS: [&str; 3] = [
    "token.dispatch.before_commit",
    "token.dispatched",
    "delivery.token.before_commit",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_points_of_tokens() -> Result<()> {
    for point in KILLED_AT_WITH_REDIS {
        let _finished: Finished = killed_at(Backing::Postgres, point, 4).await?;
    }
    Ok(())
}

#[test]
fn every_crash_point_in_the_code_is_listed_and_killed_at() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let killed = KILLED_AT.iter().chain(KILLED_AT_WITHOUT_REDIS);
    let killed = killed.chain(&KILLED_AT_WITH_REDIS);
    let killed = killed.chain(&crate::media::KILLED_AT);
    let killed = killed.chain(&crate::in_flight::KILLED_AT);
    let killed = killed.chain(&crate::erase::sessions::KILLED_AT);
    let killed: BTreeSet<_> = killed.map(ToString::to_string).collect();
    let table = std::fs::read_to_string(root.join("docs/internals/crash-points.md"))?;
    let listed: BTreeSet<_> = table
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    assert_eq!(
        listed, killed,
        "the table of docs/internals/crash-points.md and this file differ"
    );
    let mut named = BTreeSet::new();
    for krate in ["jobs", "engine", "api"] {
        points_in(&root.join(krate).join("src"), &mut named)?;
    }
    assert_eq!(named, killed, "the code's points and this file differ");
    Ok(())
}

/// Collects the names in `crash::point("…")` and `fail_point!("…")` below a folder.
fn points_in(folder: &Path, named: &mut BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            points_in(&path, named)?;
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = std::fs::read_to_string(&path)?;
            for call in ["point(\"", "fail_point!(\""] {
                for rest in text.split(call).skip(1) {
                    let (name, _) = rest.split_once('"').context("the name's closing quote")?;
                    named.insert(name.to_owned());
                }
            }
        }
    }
    Ok(())
}

/// Kills a process when it reaches `point` after this many `passes` (with `--long`, two more), while five
/// texts are sent to a contact who answers each. Then checks that each text was shown once and in order
/// and is known as sent, each answer is stored once, one event reports each change, and every gap was
/// kept.
async fn killed_at(backing: Backing, point: &str, passes: usize) -> Result<Finished> {
    let with_redis = KILLED_AT_WITH_REDIS.contains(&point);
    let redis = with_redis.then(redis::shared).transpose()?;
    let mut world = World::with(
        backing,
        Setup {
            ack_timeout_ms: 3_000,
            redis,
            ..Setup::default()
        },
    )
    .await?;
    let receiver = world.endpoint(&[]).await?;
    let session = world.linked(NUMBER).await?.id;
    world.simulator.echo(CONTACT).await?;
    let texts: Vec<_> = (0..5).map(|n| format!("text {n}")).collect();
    let mut story = Story {
        world: &mut world,
        session: &session,
        point,
        crashed: false,
    };
    story.arm(passes, &texts[0]).await?;
    for text in &texts {
        story.send(text).await?;
    }
    if !story.crashed {
        story.crash().await?;
    }

    world.lanes_empty(Duration::from_mins(1)).await?;
    shown_once_and_in_order(&world, &texts).await?;
    for frames in by_number(world.simulator.ledger("sent").await?).values() {
        if frames[0].from.contains(NUMBER.trim_start_matches('+')) {
            assert_eq!(under_floor(frames, 200), Vec::<String>::new());
        }
    }
    known_as_sent(&world, &session, texts.len()).await?;
    answers_stored_once(&world, &session, texts.len()).await?;
    receiver
        .wait_for_within(Duration::from_secs(90), "message.received", texts.len())
        .await?;
    let finished = world.finish().await?;
    let arrivals = receiver.arrivals();
    one_event_each(&arrivals, texts.len());
    if point == "delivery.posted" {
        let ids: BTreeSet<_> = arrivals.iter().map(|one| &one.id).collect();
        assert!(ids.len() < arrivals.len(), "no webhook was posted again");
    }
    Ok(finished)
}

/// The test's state before and during the crash.
struct Story<'w> {
    world: &'w mut World,
    session: &'w str,
    point: &'w str,
    crashed: bool,
}

impl Story<'_> {
    /// Restarts the gateway with the crash point armed.
    async fn arm(&mut self, passes: usize, first: &str) -> Result<()> {
        let takeover = self.point.starts_with("takeover.");
        let refusal = self.point == "outcome.before_commit";
        if takeover {
            // Leaves a message in flight for the next start to resolve.
            let silence = json!({ "phone": NUMBER, "on": "message", "do": "drop", "times": 1 });
            self.world.simulator.fault(&silence).await?;
            self.send(first).await?;
            soon("the message was sent to WhatsApp", async || {
                let frames = self.world.simulator.ledger("sent").await?;
                Ok((!frames.is_empty()).then_some(()))
            })
            .await?;
            self.world.gateway.kill().await?;
        } else {
            self.world.gateway.stop().await?;
        }
        let long = std::env::var_os("PASSERELLE_TEST_LONG").is_some() && !refusal && !takeover;
        let passes = passes + if long { 2 } else { 0 };
        let armed = format!("{}={passes}*off->return", self.point);
        self.world.gateway.setup.failpoints = Some(armed);
        if self.world.gateway.start().await.is_err() {
            // It died before it was ready.
            return self.crash().await;
        }
        if refusal {
            // A frame that was refused and not committed is delivered again, and accepted then.
            let refused =
                json!({ "phone": NUMBER, "on": "ack", "do": "nack", "code": 463, "times": 1 });
            self.world.simulator.fault(&refused).await?;
        }
        Ok(())
    }

    /// Sends a text. If the crash prevents an answer, sends the same request again.
    async fn send(&mut self, text: &str) -> Result<()> {
        let body = Api::text(self.session, CONTACT, text);
        let reply = if let Ok(reply) = self.world.api.send_once(text, &body).await {
            reply
        } else {
            self.crash().await?;
            let reply = self.world.api.send_once(text, &body).await?;
            if self.point.starts_with("accept.") {
                let accepted = self.point == "accept.after_commit";
                assert_eq!(reply.headers.contains_key("idempotency-replayed"), accepted);
            }
            reply
        };
        reply.into::<serde_json::Value>(202)?;
        Ok(())
    }

    /// Waits for the crash, which must be at this point, and starts the gateway again. In a cluster the
    /// other processes are killed as well, because they are armed too.
    async fn crash(&mut self) -> Result<()> {
        let gateway = &mut self.world.gateway;
        let status = gateway.crash_and_restart(Duration::from_secs(30)).await;
        let status = status.with_context(|| format!("{} was never hit", self.point))?;
        if status.signal() != Some(SIGABRT) {
            bail!("it ended with {status}, not at {}", self.point);
        }
        self.crashed = true;
        Ok(())
    }
}

async fn shown_once_and_in_order(world: &World, texts: &[String]) -> Result<()> {
    within(Duration::from_secs(30), "all texts are shown", async || {
        let shown = world.simulator.shown(CONTACT).await?;
        assert!(
            shown.len() <= texts.len(),
            "a text was shown twice: {shown:?}"
        );
        Ok((shown.len() == texts.len()).then(|| assert_eq!(shown, texts)))
    })
    .await
}

/// Waits until every text is known as sent or as a later status.
async fn known_as_sent(world: &World, session: &str, count: usize) -> Result<()> {
    let query = format!("session_id={session}&direction=outbound");
    let messages = world.api.messages(&query).await?;
    let statuses: Vec<_> = messages.iter().map(|one| one.status.as_str()).collect();
    assert_eq!(statuses.len(), count);
    for status in &statuses {
        assert!(
            ["sent", "delivered", "read"].contains(status),
            "{statuses:?}"
        );
    }
    Ok(())
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

/// Asserts that one event reports each change of a message, however often it is delivered, and that at
/// least one event reports each text.
fn one_event_each(arrivals: &[Arrival], texts: usize) {
    let mut events: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for one in arrivals {
        let message = &one.body["data"]["message"];
        if let Some(id) = message["id"].as_str() {
            events.entry((one.kind(), id)).or_default().insert(&one.id);
        }
    }
    for (what, ids) in &events {
        assert_eq!(ids.len(), 1, "{what:?} was reported by several events");
    }
    let told: BTreeSet<_> = events
        .keys()
        .filter(|(kind, _)| *kind != "message.received")
        .map(|(_, message)| message)
        .collect();
    assert_eq!(told.len(), texts, "no event reports one of the texts");
}
