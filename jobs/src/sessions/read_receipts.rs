//! Read and played receipts for inbound messages. A receipt is not a message: as on a phone, it takes no
//! place in the lane and is not paced.

pub use passerelle_engine::whatsapp::Mark;
use passerelle_engine::{
    ids::{MessageId, OrgId},
    whatsapp::Named,
};

use crate::{
    error::Fault,
    messages,
    model::{Direction, Message},
    services::Services,
    sessions::commands::{self, Answer, Command},
    store,
};

/// Why a message was not marked.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// No such message.
    #[error("no such message")]
    NotFound,
    /// The message is not inbound, or its kind cannot be marked like this.
    #[error("the message cannot be marked")]
    NotMarkable,
    /// The session has no connection at the moment.
    #[error("the session is not connected")]
    NotConnected,
    /// The gateway failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Sends the receipt and stores that it was sent. Does nothing if the message was marked before.
pub async fn mark(
    services: &Services,
    org: OrgId,
    id: MessageId,
    mark: Mark,
) -> Result<Message, MarkError> {
    let message = messages::read(services, org, id)
        .await?
        .ok_or(MarkError::NotFound)?;
    if !is_markable(&message, mark) {
        return Err(MarkError::NotMarkable);
    }
    let done = match mark {
        Mark::Read => message.read_at,
        Mark::Played => message.played_at,
    };
    if done.is_some() {
        return Ok(message);
    }
    let command = Command::Mark {
        message: named(&message).ok_or(MarkError::NotMarkable)?,
        mark,
    };
    match commands::ask(services, org, message.session, command).await? {
        Answer::Done => {}
        Answer::Told(_) | Answer::Later(_) | Answer::Refused | Answer::NotConnected => {
            return Err(MarkError::NotConnected);
        }
    }
    keep(services, org, id, mark).await?;
    messages::read(services, org, id)
        .await?
        .ok_or(MarkError::NotFound)
}

/// Returns whether the mark fits the message: only inbound messages that a chat shows can be marked, and
/// only voice, audio and video as played.
fn is_markable(message: &Message, mark: Mark) -> bool {
    let shown = message.direction == Direction::Inbound && message.content.target().is_none();
    let plays = matches!(message.content.kind(), "voice" | "audio" | "video");
    shown && (mark == Mark::Read || plays)
}

/// Returns the names by which WhatsApp knows a message that it delivered. The chat is derived from the sender for
/// older rows, which did not store it. Returns `None` if the sender has neither LID nor phone.
pub(crate) fn named(message: &Message) -> Option<Named> {
    let Message { context, peer, .. } = message;
    let kept = context.chat.clone();
    let lid = || peer.lid.as_ref().map(|lid| format!("{lid}@lid"));
    let phone = || {
        let phone = peer.phone.as_ref()?;
        Some(format!("{}@s.whatsapp.net", phone.digits()))
    };
    Some(Named {
        chat: kept.or_else(lid).or_else(phone)?,
        member: context.participant.clone(),
        id: message.wa_id.clone(),
        from_me: message.direction == Direction::Outbound,
    })
}

async fn keep(services: &Services, org: OrgId, id: MessageId, mark: Mark) -> Result<(), Fault> {
    let now = services.clock().now();
    let write = services.store().write(org, move |tx| {
        Box::pin(async move {
            match mark {
                Mark::Read => store::targets::seen(tx, org, id, now).await,
                Mark::Played => store::targets::played(tx, org, id, now).await,
            }
        })
    });
    Ok(write.await?)
}
