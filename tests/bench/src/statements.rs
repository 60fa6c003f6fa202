//! statements: how many SQL statements a message costs on PostgreSQL, by the server's log: from the request to the webhook that
//! says that it was read, and from a contact's phone to the webhook that says so. Those that begin and end transactions count.
//! What the gateway does without any message is measured before, and taken off.
//!
//! With `PASSERELLE_BENCH_STATEMENTS` set, the statements are printed with their numbers, most frequent first.

use anyhow::{Context as _, Result, ensure};
use passerelle_tests::{
    Api, Backing, Gateway, Receiver, Setup, Simulator, World, backing::Database,
    postgres::Postgres, simulator::Phone, world::install_tls,
};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::{collections::BTreeMap, time::Duration};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::report::Row;

const NUMBER: &str = "+4915170000001";
const MESSAGES: usize = 10;
/// The warm messages of the preset `default`, whose gaps are long.
const WARM: usize = 5;
/// How long the gateway is watched without any message.
const IDLE: Duration = Duration::from_secs(15);
/// How long after the last webhook something may still be written.
const AFTER: Duration = Duration::from_secs(2);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let mut rows = of_preset("sandbox").await?;
    rows.extend(of_preset("default").await?);
    Ok(rows)
}

/// A gateway in one process, on a PostgreSQL server of its own that writes down every statement.
struct Watched {
    world: World,
    postgres: Postgres,
    receiver: Receiver,
    session: String,
    /// Statements in a second without any message.
    idle: f64,
}

async fn of_preset(preset: &str) -> Result<Vec<Row>> {
    let mut watched = Watched::start(preset).await?;
    let goal = "at most 10 % more than 111.8 out and 41.1 in, which were counted with what the gateway does anyway";
    let mut rows = Vec::new();
    let mut row = |of: &str, (net, all): (f64, f64), idle| {
        rows.push(Row {
            bench: format!("statements-{preset}-{of}"),
            value: net,
            unit: "statements/message",
            reference: None,
            goal,
            more: vec![("all", all), ("idle_per_second", idle)],
        });
    };
    let heard = watched
        .cost("heard", MESSAGES, "message.received", Watched::hear)
        .await?;
    row("in", heard, watched.idle);
    let replies = watched
        .cost("replies", MESSAGES, "message.read", Watched::reply)
        .await?;
    row("out", replies, watched.idle);
    if preset == "default" {
        watched.have_written_long_ago().await?;
        let warm = watched
            .cost("warm", WARM, "message.read", Watched::write)
            .await?;
        row("warm-out", warm, watched.idle);
    }
    watched.world.finish().await?;
    Ok(rows)
}

fn contact(n: usize) -> String {
    format!("+49151990000{n:02}")
}

impl Watched {
    async fn start(preset: &str) -> Result<Self> {
        install_tls();
        let folder = TempDir::with_prefix("passerelle-bench-")?;
        let postgres = Postgres::start().await?;
        let simulator = Simulator::start(folder.path()).await?;
        let setup = Setup {
            flags: vec!["--safety".to_owned(), preset.to_owned()],
            ..Setup::default()
        };
        let database = Database::on(&postgres.url(), Backing::Postgres).await?;
        let gateway = Gateway::over(database, folder.path(), &simulator.ws_url(), setup);
        let world = World::on(gateway, simulator, folder).await?;
        let receiver = world.endpoint(&[]).await?;
        let session = world.linked(NUMBER).await?.id;
        for n in 0..MESSAGES {
            world.simulator.phone(&contact(n), Phone::default()).await?;
        }
        postgres.log_statements().await?;
        let mut watched = Self {
            world,
            postgres,
            receiver,
            session,
            idle: 0.0,
        };
        // The first message between two people costs more.
        watched
            .cost("first", 1, "message.received", Self::hear)
            .await?;
        watched
            .cost("first", 1, "message.read", Self::reply)
            .await?;
        let before = watched.postgres.statements()?.len();
        tokio::time::sleep(IDLE).await;
        let since = watched.postgres.statements()?.len() - before;
        watched.idle = f64::from(u32::try_from(since)?) / IDLE.as_secs_f64();
        Ok(watched)
    }

    /// Returns how many statements each message costs, without and with what the gateway does anyway.
    async fn cost(
        &mut self,
        name: &str,
        messages: usize,
        event: &str,
        act: impl AsyncFn(&Self, usize) -> Result<()>,
    ) -> Result<(f64, f64)> {
        let seen = self.receiver.wait_for(event, 0).await?.len();
        let (before, began) = (self.postgres.statements()?.len(), Instant::now());
        for n in 0..messages {
            act(&*self, n).await?;
        }
        let told = self.told(event, seen + messages);
        tokio::time::timeout(Duration::from_mins(5), told)
            .await
            .context("all webhooks")??;
        tokio::time::sleep(AFTER).await;
        let (statements, took) = (self.postgres.statements()?, began.elapsed());
        let made = &statements[before..];
        ensure!(!made.is_empty(), "the server wrote down nothing");
        if std::env::var_os("PASSERELLE_BENCH_STATEMENTS").is_some() {
            tell(name, made);
        }
        let count = f64::from(u32::try_from(made.len())?);
        let each = f64::from(u32::try_from(messages)?);
        Ok((
            (count - self.idle * took.as_secs_f64()) / each,
            count / each,
        ))
    }

    /// Waits for webhooks without a request, which would be a statement.
    async fn told(&self, event: &str, count: usize) -> Result<()> {
        loop {
            let arrivals = self.receiver.arrivals();
            if arrivals
                .iter()
                .filter(|arrival| arrival.kind() == event)
                .count()
                >= count
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn hear(&self, n: usize) -> Result<()> {
        self.world
            .simulator
            .say(&contact(0), NUMBER, &format!("said {n}"))
            .await?;
        // Messages that come together are stored together.
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(())
    }

    async fn reply(&self, n: usize) -> Result<()> {
        let (to, text) = (contact(0), format!("answer {n}"));
        self.world.api.send(&self.session, &to, &text).await?;
        Ok(())
    }

    /// Writes to somebody who wrote two days ago.
    async fn write(&self, n: usize) -> Result<()> {
        let mut body = Api::text(&self.session, &contact(n), &format!("ready: order {n}"));
        body["purpose"] = json!("security");
        let accepted: serde_json::Value = self
            .world
            .api
            .post("/v1/messages", &body)
            .await?
            .into(202)?;
        ensure!(accepted["class"] == "warm", "{accepted}");
        Ok(())
    }

    async fn have_written_long_ago(&mut self) -> Result<()> {
        let all = async |watched: &Self, n: usize| {
            let from = contact(n);
            watched.world.simulator.say(&from, NUMBER, "hello").await?;
            Ok(())
        };
        self.cost("others", WARM, "message.received", all).await?;
        let mut conn = PgConnection::connect(&self.world.gateway.database.url).await?;
        let moved = sqlx::query("UPDATE acquaintance SET last_inbound_at = last_inbound_at - $1");
        moved.bind(2 * DAY_MS).execute(&mut conn).await?;
        conn.close().await?;
        Ok(())
    }
}

/// Prints the statements, most frequent first.
fn tell(name: &str, statements: &[String]) {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for statement in statements {
        *numbers.entry(statement).or_default() += 1;
    }
    let mut numbers: Vec<_> = numbers.into_iter().collect();
    numbers.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    for (statement, number) in numbers {
        let begin: String = statement.chars().take(160).collect();
        eprintln!("{name}: {number:>4} {begin}");
    }
}
