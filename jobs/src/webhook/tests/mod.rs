//! Webhooks from end to end: an event in a real store, the real worker and client, and our own receiver
//! on loopback.

mod change_story;
mod claims_story;
mod neighbour;
mod receiver;
mod redis_server;
mod story;
mod tokens_story;

use passerelle_engine::{
    content::MediaKind,
    ids::{EndpointId, EventId, MediaId, OrgId},
    vault::KekRing,
};
use rand::SeedableRng as _;
use sqlx::Row as _;
use tempfile::TempDir;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use super::*;
use crate::{
    events::emit,
    media::View,
    model::event::EventType,
    model::{
        MediaFile, MediaStatus, Page,
        delivery::{Delivery, DeliveryStatus, Wanted},
        endpoint::{Endpoint, Secret},
        headers::ExtraHeaders,
        millis,
    },
    queue::{
        tokens,
        transport::{self, Transport},
    },
    settings::MediaSettings,
    state::token_link::TokenLink,
    store::{deliveries, endpoints, organisations},
    testing::database,
};

use super::{client::Deadline, deliver::*, guard::Egress, schedule::Schedule};
use passerelle_engine::{clock::Clock, store::Store, vault::Vault};
use receiver::{Receiver, SOON};
use std::{sync::Arc, time::Duration};

fn files() -> MediaSettings {
    MediaSettings {
        public_url: "https://files.example".into(),
        ..MediaSettings::nowhere()
    }
}

/// A store with one organisation, and a worker that can be started and stopped.
struct World {
    store: Store,
    vault: Vault,
    clock: Clock,
    org: OrgId,
    deadline: Deadline,
    schedule: Schedule,
    egress: Egress,
    /// The Redis server that carries its tokens.
    redis: Option<String>,
    link: Arc<TokenLink>,
    _folder: Option<TempDir>,
}

/// The worlds that every story runs in: SQLite; PostgreSQL, if `PASSERELLE_TEST_POSTGRES` names a
/// database beside which others may be created; and PostgreSQL with the Redis of
/// `PASSERELLE_TEST_REDIS`.
async fn worlds() -> Vec<World> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let mut worlds = vec![World::open(&format!("sqlite:{}", path.display()), Some(folder)).await];
    if let Some(url) = database().await {
        worlds.push(World::open(&url, None).await);
    }
    if let Ok(redis) = std::env::var("PASSERELLE_TEST_REDIS") {
        worlds.extend(World::with_redis(redis).await);
    }
    worlds
}

impl World {
    /// Opens a world on PostgreSQL and Redis; `None` if there is no PostgreSQL.
    async fn with_redis(redis: String) -> Option<Self> {
        let mut world = Self::open(&database().await?, None).await;
        world.redis = Some(redis);
        Some(world)
    }

    async fn open(url: &str, folder: Option<TempDir>) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let clock = Clock::system();
        let store = Store::open(url).await.unwrap();
        store.migrate().await.unwrap();
        let (ring, _) = KekRing::generate();
        let vault = Vault::open(&store, ring, clock.clone()).await.unwrap();
        let world = Self {
            store,
            vault,
            org: OrgId::new(&clock),
            clock,
            deadline: Deadline::default(),
            schedule: Schedule::scaled(0.0),
            egress: Egress::new(vec!["127.0.0.0/8".parse().unwrap()]),
            redis: None,
            link: Arc::default(),
            _folder: folder,
        };
        world.add_organisation(world.org).await;
        world
    }

    async fn add_organisation(&self, org: OrgId) {
        let (vault, now) = (self.vault.clone(), self.clock.now());
        let made = crate::model::Organisation {
            id: org,
            name: "Test".to_owned(),
            media_retention_hours: None,
            suspended_at: None,
            created_at: now,
        };
        let work = self.store.write(org, move |tx| {
            Box::pin(async move {
                organisations::insert(tx, &made).await?;
                vault.create_org_key(tx, org).await?;
                Ok::<_, crate::error::Fault>(())
            })
        });
        work.await.unwrap();
    }

    async fn endpoint(&self, url: &str, events: &[EventType]) -> (EndpointId, Secret) {
        let endpoint = Endpoint {
            id: EndpointId::new(&self.clock),
            org: self.org,
            url: url.to_owned(),
            events: events.iter().map(|kind| kind.as_str().to_owned()).collect(),
            sessions: Vec::new(),
            headers: ExtraHeaders::default(),
            inline_media: false,
            raw: false,
            old_secret_until: None,
            disabled: None,
            failing_since: None,
            created_at: self.clock.now(),
        };
        let secret = Secret(sign::new_secret(&mut rand::rngs::StdRng::seed_from_u64(
            rand::random(),
        )));
        let key = self.vault.org_key(self.org).await.unwrap();
        let (made, signing) = (endpoint.clone(), secret.clone());
        let work = self.store.write(self.org, move |tx| {
            Box::pin(async move { endpoints::insert(tx, &key, &made, &signing).await })
        });
        work.await.unwrap();
        (endpoint.id, secret)
    }

    async fn read_endpoint(&self, id: EndpointId) -> Endpoint {
        let key = self.vault.org_key(self.org).await.unwrap();
        let mut conn = self.store.read(self.org).await.unwrap();
        endpoints::read(&mut conn, &key, self.org, id)
            .await
            .unwrap()
            .unwrap()
    }

    /// Emits an event without a session and wakes the worker, as every caller does after its commit.
    async fn emit(&self, kind: EventType) -> EventId {
        let key = self.vault.org_key(self.org).await.unwrap();
        let clock = self.clock.clone();
        let told = emit::NewEvent {
            org: self.org,
            session: None,
            message: None,
            kind,
            data: serde_json::json!({ "message": { "text": "grüße 👋" } }),
        };
        let work = self.store.write(self.org, move |tx| {
            Box::pin(async move { emit::emit(tx, &key, told, &clock).await })
        });
        let event = work.await.unwrap();
        self.wake();
        event
    }

    /// Emits the event of a file that is deleted after this time.
    async fn emit_file(&self, kept_for: Duration) {
        let key = self.vault.org_key(self.org).await.unwrap();
        let (clock, now) = (self.clock.clone(), self.clock.now());
        let file = MediaFile {
            id: MediaId::new(&clock),
            org: self.org,
            session: None,
            message: None,
            kind: MediaKind::Image,
            status: MediaStatus::Available,
            error: None,
            stored: None,
            created_at: now,
            delete_at: now + millis(kept_for),
        };
        let told = emit::NewEvent {
            org: self.org,
            session: None,
            message: None,
            kind: EventType::MediaAvailable,
            data: serde_json::json!({ "media": View::of(&key, &files(), file, now).json() }),
        };
        let work = self.store.write(self.org, move |tx| {
            Box::pin(async move { emit::emit(tx, &key, told, &clock).await })
        });
        work.await.unwrap();
        self.wake();
    }

    fn wake(&self) {
        self.link.wake();
    }

    fn deliverer(&self) -> Deliverer {
        let chance = rand::rngs::StdRng::seed_from_u64(1);
        let (store, vault, clock) = (self.store.clone(), self.vault.clone(), self.clock.clone());
        Deliverer::new(
            store,
            vault,
            clock,
            self.egress.clone(),
            files(),
            self.schedule,
            chance,
        )
        .unwrap()
        .with_deadline(self.deadline)
    }

    fn start(&self) -> Worker {
        let (stop, ended) = (CancellationToken::new(), TaskTracker::new());
        let deliverer = Arc::new(self.deliverer());
        let claiming = ended.spawn(tokens::run(
            Arc::clone(&deliverer),
            Arc::clone(&self.link),
            format!("{:016x}", rand::random::<u64>()),
            TaskTracker::new(),
            stop.clone(),
        ));
        let transport = self.transport(&deliverer);
        let travelling = transport
            .map(|transport| ended.spawn(transport::run(transport, ended.clone(), stop.clone())));
        Worker {
            stop,
            ended,
            running: [Some(claiming), travelling]
                .into_iter()
                .flatten()
                .map(AbortOnDropHandle::new)
                .collect(),
        }
    }

    /// Returns the name of its queue in Redis.
    fn queue(&self) -> String {
        format!("test:{}", self.org)
    }

    fn transport(&self, deliverer: &Arc<Deliverer>) -> Option<Transport<Deliverer>> {
        Some(Transport {
            kind: Arc::clone(deliverer),
            store: self.store.clone(),
            clock: self.clock.clone(),
            redis: crate::redis_server::RedisServer::parse(self.redis.as_deref()?, None, false)
                .unwrap(),
            queue: self.queue(),
            host: "test".into(),
            boot: format!("{:016x}", rand::random::<u64>()).into(),
            link: Arc::clone(&self.link),
        })
    }

    async fn deliveries(&self, wanted: Wanted) -> Vec<Delivery> {
        let page = Page {
            limit: 100,
            after: None,
        };
        let mut conn = self.store.read(self.org).await.unwrap();
        deliveries::list(&mut conn, self.org, &wanted, &page)
            .await
            .unwrap()
            .items
    }

    async fn attempts(&self, delivery: &Delivery) -> Vec<crate::model::delivery::Attempt> {
        let key = self.vault.org_key(self.org).await.unwrap();
        let mut conn = self.store.read(self.org).await.unwrap();
        deliveries::attempts(&mut conn, &key, self.org, delivery.id)
            .await
            .unwrap()
    }

    /// Waits until every delivery has this status.
    async fn all_stand(&self, status: DeliveryStatus) -> Vec<Delivery> {
        let settled = async {
            loop {
                let all = self.deliveries(Wanted::default()).await;
                if all.iter().all(|delivery| delivery.status == status) {
                    return all;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, settled)
            .await
            .expect("the deliveries settle")
    }

    /// Makes all claims and waits older by `by`, as a crash and the passing of time would.
    fn age_deliveries(&self, by: Duration) {
        self.clock.advance(by);
        self.wake();
    }
}

struct Worker {
    stop: CancellationToken,
    ended: TaskTracker,
    running: Vec<AbortOnDropHandle<()>>,
}

impl Worker {
    /// Leaves what a kill leaves: attempts cut off anywhere, nothing recorded.
    async fn kill(self) {
        drop(self.running);
        self.ended.close();
        tokio::time::timeout(SOON, self.ended.wait())
            .await
            .expect("the worker is gone");
    }

    async fn stop(self) {
        self.stop.cancel();
        self.ended.close();
        tokio::time::timeout(SOON, self.ended.wait())
            .await
            .expect("the worker stops");
    }
}

/// Counts rows that no public function shows.
async fn count(world: &World, sql: &'static str) -> i64 {
    let mut conn = world.store.read_system().await.unwrap();
    let row = sqlx::query(sql).fetch_one(&mut *conn).await.unwrap();
    row.try_get(0).unwrap()
}
