//! The vault seals values in the store. Only the operator's key can open them.
//!
//! Each organisation and each session has a data key. It is stored in `data_key`, wrapped by a
//! key-encryption key (KEK) that is never stored. After a data key's row is deleted, nothing sealed
//! under it can be opened in this database. A backup from before still has the row.
//!
//! | page | what it holds |
//! |---|---|
//! | here | opens the vault; creates, caches and destroys data keys |
//! | [`kek`](KekRing) | the operator's keys |
//! | [`record`](DataKey) | the format of a sealed value; look-up HMACs |

mod error;
mod kek;
mod open;
mod record;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use error::VaultError;
pub use kek::{KekError, KekRing};
use quick_cache::sync::Cache;
pub use record::{DataKey, Place, SEAL_OVERHEAD};
use zeroize::Zeroizing;

use crate::{
    clock::Clock,
    ids::{OrgId, SessionId},
    sealed::sealed_debug,
    store::{Store, Tx},
};

/// Maximum number of open data keys in memory.
const CACHE: usize = 4096;

/// The open vault. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Opened>);

struct Opened {
    store: Store,
    ring: KekRing,
    clock: Clock,
    /// Key for look-ups that belong to no organisation, such as those of API keys.
    pepper: DataKey,
    /// By organisation and owner, so that a cached key is never found for another organisation.
    cache: Cache<(OrgId, String), Arc<DataKey>>,
}

impl Vault {
    /// Brings the store's tables up to date. First it checks the ring: if a key that the store
    /// needs is missing or wrong, it fails and changes nothing.
    pub async fn migrate(store: &Store, ring: &KekRing) -> anyhow::Result<()> {
        if store.is_made().await? {
            open::check(store, ring).await?;
        }
        store.migrate().await
    }

    /// Opens the vault of a migrated store. If a key that the store needs is missing or wrong, it
    /// fails and changes nothing. When a key is used for the first time, its check row is written.
    pub async fn open(store: &Store, ring: KekRing, clock: Clock) -> Result<Self, VaultError> {
        let pepper = open::pepper(store, &ring, &clock).await?;
        Ok(Self(Arc::new(Opened {
            store: store.clone(),
            ring,
            clock,
            pepper: DataKey::derive(&pepper),
            cache: Cache::new(CACHE),
        })))
    }

    /// Makes the data key of a new organisation. The same transaction must have inserted the
    /// organisation's row.
    pub async fn create_org_key(
        &self,
        tx: &mut Tx,
        org: OrgId,
    ) -> Result<Arc<DataKey>, VaultError> {
        self.create(tx, org, &org.to_string()).await
    }

    /// Makes the data key of a new session. The organisation's row must exist.
    pub async fn create_session_key(
        &self,
        tx: &mut Tx,
        org: OrgId,
        session: SessionId,
    ) -> Result<Arc<DataKey>, VaultError> {
        self.create(tx, org, &session.to_string()).await
    }

    /// Returns the data key of an organisation.
    pub async fn org_key(&self, org: OrgId) -> Result<Arc<DataKey>, VaultError> {
        self.key(org, org.to_string()).await
    }

    /// Returns the data key of a session. Fails with [`VaultError::NoKey`] if the session belongs
    /// to another organisation.
    pub async fn session_key(
        &self,
        org: OrgId,
        session: SessionId,
    ) -> Result<Arc<DataKey>, VaultError> {
        self.key(org, session.to_string()).await
    }

    /// Removes an open key from memory, by its owner's id. Use it when the owner was deleted or the
    /// lease was lost.
    pub fn forget(&self, id: &str) {
        self.0.cache.retain(|(_, owner), _| owner != id);
    }

    /// Destroys the data key of a session. Nothing sealed under it opens in this store any more. Call
    /// [`Vault::forget`] after the commit.
    pub async fn destroy_session_key(
        &self,
        tx: &mut Tx,
        session: SessionId,
    ) -> Result<(), VaultError> {
        sqlx::query("DELETE FROM data_key WHERE id = $1")
            .bind(session.to_string())
            .execute(tx.conn())
            .await?;
        Ok(())
    }

    /// Returns the HMAC of a secret whose organisation is not known yet, such as an API key in a
    /// request. It stays the same when key-encryption keys change.
    pub fn secret_mac(&self, purpose: &'static str, value: &[u8]) -> [u8; 32] {
        self.0.pepper.mac(purpose, value)
    }

    async fn create(&self, tx: &mut Tx, org: OrgId, id: &str) -> Result<Arc<DataKey>, VaultError> {
        let kek = self.0.ring.first();
        let key = record::random_key();
        let wrapped = kek.wrap(&owner(&org.to_string(), id), &key);
        sqlx::query(
            "INSERT INTO data_key (id, org_id, kek_id, wrapped, created_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(id)
        .bind(org.to_string())
        .bind(&kek.id)
        .bind(wrapped)
        .bind(self.0.clock.now())
        .execute(tx.conn())
        .await?;
        // It is not cached, because the transaction may still be rolled back.
        Ok(Arc::new(DataKey::derive(&key)))
    }

    async fn key(&self, org: OrgId, id: String) -> Result<Arc<DataKey>, VaultError> {
        let owner = (org, id);
        if let Some(key) = self.0.cache.get(&owner) {
            return Ok(key);
        }
        let key = Arc::new(self.load(org, &owner.1).await?);
        self.0.cache.insert(owner, Arc::clone(&key));
        Ok(key)
    }

    async fn load(&self, org: OrgId, id: &str) -> Result<DataKey, VaultError> {
        let mut conn = self.0.store.read(org).await?;
        let row: Option<(String, Vec<u8>)> =
            sqlx::query_as("SELECT kek_id, wrapped FROM data_key WHERE id = $1 AND org_id = $2")
                .bind(id)
                .bind(org.to_string())
                .fetch_optional(&mut *conn)
                .await?;
        let (kek_id, wrapped) = row.ok_or_else(|| VaultError::NoKey(id.to_owned()))?;
        let kek = self
            .0
            .ring
            .get(&kek_id)
            .ok_or(VaultError::MissingKek(kek_id))?;
        kek.unwrap(&owner(&org.to_string(), id), &wrapped)
            .map(|key: Zeroizing<_>| DataKey::derive(&key))
            .ok_or(VaultError::DoesNotOpen("data_key.wrapped"))
    }
}

/// Returns what a wrapped data key is bound to.
fn owner<'a>(org: &'a str, id: &'a str) -> [&'a [u8]; 3] {
    [b"data_key.wrapped", org.as_bytes(), id.as_bytes()]
}

sealed_debug!(Vault);
