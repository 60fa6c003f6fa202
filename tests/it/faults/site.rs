//! The cluster, with its own Redis and PostgreSQL, and proxies to PostgreSQL that can fail.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Gateway, Receiver, Setup, Simulator, World,
    api::Session,
    backing::Database,
    postgres::Postgres,
    process::wrong_clock,
    proxy::Proxy,
    redis::Redis,
    simulator::Phone,
    world::{install_tls, numbers},
};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

/// The contact who receives and writes messages.
pub(super) const CONTACT: &str = "+4915199000001";
/// The number of sessions.
const SESSIONS: u32 = 6;
/// The shortest gap between two messages of a number.
pub(super) const FLOOR_MS: u64 = 100;

/// The error of the hosts' wall clocks. All other clocks are right.
const CLOCKS: [(&str, &str); 2] = [("host-a", "-10m"), ("host-b", "+10m")];

pub(super) struct Site {
    pub(super) world: World,
    pub(super) redis: Redis,
    pub(super) postgres: Postgres,
    pub(super) roads: Roads,
    /// Each session with its number.
    pub(super) sessions: Vec<(Session, String)>,
    /// Receives every event.
    pub(super) receiver: Receiver,
    _folder: TempDir,
}

/// The proxies to PostgreSQL. Each host has its own.
pub(super) struct Roads {
    pub(super) common: Proxy,
    pub(super) hosts: [(&'static str, Proxy); 2],
    /// The database without a proxy, for the test's own queries.
    pub(super) direct: Database,
}

impl Roads {
    async fn to(database: Database) -> Result<Self> {
        Ok(Self {
            common: database.road().await?,
            hosts: [
                ("host-a", database.road().await?),
                ("host-b", database.road().await?),
            ],
            direct: database,
        })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Proxy> {
        let hosts = self.hosts.iter().map(|(_, road)| road);
        [&self.common].into_iter().chain(hosts)
    }

    pub(super) fn of(&self, host: &str) -> Result<&Proxy> {
        let mut hosts = self.hosts.iter();
        let road = hosts.find(|(name, _)| *name == host);
        Ok(&road.with_context(|| format!("{host} has a proxy"))?.1)
    }

    /// Returns the host with the most sessions, these sessions, and the age of its last heartbeat in
    /// milliseconds.
    pub(super) async fn busiest(&self) -> Result<(String, Vec<String>, i64)> {
        let mut conn = PgConnection::connect(&self.direct.url).await?;
        let busiest = "SELECT h.id, (extract(epoch FROM clock_timestamp()) * 1000)::bigint - h.seen_at \
             FROM host h JOIN lease e ON e.host_id = h.id \
             GROUP BY h.id, h.seen_at ORDER BY count(*) DESC LIMIT 1";
        let (host, seen_ago): (String, i64) = sqlx::query_as(busiest).fetch_one(&mut conn).await?;
        let held = sqlx::query_scalar("SELECT session_id FROM lease WHERE host_id = $1");
        let held = held.bind(&host).fetch_all(&mut conn).await?;
        Ok((host, held, seen_ago))
    }

    /// Returns the number of deliveries that are not made yet.
    pub(super) async fn undelivered(&self) -> Result<i64> {
        let mut conn = PgConnection::connect(&self.direct.url).await?;
        let open = "SELECT count(*) FROM delivery WHERE status IN ('due', 'running')";
        Ok(sqlx::query_scalar(open).fetch_one(&mut conn).await?)
    }
}

impl Site {
    pub(super) async fn start() -> Result<Self> {
        install_tls();
        let folder = TempDir::with_prefix("passerelle-faults-")?;
        let scratch = TempDir::with_prefix("passerelle-test-")?;
        let redis = Redis::start(folder.path()).await?;
        let simulator = Simulator::of_long_memory(scratch.path()).await?;
        let setup = Setup {
            gap_floor_ms: FLOOR_MS,
            gap_ceiling_ms: 2 * FLOOR_MS,
            ack_timeout_ms: 3_000,
            redis: Some(redis.url()),
            ..Setup::default()
        };
        let postgres = Postgres::start().await?;
        let database = Database::on(&postgres.url(), Backing::Cluster).await?;
        let roads = Roads::to(database).await?;
        let common = roads.direct.through(&roads.common)?;
        let whatsapp = simulator.ws_url();
        let mut gateway = Gateway::over(common, scratch.path(), &whatsapp, setup);
        for (host, by) in CLOCKS {
            let mut own = wrong_clock(by)?;
            let database = roads.direct.through(roads.of(host)?)?;
            own.push(("PASSERELLE_DATABASE_URL", database.url));
            gateway.own.insert(host, own);
        }
        let world = World::on(gateway, simulator, scratch).await?;
        let receiver = world.endpoint(&[]).await?;
        let numbers: Vec<_> = numbers(SESSIONS).collect();
        let sessions = world.linked_many(numbers.clone()).await?;
        world.simulator.phone(CONTACT, Phone::default()).await?;
        // A slow acknowledgement keeps messages in flight long enough for a fault to hit them.
        let slow = json!({ "on": "ack", "do": "delay", "delay_ms": 60 });
        world.simulator.fault(&slow).await?;
        Ok(Self {
            world,
            redis,
            postgres,
            roads,
            sessions: sessions.into_iter().zip(numbers).collect(),
            receiver,
            _folder: folder,
        })
    }
}
