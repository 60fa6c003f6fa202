//! Privacy tokens of contacts (`key_token`).
//!
//! Two writers share a row: one stores the contact's token, the other records when we sent ours.
//! Each writes its own fields in one statement, so neither overwrites the other.

use sqlx::AnyConnection;
use wacore::store::{error::Result, traits::TcTokenEntry};

use super::{
    SealedKeyStore, hex, lid, name_mac,
    sql::{Cell, Statement, statement},
};
use crate::{
    content::Peer,
    ids::{OrgId, SessionId},
    vault::DataKey,
};

const NAME: &str = "token_name";
const TOKEN: &str = "token";

/// Returns whether a session holds a token of this contact: WhatsApp knows their chat. `key` is the session's. A token has
/// the contact's LID for its name, or the digits of the phone if no LID was known when it came.
pub async fn is_held(
    conn: &mut AnyConnection,
    key: &DataKey,
    (org, session): (OrgId, SessionId),
    contact: &Peer,
) -> sqlx::Result<bool> {
    const SELECT: &str = "SELECT 1 FROM key_token WHERE session_id = $1 AND name_mac IN ($2, $3) \
         AND token_sealed IS NOT NULL LIMIT 1";
    let phone = contact
        .phone
        .as_ref()
        .map(|phone| phone.as_str().trim_start_matches('+'));
    let lid = match (&contact.lid, phone) {
        (Some(lid), _) => Some(lid.clone()),
        (None, Some(phone)) => lid::of_phone(&mut *conn, key, (org, session), phone).await?,
        (None, None) => None,
    };
    let mac =
        |name: Option<&str>| name.map(|name| name_mac(key, NAME, &[name.as_bytes()]).to_vec());
    let held = sqlx::query(SELECT)
        .bind(session.to_string())
        .bind(mac(lid.as_deref()))
        .bind(mac(phone))
        .fetch_optional(conn)
        .await?;
    Ok(held.is_some())
}

impl SealedKeyStore {
    pub(super) async fn token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        const SELECT: &str = "SELECT token_sealed, token_at, sender_at FROM key_token WHERE session_id = $1 AND name_mac = $2";
        let mac = self.mac(NAME, &[jid.as_bytes()]);
        let row: Option<(Option<Vec<u8>>, i64, Option<i64>)> = self
            .rows
            .fetch_one(statement(SELECT, [self.session(), mac.into()]))
            .await?;
        row.map(|(sealed, token_timestamp, sender_timestamp)| {
            let token = match sealed {
                Some(sealed) => self.open(TOKEN, &hex(mac), &sealed)?.to_vec(),
                None => Vec::new(),
            };
            Ok(TcTokenEntry {
                token,
                token_timestamp,
                sender_timestamp,
            })
        })
        .transpose()
    }

    pub(super) async fn put_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        const PUT: &str = "INSERT INTO key_token (session_id, name_mac, name_sealed, token_sealed, token_at, sender_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (session_id, name_mac) DO UPDATE \
             SET token_sealed = excluded.token_sealed, token_at = excluded.token_at, sender_at = excluded.sender_at";
        let sent = Cell::MaybeInt(entry.sender_timestamp);
        let put = self.token_statement(PUT, jid, &entry.token, entry.token_timestamp, sent);
        self.rows.execute(vec![put]).await?;
        Ok(())
    }

    /// Records when we sent our token to the contact. The time only moves forward.
    pub(super) async fn touch_token(&self, jid: &str, sent_at: i64) -> Result<()> {
        const TOUCH: &str = "INSERT INTO key_token (session_id, name_mac, name_sealed, token_sealed, token_at, sender_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (session_id, name_mac) DO UPDATE \
             SET sender_at = CASE WHEN key_token.sender_at > excluded.sender_at \
             THEN key_token.sender_at ELSE excluded.sender_at END";
        let touch = self.token_statement(TOUCH, jid, &[], sent_at, Cell::MaybeInt(Some(sent_at)));
        self.rows.execute(vec![touch]).await?;
        Ok(())
    }

    /// Stores a token from a contact, unless a newer one is stored.
    pub(super) async fn receive_token(&self, jid: &str, token: &[u8], at: i64) -> Result<()> {
        const RECEIVE: &str = "INSERT INTO key_token (session_id, name_mac, name_sealed, token_sealed, token_at, sender_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (session_id, name_mac) DO UPDATE \
             SET token_sealed = excluded.token_sealed, token_at = excluded.token_at \
             WHERE key_token.token_sealed IS NULL OR excluded.token_at >= key_token.token_at";
        let receive = self.token_statement(RECEIVE, jid, token, at, Cell::MaybeInt(None));
        self.rows.execute(vec![receive]).await?;
        Ok(())
    }

    fn token_statement(
        &self,
        text: &'static str,
        jid: &str,
        token: &[u8],
        at: i64,
        sent_at: Cell,
    ) -> Statement {
        let mac = self.mac(NAME, &[jid.as_bytes()]);
        let sealed = (!token.is_empty()).then(|| self.seal(TOKEN, &hex(mac), token));
        let cells = [
            self.session(),
            mac.into(),
            Cell::Blob(self.seal(NAME, &hex(mac), jid.as_bytes())),
            Cell::MaybeBlob(sealed),
            Cell::Int(at),
            sent_at,
        ];
        statement(text, cells)
    }

    pub(super) async fn delete_token(&self, jid: &str) -> Result<()> {
        const DELETE: &str = "DELETE FROM key_token WHERE session_id = $1 AND name_mac = $2";
        let mac = self.mac(NAME, &[jid.as_bytes()]);
        let delete = statement(DELETE, [self.session(), mac.into()]);
        self.rows.execute(vec![delete]).await?;
        Ok(())
    }

    pub(super) async fn token_names(&self) -> Result<Vec<String>> {
        const SELECT: &str =
            "SELECT name_mac, name_sealed FROM key_token WHERE session_id = $1 LIMIT 1000000";
        let rows: Vec<(Vec<u8>, Vec<u8>)> =
            self.rows.fetch(statement(SELECT, [self.session()])).await?;
        rows.iter()
            .map(|(mac, sealed)| {
                let name = self.open(NAME, &hex(mac), sealed)?;
                Ok(String::from_utf8_lossy(&name).into_owned())
            })
            .collect()
    }

    /// Deletes rows in which both sides are expired.
    pub(super) async fn expire_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32> {
        const PROBE: &str = "SELECT session_id FROM key_token WHERE session_id = $1 \
             AND (token_sealed IS NULL OR token_at < $2) AND (sender_at IS NULL OR sender_at < $3) LIMIT 1";
        const DELETE: &str = "DELETE FROM key_token WHERE session_id = $1 \
             AND (token_sealed IS NULL OR token_at < $2) AND (sender_at IS NULL OR sender_at < $3)";
        let cells = [
            self.session(),
            Cell::Int(token_cutoff),
            Cell::Int(sender_cutoff),
        ];
        self.sweep(statement(PROBE, cells.clone()), statement(DELETE, cells))
            .await
    }
}
