//! Secrets of single messages (`key_secret`).

use std::collections::{BTreeMap, btree_map::Entry};

use async_trait::async_trait;
use wacore::store::{
    error::Result,
    traits::{
        MsgSecretEntry, MsgSecretStore, merge_msg_secret_expiry, merge_msg_secret_message_ts,
    },
};

use super::{
    SealedKeyStore, hex,
    sql::{Cell, insert, statement},
};

const SECRET: &str = "message_secret";

#[async_trait]
impl MsgSecretStore for SealedKeyStore {
    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Result<usize> {
        const INSERT: &str =
            "INSERT INTO key_secret (session_id, name_mac, expires_at, message_at, sealed)";
        // The library's merge rules in SQL: keep the later deadline, where 0 means never, and the
        // later time.
        const MERGE: &str = "ON CONFLICT (session_id, name_mac) DO UPDATE SET sealed = excluded.sealed, \
             expires_at = CASE WHEN key_secret.expires_at = 0 OR excluded.expires_at = 0 THEN 0 \
             WHEN key_secret.expires_at > excluded.expires_at THEN key_secret.expires_at ELSE excluded.expires_at END, \
             message_at = CASE WHEN key_secret.message_at > excluded.message_at \
             THEN key_secret.message_at ELSE excluded.message_at END";
        let stored = entries.len();
        let rows = self.merged(entries).into_iter().map(|(mac, entry)| {
            let sealed = self.seal(SECRET, &hex(mac), &entry.secret);
            [
                self.session(),
                mac.into(),
                Cell::Int(entry.expires_at),
                Cell::Int(entry.message_ts),
                Cell::Blob(sealed),
            ]
        });
        let rows = rows.collect();
        let dialect = self.rows.dialect();
        self.rows
            .execute(insert(dialect, INSERT, MERGE, rows))
            .await?;
        Ok(stored)
    }

    async fn get_msg_secret(
        &self,
        chat: &str,
        sender: &str,
        msg_id: &str,
    ) -> Result<Option<Vec<u8>>> {
        let found = self.get_msg_secret_with_ts(chat, sender, msg_id).await?;
        Ok(found.map(|(secret, _)| secret))
    }

    async fn get_msg_secret_with_ts(
        &self,
        chat: &str,
        sender: &str,
        msg_id: &str,
    ) -> Result<Option<(Vec<u8>, i64)>> {
        const SELECT: &str =
            "SELECT sealed, message_at FROM key_secret WHERE session_id = $1 AND name_mac = $2";
        let mac = self.secret_name(chat, sender, msg_id);
        let row: Option<(Vec<u8>, i64)> = self
            .rows
            .fetch_one(statement(SELECT, [self.session(), mac.into()]))
            .await?;
        row.map(|(sealed, at)| Ok((self.open(SECRET, &hex(mac), &sealed)?.to_vec(), at)))
            .transpose()
    }

    async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Result<u32> {
        const PROBE: &str = "SELECT session_id FROM key_secret \
             WHERE session_id = $1 AND expires_at > 0 AND expires_at <= $2 LIMIT 1";
        const DELETE: &str =
            "DELETE FROM key_secret WHERE session_id = $1 AND expires_at > 0 AND expires_at <= $2";
        let cells = [self.session(), Cell::Int(cutoff_timestamp)];
        self.sweep(statement(PROBE, cells.clone()), statement(DELETE, cells))
            .await
    }
}

impl SealedKeyStore {
    fn secret_name(&self, chat: &str, sender: &str, id: &str) -> [u8; 32] {
        self.mac(SECRET, &[chat.as_bytes(), sender.as_bytes(), id.as_bytes()])
    }

    /// Keeps one entry per name, because a statement cannot change the same row twice.
    fn merged(&self, entries: Vec<MsgSecretEntry>) -> BTreeMap<[u8; 32], MsgSecretEntry> {
        let mut merged = BTreeMap::new();
        for entry in entries {
            let mac = self.secret_name(&entry.chat, &entry.sender, &entry.msg_id);
            match merged.entry(mac) {
                Entry::Vacant(free) => drop(free.insert(entry)),
                Entry::Occupied(mut taken) => {
                    let known: &mut MsgSecretEntry = taken.get_mut();
                    known.secret = entry.secret;
                    known.expires_at = merge_msg_secret_expiry(known.expires_at, entry.expires_at);
                    known.message_ts =
                        merge_msg_secret_message_ts(known.message_ts, entry.message_ts);
                }
            }
        }
        merged
    }
}
