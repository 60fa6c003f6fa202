//! The classes of messages that wait.

use passerelle_engine::{
    ids::{ContactId, OrgId, SessionId},
    over_list,
    store::Tx,
};
use serde_json::json;

use crate::store::row::Run as _;

fn list(contacts: &[ContactId]) -> String {
    json!(contacts.iter().map(|id| [id]).collect::<Vec<_>>()).to_string()
}

/// Returns whether a message waits in the session's lane that may go earlier when one of these contacts writes: it is for one of
/// them and no reply, or a limit holds it that counts answers.
pub(crate) async fn wait_for(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    contacts: &[ContactId],
) -> Result<bool, sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "SELECT 1 FROM",
        "wrote JOIN contact k ON (k.id = wrote.value ->> 0 OR k.merged_into = wrote.value ->> 0) JOIN message m ON m.contact_id = k.id \
         WHERE m.org_id = $2 AND m.session_id = $3 AND m.status = 'queued' AND (coalesce(m.class, '') <> 'reply' OR m.hold IS NOT NULL) \
         UNION ALL SELECT 1 FROM message m WHERE m.org_id = $2 AND m.session_id = $3 AND m.status = 'queued' AND m.class = 'cold' AND m.hold = 'reply_ratio' \
         UNION ALL SELECT 1 FROM lane l WHERE l.org_id = $2 AND l.session_id = $3 AND l.rests = 1 AND l.hold = 'unanswered_in_30_days' LIMIT 1"
    );
    let found = sqlx::query(sql)
        .bind(list(contacts))
        .bind(org.to_string())
        .bind(session.to_string())
        .fetch_optional(tx.conn())
        .await?;
    Ok(found.is_some())
}

/// Makes what waits in the session's lane for these contacts a reply. What a limit of a contact held may go at the time
/// that the tenant wanted, and so may what too few answers held. The caller has locked the lane.
pub(crate) async fn now_replies(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    contacts: &[ContactId],
) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "UPDATE message SET class = 'reply', \
         waits = CASE WHEN coalesce(class, 'reply') = 'reply' THEN waits ELSE coalesce(waits || ',', '') || '[\"class:' || class || '\",0,0]' END, \
         send_at = CASE WHEN hold IS NULL THEN send_at ELSE coalesce(wanted_at, 0) END, \
         hold = NULL, wanted_at = NULL WHERE org_id = $2 AND session_id = $3 AND status = 'queued' AND (coalesce(class, '') <> 'reply' OR hold IS NOT NULL) \
         AND contact_id IN (SELECT k.id FROM",
        "wrote JOIN contact k ON k.id = wrote.value ->> 0 OR k.merged_into = wrote.value ->> 0)"
    );
    sqlx::query(sql)
        .bind(list(contacts))
        .bind(org.to_string())
        .bind(session.to_string())
        .run(tx)
        .await?;
    sqlx::query(
        "UPDATE message SET send_at = coalesce(wanted_at, 0), hold = NULL, wanted_at = NULL \
         WHERE org_id = $1 AND session_id = $2 AND status = 'queued' AND hold = 'reply_ratio'",
    )
    .bind(org.to_string())
    .bind(session.to_string())
    .run(tx)
    .await
}
