//! Databases for this crate's tests, services on them, and stories of random steps.

use std::{
    fmt::Debug,
    future::{self, Ready},
    time::Duration,
};

use passerelle_engine::{
    clock::Clock,
    store::Store,
    vault::{KekRing, Vault},
};
use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestCaseError, TestRunner},
};
use rand::{SeedableRng as _, rngs::StdRng};
use sqlx::Connection as _;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    safety::{pace::Pace, preset::Preset},
    services::Services,
    settings::{MediaSettings, PREVIEW_AGENT, Settings},
    webhook::{guard::Egress, schedule::Schedule},
};

/// Returns the address of a new SQLite file in the folder, and that of [`database`].
pub(crate) async fn databases(folder: &TempDir) -> Vec<String> {
    let sqlite = format!("sqlite:{}", folder.path().join("test.db").display());
    [sqlite].into_iter().chain(database().await).collect()
}

/// Opens a new database and returns services on it, with the preset of the sandbox.
pub(crate) async fn services(url: &str, media: MediaSettings) -> Services {
    services_of(url, media, Preset::Sandbox).await
}

/// Does what [`services`] does, with this preset.
pub(crate) async fn services_of(url: &str, media: MediaSettings, preset: Preset) -> Services {
    services_at(url, media, ("test", preset)).await
}

/// The same, of this host.
pub(crate) async fn services_at(url: &str, media: MediaSettings, of: (&str, Preset)) -> Services {
    let (clock, chance) = (Clock::system(), StdRng::seed_from_u64(1));
    let store = Store::open(url).await.unwrap();
    store.migrate().await.unwrap();
    let (ring, _) = KekRing::generate();
    let vault = Vault::open(&store, ring, clock.clone()).await.unwrap();
    Services::new(store, vault, clock, settings(of, media), chance)
}

/// Returns services of another host on the same database.
pub(crate) fn beside(services: &Services, host: &str) -> Services {
    let preset = services.settings().preset;
    Services::new(
        services.store().clone(),
        services.vault().clone(),
        services.clock().clone(),
        settings((host, preset), MediaSettings::nowhere()),
        StdRng::seed_from_u64(2),
    )
}

fn settings((host, preset): (&str, Preset), media: MediaSettings) -> Settings {
    Settings {
        host: host.into(),
        egress_name: host.into(),
        redis: None,
        pace: Pace::default(),
        preset,
        ack_timeout: Duration::from_secs(20),
        message_ttl: Duration::from_hours(24),
        lane_limit: 10,
        session_limit: 50,
        egress: Egress::new(Vec::new()),
        schedule: Schedule::default(),
        preview_agent: PREVIEW_AGENT.into(),
        media,
    }
}

/// Creates an empty database for one test and returns its address; `None` unless
/// `PASSERELLE_TEST_POSTGRES` names a database beside which others may be created.
pub(crate) async fn database() -> Option<String> {
    let url = std::env::var("PASSERELLE_TEST_POSTGRES").ok()?;
    let name = format!("jobs_{:016x}", rand::random::<u64>());
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    let mut server = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::query(create).execute(&mut server).await.unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    Some(format!("{server}/{name}"))
}

/// The address of an empty database, and the folder that it is in, if it is a file.
pub(crate) type Place = (String, Option<TempDir>);

/// Returns a new SQLite file.
pub(crate) fn sqlite() -> Ready<Option<Place>> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    future::ready(Some((url, Some(folder))))
}

/// Does what [`database`] does.
pub(crate) async fn postgres() -> Option<Place> {
    Some((database().await?, None))
}

/// Plays as many random stories, or with `--long` as many as the second number says. The shortest one that fails is told.
pub(crate) fn play<S: Debug>(
    runtime: &Runtime,
    (usual, long): (u32, u32),
    stories: &impl Strategy<Value = S>,
    play: impl AsyncFn(S) -> anyhow::Result<()>,
) {
    let is_long = std::env::var_os("PASSERELLE_TEST_LONG").is_some();
    let config = Config {
        cases: if is_long { long } else { usual },
        max_shrink_iters: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let played = TestRunner::new(config).run(stories, |story| {
        let played = runtime.block_on(play(story));
        played.map_err(|error| TestCaseError::fail(format!("{error:#}")))
    });
    if let Err(failure) = played {
        panic!("{failure}");
    }
}
