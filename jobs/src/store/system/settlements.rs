//! Settles messages, many at once.

use std::collections::HashMap;

use passerelle_engine::{
    clock::Millis,
    ids::{MessageId, SessionId},
    over_list,
    store::SystemTx,
};
use serde_json::json;
use sqlx::{Row as _, any::AnyRow};

use crate::store::{events::EventSlot, row};

/// Like [`lanes::release`](crate::store::lanes::release) for a list of `(session, running, not_before)`.
/// Also takes the sequence number of each session's next event. A lane in which another message is in
/// flight is left alone and is missing in the result.
pub(crate) async fn release(
    tx: &mut SystemTx,
    done: &[(SessionId, MessageId, Millis)],
) -> Result<HashMap<SessionId, EventSlot>, sqlx::Error> {
    // The subquery is `listening!`, with the organisation and the session of each row.
    let sql = over_list!(
        tx.dialect(),
        "UPDATE lane SET running_id = NULL, pending = pending - 1, last_event = last_event + 1, next_at = CASE \
         WHEN next_at > CAST(done.value ->> 2 AS bigint) THEN next_at ELSE CAST(done.value ->> 2 AS bigint) END, paced_until = CASE \
         WHEN paced_until > CAST(done.value ->> 2 AS bigint) THEN paced_until ELSE CAST(done.value ->> 2 AS bigint) END FROM",
        "done WHERE lane.session_id = done.value ->> 0 AND lane.running_id = done.value ->> 1 \
         RETURNING session_id, last_event, \
         (SELECT string_agg(e.id || ' ' || coalesce(e.wanted, e.events), '\n') \
          FROM endpoint e WHERE e.org_id = lane.org_id AND e.disabled_at IS NULL \
          AND (e.sessions IS NULL OR e.sessions LIKE '%' || lane.session_id || '%')) AS listening"
    );
    let rows = sqlx::query(sql)
        .bind(json!(done).to_string())
        .fetch_all(tx.conn())
        .await?;
    let released = |row: &AnyRow| {
        let slot = EventSlot {
            sequence: row.try_get("last_event")?,
            listening: row.try_get("listening")?,
        };
        Ok((row::id(row, "session_id")?, slot))
    };
    Ok(row::each("lane", &rows, released).into_iter().collect())
}

/// Like [`messages::advance`](crate::store::messages::advance) to `sent`, for a list of messages, each with how many
/// members its group had.
pub(crate) async fn sent(
    tx: &mut SystemTx,
    messages: &[(MessageId, Option<u32>)],
    at: Millis,
) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "UPDATE message SET status = 'sent', sent_at = coalesce(sent_at, $2), \
         members = CAST(sent.value ->> 1 AS bigint) FROM",
        "sent WHERE message.id = sent.value ->> 0"
    );
    sqlx::query(sql)
        .bind(json!(messages).to_string())
        .bind(at)
        .execute(tx.conn())
        .await?;
    Ok(())
}
