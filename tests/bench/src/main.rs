//! The benchmarks, against binaries started by path: `bench [--small] [NAME]…`. All of them run if none is
//! named. `cluster` runs all benchmarks of a cluster: `failover`, `takeover`, `drain`, `idle` and
//! `wakeup`.
//!
//! Simulator, gateway, load and reference are separate processes. Each row's reference is measured in the
//! same run, because results differ more between machines and times than between programs.

mod accept;
mod children;
mod cluster;
mod files;
mod lanes;
mod memory;
mod neighbour;
mod report;
mod statements;
mod through;

use anyhow::{Result, bail};
use passerelle_tests::{Backing, world::install_tls};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<()> {
    install_tls();
    let mut end = signal(SignalKind::terminate())?;
    // Started processes are killed when they are dropped, so none outlives this program.
    tokio::select! {
        done = run() => done,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = end.recv() => bail!("asked to end"),
    }
}

async fn run() -> Result<()> {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    let small = wanted.iter().position(|argument| argument == "--small");
    let size = small.map_or(cluster::FULL, |at| {
        wanted.remove(at);
        cluster::SMALL
    });
    if wanted.is_empty() {
        wanted = [
            "accept",
            "memory",
            "lanes",
            "through",
            "files",
            "neighbour",
            "statements",
            "cluster",
        ]
        .map(str::to_owned)
        .into();
    }
    let mut rows = Vec::new();
    for bench in wanted {
        match bench.as_str() {
            "accept" => {
                rows.push(accept::measure(Backing::Sqlite).await?);
                rows.push(accept::measure(Backing::Postgres).await?);
            }
            "memory" => {
                for sessions in [50, 300] {
                    rows.extend(memory::measure(sessions).await?);
                }
            }
            "lanes" => rows.push(lanes::measure().await?),
            "through" => rows.push(through::measure().await?),
            "files" => rows.extend(files::measure().await?),
            "neighbour" => {
                rows.extend(neighbour::measure(Backing::Sqlite).await?);
                rows.extend(neighbour::measure(Backing::Postgres).await?);
            }
            "statements" => rows.extend(statements::measure().await?),
            "cluster" => {
                for bench in cluster::ALL {
                    rows.extend(cluster::measure(bench, size).await?);
                }
            }
            other => rows.extend(cluster::measure(other, size).await?),
        }
    }
    report::print(&rows)?;
    Ok(())
}
