//! accept: durable 202s per second, with 32 connections and 100 sessions of 10 organisations. The
//! reference inserts the same rows into a copy of the same database, at most 32 per commit.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, Setup, World};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{
    children::{figure, run},
    report::Row,
};

const SECONDS: &str = "15";

pub(crate) async fn measure(backing: Backing) -> Result<Row> {
    let mut world = World::with(backing, Setup::quick()).await?;
    let mut targets = Vec::new();
    for n in 0..10 {
        let api = world.admin.tenant(&format!("organisation {n}")).await?;
        for m in 0..10 {
            let session = api.create_session(&format!("session {m}")).await?;
            targets.push(json!({ "key": api.key, "session": session.id }));
        }
    }
    let file = world.folder().join("targets.json");
    std::fs::write(&file, serde_json::to_vec(&targets)?)?;
    world.gateway.stop().await?;
    let copy = copy(&world).await?;
    world.gateway.start().await?;

    let (base, targets) = (world.api.base().get(), file.to_string_lossy().into_owned());
    let load = run("load", &["accept", &base, &targets, "32", SECONDS]).await?;
    world.gateway.stop().await?;
    let inserts = run("load", &["inserts", &world.gateway.database.url, &copy]).await?;
    world.gateway.start().await?;
    world.finish_with_work_undone().await?;
    let name = match backing {
        Backing::Sqlite => "sqlite",
        Backing::Postgres | Backing::Cluster => "postgres",
    };
    Ok(Row {
        bench: format!("accept-{name}"),
        value: figure(&load, "/per_second")?,
        unit: "202/s",
        reference: Some(figure(&inserts, "/per_second")?),
        goal: "ratio ≥ 0.5, ≥ 3,000/s on SQLite, p99 ≤ 50 ms",
        more: vec![
            ("p50_ms", figure(&load, "/p50_ms")?),
            ("p99_ms", figure(&load, "/p99_ms")?),
            ("refused", figure(&load, "/refused")?),
        ],
    })
}

/// Copies the database before the load. The reference inserts into the copy.
async fn copy(world: &World) -> Result<String> {
    let url = &world.gateway.database.url;
    if let Some(path) = url.strip_prefix("sqlite:") {
        let copy = world.folder().join("reference.db");
        std::fs::copy(path, &copy)?;
        return Ok(format!("sqlite:{}", copy.display()));
    }
    let (server, name) = url.rsplit_once('/').context("the address has a database")?;
    let mut conn = PgConnection::connect(&format!("{server}/postgres")).await?;
    sqlx::query(AssertSqlSafe(format!(
        "CREATE DATABASE {name}_reference TEMPLATE {name}"
    )))
    .execute(&mut conn)
    .await?;
    Ok(format!("{url}_reference"))
}
