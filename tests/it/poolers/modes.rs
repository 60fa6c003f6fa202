//! A pooler in session mode works. One that gives a connection to others between transactions is refused,
//! before anything is written.

use anyhow::Result;
use passerelle_tests::{Backing, Finished, Setup, backing::Database, pgbouncer::PgBouncer};
use std::path::Path;

use super::{ENDING, RUNNING, converse, is_quoted, refused, server, texts, world_on};

const REFUSAL: [&str; 3] = ["PASSERELLE_DATABASE_URL", "session mode", "5432"];

async fn empty() -> Result<Database> {
    Database::create(Backing::Postgres, Path::new("")).await
}

/// Checks that nothing was written, and that no lock was left on one of the pooler's connections.
async fn is_untouched(database: &Database) -> Result<()> {
    let tables = texts(
        &database.url,
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace",
    );
    assert_eq!(tables.await?, Vec::<String>::new());
    let locks = "SELECT objid::text FROM pg_locks WHERE locktype = 'advisory' AND database = \
                 (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(texts(&database.url, locks).await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn transaction_mode_is_refused_by_every_command_that_opens_the_store() -> Result<()> {
    let database = empty().await?;
    let pooler = PgBouncer::start(&server()?, "transaction", &[]).await?;
    let url = pooler.of(&database.url)?;
    let env = [("PASSERELLE_DATABASE_URL", url.as_str())];
    for command in RUNNING {
        is_quoted(&refused(&[command], &env, &REFUSAL).await?);
    }
    for arguments in ENDING {
        refused(arguments, &env, &REFUSAL).await?;
    }
    is_untouched(&database).await
}

#[tokio::test]
async fn a_pooler_is_found_out_however_it_hands_out_its_connections() -> Result<()> {
    let one = ["default_pool_size = 1"];
    let two = ["default_pool_size = 2", "server_round_robin = 1"];
    let seven = ["min_pool_size = 7", "server_round_robin = 1"];
    let emptied = ["server_reset_query_always = 1"];
    for (mode, settings) in [
        ("transaction", &one[..]),
        ("transaction", &two[..]),
        ("transaction", &seven[..]),
        ("transaction", &emptied[..]),
        ("statement", &[][..]),
    ] {
        let database = empty().await?;
        let pooler = PgBouncer::start(&server()?, mode, settings).await?;
        let url = pooler.of(&database.url)?;
        let env = [("PASSERELLE_DATABASE_URL", url.as_str())];
        refused(&["migrate"], &env, &REFUSAL).await?;
        is_untouched(&database).await?;
    }
    Ok(())
}

#[tokio::test]
async fn processes_that_start_at_once_are_all_refused() -> Result<()> {
    let database = empty().await?;
    let settings = ["min_pool_size = 5", "server_round_robin = 1"];
    let pooler = PgBouncer::start(&server()?, "transaction", &settings).await?;
    let url = pooler.of(&database.url)?;
    let env = [("PASSERELLE_DATABASE_URL", url.as_str())];
    let starts = (0..8).map(|_| refused(&["migrate"], &env, &REFUSAL));
    futures_util::future::try_join_all(starts).await?;
    is_untouched(&database).await
}

#[tokio::test]
async fn a_pooler_that_refuses_a_parameter_is_told_what_to_change() -> Result<()> {
    let database = empty().await?;
    let settings = ["ignore_startup_parameters ="];
    let pooler = PgBouncer::start(&server()?, "session", &settings).await?;
    let url = pooler.of(&database.url)?;
    let env = [("PASSERELLE_DATABASE_URL", url.as_str())];
    let words = [
        "PASSERELLE_DATABASE_URL",
        "ignore_startup_parameters = extra_float_digits",
    ];
    refused(&["serve"], &env, &words).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_mode_works_for_one_process_and_for_a_cluster() -> Result<()> {
    for backing in [Backing::Postgres, Backing::Cluster] {
        let database = empty().await?;
        let pooler = PgBouncer::start(&server()?, "session", &["default_pool_size = 200"]).await?;
        let url = pooler.of(&database.url)?;
        let world = world_on(&url, backing, Setup::quick()).await?;
        converse(&world).await?;
        let _finished: Finished = world.finish().await?;
    }
    Ok(())
}
