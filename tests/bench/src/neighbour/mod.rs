//! neighbour: how much slower the gateway is for one organisation while another one makes noise, one kind of
//! noise after the other. The reference is the same organisation alone, in the same run.
//!
//! The noisy organisation comes through a proxy from an address of its own, as a customer does. An organisation
//! may make five times as many requests as by default.

mod noise;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use passerelle_tests::{Api, Backing, Receiver, Setup, World};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, interval};

use self::noise::{ALL, Noise};
use crate::report::{Row, percentile};

/// How long the quiet organisation is measured alone and with each noise.
const TIME: Duration = Duration::from_secs(10);
/// How long a noise is made before it counts.
const WARM_UP: Duration = Duration::from_secs(1);
/// How many requests a minute an organisation may make.
const REQUESTS_PER_MINUTE: u32 = 3000;
/// How often the quiet organisation does its round: three requests and a webhook.
const ROUND: Duration = Duration::from_millis(97);
/// How many messages the noisy organisation has. Its lane is full then.
const LANE: u32 = 250;
const CONTACT: &str = "+4915199000001";
const EVENT: &str = "message.canceled";

/// The 95th percentile of the whole round and of each operation, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Took {
    round: f64,
    /// From the request of a text to its 202.
    accept: f64,
    /// From the request of a list to its last byte.
    list: f64,
    /// From the request that makes an event to the arrival of its webhook.
    webhook: f64,
}

pub(crate) async fn measure(backing: Backing) -> Result<Vec<Row>> {
    let lane = LANE.to_string();
    let flags = ["--trusted-proxies", "127.0.0.1", "--lane-limit", &lane];
    let setup = Setup {
        flags: flags.map(str::to_owned).to_vec(),
        log: "warn".to_owned(),
        requests_per_minute: REQUESTS_PER_MINUTE,
        ..Setup::quick()
    };
    let world = World::with(backing, setup).await?;
    let quiet = Quiet {
        receiver: world.endpoint(&[EVENT]).await?,
        session: world.api.create_session("front desk").await?.id,
        api: world.api.clone(),
    };
    let noisy = world.admin.tenant("Noisy").await?;
    let theirs = noisy.create_session("offline").await?.id;
    fill(&noisy, &theirs).await?;
    // The first time is slower: caches are empty, and connections to the database are opened.
    quiet.measured().await?;
    let alone = quiet.measured().await?;
    let mut rows = Vec::new();
    for noise in ALL {
        let prepared = noise.prepared(&noisy).await?;
        let warm = async {
            tokio::time::sleep(WARM_UP).await;
            quiet.measured().await
        };
        let beside = tokio::select! {
            ended = noise.make(&noisy, &theirs) => {
                bail!("the noise {} ended: {ended:?}", noise.name());
            }
            beside = warm => beside?,
        };
        // The noise used up what it may do.
        tokio::time::sleep(WARM_UP).await;
        prepared.undone(&noisy).await?;
        rows.push(row(backing, noise, alone, beside));
    }
    world.finish_with_work_undone().await?;
    Ok(rows)
}

/// Fills the lane of the noisy organisation.
async fn fill(api: &Api, session: &str) -> Result<()> {
    let texts = stream::iter(0..LANE).map(async |n| {
        api.send(session, CONTACT, &format!("{n}")).await?;
        anyhow::Ok(())
    });
    texts.buffer_unordered(32).try_collect().await
}

/// The organisation that is measured.
struct Quiet {
    api: Api,
    session: String,
    receiver: Receiver,
}

impl Quiet {
    /// Works for a while, one request after the other.
    async fn measured(&self) -> Result<Took> {
        let mut rounds = Vec::new();
        let (mut accept, mut list, mut webhook) = (Vec::new(), Vec::new(), Vec::new());
        let end = Instant::now() + TIME;
        let before = self.receiver.of(EVENT).len();
        let mut round = interval(ROUND);
        while Instant::now() < end {
            round.tick().await;
            let began = Instant::now();
            let text = self.api.send(&self.session, CONTACT, "hello").await?;
            accept.push(millis(began.elapsed()));
            let began = Instant::now();
            let _page: Value = self.api.get("/v1/messages?limit=20").await?.into(200)?;
            list.push(millis(began.elapsed()));
            let began = Instant::now();
            let cancel = format!("/v1/messages/{}/cancel", text.id);
            let _canceled: Value = self.api.act(&cancel).await?.into(200)?;
            let count = before + accept.len();
            let told = self.receiver.wait_for(EVENT, count).await?;
            let arrival = told.last().context("a webhook")?.at;
            webhook.push(millis(arrival.saturating_duration_since(began)));
            let operations = [&accept, &list, &webhook];
            rounds.push(operations.into_iter().filter_map(|took| took.last()).sum());
        }
        ensure!(accept.len() >= 10, "only {} rounds", accept.len());
        Ok(Took {
            round: percentile(&mut rounds, 95),
            accept: percentile(&mut accept, 95),
            list: percentile(&mut list, 95),
            webhook: percentile(&mut webhook, 95),
        })
    }
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

fn row(backing: Backing, noise: Noise, alone: Took, beside: Took) -> Row {
    let store = match backing {
        Backing::Sqlite => "sqlite",
        Backing::Postgres | Backing::Cluster => "postgres",
    };
    Row {
        bench: format!("neighbour-{store}-{}", noise.name()),
        value: beside.round,
        unit: "ms p95",
        reference: Some(alone.round),
        goal: "ratio ≤ 2",
        more: vec![
            ("accept_ms", beside.accept),
            ("accept_alone_ms", alone.accept),
            ("list_ms", beside.list),
            ("list_alone_ms", alone.list),
            ("webhook_ms", beside.webhook),
            ("webhook_alone_ms", alone.webhook),
        ],
    }
}
