//! The sealed key store: the WhatsApp library's storage traits over the store.
//!
//! Each session has one small object and no cache; the library has its own cache. Every write is
//! durable when it returns. It begins with a check of the session's lease; if the lease is lost,
//! the session's run is cancelled. The writes of a session happen in the order of the calls. Values
//! are sealed under the session's data key; names are look-up HMACs.
//!
//! Never restore these rows from an older backup: when a message counter is used twice, the other
//! side drops messages without an error. After a restore, [`wipe`] the session and link it again.
//!
//! | page | what it holds |
//! |---|---|
//! | [`record`] | one value under one name |
//! | [`signal`], [`prekey`] | identities, sessions, sender keys; pre-keys |
//! | [`appsync`], [`member`] | app-state keys, versions and entries; members of sets |
//! | [`protocol`], [`lid`], [`token`], [`message`] | the library's protocol state |
//! | [`secret`], [`device`] | secrets of messages; the linked device |
//! | [`rows`] | reading and writing rows, each call in a task of its own |
//! | [`sql`] | statements over many rows |

mod appsync;
mod device;
mod lid;
mod member;
mod message;
mod prekey;
mod protocol;
mod record;
mod rows;
mod secret;
mod signal;
mod sql;
#[cfg(test)]
mod tests;
pub mod token;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;
use wacore::store::error::{Result, StoreError};
use zeroize::Zeroizing;

use self::{
    rows::Rows,
    sql::{Cell, Statement},
};
use crate::{
    clock::Clock,
    ids::SessionId,
    lease::Lease,
    store::{Store, Tx},
    vault::{DataKey, Place, VaultError},
};

/// The WhatsApp keys of one session.
pub struct SealedKeyStore {
    rows: Arc<Rows>,
    key: Arc<DataKey>,
    clock: Clock,
    /// The newest number returned by [`SealedKeyStore::turns`].
    turn: AtomicI64,
}

impl SealedKeyStore {
    /// Opens the keys of the lease's session. A write that finds the lease lost cancels `lost`.
    /// While the database does not answer, every call waits, until `stop` is cancelled because the
    /// session is to stop.
    pub fn new(
        store: Store,
        lease: Lease,
        key: Arc<DataKey>,
        clock: Clock,
        lost: CancellationToken,
        stop: CancellationToken,
    ) -> Self {
        Self {
            rows: Arc::new(Rows::new(store, lease, lost, stop)),
            key,
            clock,
            turn: AtomicI64::new(0),
        }
    }

    /// Deletes rows only if `probe` finds one. The library sweeps often and mostly finds nothing; a
    /// write without effect would still have to wait for SQLite's single writer.
    async fn sweep(&self, probe: Statement, delete: Statement) -> Result<u32> {
        if self.rows.fetch_one::<(String,)>(probe).await?.is_none() {
            return Ok(0);
        }
        let gone = self.rows.execute(vec![delete]).await?;
        Ok(u32::try_from(gone).unwrap_or(u32::MAX))
    }

    fn session(&self) -> Cell {
        Cell::Text(self.rows.lease.session.to_string())
    }

    fn mac(&self, kind: &'static str, parts: &[&[u8]]) -> [u8; 32] {
        name_mac(&self.key, kind, parts)
    }

    fn seal(&self, kind: &'static str, record: &str, plain: &[u8]) -> Vec<u8> {
        self.key.seal(&self.place(kind, record), plain)
    }

    fn open(&self, kind: &'static str, record: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.key
            .open(&self.place(kind, record), sealed)
            .map_err(unreadable)
    }

    fn seal_json<T: Serialize>(
        &self,
        kind: &'static str,
        record: &str,
        value: &T,
    ) -> Result<Vec<u8>> {
        self.key
            .seal_json(&self.place(kind, record), value)
            .map_err(unreadable)
    }

    fn open_json<T: DeserializeOwned>(
        &self,
        kind: &'static str,
        record: &str,
        sealed: &[u8],
    ) -> Result<T> {
        self.key
            .open_json(&self.place(kind, record), sealed)
            .map_err(unreadable)
    }

    fn place<'a>(&self, kind: &'static str, record: &'a str) -> Place<'a> {
        Place {
            org: self.rows.lease.org,
            session: Some(self.rows.lease.session),
            table: kind,
            record,
        }
    }

    /// Reserves `count` numbers, each greater than all before. Returns the first.
    fn turns(&self, count: usize) -> i64 {
        let now = self.clock.now().saturating_mul(1000);
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let next = |last: i64| Some(last.max(now).saturating_add(count));
        let before = self
            .turn
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .expect("the closure always returns a number");
        before.max(now) + 1
    }

    /// Returns the time in seconds since 1970 UTC, the unit of the library.
    fn seconds(&self) -> i64 {
        self.clock.now().div_euclid(1000)
    }
}

/// Returns the look-up HMAC of a name that has several parts. Each part goes in with its length.
fn name_mac(key: &DataKey, kind: &'static str, parts: &[&[u8]]) -> [u8; 32] {
    let mut name = Vec::with_capacity(96);
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part);
    }
    key.mac(kind, &name)
}

impl fmt::Debug for SealedKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedKeyStore[{}, sealed]", self.rows.lease.session)
    }
}

/// Deletes all WhatsApp keys of a session: it logged out, will be linked again, or is deleted.
pub async fn wipe(tx: &mut Tx, session: SessionId) -> sqlx::Result<()> {
    const TABLES: [&str; 7] = [
        "DELETE FROM key_record WHERE session_id = $1",
        "DELETE FROM key_prekey WHERE session_id = $1",
        "DELETE FROM key_member WHERE session_id = $1",
        "DELETE FROM key_lid WHERE session_id = $1",
        "DELETE FROM key_message WHERE session_id = $1",
        "DELETE FROM key_secret WHERE session_id = $1",
        "DELETE FROM key_token WHERE session_id = $1",
    ];
    for delete in TABLES {
        sqlx::query(delete)
            .bind(session.to_string())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// Deletes at most `limit` rows of a deleted session's keys. Returns how many it deleted.
pub async fn erase(tx: &mut Tx, session: SessionId, limit: u64) -> sqlx::Result<u64> {
    const TABLES: [&str; 7] = [
        "DELETE FROM key_record WHERE (session_id, kind, name_mac) IN \
         (SELECT session_id, kind, name_mac FROM key_record WHERE session_id = $1 LIMIT $2)",
        "DELETE FROM key_prekey WHERE (session_id, signed, number) IN \
         (SELECT session_id, signed, number FROM key_prekey WHERE session_id = $1 LIMIT $2)",
        "DELETE FROM key_member WHERE (session_id, kind, set_mac, member_mac) IN \
         (SELECT session_id, kind, set_mac, member_mac FROM key_member WHERE session_id = $1 LIMIT $2)",
        "DELETE FROM key_lid WHERE (session_id, lid_mac) IN \
         (SELECT session_id, lid_mac FROM key_lid WHERE session_id = $1 LIMIT $2)",
        "DELETE FROM key_message WHERE (session_id, kind, name_mac) IN \
         (SELECT session_id, kind, name_mac FROM key_message WHERE session_id = $1 LIMIT $2)",
        "DELETE FROM key_secret WHERE (session_id, name_mac) IN \
         (SELECT session_id, name_mac FROM key_secret WHERE session_id = $1 LIMIT $2)",
        "DELETE FROM key_token WHERE (session_id, name_mac) IN \
         (SELECT session_id, name_mac FROM key_token WHERE session_id = $1 LIMIT $2)",
    ];
    let mut deleted = 0;
    for delete in TABLES {
        let room = i64::try_from(limit.saturating_sub(deleted)).unwrap_or(i64::MAX);
        let done = sqlx::query(delete)
            .bind(session.to_string())
            .bind(room)
            .execute(tx.conn())
            .await?;
        deleted += done.rows_affected();
    }
    Ok(deleted)
}

/// The `record` of a [`Place`] is the HMAC of the name in hexadecimal, so that the name itself is
/// not stored.
use hex::encode as hex;

fn unreadable(error: VaultError) -> StoreError {
    StoreError::Serialization(Box::new(error))
}
