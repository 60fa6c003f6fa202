//! Members of named sets (`key_member`): the devices of a group, the entries of an app-state
//! collection.

use std::collections::BTreeMap;

use wacore::store::error::Result;

use super::{
    SealedKeyStore, hex,
    sql::{Cell, among, insert, statement},
};

pub(super) const SENDER_KEY_DEVICE: &str = "sender_key_device";
pub(super) const MUTATION_MAC: &str = "mutation_mac";

/// Maximum number of members that are read. No group or collection has that many.
const MOST: i64 = 1_000_000;

impl SealedKeyStore {
    /// Adds or replaces members, in one statement.
    pub(super) async fn put_members<'a>(
        &self,
        kind: &'static str,
        set: &str,
        members: impl Iterator<Item = (&'a [u8], Vec<u8>)> + Send,
    ) -> Result<()> {
        const INSERT: &str =
            "INSERT INTO key_member (session_id, kind, set_mac, member_mac, sealed)";
        const REPLACE: &str = "ON CONFLICT (session_id, kind, set_mac, member_mac) DO UPDATE SET sealed = excluded.sealed";
        let set = self.set_mac(kind, set);
        let rows: BTreeMap<_, _> = members
            .map(|(member, value)| {
                let mac = self.mac(kind, &[member]);
                let row = [
                    self.session(),
                    Cell::Text(kind.to_owned()),
                    set.into(),
                    mac.into(),
                    Cell::Blob(self.seal(kind, &member_record(&set, &mac), &value)),
                ];
                (mac, row)
            })
            .collect();
        let rows = rows.into_values().collect();
        let dialect = self.rows.dialect();
        self.rows
            .execute(insert(dialect, INSERT, REPLACE, rows))
            .await?;
        Ok(())
    }

    /// Returns the value of every member of the set.
    pub(super) async fn all_members(&self, kind: &'static str, set: &str) -> Result<Vec<Vec<u8>>> {
        const SELECT: &str = "SELECT member_mac, sealed FROM key_member \
             WHERE session_id = $1 AND kind = $2 AND set_mac = $3 LIMIT $4";
        let set = self.set_mac(kind, set);
        let of = [
            self.session(),
            Cell::Text(kind.to_owned()),
            set.into(),
            Cell::Int(MOST),
        ];
        let rows: Vec<(Vec<u8>, Vec<u8>)> = self.rows.fetch(statement(SELECT, of)).await?;
        rows.into_iter()
            .map(|(mac, sealed)| {
                let value = self.open(kind, &member_record(&set, &mac), &sealed)?;
                Ok(value.to_vec())
            })
            .collect()
    }

    /// Returns the values of these members, each with its index in `members`. Members that do not
    /// exist are left out.
    pub(super) async fn some_members(
        &self,
        kind: &'static str,
        set: &str,
        members: impl Iterator<Item = &[u8]> + Send,
    ) -> Result<Vec<(usize, Vec<u8>)>> {
        const SELECT: &str = "SELECT member_mac, sealed FROM key_member \
             WHERE session_id = $1 AND kind = $2 AND set_mac = $3 AND member_mac IN";
        let set = self.set_mac(kind, set);
        let of = [self.session(), Cell::Text(kind.to_owned()), set.into()];
        let mut wanted: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
        for (at, member) in members.enumerate() {
            wanted
                .entry(self.mac(kind, &[member]))
                .or_default()
                .push(at);
        }
        let mut found = Vec::new();
        let macs = wanted.keys().map(|mac| Cell::from(*mac)).collect();
        for select in among(SELECT, &of, macs) {
            for (mac, sealed) in self.rows.fetch::<(Vec<u8>, Vec<u8>)>(select).await? {
                let value = self.open(kind, &member_record(&set, &mac), &sealed)?;
                let places = wanted.get(mac.as_slice()).into_iter().flatten();
                found.extend(places.map(|at| (*at, value.to_vec())));
            }
        }
        Ok(found)
    }

    pub(super) async fn delete_members(
        &self,
        kind: &'static str,
        set: &str,
        members: impl Iterator<Item = &[u8]> + Send,
    ) -> Result<()> {
        const DELETE: &str = "DELETE FROM key_member \
             WHERE session_id = $1 AND kind = $2 AND set_mac = $3 AND member_mac IN";
        let of = [
            self.session(),
            Cell::Text(kind.to_owned()),
            self.set_mac(kind, set).into(),
        ];
        let macs = members
            .map(|member| self.mac(kind, &[member]).into())
            .collect();
        self.rows.execute(among(DELETE, &of, macs)).await?;
        Ok(())
    }

    /// Deletes these devices from all groups.
    pub(super) async fn delete_devices_everywhere(&self, devices: &[&str]) -> Result<()> {
        const DELETE: &str = "DELETE FROM key_member \
             WHERE kind = 'sender_key_device' AND session_id = $1 AND member_mac IN";
        let macs = devices
            .iter()
            .map(|device| self.mac(SENDER_KEY_DEVICE, &[device.as_bytes()]).into())
            .collect();
        self.rows
            .execute(among(DELETE, &[self.session()], macs))
            .await?;
        Ok(())
    }

    pub(super) async fn clear_set(&self, kind: &'static str, set: &str) -> Result<()> {
        const DELETE: &str =
            "DELETE FROM key_member WHERE session_id = $1 AND kind = $2 AND set_mac = $3";
        let of = [
            self.session(),
            Cell::Text(kind.to_owned()),
            self.set_mac(kind, set).into(),
        ];
        self.rows.execute(vec![statement(DELETE, of)]).await?;
        Ok(())
    }

    pub(super) async fn clear_sets(&self, kind: &'static str) -> Result<()> {
        const DELETE: &str = "DELETE FROM key_member WHERE session_id = $1 AND kind = $2";
        let of = [self.session(), Cell::Text(kind.to_owned())];
        self.rows.execute(vec![statement(DELETE, of)]).await?;
        Ok(())
    }

    fn set_mac(&self, kind: &'static str, set: &str) -> [u8; 32] {
        self.mac(kind, &[b"set", set.as_bytes()])
    }
}

fn member_record(set: &[u8], member: &[u8]) -> String {
    format!("{}/{}", hex(set), hex(member))
}
