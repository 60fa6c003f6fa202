//! The database fails and recovers, or is down at start: 503, not ready, and no restart is needed.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Gateway, Setup, Simulator, World, gateway::OTHERS, proxy::Proxy,
    simulator::Phone, soon, within, world::install_tls,
};
use serde_json::json;
use std::time::Duration;
use tempfile::TempDir;

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

/// Starts a world whose PostgreSQL is reached through a proxy. SQLite has no connection to lose.
async fn behind_a_proxy() -> Result<(World, Proxy)> {
    let (gateway, simulator, folder, proxy) = prepared(Backing::Postgres).await?;
    Ok((World::on(gateway, simulator, folder).await?, proxy))
}

/// Prepares a gateway behind the proxy without starting it.
async fn prepared(backing: Backing) -> Result<(Gateway, Simulator, TempDir, Proxy)> {
    install_tls();
    let folder = TempDir::with_prefix("passerelle-test-")?;
    let simulator = Simulator::start(folder.path()).await?;
    let mut gateway = Gateway::new(
        backing,
        folder.path(),
        &simulator.ws_url(),
        Setup::default(),
    )
    .await?;
    let proxy = gateway.database.road().await?;
    gateway.database = gateway.database.through(&proxy)?;
    Ok((gateway, simulator, folder, proxy))
}

async fn ready_again(world: &World) -> Result<()> {
    within(
        Duration::from_secs(30),
        "the gateway is ready again",
        async || Ok((world.api.get("/readyz").await?.status.as_u16() == 200).then_some(())),
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_the_gateway_answers_503_and_recovers_by_itself() -> Result<()> {
    let (world, proxy) = behind_a_proxy().await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    assert_eq!(world.api.get("/readyz").await?.status.as_u16(), 200);
    proxy.cut();
    world
        .simulator
        .say(CONTACT, NUMBER, "said meanwhile")
        .await?;
    let body = passerelle_tests::Api::text(&session.id, CONTACT, "lost?");
    let refused = world.api.send_once("k", &body).await?;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (503, "dependency_down")
    );
    assert!(refused.headers.contains_key("retry-after"));
    let (ready, healthy) = (
        world.api.get("/readyz").await?,
        world.api.get("/healthz").await?,
    );
    assert_eq!((ready.status.as_u16(), healthy.status.as_u16()), (503, 200));
    proxy.mend();
    ready_again(&world).await?;
    let sent = world.api.send_once("k", &body).await?;
    let id = sent.body["id"]
        .as_str()
        .with_context(|| sent.body.to_string())?;
    world.api.message_at(id, "read").await?;
    assert_eq!(world.simulator.shown(CONTACT).await?, ["lost?"]);
    let inbound = format!("session_id={}&direction=inbound", session.id);
    let stored = within(
        Duration::from_mins(1),
        "the message is stored",
        async || {
            let stored = world.api.messages(&inbound).await?;
            Ok((!stored.is_empty()).then_some(stored))
        },
    )
    .await?;
    assert_eq!((stored.len(), stored[0].body()), (1, "said meanwhile"));
    let _finished: Finished = world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_when_the_database_goes_is_settled_when_it_is_back() -> Result<()> {
    let (world, proxy) = behind_a_proxy().await?;
    let session = world.linked(NUMBER).await?;
    world.simulator.phone(CONTACT, Phone::default()).await?;
    let late = json!({ "phone": NUMBER, "on": "ack", "do": "delay", "delay_ms": 500, "times": 1 });
    world.simulator.fault(&late).await?;
    let sent = world.api.send(&session.id, CONTACT, "in flight").await?;
    let waits = world.api.send(&session.id, CONTACT, "waits").await?;
    soon("the message was sent to WhatsApp", async || {
        let frames = world.simulator.ledger("sent").await?;
        Ok((!frames.is_empty()).then_some(()))
    })
    .await?;
    proxy.cut();
    // WhatsApp's acknowledgement and the phone's receipts arrive while nothing can be written.
    soon("the phone has sent its read receipt", async || {
        let receipts = world.simulator.ledger("receipt").await?;
        let read = receipts
            .iter()
            .any(|one| one.detail.as_deref() == Some("read"));
        Ok(read.then_some(()))
    })
    .await?;
    assert_eq!(world.api.get("/readyz").await?.status.as_u16(), 503);
    proxy.mend();
    ready_again(&world).await?;
    world.api.message_at(&sent.id, "read").await?;
    world.api.message_at(&waits.id, "read").await?;
    assert_eq!(
        world.simulator.shown(CONTACT).await?,
        ["in flight", "waits"]
    );
    let _finished: Finished = world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_started_without_their_database_say_so_and_begin_when_it_is_there() -> Result<()>
{
    let (mut gateway, simulator, folder, proxy) = prepared(Backing::Cluster).await?;
    proxy.cut();
    let announce = gateway.spawn()?;
    for name in ["gateway"].into_iter().chain(OTHERS) {
        let base = within(Duration::from_secs(30), "the process answers", async || {
            gateway.probes_of(name)
        })
        .await?;
        let status = async |path: &str| -> Result<u16> {
            Ok(reqwest::get(format!("{base}{path}"))
                .await?
                .status()
                .as_u16())
        };
        assert_eq!(status("/healthz").await?, 200, "{name}");
        assert_eq!(status("/readyz").await?, 503, "{name}");
        assert_eq!(status("/v1/sessions").await?, 503, "{name}");
    }
    proxy.mend();
    let process = gateway.process()?;
    process.announced(&announce).await?;
    // When asked to end while they wait, they end with success.
    gateway.stop().await?;
    proxy.cut();
    gateway.spawn()?;
    for name in ["gateway"].into_iter().chain(OTHERS) {
        let log = folder.path().join(format!("{name}.log"));
        soon("the process waits again", async || {
            let log = std::fs::read_to_string(&log)?;
            Ok((log.matches("waiting for the store").count() == 2).then_some(()))
        })
        .await?;
    }
    gateway.stop().await?;
    proxy.mend();
    let world = World::on(gateway, simulator, folder).await?;
    world.linked(NUMBER).await?;
    let _finished: Finished = world.finish().await?;
    Ok(())
}
