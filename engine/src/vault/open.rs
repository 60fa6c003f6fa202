//! Opens the vault. Check rows reveal a wrong key-encryption key before anything is written.
//!
//! Every key-encryption key that was ever used has a row in `vault_check`, which holds the store's
//! pepper sealed under that key. If the row opens, the key is right. All rows hold the same pepper,
//! so [`Vault::secret_mac`](super::Vault::secret_mac) stays the same when the keys change.

use sqlx::AnyConnection;
use zeroize::Zeroizing;

use super::{
    error::VaultError,
    kek::{Kek, KekRing},
    record::{self, KEY_LEN},
};
use crate::{
    clock::{Clock, Millis},
    store::{Dialect, Store},
};

type Pepper = Zeroizing<[u8; KEY_LEN]>;

/// Checks the ring against the store and returns the pepper. Writes only the check row of a key
/// that is used for the first time.
pub(super) async fn pepper(
    store: &Store,
    ring: &KekRing,
    clock: &Clock,
) -> Result<Pepper, VaultError> {
    let (known, checks) = check(store, ring).await?;
    if let Some(pepper) = &known
        && checks.iter().any(|(id, _)| *id == ring.first().id)
    {
        return Ok(pepper.clone());
    }
    let fresh = known.unwrap_or_else(record::random_key);
    let row = check_row(ring.first(), &fresh, clock.now());
    let checks = add_check(store, row, checks.len()).await?;
    // Another process may have been first. The pepper in the store counts.
    prove(ring, &checks)?.ok_or_else(|| VaultError::MissingKek(any_id(&checks)))
}

/// Checks the ring against the store. Returns the check rows and the pepper; the pepper is `None`
/// if no key was ever used. The store's tables may be those of an older version.
pub(super) async fn check(
    store: &Store,
    ring: &KekRing,
) -> Result<(Option<Pepper>, Vec<(String, Vec<u8>)>), VaultError> {
    let mut conn = store.read_system().await?;
    needed_keys_are_given(&mut conn, ring).await?;
    let checks = checks(&mut conn).await?;
    Ok((prove(ring, &checks)?, checks))
}

/// Opens every check row whose key was given. Returns `None` if the store has no check row yet.
fn prove(ring: &KekRing, checks: &[(String, Vec<u8>)]) -> Result<Option<Pepper>, VaultError> {
    let mut pepper = None;
    for kek in ring.iter() {
        let Some((_, sealed)) = checks.iter().find(|(id, _)| *id == kek.id) else {
            continue;
        };
        let opened = kek.unwrap(&[b"vault_check.sealed"], sealed);
        pepper = Some(opened.ok_or_else(|| VaultError::WrongKek(kek.id.clone()))?);
    }
    if pepper.is_none() && !checks.is_empty() {
        return Err(VaultError::MissingKek(any_id(checks)));
    }
    Ok(pepper)
}

fn any_id(checks: &[(String, Vec<u8>)]) -> String {
    checks.first().map(|(id, _)| id.clone()).unwrap_or_default()
}

async fn checks(conn: &mut AnyConnection) -> Result<Vec<(String, Vec<u8>)>, sqlx::Error> {
    sqlx::query_as("SELECT kek_id, sealed FROM vault_check ORDER BY created_at DESC LIMIT 1000")
        .fetch_all(conn)
        .await
}

/// Fails if a data key is wrapped by a key that was not given. Otherwise it would fail later, at
/// the first use of that data key.
async fn needed_keys_are_given(conn: &mut AnyConnection, ring: &KekRing) -> Result<(), VaultError> {
    let used: Vec<String> = sqlx::query_scalar("SELECT DISTINCT kek_id FROM data_key LIMIT 1000")
        .fetch_all(conn)
        .await?;
    match used.into_iter().find(|id| ring.get(id).is_none()) {
        Some(id) => Err(VaultError::MissingKek(id)),
        None => Ok(()),
    }
}

fn check_row(kek: &Kek, pepper: &Pepper, at: Millis) -> (String, Vec<u8>, Millis) {
    (
        kek.id.clone(),
        kek.wrap(&[b"vault_check.sealed"], pepper),
        at,
    )
}

/// Adds the check row of a key that is used for the first time. If another process added a row
/// since, nothing is added, and the caller checks its ring against the new rows.
async fn add_check(
    store: &Store,
    (kek_id, sealed, at): (String, Vec<u8>, Millis),
    seen: usize,
) -> Result<Vec<(String, Vec<u8>)>, VaultError> {
    store
        .write_system(move |tx| {
            Box::pin(async move {
                if tx.dialect() == Dialect::Postgres {
                    // Two processes that start for the first time at once must not make two
                    // peppers. SQLite has a single writer, so it needs no lock.
                    sqlx::query("LOCK TABLE vault_check IN EXCLUSIVE MODE")
                        .execute(tx.conn())
                        .await?;
                }
                if checks(tx.conn()).await?.len() == seen {
                    sqlx::query(
                        "INSERT INTO vault_check (kek_id, sealed, created_at) VALUES ($1, $2, $3)",
                    )
                    .bind(kek_id)
                    .bind(sealed)
                    .bind(at)
                    .execute(tx.conn())
                    .await?;
                }
                Ok(checks(tx.conn()).await?)
            })
        })
        .await
}
