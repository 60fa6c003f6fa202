//! Clients that generators of other makers make from our document, and the document's own form. Each client
//! is generated from what the gateway serves, type-checked with a walk through the story
//! (`tests/generators`), and two of them walk against the sandbox. `tests/run` installs the generators and
//! runs these tests in a separate step.

mod document;
mod openapi_generator;
mod python;
mod typescript;

use anyhow::{Context as _, Result, ensure};
use passerelle_tests::{Backing, Setup, World, process::command};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::process::Command;

/// The contact of the walks, who answers each text.
const CONTACT: &str = "+491510000002";
/// The picture that the walks upload.
const PHOTO: &str = "assets/photo.jpg";
/// How long one program may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Starts a gateway with the contact of the walks.
async fn start() -> Result<World> {
    let world = World::with(Backing::Sqlite, Setup::quick()).await?;
    world.simulator.echo(CONTACT).await?;
    Ok(world)
}

/// Returns a path in the folder of the tests.
fn in_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns a program of the Python environment that `tests/run` makes.
fn python(program: &str) -> Result<Command> {
    let folder = std::env::var_os("PASSERELLE_TEST_PYTHON")
        .context("PASSERELLE_TEST_PYTHON is not set: start the tests with tests/run")?;
    let folder = Path::new(&folder);
    let mut command = command(&folder.join(program));
    // openapi-python-client calls `ruff` by name.
    let path = std::env::var("PATH")?;
    command.env("PATH", format!("{}:{path}", folder.display()));
    Ok(command)
}

/// Stores a form of the document, as the gateway serves it, and returns the file.
async fn save(world: &World, path: &str) -> Result<PathBuf> {
    let document: Value = world.api.get(path).await?.into(200)?;
    let file = world.folder().join("openapi.json");
    std::fs::write(&file, document.to_string())?;
    Ok(file)
}

/// Runs a program. Returns what it printed, both outputs together.
async fn run(mut program: Command) -> Result<String> {
    let what = format!("{:?}", program.as_std());
    let output = tokio::time::timeout(PATIENCE, program.output()).await;
    let output = output.with_context(|| format!("{what} took too long"))??;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(
        output.status.success(),
        "{what} ended with {}:\n{said}",
        output.status
    );
    Ok(said)
}

/// Runs a walk and checks what it says against the gateway and the simulated phones.
async fn walk(world: &World, mut program: Command) -> Result<()> {
    let key = world.key.clone();
    program
        .args([&world.api.base().get(), world.simulator.control_url(), &key])
        .arg(in_tests(PHOTO));
    let said = run(program).await?;
    let last = said.lines().last().context("the walk reports")?;
    let told: Value = serde_json::from_str(last).with_context(|| said.clone())?;
    let id = |field: &str| told[field].as_str().map(str::to_owned).context("an id");
    let text = world.api.whole_message(&id("text")?).await?;
    assert_eq!(
        (&text["status"], &text["text"]["body"]),
        (&"read".into(), &"Your order has left.".into())
    );
    let image = world.api.whole_message(&id("image")?).await?;
    assert_eq!(
        (&image["status"], &image["image"]["media_id"]),
        (&"read".into(), &told["media"])
    );
    assert_eq!(told["inbound"], "Your order has left.");
    let media: Value = world
        .api
        .get(&format!("/v1/media/{}", id("media")?))
        .await?
        .into(200)?;
    assert_eq!(media["size"], told["bytes"]);
    let sent = world.api.messages("direction=outbound").await?;
    assert_eq!(sent.len(), 2, "the repeated request sent nothing new");
    Ok(())
}
