//! The linked device: its keys, and the account it belongs to.

use async_trait::async_trait;
use wacore::{
    stats::StorageResourceReport,
    store::{Device, error::Result, traits::DeviceStore},
};

use super::{SealedKeyStore, record::DEVICE};

/// The library can keep several devices in one backend. Ours has exactly one.
const ONLY: i32 = 1;

#[async_trait]
impl DeviceStore for SealedKeyStore {
    async fn save(&self, device: &Device) -> Result<()> {
        let row = self.record_json(DEVICE, &[], device)?;
        self.put_records(vec![row]).await
    }

    async fn load(&self) -> Result<Option<Device>> {
        self.get_record_json(DEVICE, &[]).await
    }

    async fn exists(&self) -> Result<bool> {
        self.has_record(DEVICE, &[]).await
    }

    async fn create(&self) -> Result<i32> {
        let row = self.record_json(DEVICE, &[], &Device::new())?;
        self.found_record(row).await?;
        Ok(ONLY)
    }

    async fn resource_report(&self) -> StorageResourceReport {
        // The rows are in the database, not in this process.
        StorageResourceReport {
            memory_bytes: Some(0),
            ..StorageResourceReport::default()
        }
    }
}
