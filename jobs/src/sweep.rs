//! Sweeps: what becomes due by the mere passing of time.

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

/// Between two looks for messages past their time.
const LOOK: Duration = Duration::from_secs(1);
/// How long an idempotency key is remembered.
const KEY_TTL: Duration = Duration::from_hours(24);
/// How long an answer about a number is kept: it stands for a day.
const NUMBER_TTL: Duration = Duration::from_hours(25);
/// How long a command is kept that nobody deleted: longer than anybody waits for its answer.
const COMMAND_TTL: Duration = Duration::from_mins(5);

/// Sweeps until stopped.
pub(crate) async fn run(services: Services, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(fault) = sweep(&services).await {
            tracing::warn!(error = %fault, "the sweep waits for the store");
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
        // What went out before and was never acknowledged may have been shown.
        let status = if written {
            Status::Unknown
        } else {
            Status::Expired
        };
        match end(services, org, id, status).await {
            Err(fault) if fault.is_outage() => return Err(fault),
            // One that cannot be read holds up nobody else.
            Err(fault) => {
                tracing::error!(message.id = %id, error = %fault, "a message does not expire");
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
