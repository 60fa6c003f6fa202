//! The benchmarks, against binaries started by path: `bench [accept] [memory] [lanes] [through] [files]`.
//!
//! Simulator, gateway, load and reference are processes of their own; each row's reference is
//! measured in the same run, because machines and moments differ more than programs do.

mod accept;
mod children;
mod files;
mod lanes;
mod memory;
mod report;
mod through;

use anyhow::{Result, bail};
use passerelle_tests::{Backing, world::install_tls};

#[tokio::main]
async fn main() -> Result<()> {
    install_tls();
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.is_empty() {
        wanted = ["accept", "memory", "lanes", "through", "files"]
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
            other => bail!("there is no benchmark {other}"),
        }
    }
    report::print(&rows)?;
    Ok(())
}
