//! Signal identities, sessions and sender keys. Pre-keys are in [`super::prekey`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use wacore::store::{
    error::{Result, StoreError},
    traits::SignalStore,
};

use super::{
    SealedKeyStore,
    prekey::{ONE_TIME, SIGNED},
    record::{IDENTITY, SENDER_KEY, SESSION},
};

#[async_trait]
impl SignalStore for SealedKeyStore {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Result<()> {
        let one = [(address, key.as_slice())];
        self.put_addressed(IDENTITY, one.into_iter()).await
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Result<()> {
        let batch = identities
            .iter()
            .map(|(address, key)| (&**address, key.as_slice()));
        self.put_addressed(IDENTITY, batch).await
    }

    async fn load_identity(&self, address: &str) -> Result<Option<[u8; 32]>> {
        let key = self.get_record(IDENTITY, &[address.as_bytes()]).await?;
        let sized = |key: zeroize::Zeroizing<Vec<u8>>| <[u8; 32]>::try_from(key.as_slice());
        key.map(sized)
            .transpose()
            .map_err(|_| StoreError::Validation("an identity key is not 32 bytes".to_owned()))
    }

    async fn delete_identity(&self, address: &str) -> Result<()> {
        self.delete_record(IDENTITY, &[address.as_bytes()]).await
    }

    async fn get_session(&self, address: &str) -> Result<Option<Bytes>> {
        let session = self.get_record(SESSION, &[address.as_bytes()]).await?;
        Ok(session.map(|session| Bytes::copy_from_slice(&session)))
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        let one = [(address, session)];
        self.put_addressed(SESSION, one.into_iter()).await
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        let batch = sessions
            .iter()
            .map(|(address, session)| (&**address, &**session));
        self.put_addressed(SESSION, batch).await
    }

    async fn delete_session(&self, address: &str) -> Result<()> {
        self.delete_record(SESSION, &[address.as_bytes()]).await
    }

    async fn has_session(&self, address: &str) -> Result<bool> {
        self.has_record(SESSION, &[address.as_bytes()]).await
    }

    async fn has_signal_state_for_user(&self, user: &str) -> Result<bool> {
        self.knows_user(user).await
    }

    async fn store_prekey(&self, id: u32, record: &[u8], uploaded: bool) -> Result<()> {
        self.put_prekeys(ONE_TIME, [(id, record)].into_iter(), uploaded)
            .await
    }

    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], uploaded: bool) -> Result<()> {
        let keys = keys.iter().map(|(id, record)| (*id, &**record));
        self.put_prekeys(ONE_TIME, keys, uploaded).await
    }

    async fn load_prekey(&self, id: u32) -> Result<Option<Bytes>> {
        let record = self.get_prekey(ONE_TIME, id).await?;
        Ok(record.map(Bytes::from))
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        self.get_prekeys(ids).await
    }

    async fn mark_prekeys_uploaded(&self, ids: &[u32]) -> Result<()> {
        self.mark_uploaded(ids).await
    }

    async fn remove_prekey(&self, id: u32) -> Result<()> {
        self.delete_prekey(ONE_TIME, id).await
    }

    async fn get_max_prekey_id(&self) -> Result<u32> {
        self.greatest_prekey().await
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Result<()> {
        self.put_prekeys(SIGNED, [(id, record)].into_iter(), false)
            .await
    }

    async fn load_signed_prekey(&self, id: u32) -> Result<Option<Vec<u8>>> {
        self.get_prekey(SIGNED, id).await
    }

    async fn load_all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        self.all_signed_prekeys().await
    }

    async fn remove_signed_prekey(&self, id: u32) -> Result<()> {
        self.delete_prekey(SIGNED, id).await
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        let row = self.record(SENDER_KEY, &[address.as_bytes()], record);
        self.put_records(vec![row]).await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        let rows: std::collections::BTreeMap<_, _> = sender_keys
            .iter()
            .map(|(address, record)| {
                (
                    address,
                    self.record(SENDER_KEY, &[address.as_bytes()], record),
                )
            })
            .collect();
        self.put_records(rows.into_values().collect()).await
    }

    async fn get_sender_key(&self, address: &str) -> Result<Option<Vec<u8>>> {
        let record = self.get_record(SENDER_KEY, &[address.as_bytes()]).await?;
        Ok(record.map(|record| record.to_vec()))
    }

    async fn delete_sender_key(&self, address: &str) -> Result<()> {
        self.delete_record(SENDER_KEY, &[address.as_bytes()]).await
    }
}
