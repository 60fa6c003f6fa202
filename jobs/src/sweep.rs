//! Sweeps: what becomes due with the passing of time.

use std::time::Duration;

use passerelle_engine::ids::{MessageId, OrgId};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Fault,
    messages,
    model::{Status, millis},
    outbound,
    services::Services,
    store,
};

/// Between two sweeps.
const LOOK: Duration = Duration::from_secs(1);
/// How long an idempotency key is remembered.
const KEY_TTL: Duration = Duration::from_hours(24);
/// How long the answer of a number check is kept. It is valid for a day.
const NUMBER_TTL: Duration = Duration::from_hours(25);
/// How long a command stays that nobody deleted: longer than any caller waits for its answer.
const COMMAND_TTL: Duration = Duration::from_mins(5);

/// Sweeps until stopped.
pub(crate) async fn run(services: Services, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(fault) = sweep(&services).await {
            tracing::warn!(error = %fault, "the sweep failed; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn sweep(services: &Services) -> Result<(), Fault> {
    let now = services.clock().now();
    expire(services, now).await?;
    let before = now.saturating_sub(millis(KEY_TTL));
    let forget = services.store().write_system(move |tx| {
        Box::pin(async move {
            store::system::forget_commands(tx, COMMAND_TTL).await?;
            store::system::forget_number_checks(tx, now.saturating_sub(millis(NUMBER_TTL))).await?;
            store::system::forget_idempotency(tx, before).await
        })
    });
    forget.await?;
    Ok(())
}

/// Expires queued messages past their time, each with its event.
pub(crate) async fn expire(services: &Services, now: i64) -> Result<(), Fault> {
    let overdue = {
        let mut conn = services.store().read_system().await?;
        store::system::overdue(&mut conn, now).await?
    };
    for (org, id, written) in overdue {
        // A message that was sent before and never acknowledged may have been shown.
        let status = if written {
            Status::Unknown
        } else {
            Status::Expired
        };
        match end(services, org, id, status).await {
            Err(fault) if fault.is_outage() => return Err(fault),
            // A message that cannot be read must not delay the others.
            Err(fault) => {
                tracing::error!(message.id = %id, error = %fault, "a message could not be expired");
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn end(services: &Services, org: OrgId, id: MessageId, status: Status) -> Result<(), Fault> {
    if let Some(message) = messages::read(services, org, id).await? {
        outbound::leave_queue(services, &message, status).await?;
    }
    Ok(())
}
