//! The end of the messages that are queued for a contact who opted out. The opt-out marks the contact in its own
//! transaction. The messages are ended right after it, some at a time, and not in that transaction: they may be thousands,
//! in the lanes of other sessions, and two sessions that lock each other's lanes would wait for each other.
//!
//! Nothing depends on it: a host that claims such a message before asks for the opt-out anyway. What was sent before and
//! waits for its resend, and what cannot be read, ends in its turn.

use std::{collections::BTreeMap, time::Duration};

use passerelle_engine::{
    ids::{ContactId, MessageId, OrgId, SessionId},
    store::Tx,
    vault::DataKey,
};
use tokio_util::sync::CancellationToken;

use super::CODE;
use crate::{
    error::{Fault, if_readable},
    events,
    messages::sealed,
    model::Status,
    services::Services,
    store::{
        self,
        contacts::opt_outs,
        messages::lists,
        system::opt_outs::{Marked, marked},
    },
};

/// Between two looks for contacts who opted out.
const LOOK: Duration = Duration::from_secs(1);
/// The most messages that are read at once.
const READ: i64 = 100;
/// The most messages that one transaction ends. Their lane is locked as long.
const ENDED: usize = 50;

/// Ends queued messages until stopped.
pub(crate) async fn run(services: Services, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(fault) = look(&services, &stop).await {
            tracing::warn!(error = %fault, "messages for contacts who opted out could not be ended; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Ends what is queued for each contact that is marked.
async fn look(services: &Services, stop: &CancellationToken) -> Result<(), Fault> {
    let due = {
        let mut conn = services.store().read_system().await?;
        marked(&mut conn).await?
    };
    for marked in due {
        match of_contact(services, marked, stop).await {
            Ok(()) => {}
            Err(fault) if fault.is_outage() => return Err(fault),
            // Another transaction held the same rows. The mark stays for the next look.
            Err(fault) if fault.is_race() => {}
            Err(fault) => {
                tracing::error!(contact.id = %marked.contact, error = %fault, "what is queued for a contact who opted out could not be ended; it ends in its turn");
                unmark(services, marked).await?;
            }
        }
    }
    Ok(())
}

async fn of_contact(
    services: &Services,
    marked: Marked,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let ids = {
        let mut conn = services.store().read(marked.org).await?;
        lists::ids_of_contact(&mut conn, marked.org, marked.contact).await?
    };
    for id in ids {
        let mut after = String::new();
        while let Some(last) = page(services, marked.org, id, &after).await? {
            after = last.to_string();
            if stop.is_cancelled() {
                return Ok(());
            }
        }
    }
    unmark(services, marked).await
}

async fn unmark(services: &Services, marked: Marked) -> Result<(), Fault> {
    let write = services.store().write(marked.org, move |tx| {
        Box::pin(async move { opt_outs::unmark(tx, marked).await })
    });
    Ok(write.await?)
}

/// Ends some messages that are queued under this id of the contact. Returns the last one if more may follow.
async fn page(
    services: &Services,
    org: OrgId,
    contact: ContactId,
    after: &str,
) -> Result<Option<MessageId>, Fault> {
    let queued = {
        let mut conn = services.store().read(org).await?;
        opt_outs::queued(&mut conn, org, contact, after, READ).await?
    };
    let is_full = i64::try_from(queued.len()).is_ok_and(|found| found == READ);
    let last = queued.last().map(|(_, id)| *id).filter(|_| is_full);
    let mut lanes: BTreeMap<SessionId, Vec<MessageId>> = BTreeMap::new();
    for (session, id) in queued {
        lanes.entry(session).or_default().push(id);
    }
    for (session, ids) in lanes {
        for ids in ids.chunks(ENDED) {
            end(services, (org, session), ids.to_vec()).await?;
        }
    }
    Ok(last)
}

/// Ends these messages of one lane, each with its event, in one transaction.
async fn end(
    services: &Services,
    (org, session): (OrgId, SessionId),
    ids: Vec<MessageId>,
) -> Result<(), Fault> {
    let key = services.vault().org_key(org).await?;
    let services_in = services.clone();
    let write = services.store().write(org, move |tx| {
        Box::pin(async move {
            store::lanes::lock(tx, org, session).await?;
            if !store::lanes::exists(tx.conn(), org, session).await? {
                return Ok(());
            }
            for id in ids {
                end_one(tx, &key, &services_in, (org, id)).await?;
            }
            Ok::<_, Fault>(())
        })
    });
    write.await?;
    services.wake_deliveries();
    Ok(())
}

async fn end_one(
    tx: &mut Tx,
    key: &DataKey,
    services: &Services,
    (org, id): (OrgId, MessageId),
) -> Result<(), Fault> {
    let stored = store::messages::read(tx.conn(), org, id).await;
    let stored = if_readable("message", &id, stored.map_err(Fault::from))?.flatten();
    let opened = stored.map(|stored| sealed::open(key, stored)).transpose();
    let Some(Some(mut message)) = if_readable("message", &id, opened)? else {
        return Ok(());
    };
    let now = services.clock().now();
    if !opt_outs::fail(tx, org, id, CODE, now).await? {
        return Ok(());
    }
    store::lanes::leave(tx, org, message.session).await?;
    (message.status, message.error) = (Status::Failed, Some(CODE.to_owned()));
    events::message(tx, key, &message, services.clock()).await
}

#[cfg(test)]
mod tests;
