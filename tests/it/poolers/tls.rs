//! TLS to PostgreSQL and Redis: a certificate that fits is accepted; one that has expired, is for another name
//! or is from an unknown authority ends the start with a sentence.

use anyhow::{Context as _, Result};
use passerelle_tests::{
    Backing, Finished, Setup,
    authority::{Authority, Certificate},
    backing::Database,
    postgres::Postgres,
    process::{Process, command, sandbox_binary},
    redis::Redis,
    soon,
};
use std::path::Path;
use tempfile::TempDir;

use super::{ENDING, RUNNING, converse, is_quoted, lines_with, refused, run, server, world_on};

const DATABASE: &str = "PASSERELLE_DATABASE_URL";
const REDIS: &str = "PASSERELLE_REDIS_URL";
const EXPIRED: &str = "has expired";
const UNKNOWN: &str = "authority that is not known";

/// An authority, and certificates that do not fit `localhost`, each with a word of the reason.
fn certificates(folder: &Path) -> Result<(Authority, Vec<(Certificate, &'static str)>)> {
    let ours = Authority::new(folder, "ours")?;
    let strange = Authority::new(folder, "strange")?;
    let bad = vec![
        (ours.certify_until_2020("localhost")?, EXPIRED),
        (ours.certify("db.example.com")?, "another name"),
        (strange.certify("localhost")?, UNKNOWN),
    ];
    Ok((ours, bad))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_is_reached_only_with_a_certificate_that_fits() -> Result<()> {
    let folder = TempDir::with_prefix("passerelle-test-")?;
    let (ours, bad) = certificates(folder.path())?;
    let server = Postgres::start().await?;
    let database = Database::on(&server.url(), Backing::Cluster).await?;
    let plain = database.url.replace("127.0.0.1", "localhost");
    let strict = format!(
        "{plain}?sslmode=verify-full&sslrootcert={}",
        ours.file.display()
    );
    let env = [(DATABASE, strict.as_str())];
    refused(&["migrate"], &env, &[DATABASE, "does not support TLS"]).await?;
    for (certificate, reason) in &bad {
        server.certify(certificate).await?;
        let told = refused(&["migrate"], &env, &[DATABASE, reason]).await?;
        if *reason == EXPIRED {
            is_quoted(&told);
        }
    }
    // Each command that opens the store refuses it.
    for command in RUNNING {
        refused(&[command], &env, &[DATABASE, "not known"]).await?;
    }
    for arguments in ENDING {
        refused(arguments, &env, &[DATABASE, "not known"]).await?;
    }
    server.certify(&ours.certify("localhost")?).await?;
    let world = world_on(&strict, Backing::Cluster, Setup::quick()).await?;
    converse(&world).await?;
    let unencrypted = "SELECT count(*)::text FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE datname = current_database() AND NOT ssl AND pid <> pg_backend_pid()";
    assert_eq!(super::texts(&database.url, unencrypted).await?, ["0"]);
    let (listed, told) = run(&["admin", "list-organisations"], &env).await?;
    assert!(listed && told.contains("Acme"), "{told}");
    // Without its authority, the same certificate is unknown.
    let unknown = format!("{plain}?sslmode=verify-full");
    refused(
        &["migrate"],
        &[(DATABASE, &unknown)],
        &[DATABASE, "sslrootcert"],
    )
    .await?;
    let _finished: Finished = world.finish().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_reached_only_with_a_certificate_that_fits() -> Result<()> {
    let folder = TempDir::with_prefix("passerelle-test-")?;
    let (ours, bad) = certificates(folder.path())?;
    let redis = Redis::start(folder.path()).await?;
    let ca = ours.file.display().to_string();
    let database = Database::create(Backing::Cluster, Path::new("")).await?;
    let started = async |port: u16| {
        let url = format!("rediss://localhost:{port}");
        let env = [
            (DATABASE, database.url.clone()),
            (REDIS, url),
            ("PASSERELLE_REDIS_CA", ca.clone()),
        ];
        anyhow::Ok(env)
    };
    for (certificate, reason) in &bad {
        let env = started(redis.certify(certificate).await?).await?;
        let env: Vec<_> = env
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        for command in RUNNING {
            let told = refused(&[command], &env, &[REDIS, reason]).await?;
            if *reason == UNKNOWN {
                is_quoted(&told);
            }
        }
    }
    let port = redis.certify(&ours.certify("localhost")?).await?;
    let setup = Setup {
        redis: Some(format!("rediss://localhost:{port}")),
        environment: vec![("PASSERELLE_REDIS_CA".to_owned(), ca.clone())],
        ..Setup::quick()
    };
    let heard = redis.overhear().await?;
    let world = world_on(&database.url, Backing::Cluster, setup).await?;
    let receiver = world.endpoint(&["message.sent"]).await?;
    converse(&world).await?;
    receiver.wait_for("message.sent", 1).await?;
    soon("wake-ups and tokens travel", async || {
        let heard = heard.so_far();
        let heard = String::from_utf8_lossy(&heard).into_owned();
        Ok((heard.contains("PUBLISH") && heard.contains(":webhook:")).then_some(()))
    })
    .await?;
    let url = format!("rediss://localhost:{port}");
    let unknown = [(DATABASE, database.url.as_str()), (REDIS, url.as_str())];
    refused(&["worker"], &unknown, &[REDIS, "PASSERELLE_REDIS_CA"]).await?;
    let _finished: Finished = world.finish().await?;
    Ok(())
}

/// `127.1` is another machine to the rule, because it is neither a name nor an address in full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_this_machine_an_unprotected_connection_needs_permission_and_is_loud() -> Result<()> {
    let folder = TempDir::with_prefix("passerelle-test-")?;
    let database = Database::on(&server()?, Backing::Cluster).await?;
    let far = database.url.replace("127.0.0.1", "127.1");
    let redis = Redis::start(folder.path()).await?;
    let far_redis = redis.url().replace("127.0.0.1", "127.1");
    for weak in ["disable", "prefer", "require", "verify-ca"] {
        let url = format!("{far}?sslmode={weak}");
        refused(
            &["migrate"],
            &[(DATABASE, &url)],
            &[DATABASE, "--database-plain", weak],
        )
        .await?;
    }
    // Without a mode it is verify-full.
    refused(&["migrate"], &[(DATABASE, &far)], &[DATABASE, "encrypted"]).await?;
    let here = database.url.as_str();
    refused(
        &["serve"],
        &[(DATABASE, here), (REDIS, &far_redis)],
        &[REDIS, "--redis-plain"],
    )
    .await?;
    let permitted = [
        (DATABASE, far.as_str()),
        ("PASSERELLE_DATABASE_PLAIN", "true"),
    ];
    let (migrated, told) = run(&["migrate"], &permitted).await?;
    assert!(migrated, "{told}");
    assert!(
        told.contains("WARN") && told.contains("not protected"),
        "{told}"
    );
    let mut process = command(&sandbox_binary()?);
    process
        .args([
            "worker",
            "--database-plain",
            "--redis-plain",
            "--listen",
            "127.0.0.1:0",
        ])
        .env("PASSERELLE_KEK", passerelle_tests::gateway::kek("k1", 7))
        .env("PASSERELLE_MEDIA_STORE", folder.path())
        .envs([(DATABASE, &far), (REDIS, &far_redis)]);
    let log = folder.path().join("worker.log");
    let mut process = Process::start(process, &log)?;
    soon("it is connected to Redis", async || {
        anyhow::ensure!(process.runs(), "{}", process.log_end());
        let connected = lines_with(&log, "connected to Redis")?;
        Ok((!connected.is_empty()).then_some(()))
    })
    .await?;
    assert_eq!(
        lines_with(&log, "not protected")?.len(),
        2,
        "{}",
        process.log_end()
    );
    process.terminate()?;
    process
        .ended(std::time::Duration::from_secs(30))
        .await
        .context("it ends")?;
    Ok(())
}
