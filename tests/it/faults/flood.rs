//! Many more deliveries are due at once than may be made.

use anyhow::Result;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use passerelle_tests::{
    Backing, Finished, Receiver, Setup, World, probes, receiver::Answer, redis::Redis,
    simulator::Phone, tokens::Tokens, within, world::numbers,
};
use sqlx::{Connection as _, PgConnection};
use std::{collections::BTreeMap, iter::repeat_n, time::Duration};
use tempfile::TempDir;

const CONTACT: &str = "+4915199000001";
const WORKERS: [&str; 2] = ["worker-a", "worker-b"];
const ORGANISATIONS: u32 = 30;
const ENDPOINTS: usize = 20;
/// The most tokens that wait in Redis: each organisation may have 16 attempts under way. More tokens could
/// not be claimed.
const BOUND: u64 = 16 * ORGANISATIONS as u64;
/// Texts to each organisation, each reported to all its endpoints: nine thousand deliveries.
const TEXTS: usize = 15;
const DRAINED: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nine_thousand_deliveries_due_at_once_are_made_with_a_bounded_number_of_tokens()
-> Result<()> {
    let folder = TempDir::with_prefix("passerelle-flood-")?;
    let redis = Redis::start(folder.path()).await?;
    let setup = Setup {
        redis: Some(redis.url()),
        ..Setup::quick()
    };
    let mut world = World::with(Backing::Cluster, setup).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let tenants =
        stream::iter(numbers(ORGANISATIONS)).map(async |number| Tenant::of(&world, number).await);
    let tenants: Vec<_> = tenants.buffered(8).try_collect().await?;
    probes::travels(&world.gateway, true).await?;
    for worker in WORKERS {
        let worker = world.gateway.other(worker)?;
        worker.terminate()?;
        worker.ended(Duration::from_secs(30)).await?;
    }
    for n in 0..TEXTS {
        for tenant in &tenants {
            let text = n.to_string();
            world.simulator.say(CONTACT, &tenant.number, &text).await?;
        }
    }
    let all = i64::try_from(tenants.len() * ENDPOINTS * TEXTS)?;
    let mut store = PgConnection::connect(&world.gateway.database.url).await?;
    within(DRAINED, "all deliveries are due", async || {
        Ok((count(&mut store, "due").await? == all).then_some(()))
    })
    .await?;
    // Slow answers fill every slot of the workers, so that tokens gather in Redis.
    for tenant in &tenants {
        let slow = Answer::After(Duration::from_millis(300));
        tenant
            .receiver
            .answer_next(repeat_n(slow, TEXTS * ENDPOINTS / 3));
    }
    for worker in WORKERS {
        world.gateway.start_other(worker)?;
    }
    let most = drained(&mut store, &redis, all).await?;
    eprintln!("{all} deliveries, {most} tokens at once at most");
    assert!(
        (BOUND / 2..=BOUND).contains(&most),
        "{most} tokens waited at the same time"
    );
    tenants.iter().for_each(Tenant::was_told);
    let _finished: Finished = world.finish().await?;
    Ok(())
}

/// An organisation with a linked number and the maximum of endpoints, all at one receiver.
struct Tenant {
    number: String,
    receiver: Receiver,
}

impl Tenant {
    async fn of(world: &World, number: String) -> Result<Self> {
        let kinds = ["message.received"];
        let api = world.admin.tenant("Acme").await?;
        world.linked_for(&api, &number).await?;
        let receiver = world.endpoint_for(&api, &kinds).await?;
        for _ in 1..ENDPOINTS {
            let (_, secret) = api.create_endpoint(&receiver.url(), &kinds).await?;
            receiver.trust(&secret);
        }
        Ok(Self { number, receiver })
    }

    /// Asserts that every endpoint received every event.
    fn was_told(&self) {
        let mut told: BTreeMap<_, usize> = BTreeMap::new();
        for arrival in self.receiver.arrivals() {
            *told.entry(arrival.id).or_default() += 1;
        }
        assert_eq!(told.len(), TEXTS, "events of {}", self.number);
        assert!(told.values().all(|times| *times >= ENDPOINTS), "{told:?}");
    }
}

/// Waits until all are delivered, and flushes Redis half-way. Returns the most tokens seen at the same
/// time.
async fn drained(store: &mut PgConnection, redis: &Redis, all: i64) -> Result<u64> {
    let tokens = Tokens::of(redis).await?;
    let (mut most, mut emptied) = (0, false);
    within(DRAINED, "all events are delivered", async || {
        most = most.max(tokens.waiting().await?);
        let delivered = count(store, "delivered").await?;
        if !emptied && delivered > all / 2 {
            redis.empty().await?;
            emptied = true;
        }
        Ok((delivered == all).then_some(()))
    })
    .await?;
    Ok(most)
}

async fn count(store: &mut PgConnection, status: &str) -> Result<i64> {
    let count = sqlx::query_scalar("SELECT count(*) FROM delivery WHERE status = $1");
    Ok(count.bind(status).fetch_one(store).await?)
}
