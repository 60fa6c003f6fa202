//! Databases as people run them: behind a connection pooler, with fewer connections than asked for, with
//! the default grants of a host such as Supabase, in a schema of its own, and encrypted.

mod grants;
mod lending;
mod modes;
mod schemas;
mod tls;

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Gateway, Setup, Simulator, World,
    backing::Database,
    gateway::{ADMIN_KEY, kek},
    process::{command, sandbox_binary},
    world::install_tls,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::{path::Path, time::Duration};
use tempfile::TempDir;

const NUMBER: &str = "+4915170000001";
const CONTACT: &str = "+4915199000001";

/// Commands that open the store. Those that run do not end by themselves.
const RUNNING: [&str; 4] = ["serve", "api", "host", "worker"];
const ENDING: [&[&str]; 2] = [&["migrate"], &["admin", "list-organisations"]];

/// Returns the address of the server that all tests share.
fn server() -> Result<String> {
    std::env::var("PASSERELLE_TEST_POSTGRES").context("PASSERELLE_TEST_POSTGRES is not set")
}

/// Runs a command on the store to its end, within ten seconds. Returns whether it succeeded and what it said.
async fn run(arguments: &[&str], env: &[(&str, &str)]) -> Result<(bool, String)> {
    let folder = TempDir::with_prefix("passerelle-test-")?;
    let mut command = command(&sandbox_binary()?);
    command
        .args(arguments)
        .env("PASSERELLE_KEK", kek("k1", 7))
        .env("PASSERELLE_ADMIN_KEY", ADMIN_KEY)
        .env("PASSERELLE_LISTEN", "127.0.0.1:0")
        .env("PASSERELLE_MEDIA_STORE", folder.path())
        .envs(env.iter().copied());
    let output = tokio::time::timeout(Duration::from_secs(10), command.output()).await;
    let output = output.with_context(|| format!("{arguments:?} {env:?} did not end"))??;
    let told = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&told).into_owned(),
    ))
}

/// The page that quotes what a process says before it ends.
const PAGE: &str = include_str!("../../../docs/operations/databases.md");

/// Checks that a sentence of a process is quoted in the page for operators.
fn is_quoted(told: &str) {
    let sentence = told.strip_prefix("passerelle: ").unwrap_or(told);
    assert!(
        PAGE.contains(&format!("> {sentence}\n")),
        "databases.md does not quote: {sentence}"
    );
}

/// Checks that a command ends at once, and that it says all of these words in one line. Returns that line.
async fn refused(arguments: &[&str], env: &[(&str, &str)], words: &[&str]) -> Result<String> {
    let (succeeded, told) = run(arguments, env).await?;
    assert!(!succeeded, "{arguments:?}: {told}");
    let said = |line: &&str| words.iter().all(|word| line.contains(word));
    let line = told.lines().find(said);
    let line = line.with_context(|| format!("{arguments:?}: {told}\nhas no line with {words:?}"));
    Ok(line?.to_owned())
}

/// Starts a world on this address.
async fn world_on(url: &str, backing: Backing, setup: Setup) -> Result<World> {
    install_tls();
    let folder = TempDir::with_prefix("passerelle-test-")?;
    let simulator = Simulator::start(folder.path()).await?;
    let database = Database {
        url: url.to_owned(),
        backing,
    };
    let gateway = Gateway::over(database, folder.path(), &simulator.ws_url(), setup);
    World::on(gateway, simulator, folder).await
}

/// Links a number, sends a text and receives its echo.
async fn converse(world: &World) -> Result<()> {
    world.simulator.echo(CONTACT).await?;
    let session = world.linked(NUMBER).await?;
    let sent = world.api.send(&session.id, CONTACT, "hello").await?;
    world.api.message_at(&sent.id, "sent").await?;
    let inbound = format!("session_id={}&direction=inbound", session.id);
    passerelle_tests::soon("the echo is stored", async || {
        Ok((!world.api.messages(&inbound).await?.is_empty()).then_some(()))
    })
    .await
}

/// Returns the lines of a process's log that contain a word.
fn lines_with(log: &Path, word: &str) -> Result<Vec<String>> {
    let log = std::fs::read_to_string(log)?;
    let lines = log.lines().filter(|line| line.contains(word));
    Ok(lines.map(str::to_owned).collect())
}

/// Returns the first column of a statement's rows.
async fn texts(url: &str, sql: &str) -> Result<Vec<String>> {
    let mut conn = PgConnection::connect(url).await?;
    let rows = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut conn);
    Ok(rows.await?)
}

/// Runs statements, one by one.
async fn execute(url: &str, statements: &[&str]) -> Result<()> {
    let mut conn = PgConnection::connect(url).await?;
    for &statement in statements {
        let query = sqlx::query(AssertSqlSafe(statement.to_owned()));
        query
            .execute(&mut conn)
            .await
            .with_context(|| statement.to_owned())?;
    }
    Ok(())
}
