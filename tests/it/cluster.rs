//! Many processes, one gateway: an api, two hosts and two workers over PostgreSQL and Redis. Each of them
//! may die. (The other files test on a cluster what they test on one process.)

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Gateway, Setup, Simulator, World,
    process::wrong_clock,
    simulator::Phone,
    soon, wall_clock, within,
    world::{install_tls, numbers},
};
use serde_json::json;
use std::time::Duration;
use tempfile::TempDir;

use crate::{
    pacing::{by_number, under_floor},
    safety,
};

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";
/// Another host may take a dead host's sessions after fifteen seconds. Then it connects them.
const TAKEOVER: Duration = Duration::from_secs(40);

macro_rules! on_a_cluster {
    ($($name:ident),+ $(,)?) => {
        mod cluster {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() -> ::anyhow::Result<()> {
                let _finished: ::passerelle_tests::Finished = super::$name().await?;
                Ok(())
            })+
        }
    };
}

on_a_cluster!(
    a_dead_hosts_numbers_move_to_another_and_nothing_is_lost_or_shown_twice,
    a_host_that_was_stopped_for_too_long_drops_its_numbers_when_it_goes_on,
    a_host_that_goes_down_hands_its_numbers_over_at_once,
    a_process_started_under_a_hosts_name_ends_the_one_before,
    a_host_that_has_far_too_many_numbers_gives_some_back_when_another_comes,
    safety_gaps_hold_over_a_takeover_by_class,
    hosts_whose_clocks_are_wrong_tell_what_happens_at_once_and_when_it_was,
    a_readiness_probe_tells_of_redis,
);

/// A cluster with one linked number, the host that runs it, and the other host.
struct Pair {
    world: World,
    session: String,
    home: &'static str,
    other: &'static str,
}

impl Pair {
    async fn linked() -> Result<Self> {
        Self::with(Setup::default()).await
    }

    async fn with(setup: Setup) -> Result<Self> {
        let world = World::with(Backing::Cluster, setup).await?;
        let session = world.linked(NUMBER).await?.id;
        world.simulator.echo(CONTACT).await?;
        let at_home = |name: &str| {
            let log = std::fs::read_to_string(world.folder().join(format!("{name}.log")));
            log.is_ok_and(|log| log.contains(&format!("session.id={session}")))
        };
        let (home, other) = match (at_home("host-a"), at_home("host-b")) {
            (true, false) => ("host-a", "host-b"),
            (false, true) => ("host-b", "host-a"),
            both => anyhow::bail!("one host runs the session, not {both:?}"),
        };
        Ok(Self {
            world,
            session,
            home,
            other,
        })
    }

    async fn send(&self, texts: std::ops::Range<u32>) -> Result<()> {
        for n in texts {
            let text = format!("text {n}");
            self.world.api.send(&self.session, CONTACT, &text).await?;
        }
        Ok(())
    }

    /// Waits until the contact was shown `count` texts, in order and each once.
    async fn shown(&self, count: u32, deadline: Duration) -> Result<()> {
        let all: Vec<_> = (0..count).map(|n| format!("text {n}")).collect();
        within(deadline, "all texts are shown", async || {
            let shown = self.world.simulator.shown(CONTACT).await?;
            assert_eq!(shown, all[..shown.len().min(all.len())]);
            Ok((shown.len() == all.len()).then_some(()))
        })
        .await
    }

    /// Checks that no gap was under the floor and that every message is reported and stored.
    async fn finish(self) -> Result<Finished> {
        for (number, frames) in &by_number(self.world.simulator.ledger("sent").await?) {
            if number.contains(NUMBER.trim_start_matches('+')) {
                assert_eq!(under_floor(frames, 200), Vec::<String>::new());
            }
        }
        self.world.finish().await
    }
}

async fn a_dead_hosts_numbers_move_to_another_and_nothing_is_lost_or_shown_twice()
-> Result<Finished> {
    let mut pair = Pair::linked().await?;
    let receiver = pair.world.endpoint(&["message.received"]).await?;
    pair.send(0..8).await?;
    soon("some messages are on their way", async || {
        let frames = pair.world.simulator.ledger("sent").await?;
        Ok((frames.len() >= 2).then_some(()))
    })
    .await?;
    pair.world.gateway.other(pair.home)?.kill().await?;
    pair.send(8..10).await?;
    pair.shown(10, TAKEOVER).await?;
    receiver
        .wait_for_within(TAKEOVER, "message.received", 10)
        .await?;
    let session = pair.world.api.session(&pair.session).await?;
    assert_eq!(session.state, "connected");
    pair.world.gateway.start_other(pair.home)?;
    pair.finish().await
}

async fn safety_gaps_hold_over_a_takeover_by_class() -> Result<Finished> {
    let setup = Setup {
        flags: vec!["--safety".to_owned(), "default".to_owned()],
        ..Setup::quick()
    };
    let mut pair = Pair::with(setup).await?;
    let strangers = ["+4915199000011", "+4915199000012"];
    for stranger in strangers {
        pair.world
            .simulator
            .phone(stranger, Phone::default())
            .await?;
    }
    let send = async |to: &str| {
        safety::first(&pair.world, &pair.session, to, "your new login", json!({})).await
    };
    let (sent, next) = (send(strangers[0]).await?, send(strangers[1]).await?);
    pair.world
        .api
        .message_at(safety::id(&sent)?, "sent")
        .await?;
    pair.world.gateway.other(pair.home)?.kill().await?;
    safety::sent_at_last(&pair.world, safety::id(&next)?).await?;
    let at = safety::written(&pair.world, 2).await?;
    let gap = at[1] - at[0];
    assert!(gap + safety::JITTER_US >= safety::COLD_FLOOR_US, "{at:?}");
    let log = pair.world.folder().join(format!("{}.log", pair.other));
    let runs = format!("session.id={}", pair.session);
    assert!(
        std::fs::read_to_string(log)?.contains(&runs),
        "it was taken over"
    );
    pair.world.gateway.start_other(pair.home)?;
    pair.world.finish().await
}

async fn a_host_that_was_stopped_for_too_long_drops_its_numbers_when_it_goes_on() -> Result<Finished>
{
    let mut pair = Pair::linked().await?;
    pair.send(0..6).await?;
    soon("some messages are on their way", async || {
        let frames = pair.world.simulator.ledger("sent").await?;
        Ok((!frames.is_empty()).then_some(()))
    })
    .await?;
    pair.world.gateway.other(pair.home)?.signal("STOP")?;
    // Now the other host runs it.
    pair.shown(6, TAKEOVER).await?;
    pair.world.gateway.other(pair.home)?.signal("CONT")?;
    let log = pair.world.folder().join(format!("{}.log", pair.home));
    soon("the old host no longer runs the session", async || {
        let log = std::fs::read_to_string(&log)?;
        // Its own clock ends the session, or WhatsApp first reports that another connection replaced it.
        let ends = ["the session is dropped", "code=\"replaced\""];
        Ok(ends.iter().any(|end| log.contains(end)).then_some(()))
    })
    .await?;
    pair.send(6..8).await?;
    pair.shown(8, TAKEOVER).await?;
    pair.finish().await
}

async fn a_host_that_goes_down_hands_its_numbers_over_at_once() -> Result<Finished> {
    let mut pair = Pair::linked().await?;
    pair.send(0..6).await?;
    let home = pair.world.gateway.other(pair.home)?;
    home.terminate()?;
    let status = home.ended(Duration::from_secs(30)).await?;
    assert!(status.success(), "{status}");
    // No host had to be declared dead first.
    pair.shown(6, Duration::from_secs(12)).await?;
    let phone = pair.world.simulator.phone_state(NUMBER).await?;
    let devices = phone["devices"].as_array().context("its devices")?;
    assert_eq!(devices.len(), 1, "the number was unlinked");
    pair.world.gateway.start_other(pair.home)?;
    pair.finish().await
}

async fn a_process_started_under_a_hosts_name_ends_the_one_before() -> Result<Finished> {
    let mut pair = Pair::linked().await?;
    let mut before = pair.world.gateway.replace_other(pair.home)?;
    let status = before.ended(Duration::from_secs(30)).await?;
    assert!(
        !status.success(),
        "it ended with success although nobody asked it to end"
    );
    assert!(
        before
            .log_end()
            .contains("another process was started as the same host")
    );
    assert!(pair.world.gateway.other(pair.other)?.runs());
    // The crash of the previous process must not be held against the new one with the same name. The new
    // process gets some of many sessions.
    let log = pair.world.folder().join(format!("{}.log", pair.home));
    let runs = |log: &str| log.matches("this host runs the session").count();
    let earlier = runs(&std::fs::read_to_string(&log)?);
    let more: Vec<_> = numbers(24).collect();
    for number in &more[8..] {
        pair.world.linked(number).await?;
    }
    assert!(
        runs(&std::fs::read_to_string(&log)?) > earlier,
        "the new process takes no session"
    );
    pair.send(0..3).await?;
    pair.shown(3, TAKEOVER).await?;
    pair.finish().await
}

async fn a_host_that_has_far_too_many_numbers_gives_some_back_when_another_comes()
-> Result<Finished> {
    let mut world = World::start(Backing::Cluster).await?;
    let leaving = world.gateway.other("host-b")?;
    leaving.terminate()?;
    leaving.ended(Duration::from_secs(30)).await?;
    let sessions = world.linked_many(numbers(16)).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let receiver = world.endpoint(&["session.disconnected"]).await?;
    world.gateway.start_other("host-b")?;
    for session in sessions.iter().cycle().take(16 * 12) {
        world.api.send(&session.id, CONTACT, "in between").await?;
    }
    let log = world.folder().join("host-b.log");
    let moved = within(
        TAKEOVER,
        "some sessions are released and acquired",
        async || {
            let log = std::fs::read_to_string(&log)?;
            let moved = log.matches("this host runs the session").count();
            Ok((moved >= 1).then_some(moved))
        },
    )
    .await?;
    assert!(moved < 16, "{moved} of 16 moved");
    world.lanes_empty(TAKEOVER).await?;
    let shown = world.simulator.shown(CONTACT).await?.len();
    let sent = world.api.messages("direction=outbound").await?;
    assert_eq!(shown, sent.len(), "a text was not shown exactly once");
    for session in &sessions {
        world.api.session_in(&session.id, "connected").await?;
    }
    // A move is not reported as a disconnect.
    assert_eq!(receiver.arrivals().len(), 0);
    for number in numbers(16) {
        let phone = world.simulator.phone_state(&number).await?;
        assert_eq!(phone["devices"].as_array().map(Vec::len), Some(1));
    }
    world.finish().await
}

async fn hosts_whose_clocks_are_wrong_tell_what_happens_at_once_and_when_it_was() -> Result<Finished>
{
    install_tls();
    let folder = TempDir::with_prefix("passerelle-test-")?;
    let simulator = Simulator::start(folder.path()).await?;
    let (whatsapp, setup) = (simulator.ws_url(), Setup::default());
    let mut gateway = Gateway::new(Backing::Cluster, folder.path(), &whatsapp, setup).await?;
    for (host, by) in [("host-a", "+10m"), ("host-b", "-10m")] {
        gateway.own.insert(host, wrong_clock(by)?);
    }
    let world = World::on(gateway, simulator, folder).await?;
    let receiver = world.endpoint(&[]).await?;
    let sessions = world.linked_many(numbers(8)).await?;
    world.simulator.echo(CONTACT).await?;
    for session in &sessions {
        world
            .api
            .send(&session.id, CONTACT, "what time is it?")
            .await?;
    }
    let now = wall_clock();
    for kind in ["session.connected", "message.sent", "message.received"] {
        for arrival in receiver.wait_for(kind, 8).await? {
            let at = arrival.body["timestamp"].as_str().context("a time")?;
            let off = now - chrono::DateTime::parse_from_rfc3339(at)?.to_utc();
            assert!(off.abs() < chrono::TimeDelta::minutes(2), "{kind}: {off}");
        }
    }
    world.finish().await
}

async fn a_readiness_probe_tells_of_redis() -> Result<Finished> {
    let world = World::start(Backing::Cluster).await?;
    soon("Redis is reached", async || {
        let ready: serde_json::Value = world.api.get("/readyz").await?.into(200)?;
        Ok((ready["redis"] == true && ready["ready"] == true).then_some(()))
    })
    .await?;
    world.finish().await
}
