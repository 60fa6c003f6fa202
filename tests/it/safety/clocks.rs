//! Clocks that step while a gateway runs: the gap, the limits and the quiet hours go on as if they had not.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use passerelle_tests::{
    Api, Backing, Finished, Gateway, Setup, Simulator, World, backing::Database,
    postgres::Postgres, process::SteppingClock, simulator::Phone, soon, wall_clock, within,
    world::install_tls,
};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    COLD_FLOOR_US, JITTER_US, NUMBER, first, id, sent_at_last, where_it_is_night, written,
};

mod stores {
    use super::*;
    use passerelle_tests::on_both_stores;

    on_both_stores!(safety_a_machine_whose_clock_goes_ahead_opens_no_gate);
}

mod cluster {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn safety_clocks_of_hosts_and_database_that_step_open_no_gate() -> Result<()> {
        super::clocks_step_at_once().await.map(drop)
    }
}

const HOUR: i64 = 3_600;
const STRANGERS: [&str; 3] = ["+4915199000011", "+4915199000012", "+4915199000013"];

/// Returns how far a clock has to be ahead to show twenty past seven in the morning, in UTC.
fn ahead_to_the_morning() -> i64 {
    let now = wall_clock().timestamp().rem_euclid(24 * HOUR);
    (7 * HOUR + 20 * 60 - now).rem_euclid(24 * HOUR)
}

async fn strangers(world: &World) -> Result<()> {
    for stranger in STRANGERS {
        world.simulator.phone(stranger, Phone::default()).await?;
    }
    Ok(())
}

/// Returns what holds a message, once something other than its gap does.
async fn held(world: &World, message: &Value) -> Result<Value> {
    let path = format!("/v1/messages/{}", id(message)?);
    let held = async || {
        let shown: Value = world.api.get(&path).await?.into(200)?;
        if shown["status"] != "queued" {
            bail!("it is {}", shown["status"]);
        }
        let hold = &shown["queue"]["hold"];
        Ok((!hold.is_null() && hold != "gap").then(|| shown["queue"].clone()))
    };
    within(Duration::from_mins(1), "it is held", held).await
}

fn millis(time: &Value) -> Result<i64> {
    let time = time.as_str().context("a time")?;
    Ok(chrono::DateTime::parse_from_rfc3339(time)?.timestamp_millis())
}

async fn safety_a_machine_whose_clock_goes_ahead_opens_no_gate(
    backing: Backing,
) -> Result<Finished> {
    // With SQLite the machine's clock is the database's. With PostgreSQL only the gateway's own one steps.
    let (start, by, asleep) = match backing {
        Backing::Sqlite => (ahead_to_the_morning(), HOUR, "+3546110000"),
        _ => (0, 10 * HOUR, where_it_is_night()),
    };
    let clock = SteppingClock::ahead(start)?;
    let variables = clock.variables()?.into_iter();
    let setup = Setup {
        flags: vec!["--safety".to_owned(), "default".to_owned()],
        environment: variables
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        ..Setup::quick()
    };
    let world = World::with(backing, setup).await?;
    let session = world.linked(NUMBER).await?.id;
    strangers(&world).await?;
    // Two messages an hour.
    let limits = json!({ "messages_a_day": 10 });
    let set = world.api.request(Method::PUT, "/v1/policy").json(&limits);
    Api::reply(set).await?.into::<Value>(200)?;
    let wish = json!({ "purpose": "appointment" });
    let night = first(&world, &session, asleep, "see you on Monday", wish).await?;
    assert_eq!(night["queue"]["hold"], "quiet_hours", "{night}");
    let one = first(&world, &session, STRANGERS[0], "your new login", json!({})).await?;
    world.api.message_at(id(&one)?, "sent").await?;
    clock.step_to(start + by)?;
    // The gap runs on.
    let two = first(&world, &session, STRANGERS[1], "another login", json!({})).await?;
    sent_at_last(&world, id(&two)?).await?;
    let at = written(&world, 2).await?;
    assert!(at[1] - at[0] + JITTER_US >= COLD_FLOOR_US, "{at:?}");
    // The first message is still of this hour.
    let later = json!({ "expires_at": world.api.in_seconds(12 * HOUR).await? });
    let three = first(&world, &session, STRANGERS[2], "a third login", later).await?;
    let queue = held(&world, &three).await?;
    assert_eq!(queue["hold"], "hour", "{queue}");
    let wait = millis(&queue["estimated_send_at"])? - millis(&three["created_at"])?;
    assert!(wait > 50 * 60 * 1000, "{queue}");
    // It is still night.
    assert_eq!(held(&world, &night).await?["hold"], "quiet_hours");
    world.finish_with_work_undone().await
}

/// Waits until a host has noticed so many steps.
async fn noticed(world: &World, steps: usize) -> Result<()> {
    let logs = ["host-a", "host-b"].map(|host| world.folder().join(format!("{host}.log")));
    soon("both hosts notice the step", async || {
        let mut all = true;
        for log in &logs {
            let log = std::fs::read_to_string(log)?;
            all &= log.matches("the clock stepped").count() >= steps;
        }
        Ok(all.then_some(()))
    })
    .await
}

async fn clocks_step_at_once() -> Result<Finished> {
    install_tls();
    let folder = TempDir::with_prefix("passerelle-test-")?;
    let simulator = Simulator::start(folder.path()).await?;
    let of_database = SteppingClock::ahead(0)?;
    let of_hosts = [SteppingClock::ahead(0)?, SteppingClock::ahead(0)?];
    let postgres = Postgres::with(of_database.variables()?).await?;
    let database = Database::on(&postgres.url(), Backing::Cluster).await?;
    let setup = Setup {
        flags: vec!["--safety".to_owned(), "default".to_owned()],
        ..Setup::quick()
    };
    let whatsapp = simulator.ws_url();
    let mut gateway = Gateway::over(database, folder.path(), &whatsapp, setup);
    for (host, clock) in ["host-a", "host-b"].into_iter().zip(&of_hosts) {
        gateway.own.insert(host, clock.variables()?);
    }
    let world = World::on(gateway, simulator, folder).await?;
    let session = world.linked(NUMBER).await?.id;
    strangers(&world).await?;
    let one = first(&world, &session, STRANGERS[0], "your new login", json!({})).await?;
    world.api.message_at(id(&one)?, "sent").await?;
    // The database's clock goes back, and the hosts' clocks go apart.
    of_database.step_to(-300)?;
    of_hosts[0].step_to(HOUR)?;
    of_hosts[1].step_to(-HOUR)?;
    let two = first(&world, &session, STRANGERS[1], "another login", json!({})).await?;
    noticed(&world, 1).await?;
    // It is set right again. A host that notices it late waits for five minutes more.
    of_database.step_to(0)?;
    noticed(&world, 2).await?;
    sent_at_last(&world, id(&two)?).await?;
    let at = written(&world, 2).await?;
    assert!(at[1] - at[0] + JITTER_US >= COLD_FLOOR_US, "{at:?}");
    let finished = world.finish().await;
    drop(postgres);
    finished
}
