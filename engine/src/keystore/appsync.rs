//! App-state sync: its keys, the version of each collection, and the MACs of the entries.

use std::collections::HashMap;

use async_trait::async_trait;
use wacore::{
    appstate::{hash::HashState, processor::AppStateMutationMAC},
    store::{
        error::Result,
        traits::{AppStateSyncKey, AppSyncStore},
    },
};

use super::{
    SealedKeyStore,
    member::MUTATION_MAC,
    record::{SYNC_KEY, SYNC_LATEST, SYNC_VERSION},
};

#[async_trait]
impl AppSyncStore for SealedKeyStore {
    async fn get_sync_key(&self, key_id: &[u8]) -> Result<Option<AppStateSyncKey>> {
        self.get_record_json(SYNC_KEY, &[key_id]).await
    }

    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Result<()> {
        let latest = self.record(SYNC_LATEST, &[], key_id);
        let key = self.record_json(SYNC_KEY, &[key_id], &key)?;
        self.put_records(vec![key, latest]).await
    }

    async fn get_version(&self, name: &str) -> Result<HashState> {
        let state = self
            .get_record_json(SYNC_VERSION, &[name.as_bytes()])
            .await?;
        Ok(state.unwrap_or_default())
    }

    async fn set_version(&self, name: &str, state: HashState) -> Result<()> {
        let row = self.record_json(SYNC_VERSION, &[name.as_bytes()], &state)?;
        self.put_records(vec![row]).await
    }

    async fn put_mutation_macs(
        &self,
        name: &str,
        _version: u64,
        mutations: &[AppStateMutationMAC],
    ) -> Result<()> {
        let members = mutations
            .iter()
            .map(|mutation| (mutation.index_mac.as_slice(), mutation.value_mac.clone()));
        self.put_members(MUTATION_MAC, name, members).await
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>> {
        let one = [index_mac].into_iter();
        let found = self.some_members(MUTATION_MAC, name, one).await?;
        Ok(found.into_iter().next().map(|(_, value)| value))
    }

    async fn get_mutation_macs(
        &self,
        name: &str,
        index_macs: &[[u8; 32]],
    ) -> Result<HashMap<[u8; 32], Vec<u8>>> {
        let members = index_macs.iter().map(<[u8; 32]>::as_slice);
        let found = self.some_members(MUTATION_MAC, name, members).await?;
        Ok(found
            .into_iter()
            .map(|(at, value)| (index_macs[at], value))
            .collect())
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Result<()> {
        let members = index_macs.iter().map(Vec::as_slice);
        self.delete_members(MUTATION_MAC, name, members).await
    }

    async fn clear_mutation_macs(&self, name: &str) -> Result<()> {
        self.clear_set(MUTATION_MAC, name).await
    }

    async fn get_latest_sync_key_id(&self) -> Result<Option<Vec<u8>>> {
        let id = self.get_record(SYNC_LATEST, &[]).await?;
        Ok(id.map(|id| id.to_vec()))
    }
}
