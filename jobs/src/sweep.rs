//! Sweeps: what becomes due with the passing of time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{
    error::{Fault, if_readable},
    messages::{
        self,
        unreadable::{self, Named},
    },
    model::{Status, millis},
    number_health, outbound,
    safety::pairing,
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

/// How long a number that no lane has any more is kept after its last gap.
const PACE_TTL: Duration = Duration::from_hours(24);
/// How long a number remembers somebody after their last message: longer than it knows them.
const KNOWN_TTL: Duration = Duration::from_hours(181 * 24);
/// Between two sweeps for such numbers.
const NUMBERS_LOOK: Duration = Duration::from_hours(1);

/// Sweeps until stopped.
pub(crate) async fn run(services: Services, stop: CancellationToken) {
    let mut numbers_at = services.clock().monotonic();
    while !stop.is_cancelled() {
        if services.clock().monotonic() >= numbers_at {
            if let Err(error) = forget_numbers(&services).await {
                tracing::warn!(%error, "numbers without a lane could not be deleted; trying again later");
            }
            numbers_at = services.clock().monotonic() + NUMBERS_LOOK;
        }
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
    let expired = expire(services, now).await;
    let recovered = number_health::recover(services, now).await;
    let before = now.saturating_sub(millis(KEY_TTL));
    let forget = services.store().write_system(move |tx| {
        Box::pin(async move {
            store::system::forget_commands(tx, COMMAND_TTL).await?;
            let asked = now.saturating_sub(millis(pairing::OF_ORGANISATION_WITHIN));
            store::system::forget_pairing_codes(tx, asked).await?;
            store::system::forget_number_checks(tx, now.saturating_sub(millis(NUMBER_TTL))).await?;
            store::system::forget_idempotency(tx, before).await
        })
    });
    let forgotten: Result<_, sqlx::Error> = forget.await;
    forgotten?;
    recovered.and(expired)
}

/// Deletes fingerprints that no message is compared with any more, and numbers that no lane has any more. Walks all of a
/// day ago, so it is rare.
async fn forget_numbers(services: &Services) -> Result<(), sqlx::Error> {
    let now = services.clock().now();
    let before = now.saturating_sub(millis(PACE_TTL));
    let known_since = now.saturating_sub(millis(KNOWN_TTL));
    let forget = services.store().write_system(move |tx| {
        Box::pin(async move {
            store::system::fingerprints::forget(tx, before).await?;
            store::system::turns::forget_acquaintances(tx, known_since).await?;
            store::system::numbers::forget(tx, before).await
        })
    });
    forget.await
}

/// Expires queued messages past their time, each with its event.
pub(crate) async fn expire(services: &Services, now: i64) -> Result<(), Fault> {
    let overdue = {
        let mut conn = services.store().read_system().await?;
        let overdue = store::system::overdue(&mut conn, now).await?;
        let named = |(org, session, id, written)| (Named { org, session, id }, written);
        overdue.into_iter().map(named).collect::<Vec<_>>()
    };
    for (named, written) in overdue {
        // A message that was sent before and never acknowledged may have been shown.
        let status = if written {
            Status::Unknown
        } else {
            Status::Expired
        };
        match end(services, named, status).await {
            Err(fault) if fault.is_outage() => return Err(fault),
            Err(fault) => {
                tracing::error!(message.id = %named.id, error = %fault, "a message could not be expired");
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn end(services: &Services, named: Named, status: Status) -> Result<(), Fault> {
    let read = messages::read(services, named.org, named.id).await;
    match if_readable("message", &named.id, read)? {
        Some(Some(message)) => {
            outbound::leave_queue(services, &message, status).await?;
        }
        Some(None) => {}
        None => end_unread(services, named).await?,
    }
    Ok(())
}

async fn end_unread(services: &Services, named: Named) -> Result<(), Fault> {
    let key = services.org_key_if_readable(named.org).await?;
    let clock = services.clock().clone();
    let write = services.store().write(named.org, move |tx| {
        Box::pin(
            async move { unreadable::end(tx, key.as_deref(), &clock, named, (None, false)).await },
        )
    });
    write.await?;
    services.wake_deliveries();
    Ok(())
}
