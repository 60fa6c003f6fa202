//! Fingerprints of first messages, as a claim sees them.

use std::collections::HashMap;

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, MessageId},
    over_list,
    store::SystemTx,
};
use serde_json::json;
use sqlx::{Row as _, any::AnyRow};

use crate::store::row;

/// A message's own fingerprint, and another one of its organisation that went to somebody else.
pub(crate) struct Pair {
    pub(crate) own: Vec<u8>,
    pub(crate) other: Vec<u8>,
    pub(crate) contact: ContactId,
    pub(crate) at: Millis,
}

/// Returns, for each of these messages with a fingerprint, those of its organisation that went since then, oldest first.
pub(crate) async fn beside(
    tx: &mut SystemTx,
    messages: &[MessageId],
    since: Millis,
) -> Result<HashMap<MessageId, Vec<Pair>>, sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "SELECT f.message_id, f.value AS own, o.value AS other, o.contact_id, o.at FROM",
        "asked JOIN fingerprint f ON f.message_id = asked.value ->> 0 JOIN fingerprint o ON o.org_id = f.org_id AND o.at > $2 \
         AND o.sent = 1 AND o.contact_id <> f.contact_id ORDER BY o.at"
    );
    let list: Vec<_> = messages.iter().map(|id| [id]).collect();
    let rows = sqlx::query(sql)
        .bind(json!(list).to_string())
        .bind(since)
        .fetch_all(tx.conn())
        .await?;
    let read = |row: &AnyRow| {
        let pair = Pair {
            own: row.try_get("own")?,
            other: row.try_get("other")?,
            contact: row::id(row, "contact_id")?,
            at: row.try_get("at")?,
        };
        Ok((row::id(row, "message_id")?, pair))
    };
    let mut found: HashMap<MessageId, Vec<Pair>> = HashMap::new();
    for (message, pair) in row::each("fingerprint", &rows, read) {
        found.entry(message).or_default().push(pair);
    }
    Ok(found)
}

/// Notes when these messages go.
pub(crate) async fn sent(
    tx: &mut SystemTx,
    messages: &[(MessageId, Millis)],
) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "UPDATE fingerprint SET sent = 1, at = CAST(going.value ->> 1 AS bigint) FROM",
        "going WHERE fingerprint.message_id = going.value ->> 0"
    );
    sqlx::query(sql)
        .bind(json!(messages).to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Forgets fingerprints from before this time, but those of messages that wait.
pub(crate) async fn forget(tx: &mut SystemTx, before: Millis) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM fingerprint WHERE at < $1 AND (sent = 1 OR NOT EXISTS \
         (SELECT 1 FROM message m WHERE m.id = fingerprint.message_id AND m.status IN ('queued', 'sending')))",
    )
    .bind(before)
    .execute(tx.conn())
    .await?;
    Ok(())
}
