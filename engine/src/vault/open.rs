//! Opening the vault: the check rows tell a wrong key-encryption key before anything is written.
//!
//! Every key-encryption key that was ever used has a row in `vault_check`: the store's pepper,
//! sealed under it. That it opens proves the key; that each holds the same pepper keeps
//! [`Vault::secret_mac`](super::Vault::secret_mac) the same over a change of keys.

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

/// Proves the ring against the store and gives the pepper; writes only what a first use needs.
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
    // Another process may have been first: what the store holds is the pepper.
    prove(ring, &checks)?.ok_or_else(|| VaultError::MissingKek(any_id(&checks)))
}

/// Proves the ring against the store: the pepper, unless this is the first use of any key, and the check
/// rows. The store may be an older one, whose tables are still to be brought up to date.
pub(super) async fn check(
    store: &Store,
    ring: &KekRing,
) -> Result<(Option<Pepper>, Vec<(String, Vec<u8>)>), VaultError> {
    let mut conn = store.read_system().await?;
    needed_keys_are_given(&mut conn, ring).await?;
    let checks = checks(&mut conn).await?;
    Ok((prove(ring, &checks)?, checks))
}

/// Opens every check row whose key was given. `None` when the store has none yet.
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

/// A data key wrapped by a key that was not given would fail at its first use: say so at the start.
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

/// Adds the row of a key used for the first time, unless another process came between: then the
/// caller proves its ring against that process's rows.
async fn add_check(
    store: &Store,
    (kek_id, sealed, at): (String, Vec<u8>, Millis),
    seen: usize,
) -> Result<Vec<(String, Vec<u8>)>, VaultError> {
    store
        .write_system(move |tx| {
            Box::pin(async move {
                if tx.dialect() == Dialect::Postgres {
                    // Two first starts at once must not make two peppers. SQLite has one writer.
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
