//! Events of rules for automatic replies.

use passerelle_engine::{
    clock::{Clock, Millis},
    ids::{AutoReplyId, ContactId, MessageId, OrgId, SessionId},
    store::Tx,
    vault::DataKey,
};
use serde_json::json;

use super::emit::{NewEvent, emit};
use crate::{
    error::Fault,
    model::{auto_reply::Outcome, event::EventType, rfc3339},
};

/// A rule that fired.
pub(crate) struct Matched<'a> {
    pub(crate) place: (OrgId, SessionId),
    /// The rule and its name.
    pub(crate) rule: (AutoReplyId, &'a str),
    /// The message that it fired at.
    pub(crate) message: MessageId,
    /// Who wrote that message.
    pub(crate) contact: ContactId,
    pub(crate) outcome: Outcome,
    /// The answer.
    pub(crate) reply: Option<MessageId>,
    /// Automatic replies to the chat rest until then.
    pub(crate) rests_until: Option<Millis>,
}

/// Writes the event of a rule that fired.
pub(crate) async fn matched(
    tx: &mut Tx,
    key: &DataKey,
    matched: &Matched<'_>,
    clock: &Clock,
) -> Result<(), Fault> {
    emit(tx, key, of_match(matched), clock).await?;
    Ok(())
}

pub(super) fn of_match(matched: &Matched<'_>) -> NewEvent {
    let (org, session) = matched.place;
    let (id, name) = matched.rule;
    let mut data = json!({
        "rule": { "id": id, "object": "auto_reply", "name": name },
        "message_id": matched.message,
        "contact_id": matched.contact,
        "outcome": matched.outcome.as_str(),
    });
    if let Some(reply) = matched.reply {
        data["reply_message_id"] = json!(reply);
    }
    if let Some(until) = matched.rests_until {
        data["rests_until"] = json!(rfc3339(until));
    }
    NewEvent {
        org,
        session: Some(session),
        message: None,
        kind: EventType::RuleMatched,
        data,
    }
}
