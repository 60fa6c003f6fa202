//! Messages that the number's owner wrote on the phone or on another linked device.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, OrgId, SessionId},
    store::Tx,
};
use sqlx::Row as _;

use super::{First, KnownTimer, New};
use crate::{model::Source, store::row};

/// The chat that a message was written in.
pub(crate) struct Place<'p> {
    /// The recipient or the group in look-up form.
    pub(crate) to_mac: &'p [u8; 32],
    /// The recipient, unless it is a group.
    pub(crate) contact: Option<ContactId>,
}

/// A message that was stored before.
pub(crate) struct Known {
    pub(crate) source: Source,
    /// Whether it could not be decrypted, and still waits for its content.
    pub(crate) waits: bool,
    pub(crate) first: First,
}

// Ordered by time: by the id alone, SQLite would walk the index of the list of the session.
pub(in crate::store) const FIND: &str = "SELECT id, kind, coalesce(source, 'gateway') AS source, created_at, sent_at FROM message \
         WHERE org_id = $1 AND session_id = $2 AND wa_id = $3 AND direction = 'outbound' AND (to_mac = $4 \
         OR contact_id IN (SELECT id FROM contact WHERE id = $5 UNION ALL SELECT id FROM contact WHERE merged_into = $5)) \
         ORDER BY created_at, id LIMIT 1";

/// Finds what this number wrote in the chat under WhatsApp's id: on another device, or through this gateway.
/// However the recipient was named then, the contact is the same.
pub(crate) async fn find(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    wa_id: &str,
    place: &Place<'_>,
) -> Result<Option<Known>, sqlx::Error> {
    let row = sqlx::query(FIND)
        .bind(org.to_string())
        .bind(session.to_string())
        .bind(wa_id)
        .bind(place.to_mac.to_vec())
        .bind(place.contact.map(|id| id.to_string()))
        .fetch_optional(tx.conn())
        .await?;
    row.map(|row| {
        let kind: String = row.try_get("kind")?;
        let (created_at, sent_at) = (row.try_get("created_at")?, row.try_get("sent_at")?);
        Ok(Known {
            source: row::word(&row, "source")?,
            waits: kind == "undecryptable",
            first: (row::id(&row, "id")?, created_at, sent_at),
        })
    })
    .transpose()
}

/// Inserts the message as sent. It has no place in the lane. Returns the timer of its chat.
pub(crate) async fn insert(
    tx: &mut Tx,
    new: &New,
    place: &Place<'_>,
    source: Source,
    sent_at: Millis,
) -> Result<KnownTimer, sqlx::Error> {
    let row = sqlx::query(
        "INSERT INTO message (id, org_id, session_id, direction, status, kind, wa_id, to_mac, contact_id, source, \
         peer_sealed, content_sealed, resends, created_at, sent_at, context_sealed, edit_of, expires_in) \
         VALUES ($1, $2, $3, 'outbound', 'sent', $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, $13, $14, $15) \
         RETURNING coalesce((SELECT t.seconds FROM chat_timer t WHERE t.session_id = $3 AND \
         (t.contact_id = $7 OR t.group_mac = $6) LIMIT 1), 0) AS timer",
    )
    .bind(new.id.to_string())
    .bind(new.org.to_string())
    .bind(new.session.to_string())
    .bind(new.kind)
    .bind(new.wa_id.as_str())
    .bind(place.to_mac.to_vec())
    .bind(place.contact.map(|id| id.to_string()))
    .bind(source.as_str())
    .bind(new.peer_sealed.as_slice())
    .bind(new.content_sealed.as_slice())
    .bind(new.created_at)
    .bind(sent_at)
    .bind(new.context_sealed.as_deref())
    .bind(new.edit_of.map(|id| id.to_string()))
    .bind(new.expires_in)
    .fetch_one(tx.conn())
    .await?;
    row.try_get("timer").map(Some)
}
