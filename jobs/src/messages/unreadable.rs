//! Outbound messages that cannot be read: they leave their lane and end with a code.

use passerelle_engine::{
    clock::{Clock, Millis},
    ids::{MessageId, OrgId, SessionId},
    store::Tx,
    vault::DataKey,
};
use serde_json::{Value, json};

use crate::{
    error::Fault,
    events::emit::{NewEvent, emit},
    model::{Status, UNREADABLE, event::EventType, rfc3339},
    store::{self, messages::Plain},
};

/// A message by its ids alone.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    pub(crate) org: OrgId,
    pub(crate) session: SessionId,
    pub(crate) id: MessageId,
}

/// Ends a queued or claimed message: `failed`, or `unknown` if it may have been sent. Its lane may go on at
/// `next`; without that, a claimed message is left alone. The event has what is stored unencrypted; without a key there is none. Does nothing if the message
/// was settled before.
pub(crate) async fn end(
    tx: &mut Tx,
    key: Option<&DataKey>,
    clock: &Clock,
    named: Named,
    (next, may_be_sent): (Option<Millis>, bool),
) -> Result<(), Fault> {
    let Named { org, session, id } = named;
    store::lanes::lock(tx, org, session).await?;
    let Some(plain) = store::messages::plain(tx, org, id).await? else {
        return Ok(());
    };
    let was_claimed = match next {
        Some(next) => store::lanes::release(tx, org, session, id, next).await?,
        None => false,
    };
    if !was_claimed {
        if plain.status != Status::Queued.as_str() {
            return Ok(());
        }
        store::lanes::leave(tx, org, session).await?;
    }
    let (status, kind) = if may_be_sent || plain.resends > 0 {
        (Status::Unknown, EventType::MessageUnknown)
    } else {
        (Status::Failed, EventType::MessageFailed)
    };
    let ended = (status, Some(UNREADABLE));
    store::messages::end(tx, org, id, ended, clock.now()).await?;
    let Some(key) = key else { return Ok(()) };
    let event = NewEvent {
        org,
        session: Some(session),
        message: Some(id),
        kind,
        data: json!({ "message": shown(named, status, &plain) }),
    };
    emit(tx, key, event, clock).await?;
    Ok(())
}

fn shown(named: Named, status: Status, plain: &Plain) -> Value {
    let mut shown = json!({
        "id": named.id,
        "object": "message",
        "session_id": named.session,
        "direction": "outbound",
        "source": "gateway",
        "type": "unreadable",
        "status": status.as_str(),
        "error": { "code": UNREADABLE },
        "wa_message_id": plain.wa_id,
        "created_at": rfc3339(plain.created_at),
    });
    if let Some(at) = plain.expires_at {
        shown["expires_at"] = json!(rfc3339(at));
    }
    shown
}
