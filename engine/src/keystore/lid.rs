//! Which LID and which phone number belong to the same account (`key_lid`).

use std::collections::BTreeMap;

use sqlx::AnyConnection;
use wacore::store::{error::Result, traits::LidPnMappingEntry};

use super::{
    SealedKeyStore, hex, name_mac,
    sql::{Cell, Statement, insert, statement},
};
use crate::{
    ids::{OrgId, SessionId},
    vault::{DataKey, Place},
};

const LID: &str = "lid";
const PHONE: &str = "lid_phone";
/// Of the LIDs that had this phone number, the one that was stored last.
const OF_PHONE: &str = "SELECT lid_mac, sealed FROM key_lid \
     WHERE session_id = $1 AND phone_mac = $2 ORDER BY turn DESC LIMIT 1";

/// Returns the LID that a session knows of the phone number with these digits. A mapping that cannot be read is none.
pub(super) async fn of_phone(
    conn: &mut AnyConnection,
    key: &DataKey,
    (org, session): (OrgId, SessionId),
    phone: &str,
) -> sqlx::Result<Option<String>> {
    let row: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(OF_PHONE)
        .bind(session.to_string())
        .bind(name_mac(key, PHONE, &[phone.as_bytes()]).to_vec())
        .fetch_optional(conn)
        .await?;
    Ok(row.and_then(|(mac, sealed)| {
        let record = hex(mac);
        let place = Place {
            org,
            session: Some(session),
            table: LID,
            record: &record,
        };
        let entry: LidPnMappingEntry = key.open_json(&place, &sealed).ok()?;
        Some(entry.lid)
    }))
}

impl SealedKeyStore {
    pub(super) async fn lid_by_lid(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        const SELECT: &str =
            "SELECT lid_mac, sealed FROM key_lid WHERE session_id = $1 AND lid_mac = $2";
        let lid = self.mac(LID, &[lid.as_bytes()]);
        self.lid(statement(SELECT, [self.session(), lid.into()]))
            .await
    }

    /// Returns the LID that was stored last for the phone number.
    pub(super) async fn lid_by_phone(&self, phone: &str) -> Result<Option<LidPnMappingEntry>> {
        let phone = self.mac(PHONE, &[phone.as_bytes()]);
        self.lid(statement(OF_PHONE, [self.session(), phone.into()]))
            .await
    }

    async fn lid(&self, select: Statement) -> Result<Option<LidPnMappingEntry>> {
        let row: Option<(Vec<u8>, Vec<u8>)> = self.rows.fetch_one(select).await?;
        row.map(|(mac, sealed)| self.open_json(LID, &hex(mac), &sealed))
            .transpose()
    }

    pub(super) async fn put_lids(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        const INSERT: &str = "INSERT INTO key_lid (session_id, lid_mac, phone_mac, turn, sealed)";
        const REPLACE: &str = "ON CONFLICT (session_id, lid_mac) DO UPDATE \
             SET phone_mac = excluded.phone_mac, turn = excluded.turn, sealed = excluded.sealed";
        let mut rows = BTreeMap::new();
        for (turn, entry) in (self.turns(entries.len())..).zip(entries) {
            let mac = self.mac(LID, &[entry.lid.as_bytes()]);
            let phone = self.mac(PHONE, &[entry.phone_number.as_bytes()]);
            let sealed = self.seal_json(LID, &hex(mac), entry)?;
            let row = [
                self.session(),
                mac.into(),
                phone.into(),
                Cell::Int(turn),
                Cell::Blob(sealed),
            ];
            rows.insert(mac, row);
        }
        let rows = rows.into_values().collect();
        let dialect = self.rows.dialect();
        self.rows
            .execute(insert(dialect, INSERT, REPLACE, rows))
            .await?;
        Ok(())
    }

    pub(super) async fn all_lids(&self) -> Result<Vec<LidPnMappingEntry>> {
        const SELECT: &str =
            "SELECT lid_mac, sealed FROM key_lid WHERE session_id = $1 ORDER BY turn LIMIT 1000000";
        let rows: Vec<(Vec<u8>, Vec<u8>)> =
            self.rows.fetch(statement(SELECT, [self.session()])).await?;
        rows.iter()
            .map(|(mac, sealed)| self.open_json(LID, &hex(mac), sealed))
            .collect()
    }
}
