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
    let (session, media) = (
        message.session,
        message.content.media().map(|(_, media)| media.media_id),
    );
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

#[cfg(test)]
mod tests {
    use passerelle_engine::{clock::Clock, content::Content, ids::SessionId};

    use super::*;
    use crate::model::{Direction, Source, client_data::ClientData};

    const HOUR: Millis = 60 * 60 * 1000;

    fn message(send_at: Option<Millis>, expires_at: Millis) -> Message {
        let clock = Clock::system();
        Message {
            id: MessageId::new(&clock),
            org: OrgId::new(&clock),
            session: SessionId::new(&clock),
            direction: Direction::Outbound,
            source: Source::Gateway,
            status: Status::Queued,
            peer: passerelle_engine::content::Peer {
                phone: None,
                lid: None,
            },
            group: None,
            contact: None,
            content: Content::text("hi"),
            context: passerelle_engine::content::Context::default(),
            client: ClientData::default(),
            wa_id: "3EB0".into(),
            error: None,
            expires_in: None,
            created_at: HOUR,
            class: None,
            purpose: None,
            consent: None,
            send_at,
            priority: Priority::Low,
            expires_at: Some(expires_at),
            sent_at: None,
            delivered_at: None,
            read_at: None,
            played_at: None,
            edited_at: None,
            deleted_at: None,
        }
    }

    #[test]
    fn a_message_lives_as_long_after_its_new_time_as_after_its_old_one() {
        let at_once = message(None, 25 * HOUR);
        let later = message(Some(10 * HOUR), 34 * HOUR);
        for (message, send_at, want) in [
            (&at_once, None, (0, 25 * HOUR)),
            (&at_once, Some(Some(5 * HOUR)), (5 * HOUR, 29 * HOUR)),
            (&later, Some(Some(5 * HOUR)), (5 * HOUR, 29 * HOUR)),
            (&later, Some(None), (0, 26 * HOUR)),
            (&later, None, (10 * HOUR, 34 * HOUR)),
        ] {
            let change = Change {
                send_at,
                priority: None,
            };
            let when = when(message, change, 2 * HOUR);
            assert_eq!((when.send_at, when.expires_at), want);
            assert_eq!(when.priority, Priority::Low);
        }
    }

    #[test]
    fn a_time_is_possible_from_now_on_for_thirty_days() {
        let days = 30 * 24 * HOUR;
        for (at, possible) in [
            (HOUR, false),
            (HOUR + 1, true),
            (HOUR + days, true),
            (HOUR + days + 1, false),
        ] {
            assert_eq!(is_possible(at, HOUR), possible, "{at}");
        }
    }
}
