//! The library's protocol state: sender-key devices, LIDs, base keys, device lists, group
//! snapshots, contact tokens, and messages that are kept for a while.

use std::collections::BTreeMap;

use async_trait::async_trait;
use subtle::ConstantTimeEq as _;
use wacore::store::{
    error::Result,
    traits::{
        DeviceListRecord, LidPnMappingEntry, PendingInboundKey, PendingInboundRow, ProtocolStore,
        TcTokenEntry,
    },
};

use super::{
    SealedKeyStore,
    member::SENDER_KEY_DEVICE,
    message::{PENDING, SENT},
    record::{BASE_KEY, DEVICE_LIST, GROUP_INFO},
};

#[async_trait]
impl ProtocolStore for SealedKeyStore {
    async fn get_sender_key_devices(&self, group_jid: &str) -> Result<Vec<(String, bool)>> {
        let members = self.all_members(SENDER_KEY_DEVICE, group_jid).await?;
        Ok(members
            .iter()
            .filter_map(|member| device_from(member))
            .collect())
    }

    async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Result<()> {
        let members = entries
            .iter()
            .map(|(device, has_key)| (device.as_bytes(), device_bytes(device, *has_key)));
        self.put_members(SENDER_KEY_DEVICE, group_jid, members)
            .await
    }

    async fn clear_sender_key_devices(&self, group_jid: &str) -> Result<()> {
        self.clear_set(SENDER_KEY_DEVICE, group_jid).await
    }

    async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Result<()> {
        self.delete_devices_everywhere(device_jids).await
    }

    async fn clear_all_sender_key_devices(&self) -> Result<()> {
        self.clear_sets(SENDER_KEY_DEVICE).await
    }

    async fn get_lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        self.lid_by_lid(lid).await
    }

    async fn get_pn_mapping(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        self.lid_by_phone(phone).await
    }

    async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Result<()> {
        self.put_lids(std::slice::from_ref(entry)).await
    }

    async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        self.put_lids(entries).await
    }

    async fn get_all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        self.all_lids().await
    }

    async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Result<()> {
        let name = [address.as_bytes(), message_id.as_bytes()];
        self.put_records(vec![self.record(BASE_KEY, &name, base_key)])
            .await
    }

    async fn has_same_base_key(
        &self,
        address: &str,
        message_id: &str,
        current_base_key: &[u8],
    ) -> Result<bool> {
        let name = [address.as_bytes(), message_id.as_bytes()];
        let saved = self.get_record(BASE_KEY, &name).await?;
        Ok(saved.is_some_and(|saved| saved.as_slice().ct_eq(current_base_key).into()))
    }

    async fn delete_base_key(&self, address: &str, message_id: &str) -> Result<()> {
        let name = [address.as_bytes(), message_id.as_bytes()];
        self.delete_record(BASE_KEY, &name).await
    }

    async fn update_device_list(&self, record: DeviceListRecord) -> Result<()> {
        self.update_device_lists(vec![record]).await
    }

    async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Result<()> {
        let mut rows = BTreeMap::new();
        for record in &records {
            let row = self.record_json(DEVICE_LIST, &[record.user.as_bytes()], record)?;
            rows.insert(&record.user, row);
        }
        self.put_records(rows.into_values().collect()).await
    }

    async fn get_devices(&self, user: &str) -> Result<Option<DeviceListRecord>> {
        self.get_record_json(DEVICE_LIST, &[user.as_bytes()]).await
    }

    async fn delete_devices(&self, user: &str) -> Result<()> {
        self.delete_record(DEVICE_LIST, &[user.as_bytes()]).await
    }

    async fn get_group_metadata(&self, group_jid: &str) -> Result<Option<Vec<u8>>> {
        let blob = self.get_record(GROUP_INFO, &[group_jid.as_bytes()]).await?;
        Ok(blob.map(|blob| blob.to_vec()))
    }

    async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Result<()> {
        let row = self.record(GROUP_INFO, &[group_jid.as_bytes()], blob);
        self.put_records(vec![row]).await
    }

    async fn delete_group_metadata(&self, group_jid: &str) -> Result<()> {
        self.delete_record(GROUP_INFO, &[group_jid.as_bytes()])
            .await
    }

    async fn get_tc_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        self.token(jid).await
    }

    async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        self.put_token(jid, entry).await
    }

    async fn delete_tc_token(&self, jid: &str) -> Result<()> {
        self.delete_token(jid).await
    }

    async fn get_all_tc_token_jids(&self) -> Result<Vec<String>> {
        self.token_names().await
    }

    async fn delete_expired_tc_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32> {
        self.expire_tokens(token_cutoff, sender_cutoff).await
    }

    async fn touch_tc_token_sender_timestamp(
        &self,
        jid: &str,
        sender_timestamp: i64,
    ) -> Result<()> {
        self.touch_token(jid, sender_timestamp).await
    }

    async fn store_received_tc_token(
        &self,
        jid: &str,
        token: &[u8],
        token_timestamp: i64,
    ) -> Result<()> {
        self.receive_token(jid, token, token_timestamp).await
    }

    async fn store_sent_message(
        &self,
        chat_jid: &str,
        message_id: &str,
        payload: &[u8],
    ) -> Result<()> {
        let one = [(vec![chat_jid.as_bytes(), message_id.as_bytes()], payload)];
        self.put_messages(SENT, one.into_iter()).await
    }

    /// Leaves the message where it is, although the library wants it deleted. The library stores it again at once, but
    /// between the two it finds nothing for the next phone of a group that asks for the message, and ignores that phone.
    async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>> {
        self.message(SENT, &[chat_jid.as_bytes(), message_id.as_bytes()])
            .await
    }

    async fn delete_expired_sent_messages(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.expire_messages(SENT, cutoff_timestamp).await
    }

    async fn store_pending_inbound(
        &self,
        chat: &str,
        sender: &str,
        id: &str,
        message: &[u8],
    ) -> Result<()> {
        let row = PendingInboundRow {
            chat,
            sender,
            id,
            message,
        };
        self.store_pending_inbound_batch(&[row]).await
    }

    async fn get_pending_inbound(
        &self,
        chat: &str,
        sender: &str,
        id: &str,
    ) -> Result<Option<Vec<u8>>> {
        self.message(
            PENDING,
            &[chat.as_bytes(), sender.as_bytes(), id.as_bytes()],
        )
        .await
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.delete_pending_inbound_batch(&[PendingInboundKey { chat, sender, id }])
            .await
    }

    async fn delete_expired_pending_inbound(&self, cutoff_timestamp: i64) -> Result<u32> {
        self.expire_messages(PENDING, cutoff_timestamp).await
    }

    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        let messages = rows.iter().map(|row| {
            let name = vec![
                row.chat.as_bytes(),
                row.sender.as_bytes(),
                row.id.as_bytes(),
            ];
            (name, row.message)
        });
        self.put_messages(PENDING, messages).await
    }

    async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        let names = keys.iter().map(|key| {
            vec![
                key.chat.as_bytes(),
                key.sender.as_bytes(),
                key.id.as_bytes(),
            ]
        });
        self.delete_messages(PENDING, names).await
    }
}

/// Encodes a device of a group: whether it has our sender key, then its name.
fn device_bytes(device: &str, has_key: bool) -> Vec<u8> {
    let mut bytes = vec![u8::from(has_key)];
    bytes.extend_from_slice(device.as_bytes());
    bytes
}

fn device_from(bytes: &[u8]) -> Option<(String, bool)> {
    let (has_key, device) = bytes.split_first()?;
    Some((String::from_utf8_lossy(device).into_owned(), *has_key == 1))
}
