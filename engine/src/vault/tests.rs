//! The vault on real stores: wrong keys, key rotation, tenants, destroyed keys.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sqlx::{Connection as _, Executor as _};

use super::*;
use crate::testing::{Fresh, stores};

fn ring(line: &str) -> KekRing {
    KekRing::parse(line).unwrap()
}

/// A ring's entry whose key is one repeated byte.
fn line(id: &str, byte: u8) -> String {
    format!("{id}:{}", BASE64_STANDARD.encode([byte; 32]))
}

type Rows = Vec<(String, Vec<u8>)>;

async fn rows(fresh: &Fresh) -> (Rows, Rows) {
    let mut conn = fresh.store.read_system().await.unwrap();
    let checks = sqlx::query_as("SELECT kek_id, sealed FROM vault_check ORDER BY kek_id");
    let checks = checks.fetch_all(&mut *conn).await.unwrap();
    let keys = sqlx::query_as("SELECT id, wrapped FROM data_key ORDER BY id");
    (checks, keys.fetch_all(&mut *conn).await.unwrap())
}

#[tokio::test]
async fn the_same_key_opens_the_vault_again() {
    for fresh in stores().await {
        let first = fresh.vault(ring(&line("a", 1))).await.unwrap();
        let owner = fresh.owner(&first).await;
        let key = first.org_key(owner.lease.org).await.unwrap();
        let again = fresh.vault(ring(&line("a", 1))).await.unwrap();
        let same = again.org_key(owner.lease.org).await.unwrap();
        assert_eq!(key.mac("x", b"y"), same.mac("x", b"y"));
        assert_eq!(
            first.secret_mac("api_key", b"s"),
            again.secret_mac("api_key", b"s")
        );
        assert_ne!(
            first.secret_mac("api_key", b"s"),
            again.secret_mac("cursor", b"s")
        );
        fresh.close().await;
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_with_nothing_changed() {
    for fresh in stores().await {
        let vault = fresh.vault(ring(&line("a", 1))).await.unwrap();
        fresh.owner(&vault).await;
        let before = rows(&fresh).await;
        let files = fresh.folder.is_some().then(|| fresh.bytes());

        let other_bytes = fresh.vault(ring(&line("a", 2))).await.unwrap_err();
        assert!(matches!(other_bytes, VaultError::WrongKek(id) if id == "a"));
        let other_name = fresh.vault(ring(&line("b", 1))).await.unwrap_err();
        assert!(matches!(other_name, VaultError::MissingKek(id) if id == "a"));
        let second_wrong = format!("{},{}", line("b", 3), line("a", 2));
        let second_wrong = fresh.vault(ring(&second_wrong)).await.unwrap_err();
        assert!(matches!(second_wrong, VaultError::WrongKek(id) if id == "a"));

        assert_eq!(rows(&fresh).await, before);
        assert_eq!(fresh.folder.is_some().then(|| fresh.bytes()), files);
        fresh.close().await;
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_before_the_tables_are_brought_up_to_date() {
    for fresh in stores().await {
        fresh.vault(ring(&line("a", 1))).await.unwrap();
        // A store on which the last migration has not run.
        let behind = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
        let mut conn = sqlx::AnyConnection::connect(&fresh.url).await.unwrap();
        conn.execute(behind).await.unwrap();
        let before = applied(&mut conn).await;

        let refused = Vault::migrate(&fresh.store, &ring(&line("a", 2))).await;
        let refused = refused.unwrap_err().downcast::<VaultError>().unwrap();
        assert!(matches!(refused, VaultError::WrongKek(id) if id == "a"));
        assert_eq!(applied(&mut conn).await, before);
        // With the right key the migration runs. It fails here, because its tables exist already.
        let run = Vault::migrate(&fresh.store, &ring(&line("a", 1))).await;
        assert!(run.unwrap_err().downcast::<VaultError>().is_err());
        conn.close().await.unwrap();
        fresh.close().await;
    }
}

#[tokio::test]
async fn many_first_starts_at_once_and_one_after_a_killed_one_make_the_store() {
    for fresh in stores().await {
        // On PostgreSQL: the first migration was killed before its end.
        if fresh.folder.is_none() {
            let mut conn = sqlx::AnyConnection::connect(&fresh.url).await.unwrap();
            let unread = "REVOKE ALL ON vault_check, data_key FROM passerelle_system";
            conn.execute(unread).await.unwrap();
            conn.close().await.unwrap();
        }
        let ring = ring(&line("a", 1));
        let starts = (0..6).map(|_| Vault::migrate(&fresh.store, &ring));
        for start in futures_util::future::join_all(starts).await {
            start.unwrap();
        }
        fresh.vault(ring).await.unwrap();
        fresh.close().await;
    }
}

async fn applied(conn: &mut sqlx::AnyConnection) -> i64 {
    let applied = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations");
    applied.fetch_one(conn).await.unwrap()
}

#[tokio::test]
async fn a_wrong_key_is_refused_before_there_is_any_data_key() {
    let fresh = Fresh::sqlite().await;
    fresh.vault(ring(&line("a", 1))).await.unwrap();
    let before = rows(&fresh).await;
    assert!(fresh.vault(ring(&line("b", 1))).await.is_err());
    assert!(fresh.vault(ring(&line("a", 2))).await.is_err());
    assert_eq!(rows(&fresh).await, before);
}

#[tokio::test]
async fn a_new_first_key_seals_and_the_old_one_still_opens() {
    for fresh in stores().await {
        let old = fresh.vault(ring(&line("old", 1))).await.unwrap();
        let before = fresh.owner(&old).await.lease;
        let both = format!("{},{}", line("new", 2), line("old", 1));
        let both = fresh.vault(ring(&both)).await.unwrap();
        let after = fresh.owner(&both).await.lease;
        both.session_key(before.org, before.session).await.unwrap();
        both.session_key(after.org, after.session).await.unwrap();
        assert_eq!(
            old.secret_mac("api_key", b"s"),
            both.secret_mac("api_key", b"s")
        );

        // The old key still wraps some keys: without it the store must not open.
        let alone = fresh.vault(ring(&line("new", 2))).await.unwrap_err();
        assert!(matches!(alone, VaultError::MissingKek(id) if id == "old"));
        // When those are gone, the new key is enough, and the pepper is the same.
        fresh
            .run("DELETE FROM data_key WHERE kek_id = $1", "old".to_owned())
            .await;
        let alone = fresh.vault(ring(&line("new", 2))).await.unwrap();
        assert_eq!(
            old.secret_mac("api_key", b"s"),
            alone.secret_mac("api_key", b"s")
        );
        fresh.close().await;
    }
}

#[tokio::test]
async fn two_first_starts_at_once_agree() {
    for fresh in stores().await {
        let starts = (0..4).map(|_| fresh.vault(ring(&line("a", 1))));
        let vaults = futures_util::future::join_all(starts).await;
        let macs: Vec<_> = vaults
            .iter()
            .map(|v| v.as_ref().unwrap().secret_mac("k", b"v"))
            .collect();
        assert!(macs.windows(2).all(|pair| pair[0] == pair[1]));
        fresh.close().await;
    }
}

#[tokio::test]
async fn another_organisations_session_has_no_key_cold_or_warm() {
    for fresh in stores().await {
        let vault = fresh.vault(ring(&line("a", 1))).await.unwrap();
        let (mine, theirs) = (
            fresh.owner(&vault).await.lease,
            fresh.owner(&vault).await.lease,
        );
        let cold = vault.session_key(mine.org, theirs.session).await;
        assert!(matches!(cold, Err(VaultError::NoKey(_))));
        vault.session_key(theirs.org, theirs.session).await.unwrap();
        let warm = vault.session_key(mine.org, theirs.session).await;
        assert!(matches!(warm, Err(VaultError::NoKey(_))));
        fresh.close().await;
    }
}

#[tokio::test]
async fn a_wrapped_key_moved_to_another_owner_does_not_open() {
    let fresh = Fresh::sqlite().await;
    let vault = fresh.vault(ring(&line("a", 1))).await.unwrap();
    let (mine, theirs) = (
        fresh.owner(&vault).await.lease,
        fresh.owner(&vault).await.lease,
    );
    const MOVE: &str = "UPDATE data_key SET wrapped = (SELECT wrapped FROM data_key WHERE id = $1)";
    fresh.run(MOVE, theirs.session.to_string()).await;
    let moved = vault.session_key(mine.org, mine.session).await;
    assert!(matches!(moved, Err(VaultError::DoesNotOpen(_))));
    vault.session_key(theirs.org, theirs.session).await.unwrap();
}

#[tokio::test]
async fn a_destroyed_key_is_gone() {
    for fresh in stores().await {
        let vault = fresh.vault(ring(&line("a", 1))).await.unwrap();
        let lease = fresh.owner(&vault).await.lease;
        vault.session_key(lease.org, lease.session).await.unwrap();
        let (session, destroying) = (lease.session, vault.clone());
        let done: Result<(), VaultError> = fresh
            .store
            .write(lease.org, move |tx| {
                Box::pin(async move { destroying.destroy_session_key(tx, session).await })
            })
            .await;
        done.unwrap();
        vault.forget(&session.to_string());
        let gone = vault.session_key(lease.org, session).await;
        assert!(matches!(gone, Err(VaultError::NoKey(_))));
        vault.org_key(lease.org).await.unwrap();
        fresh.close().await;
    }
}

#[tokio::test]
async fn a_key_made_in_a_transaction_that_failed_is_not_remembered() {
    let fresh = Fresh::sqlite().await;
    let vault = fresh.vault(ring(&line("a", 1))).await.unwrap();
    let org = OrgId::new(&fresh.clock);
    let making = vault.clone();
    let undone: Result<(), VaultError> = fresh
        .store
        .write(org, move |tx| {
            Box::pin(async move {
                sqlx::query("INSERT INTO organisation (id, name, created_at) VALUES ($1, 'x', 0)")
                    .bind(org.to_string())
                    .execute(tx.conn())
                    .await?;
                making.create_org_key(tx, org).await?;
                Err(VaultError::NoKey("undone".to_owned()))
            })
        })
        .await;
    assert!(undone.is_err());
    assert!(matches!(
        vault.org_key(org).await,
        Err(VaultError::NoKey(_))
    ));
}

#[test]
fn no_secret_shows_itself() {
    let key = DataKey::derive(&record::random_key());
    assert_eq!(format!("{key:?}"), "DataKey[sealed]");
}
