//! One value under one name (`key_record`).

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use wacore::store::error::Result;
use zeroize::Zeroizing;

use super::{
    SealedKeyStore, hex,
    sql::{Cell, insert, statement},
};

pub(super) const IDENTITY: &str = "signal_identity";
pub(super) const SESSION: &str = "signal_session";
pub(super) const SENDER_KEY: &str = "sender_key";
pub(super) const SYNC_KEY: &str = "sync_key";
pub(super) const SYNC_LATEST: &str = "sync_latest";
pub(super) const SYNC_VERSION: &str = "sync_version";
pub(super) const BASE_KEY: &str = "base_key";
pub(super) const DEVICE_LIST: &str = "device_list";
pub(super) const GROUP_INFO: &str = "group_info";
pub(super) const DEVICE: &str = "device";

const USER: &str = "signal_user";
const INSERT: &str = "INSERT INTO key_record (session_id, kind, name_mac, user_mac, sealed)";
const REPLACE: &str =
    "ON CONFLICT (session_id, kind, name_mac) DO UPDATE SET sealed = excluded.sealed";
const KEEP: &str = "ON CONFLICT (session_id, kind, name_mac) DO NOTHING";

/// A row of `key_record`.
pub(super) type Row = [Cell; 5];

/// The parts of a record's name.
pub(super) type Name<'a> = &'a [&'a [u8]];

impl SealedKeyStore {
    pub(super) fn record(&self, kind: &'static str, name: Name<'_>, value: &[u8]) -> Row {
        let mac = self.mac(kind, name);
        self.row(kind, mac, None, self.seal(kind, &hex(mac), value))
    }

    pub(super) fn record_json<T: Serialize>(
        &self,
        kind: &'static str,
        name: Name<'_>,
        value: &T,
    ) -> Result<Row> {
        let mac = self.mac(kind, name);
        Ok(self.row(kind, mac, None, self.seal_json(kind, &hex(mac), value)?))
    }

    /// Makes the row of a record under a Signal address. The row can also be found by the user in
    /// the address.
    fn addressed(&self, kind: &'static str, address: &str, value: &[u8]) -> Row {
        let mac = self.mac(kind, &[address.as_bytes()]);
        let user = self.user_mac(user_of(address));
        self.row(kind, mac, Some(user), self.seal(kind, &hex(mac), value))
    }

    fn row(
        &self,
        kind: &'static str,
        mac: [u8; 32],
        user: Option<[u8; 32]>,
        sealed: Vec<u8>,
    ) -> Row {
        [
            self.session(),
            Cell::Text(kind.to_owned()),
            mac.into(),
            Cell::MaybeBlob(user.map(Vec::from)),
            Cell::Blob(sealed),
        ]
    }

    pub(super) async fn put_records(&self, rows: Vec<Row>) -> Result<()> {
        let dialect = self.rows.dialect();
        self.rows
            .execute(insert(dialect, INSERT, REPLACE, rows))
            .await?;
        Ok(())
    }

    /// Stores a record unless it exists.
    pub(super) async fn found_record(&self, row: Row) -> Result<()> {
        let dialect = self.rows.dialect();
        self.rows
            .execute(insert(dialect, INSERT, KEEP, vec![row]))
            .await?;
        Ok(())
    }

    /// Stores a batch of values under Signal addresses, in one statement.
    pub(super) async fn put_addressed<'a>(
        &self,
        kind: &'static str,
        batch: impl Iterator<Item = (&'a str, &'a [u8])> + Send,
    ) -> Result<()> {
        // One row per name; the last value wins. Sorted, so that two batches cannot deadlock.
        let rows: BTreeMap<_, _> = batch
            .map(|(address, value)| (address, self.addressed(kind, address, value)))
            .collect();
        self.put_records(rows.into_values().collect()).await
    }

    async fn sealed(&self, kind: &'static str, mac: [u8; 32]) -> Result<Option<Vec<u8>>> {
        const SELECT: &str =
            "SELECT sealed FROM key_record WHERE session_id = $1 AND kind = $2 AND name_mac = $3";
        let name = [self.session(), Cell::Text(kind.to_owned()), mac.into()];
        let row: Option<(Vec<u8>,)> = self.rows.fetch_one(statement(SELECT, name)).await?;
        Ok(row.map(|(sealed,)| sealed))
    }

    pub(super) async fn get_record(
        &self,
        kind: &'static str,
        name: Name<'_>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let mac = self.mac(kind, name);
        let sealed = self.sealed(kind, mac).await?;
        sealed
            .map(|sealed| self.open(kind, &hex(mac), &sealed))
            .transpose()
    }

    pub(super) async fn get_record_json<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        name: Name<'_>,
    ) -> Result<Option<T>> {
        let mac = self.mac(kind, name);
        let sealed = self.sealed(kind, mac).await?;
        sealed
            .map(|sealed| self.open_json(kind, &hex(mac), &sealed))
            .transpose()
    }

    pub(super) async fn has_record(&self, kind: &'static str, name: Name<'_>) -> Result<bool> {
        const SELECT: &str =
            "SELECT kind FROM key_record WHERE session_id = $1 AND kind = $2 AND name_mac = $3";
        let mac = self.mac(kind, name);
        let name = [self.session(), Cell::Text(kind.to_owned()), mac.into()];
        Ok(self
            .rows
            .fetch_one::<(String,)>(statement(SELECT, name))
            .await?
            .is_some())
    }

    pub(super) async fn delete_record(&self, kind: &'static str, name: Name<'_>) -> Result<()> {
        const DELETE: &str =
            "DELETE FROM key_record WHERE session_id = $1 AND kind = $2 AND name_mac = $3";
        let mac = self.mac(kind, name);
        let name = [self.session(), Cell::Text(kind.to_owned()), mac.into()];
        self.rows.execute(vec![statement(DELETE, name)]).await?;
        Ok(())
    }

    /// Returns whether there is an identity or a session under an address of this user.
    pub(super) async fn knows_user(&self, user: &str) -> Result<bool> {
        const SELECT: &str =
            "SELECT kind FROM key_record WHERE session_id = $1 AND user_mac = $2 LIMIT 1";
        let user = [self.session(), self.user_mac(user).into()];
        Ok(self
            .rows
            .fetch_one::<(String,)>(statement(SELECT, user))
            .await?
            .is_some())
    }

    fn user_mac(&self, user: &str) -> [u8; 32] {
        self.mac(USER, &[user.as_bytes()])
    }
}

/// Returns the user in a Signal address, which is `user@server` or `user:device@server`.
fn user_of(address: &str) -> &str {
    address.split(['@', ':']).next().unwrap_or(address)
}
