//! Pre-keys (`key_prekey`), one-time and signed. Their names are numbers.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use wacore::store::error::{Result, StoreError};

use super::{
    SealedKeyStore,
    sql::{Cell, among, insert, statement},
};

/// The kind of pre-key.
#[derive(Clone, Copy)]
pub(super) struct Sort {
    kind: &'static str,
    signed: i64,
}

pub(super) const ONE_TIME: Sort = Sort {
    kind: "prekey",
    signed: 0,
};
pub(super) const SIGNED: Sort = Sort {
    kind: "signed_prekey",
    signed: 1,
};

impl SealedKeyStore {
    /// Stores a batch in one statement. When a phone is linked, the batch has 812 rows.
    pub(super) async fn put_prekeys<'a>(
        &self,
        sort: Sort,
        keys: impl Iterator<Item = (u32, &'a [u8])> + Send,
        uploaded: bool,
    ) -> Result<()> {
        const INSERT: &str =
            "INSERT INTO key_prekey (session_id, signed, number, uploaded, sealed)";
        const REPLACE: &str = "ON CONFLICT (session_id, signed, number) \
             DO UPDATE SET uploaded = excluded.uploaded, sealed = excluded.sealed";
        let rows: BTreeMap<_, _> = keys
            .map(|(id, record)| {
                let row = [
                    self.session(),
                    Cell::Int(sort.signed),
                    Cell::Int(id.into()),
                    Cell::Int(uploaded.into()),
                    Cell::Blob(self.seal(sort.kind, &id.to_string(), record)),
                ];
                (id, row)
            })
            .collect();
        let rows = rows.into_values().collect();
        let dialect = self.rows.dialect();
        self.rows
            .execute(insert(dialect, INSERT, REPLACE, rows))
            .await?;
        Ok(())
    }

    pub(super) async fn get_prekey(&self, sort: Sort, id: u32) -> Result<Option<Vec<u8>>> {
        const SELECT: &str =
            "SELECT sealed FROM key_prekey WHERE session_id = $1 AND signed = $2 AND number = $3";
        let name = [self.session(), Cell::Int(sort.signed), Cell::Int(id.into())];
        let row: Option<(Vec<u8>,)> = self.rows.fetch_one(statement(SELECT, name)).await?;
        row.map(|(sealed,)| self.open_prekey(sort, id, &sealed))
            .transpose()
    }

    /// Returns the one-time pre-keys with these numbers, in the given order. Numbers without a key
    /// are left out.
    pub(super) async fn get_prekeys(&self, ids: &[u32]) -> Result<Vec<(u32, Bytes)>> {
        const SELECT: &str = "SELECT number, sealed FROM key_prekey WHERE session_id = $1 AND signed = 0 AND number IN";
        let mut found = HashMap::with_capacity(ids.len());
        for select in among(SELECT, &[self.session()], numbers(ids)) {
            for (id, sealed) in self.rows.fetch::<(i64, Vec<u8>)>(select).await? {
                let id = number(id)?;
                found.insert(id, Bytes::from(self.open_prekey(ONE_TIME, id, &sealed)?));
            }
        }
        let named = |id: &u32| found.get(id).map(|record| (*id, record.clone()));
        Ok(ids.iter().filter_map(named).collect())
    }

    /// Updates existing rows and creates none: a key that was used in the meantime stays deleted.
    pub(super) async fn mark_uploaded(&self, ids: &[u32]) -> Result<()> {
        const UPDATE: &str = "UPDATE key_prekey SET uploaded = 1 \
             WHERE session_id = $1 AND signed = 0 AND uploaded = 0 AND number IN";
        self.rows
            .execute(among(UPDATE, &[self.session()], numbers(ids)))
            .await?;
        Ok(())
    }

    pub(super) async fn delete_prekey(&self, sort: Sort, id: u32) -> Result<()> {
        const DELETE: &str =
            "DELETE FROM key_prekey WHERE session_id = $1 AND signed = $2 AND number = $3";
        let name = [self.session(), Cell::Int(sort.signed), Cell::Int(id.into())];
        self.rows.execute(vec![statement(DELETE, name)]).await?;
        Ok(())
    }

    /// Returns the greatest number of a one-time pre-key; 0 if there is none.
    pub(super) async fn greatest_prekey(&self) -> Result<u32> {
        const SELECT: &str = "SELECT number FROM key_prekey \
             WHERE session_id = $1 AND signed = 0 ORDER BY number DESC LIMIT 1";
        let row: Option<(i64,)> = self
            .rows
            .fetch_one(statement(SELECT, [self.session()]))
            .await?;
        row.map_or(Ok(0), |(id,)| number(id))
    }

    pub(super) async fn all_signed_prekeys(&self) -> Result<Vec<(u32, Vec<u8>)>> {
        // The library keeps only a few.
        const SELECT: &str = "SELECT number, sealed FROM key_prekey \
             WHERE session_id = $1 AND signed = 1 ORDER BY number LIMIT 10000";
        let rows: Vec<(i64, Vec<u8>)> =
            self.rows.fetch(statement(SELECT, [self.session()])).await?;
        rows.into_iter()
            .map(|(id, sealed)| {
                let id = number(id)?;
                Ok((id, self.open_prekey(SIGNED, id, &sealed)?))
            })
            .collect()
    }

    fn open_prekey(&self, sort: Sort, id: u32, sealed: &[u8]) -> Result<Vec<u8>> {
        Ok(self.open(sort.kind, &id.to_string(), sealed)?.to_vec())
    }
}

fn numbers(ids: &[u32]) -> Vec<Cell> {
    ids.iter().map(|id| Cell::Int((*id).into())).collect()
}

fn number(stored: i64) -> Result<u32> {
    let wrong = |_| StoreError::Validation("a pre-key number is out of range".to_owned());
    u32::try_from(stored).map_err(wrong)
}
