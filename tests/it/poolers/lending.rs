//! A server or a pooler that lends fewer connections than asked for: the gateway works with these and says
//! so once.

use anyhow::{Result, ensure};
use passerelle_tests::{
    Backing, Finished, Setup, World, backing::Database, gateway::OTHERS, pgbouncer::PgBouncer,
    soon, within,
};
use std::{path::Path, time::Duration};

use super::{converse, execute, lines_with, server, texts, world_on};

const TOLD: &str = "PASSERELLE_DATABASE_CONNECTIONS";

/// Sends many requests at once, as often as it takes until the log says that fewer are lent. Each must
/// succeed.
async fn crowd(world: &World) -> Result<()> {
    soon("the log says that fewer connections are lent", async || {
        let requests = (0..60).map(async |_| {
            let answer = world.api.get("/v1/sessions").await?;
            ensure!(answer.status.is_success(), "{}", answer.body);
            Ok(())
        });
        futures_util::future::try_join_all(requests).await?;
        let told = lines_with(&world.gateway.log_file(), TOLD)?;
        Ok((!told.is_empty()).then_some(()))
    })
    .await
}

fn told_once(world: &World) -> Result<()> {
    let told = lines_with(&world.gateway.log_file(), TOLD)?;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].contains("WARN") && told[0].contains("asks for 32 connections"),
        "{told:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_pool_that_lends_few_serves_every_request() -> Result<()> {
    let database = Database::create(Backing::Postgres, Path::new("")).await?;
    let pooler = PgBouncer::start(&server()?, "session", &["default_pool_size = 5"]).await?;
    let url = pooler.of(&database.url)?;
    let world = world_on(&url, Backing::Postgres, Setup::quick()).await?;
    crowd(&world).await?;
    converse(&world).await?;
    told_once(&world)?;
    let _finished: Finished = world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_with_few_connections_serves_every_request() -> Result<()> {
    let database = Database::create(Backing::Postgres, Path::new("")).await?;
    let (_, name) = database.url.rsplit_once('/').unwrap_or_default();
    let role = format!("few_{name}");
    execute(
        &database.url,
        &[
            &format!("CREATE ROLE {role} LOGIN CREATEROLE CONNECTION LIMIT 4"),
            &format!("ALTER DATABASE {name} OWNER TO {role}"),
            &format!("ALTER SCHEMA public OWNER TO {role}"),
        ],
    )
    .await?;
    let (_, rest) = database.url.split_once('@').unwrap_or_default();
    // The roles may be there already, and then an administrator must have let this user in.
    let ours = "SELECT rolname::text FROM pg_roles WHERE rolname = 'passerelle_roles'";
    if !texts(&database.url, ours).await?.is_empty() {
        execute(
            &database.url,
            &[&format!("GRANT passerelle_roles TO {role}")],
        )
        .await?;
    }
    let url = format!("postgres://{role}@{rest}");
    let world = world_on(&url, Backing::Postgres, Setup::quick()).await?;
    crowd(&world).await?;
    converse(&world).await?;
    told_once(&world)?;
    let _finished: Finished = world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_processes_of_a_cluster_share_a_small_pool() -> Result<()> {
    let database = Database::create(Backing::Cluster, Path::new("")).await?;
    // Five processes need two each.
    let pooler = PgBouncer::start(&server()?, "session", &["default_pool_size = 14"]).await?;
    let url = pooler.of(&database.url)?;
    let world = world_on(&url, Backing::Cluster, Setup::quick()).await?;
    // Those that started first took more, and return what they do not need after a while.
    for name in OTHERS {
        within(
            Duration::from_mins(1),
            "each process is ready",
            async || {
                let Some(base) = world.gateway.probes_of(name)? else {
                    return Ok(None);
                };
                let ready = reqwest::get(format!("{base}/readyz")).await;
                Ok(ready.ok().filter(|ready| ready.status() == 200).map(drop))
            },
        )
        .await?;
    }
    converse(&world).await?;
    let _finished: Finished = world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_two_it_needs_a_process_waits_and_says_so() -> Result<()> {
    let database = Database::create(Backing::Postgres, Path::new("")).await?;
    passerelle_tests::world::install_tls();
    let pooler = PgBouncer::start(&server()?, "session", &["default_pool_size = 1"]).await?;
    let folder = tempfile::TempDir::with_prefix("passerelle-test-")?;
    let simulator = passerelle_tests::Simulator::start(folder.path()).await?;
    let through = Database {
        url: pooler.of(&database.url)?,
        backing: Backing::Postgres,
    };
    let mut gateway = passerelle_tests::Gateway::over(
        through,
        folder.path(),
        &simulator.ws_url(),
        Setup::quick(),
    );
    let announce = gateway.spawn()?;
    let log = gateway.log_file();
    soon("it says that it waits", async || {
        let told = lines_with(&log, "waiting for the store")?;
        Ok(told
            .iter()
            .any(|line| line.contains("at least two"))
            .then_some(()))
    })
    .await?;
    pooler.lend(2)?;
    gateway.process()?.announced(&announce).await?;
    assert!(gateway.stop().await?.success());
    Ok(())
}
