//! An independent client, Baileys, on our simulated server, and our gateway on the other side.
//! `tests/run` installs it and runs this test in a step of its own.

use anyhow::{Context as _, Result};
use passerelle_tests::{Backing, World, within};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::process::Command;

const NUMBER: &str = "+4915170000001";
const ANSWER: &str = "hello from the gateway";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn baileys_links_and_exchanges_texts_with_the_gateway() -> Result<()> {
    let world = World::start(Backing::Sqlite).await?;
    let receiver = world.endpoint(&["message.received"]).await?;
    let session = world.linked(NUMBER).await?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/baileys");
    let mut baileys = Command::new("node")
        .arg("interop.mjs")
        .args([
            world.simulator.control_url(),
            &world.simulator.ws_url(),
            "--peer",
            NUMBER,
            "--expect",
            ANSWER,
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting node")?;
    // Baileys writes to the gateway's number and waits for an answer.
    let told = within(Duration::from_mins(1), "Baileys has written", async || {
        if let Some(status) = baileys.try_wait()?
            && !status.success()
        {
            anyhow::bail!("Baileys ended with {status}");
        }
        Ok(receiver.of("message.received").into_iter().next())
    })
    .await;
    if told.is_err() {
        baileys.start_kill().ok();
    } else if let Ok(told) = &told {
        let from = told.body["data"]["message"]["from"].clone();
        let from = from["phone"]
            .as_str()
            .or(from.as_str())
            .context("the sender's phone is known")?;
        world.api.send(&session.id, from, ANSWER).await?;
    }
    let output = tokio::time::timeout(Duration::from_mins(1), baileys.wait_with_output()).await??;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    told.with_context(|| text.to_string())?;
    assert!(output.status.success(), "{text}");
    world.finish().await?;
    Ok(())
}
