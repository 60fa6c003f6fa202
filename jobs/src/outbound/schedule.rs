//! When a message is sent: not before a time, and before or after others. It can be changed while the message is queued.

use std::time::Duration;

use passerelle_engine::{
    clock::Millis,
    ids::{MessageId, OrgId},
};

use crate::{
    error::Fault,
    media::outgoing,
    messages,
    model::{Message, Priority, Status, millis},
    services::Services,
    store::{self, messages::When},
};

/// The longest time from now on that a message can be scheduled for.
pub const SEND_AT_MAX: Duration = Duration::from_hours(30 * 24);

/// A change of a queued message. What is `None` stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change {
    /// The new time; `Some(None)` sends it in its turn.
    pub send_at: Option<Option<Millis>>,
    pub priority: Option<Priority>,
}

/// Why a message was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// No such message.
    #[error("no such message")]
    NotFound,
    /// The message is no longer queued.
    #[error("the message is no longer queued")]
    TooLate(Status),
    /// The time is in the past, or too far in the future, or the message cannot have one.
    #[error("the time cannot be the message's")]
    SendAt,
    /// The gateway failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Returns whether a message can be scheduled for this time.
pub(super) fn is_possible(at: Millis, now: Millis) -> bool {
    at > now && at <= now.saturating_add(millis(SEND_AT_MAX))
}

/// Changes when a message is sent that no host has claimed yet. Its expiry moves with its time.
pub async fn change(
    services: &Services,
    org: OrgId,
    id: MessageId,
    change: Change,
) -> Result<Message, ChangeError> {
    let message = read(services, org, id).await?;
    if message.status != Status::Queued {
        return Err(ChangeError::TooLate(message.status));
    }
    let now = services.clock().now();
    let is_about_another = message.content.target().is_some();
    if let Some(Some(at)) = change.send_at
        && (is_about_another || !is_possible(at, now))
    {
        return Err(ChangeError::SendAt);
    }
    let when = when(&message, change, now);
    let (session, media) = (message.session, message.content.media().map(|(_, media)| media.media_id));
    let changed = services.store().write(org, move |tx| {
        Box::pin(async move {
            // The lane is always locked before its messages.
            store::lanes::lock(tx, org, session).await?;
            if !store::messages::reschedule(tx, org, id, when).await? {
                return Ok(false);
            }
            store::lanes::resume(tx, org, session, when.send_at).await?;
            if let Some(media) = media {
                outgoing::keep(tx, org, media, when.expires_at).await?;
            }
            Ok::<_, Fault>(true)
        })
    });
    let changed = changed.await?;
    services.wake_lanes();
    let message = read(services, org, id).await?;
    if changed {
        Ok(message)
    } else {
        Err(ChangeError::TooLate(message.status))
    }
}

async fn read(services: &Services, org: OrgId, id: MessageId) -> Result<Message, ChangeError> {
    let message = messages::read(services, org, id).await?;
    message.ok_or(ChangeError::NotFound)
}

/// Returns when the changed message is sent.
fn when(message: &Message, change: Change, now: Millis) -> When {
    let send_at = change.send_at.unwrap_or(message.send_at);
    let expires_at = message.expires_at.unwrap_or(Millis::MAX);
    let life = expires_at.saturating_sub(message.send_at.unwrap_or(message.created_at));
    When {
        send_at: send_at.unwrap_or(0),
        expires_at: match change.send_at {
            Some(at) => at.unwrap_or(now).saturating_add(life),
            None => expires_at,
        },
        priority: change.priority.unwrap_or(message.priority),
    }
}
