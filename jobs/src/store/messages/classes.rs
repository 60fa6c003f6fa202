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

/// Returns whether a message that is no reply waits in the session's lane for one of these contacts.
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
         WHERE m.org_id = $2 AND m.session_id = $3 AND m.status = 'queued' AND coalesce(m.class, '') <> 'reply' LIMIT 1"
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
/// that the tenant wanted. The caller has locked the lane.
pub(crate) async fn now_replies(
    tx: &mut Tx,
    org: OrgId,
    session: SessionId,
    contacts: &[ContactId],
) -> Result<(), sqlx::Error> {
    let sql = over_list!(
        tx.dialect(),
        "UPDATE message SET class = 'reply', send_at = CASE WHEN hold IS NULL THEN send_at ELSE coalesce(wanted_at, 0) END, \
         hold = NULL, wanted_at = NULL WHERE org_id = $2 AND session_id = $3 AND status = 'queued' AND coalesce(class, '') <> 'reply' \
         AND contact_id IN (SELECT k.id FROM",
        "wrote JOIN contact k ON k.id = wrote.value ->> 0 OR k.merged_into = wrote.value ->> 0)"
    );
    sqlx::query(sql)
        .bind(list(contacts))
        .bind(org.to_string())
        .bind(session.to_string())
        .run(tx)
        .await
}
