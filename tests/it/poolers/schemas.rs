//! A schema of its own: two gateways in one database do not see each other.

use anyhow::Result;
use passerelle_tests::{Backing, Finished, Setup, backing::Database, redis::Redis};
use std::{collections::BTreeSet, path::Path};
use tempfile::TempDir;

use super::{CONTACT, NUMBER, converse, execute, refused, run, texts, world_on};

fn within(schema: &str, redis: &Redis) -> Setup {
    Setup {
        redis: Some(redis.url()),
        flags: ["--database-schema", schema].map(str::to_owned).into(),
        ..Setup::quick()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_in_two_schemas_do_not_see_each_other() -> Result<()> {
    let database = Database::create(Backing::Cluster, Path::new("")).await?;
    let url = &database.url;
    let folder = TempDir::with_prefix("passerelle-test-")?;
    let redis = Redis::start(folder.path()).await?;
    // `user` is a word of SQL. Both clusters use the same Redis.
    let (one, other) = tokio::try_join!(
        world_on(url, Backing::Cluster, within("shop", &redis)),
        world_on(url, Backing::Cluster, within("user", &redis)),
    )?;
    tokio::try_join!(converse(&one), converse(&other))?;
    // One number is linked in both: nothing of one is unique in the other.
    for world in [&one, &other] {
        assert_eq!(
            world.admin.get("/v1/organisations").await?.body["data"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
        let sessions = world.api.sessions().await?;
        let linked: Vec<_> = sessions
            .iter()
            .map(|session| (session.state.as_str(), session.phone.as_deref()))
            .collect();
        assert_eq!(linked, [("connected", Some(NUMBER))]);
        assert_eq!(world.simulator.shown(CONTACT).await?, ["hello"]);
    }
    let places = "SELECT DISTINCT nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
         WHERE relkind IN ('r', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1";
    assert_eq!(texts(url, places).await?, ["shop", "user"]);
    let tables = "SELECT count(*)::text FROM pg_class WHERE relkind IN ('r', 'p') AND relname LIKE '\\_sqlx\\_%'";
    assert_eq!(texts(url, tables).await?, ["4"]);
    let channels = redis.channels().await?;
    let names: BTreeSet<_> = channels
        .iter()
        .filter_map(|channel| channel.strip_prefix("passerelle:")?.split(':').next())
        .collect();
    assert_eq!(names.len(), 2, "{channels:?}");
    let _one: Finished = one.finish().await?;
    let _other: Finished = other.finish().await?;
    Ok(())
}

#[tokio::test]
async fn a_schema_is_created_if_missing_and_a_bad_name_is_refused() -> Result<()> {
    let database = Database::create(Backing::Postgres, Path::new("")).await?;
    let env = |schema| {
        [
            ("PASSERELLE_DATABASE_URL", database.url.as_str()),
            ("PASSERELLE_DATABASE_SCHEMA", schema),
        ]
    };
    for bad in ["Shop", "pg_shop", "a-b", "\"; DROP"] {
        refused(
            &["migrate"],
            &env(bad),
            &["PASSERELLE_DATABASE_SCHEMA", bad],
        )
        .await?;
    }
    let (migrated, told) = run(&["migrate"], &env("shop")).await?;
    assert!(migrated, "{told}");
    let (again, told) = run(&["migrate"], &env("shop")).await?;
    assert!(again, "{told}");
    let tables = "SELECT count(*)::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace";
    assert_eq!(texts(&database.url, tables).await?, ["0"]);
    // Another program's table of the same name is in the way in `public`.
    execute(&database.url, &["CREATE TABLE session (id int)"]).await?;
    let url = [("PASSERELLE_DATABASE_URL", database.url.as_str())];
    refused(
        &["migrate"],
        &url,
        &["--database-schema", "another program"],
    )
    .await?;
    Ok(())
}
