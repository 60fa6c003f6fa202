//! Messages that are kept for a while (`key_message`): sent messages, in case the other side asks
//! for them again, and received messages until the gateway has committed them.

use std::collections::BTreeMap;

use wacore::store::error::Result;

use super::{
    SealedKeyStore, hex,
    record::Name,
    sql::{Cell, among, insert, statement},
};

pub(super) const SENT: &str = "sent_message";
pub(super) const PENDING: &str = "pending_inbound";

impl SealedKeyStore {
    pub(super) async fn put_messages<'a>(
        &self,
        kind: &'static str,
        messages: impl Iterator<Item = (Vec<&'a [u8]>, &'a [u8])> + Send,
    ) -> Result<()> {
        const INSERT: &str =
            "INSERT INTO key_message (session_id, kind, name_mac, stored_at, sealed)";
        const REPLACE: &str = "ON CONFLICT (session_id, kind, name_mac) DO UPDATE \
             SET stored_at = excluded.stored_at, sealed = excluded.sealed";
        let now = self.seconds();
        let rows: BTreeMap<_, _> = messages
            .map(|(name, message)| {
                let mac = self.mac(kind, &name);
                let row = [
                    self.session(),
                    Cell::Text(kind.to_owned()),
                    mac.into(),
                    Cell::Int(now),
                    Cell::Blob(self.seal(kind, &hex(mac), message)),
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

    pub(super) async fn message(
        &self,
        kind: &'static str,
        name: Name<'_>,
    ) -> Result<Option<Vec<u8>>> {
        const SELECT: &str =
            "SELECT sealed FROM key_message WHERE session_id = $1 AND kind = $2 AND name_mac = $3";
        let mac = self.mac(kind, name);
        let cells = [self.session(), Cell::Text(kind.to_owned()), mac.into()];
        let row: Option<(Vec<u8>,)> = self.rows.fetch_one(statement(SELECT, cells)).await?;
        row.map(|(sealed,)| Ok(self.open(kind, &hex(mac), &sealed)?.to_vec()))
            .transpose()
    }

    pub(super) async fn delete_messages<'a>(
        &self,
        kind: &'static str,
        names: impl Iterator<Item = Vec<&'a [u8]>> + Send,
    ) -> Result<()> {
        const DELETE: &str =
            "DELETE FROM key_message WHERE session_id = $1 AND kind = $2 AND name_mac IN";
        let macs = names.map(|name| self.mac(kind, &name).into()).collect();
        let of = [self.session(), Cell::Text(kind.to_owned())];
        self.rows.execute(among(DELETE, &of, macs)).await?;
        Ok(())
    }

    /// Deletes messages stored before `cutoff`, in seconds since 1970 UTC.
    pub(super) async fn expire_messages(&self, kind: &'static str, cutoff: i64) -> Result<u32> {
        const PROBE: &str = "SELECT kind FROM key_message \
             WHERE session_id = $1 AND kind = $2 AND stored_at < $3 LIMIT 1";
        const DELETE: &str =
            "DELETE FROM key_message WHERE session_id = $1 AND kind = $2 AND stored_at < $3";
        let cells = [
            self.session(),
            Cell::Text(kind.to_owned()),
            Cell::Int(cutoff),
        ];
        self.sweep(statement(PROBE, cells.clone()), statement(DELETE, cells))
            .await
    }
}
