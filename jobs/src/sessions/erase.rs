//! Erases deleted sessions: their messages, events, deliveries, files and keys, and the contacts that only
//! they met.
//!
//! A session is erased in steps, each a short transaction of its own. Between two steps there is a pause as
//! long as the step took, and deleted sessions take turns, so that others can write in between. What is left
//! to do is in the database, so a process that dies in the middle loses nothing: the next look goes on.

use std::time::Duration;

use passerelle_engine::ids::SessionId;
use tokio_util::sync::CancellationToken;

use crate::{
    crash,
    error::Fault,
    services::Services,
    state::back_off::BackOff,
    store::system::erasures::{self, Erasing, Last},
};

/// Between two looks for deleted sessions.
const LOOK: Duration = Duration::from_secs(1);

/// Erases until stopped.
pub(crate) async fn run(services: Services, stop: CancellationToken) {
    let mut left_alone = BackOff::default();
    while !stop.is_cancelled() {
        match round(&services, &stop, &mut left_alone).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(fault) => {
                tracing::warn!(error = %fault, "deleted sessions could not be erased; trying again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Makes one step for each deleted session, page by page, so that those that fail hide none. Returns whether any has
/// more to do.
async fn round(
    services: &Services,
    stop: &CancellationToken,
    left_alone: &mut BackOff<SessionId>,
) -> Result<bool, Fault> {
    let (mut has_more, mut next) = (false, Some(Last::default()));
    while let Some(last) = next {
        let (page, after) = {
            let mut conn = services.store().read_system().await?;
            erasures::pending(&mut conn, &last).await?
        };
        has_more |= step_each(services, stop, left_alone, page).await?;
        next = after.filter(|_| !stop.is_cancelled());
    }
    Ok(has_more)
}

/// Makes one step for each of these sessions. Returns whether any has more to do.
async fn step_each(
    services: &Services,
    stop: &CancellationToken,
    left_alone: &mut BackOff<SessionId>,
    page: Vec<Erasing>,
) -> Result<bool, Fault> {
    let mut has_more = false;
    for erasing in page {
        let began = services.clock().monotonic();
        if stop.is_cancelled() {
            return Ok(false);
        }
        if left_alone.rests(&erasing.session, began) {
            continue;
        }
        match step(services, erasing).await {
            Ok(is_last) => {
                left_alone.done(&erasing.session);
                has_more |= !is_last;
            }
            Err(fault) if fault.is_outage() => return Err(fault),
            Err(fault) => {
                left_alone.failed(erasing.session, began);
                tracing::error!(session.id = %erasing.session, error = %fault, "a deleted session could not be erased");
            }
        }
        tokio::time::sleep(began.elapsed()).await;
    }
    Ok(has_more)
}

/// Makes one step. Returns whether it was the last one.
async fn step(services: &Services, erasing: Erasing) -> Result<bool, Fault> {
    let write = services.store().write_system(move |tx| {
        Box::pin(async move {
            let step = erasures::step(tx, erasing).await?;
            crash::point("erase.before_commit");
            Ok::<_, Fault>(step)
        })
    });
    let step = write.await?;
    crash::point("erase.after_commit");
    for object in step.objects {
        // If this fails, the reconciler deletes the bytes.
        let objects = &services.settings().media.objects;
        objects.forget(erasing.org, object).await;
    }
    Ok(step.is_last)
}
