//! The queue of a session, from its tenant's view: what waits, why, and until when. A tenant can pause it and empty it.
//!
//! | page | what it holds |
//! |---|---|
//! | here | pausing |
//! | [`view`] | how full it is, what limits it, and what goes next |
//! | [`messages`] | the messages in it: in which order they go, and canceling them |
//! | [`outlook`] | when a message is sent, as far as that can be said |

pub mod messages;
pub mod outlook;
pub mod view;

#[cfg(test)]
mod tests;

use passerelle_engine::ids::{OrgId, SessionId};

use crate::{error::Fault, services::Services, store};

/// Pauses the queue: nothing of it is sent until it is resumed. A message that is being sent is sent. Returns whether there is
/// such a session.
pub async fn pause(services: &Services, org: OrgId, session: SessionId) -> Result<bool, Fault> {
    set(services, org, session, true).await
}

/// Lets the queue go on. Its first message takes its time, as after a connect. Returns whether there is such a session.
pub async fn resume(services: &Services, org: OrgId, session: SessionId) -> Result<bool, Fault> {
    let found = set(services, org, session, false).await?;
    services.wake_lanes();
    Ok(found)
}

async fn set(
    services: &Services,
    org: OrgId,
    session: SessionId,
    pauses: bool,
) -> Result<bool, Fault> {
    let now = services.clock().now();
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            Ok::<_, Fault>(store::queues::pause(tx, org, session, (pauses, now)).await?)
        })
    });
    write.await
}
