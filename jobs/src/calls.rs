//! Calls to a session's number: their events, and rejecting them.
//!
//! The library acknowledges a call before it is here, so each event is written at most once. A process that died may
//! have written it before its acknowledgement was sent; then another one gets the call again. So each event leaves a
//! mark for a day, in the transaction that writes it.

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, OrgId, SessionId},
    lease::Lease,
    store::Tx,
    vault::DataKey,
    whatsapp::{CallEnd, Connection, Offer},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    contacts::{self, Book},
    error::{Fault, if_readable},
    events,
    model::{AutoReject, contact::Called},
    services::Services,
    sessions::sealed,
    state::calls::{EndedCall, NotRinging},
    store,
};

/// A call whose event is written.
pub(crate) struct Received {
    /// What its events have in common.
    pub(crate) data: Value,
    pub(crate) caller: ContactId,
    /// What the session does with calls.
    pub(crate) auto_reject: Option<AutoReject>,
}

/// Writes the event of a call that came in, unless it was written before. `is_on` says whether it may still ring.
pub(crate) async fn received(
    services: &Services,
    lease: &Lease,
    offer: &Offer,
    is_on: bool,
) -> Result<Received, Fault> {
    match receive(services, lease, offer, is_on).await {
        // Another session of the organisation met the same caller at the same time.
        Err(fault) if fault.is_race() => receive(services, lease, offer, is_on).await,
        done => done,
    }
}

async fn receive(
    services: &Services,
    lease: &Lease,
    offer: &Offer,
    is_on: bool,
) -> Result<Received, Fault> {
    let key = services.vault().org_key(lease.org).await?;
    let (lease, clock, mut offer) = (lease.clone(), services.clock().clone(), offer.clone());
    let written = services.store().write(lease.org, move |tx| {
        Box::pin(async move {
            lease.check(tx).await?;
            let (org, session, now) = (lease.org, lease.session, clock.now());
            let is_new = mark(tx, &key, (org, session), "call.received", &offer.id, now).await?;
            let book = Book {
                org,
                key: &key,
                clock: &clock,
                session,
            };
            let caller = if offer.phone_is_derived {
                book.meet_derived(tx, &mut offer.from).await?
            } else {
                book.meet(tx, &offer.from).await?
            };
            let caller = caller.id;
            if offer.from.phone.is_none() || offer.from.lid.is_none() {
                let row = store::contacts::read(tx.conn(), org, caller).await?;
                let known = row
                    .map(|row| contacts::names(&key, org, &row))
                    .transpose()?;
                if let Some(known) = known {
                    offer.from.phone = offer.from.phone.or(known.phone);
                    offer.from.lid = offer.from.lid.or(known.lid);
                }
            }
            let names = std::mem::take(&mut offer.names);
            let known = store::contacts::people::names(tx, org, caller).await?;
            let heard = match &known {
                Some(known) => Some(book.learn_names(tx, caller, known, names).await?),
                None => None,
            };
            let (called, is_renamed) = match heard {
                Some(heard) => (heard.called, heard.is_changed),
                None => (Called::default(), false),
            };
            let data = events::calls::shown(session, &offer, caller, &called);
            let of = (org, session);
            if is_new {
                events::calls::received(tx, &key, of, data.clone(), is_on, &clock).await?;
            }
            if is_renamed {
                let person = (caller, &offer.from, &called);
                events::calls::renamed(tx, &key, of, person, &clock).await?;
            }
            let auto_reject = auto_reject(tx, &key, of).await?;
            Ok::<_, Fault>(Received {
                data,
                caller,
                auto_reject,
            })
        })
    });
    let received = written.await?;
    services.wake_deliveries();
    Ok(received)
}

async fn auto_reject(
    tx: &mut Tx,
    key: &DataKey,
    (org, session): (OrgId, SessionId),
) -> Result<Option<AutoReject>, Fault> {
    let stored = store::sessions::auto_reject(tx, org, session).await?;
    let opened = sealed::open_auto_reject(key, org, session, stored.as_deref());
    // What cannot be read holds up no event.
    Ok(if_readable("session", &session, opened)?.flatten())
}

/// Writes the event of a call that ended, unless it was written before.
pub(crate) async fn ended(
    services: &Services,
    lease: &Lease,
    call: &EndedCall,
) -> Result<(), Fault> {
    let key = services.vault().org_key(lease.org).await?;
    let (lease, clock) = (lease.clone(), services.clock().clone());
    let (id, data, how) = (call.id.clone(), call.data.clone(), call.how);
    let write = services.store().write(lease.org, move |tx| {
        Box::pin(async move {
            lease.check(tx).await?;
            let of = (lease.org, lease.session);
            if mark(tx, &key, of, "call.ended", &id, clock.now()).await? {
                events::calls::ended(tx, &key, of, data, how, &clock).await?;
            }
            Ok::<_, Fault>(())
        })
    });
    write.await?;
    services.wake_deliveries();
    Ok(())
}

/// Marks that an event of this type about a call is written. Returns false if it was marked before.
async fn mark(
    tx: &mut Tx,
    key: &DataKey,
    of: (OrgId, SessionId),
    event: &'static str,
    call: &str,
    now: Millis,
) -> Result<bool, Fault> {
    let mac = key.mac(event, format!("{}/{call}", of.1).as_bytes());
    Ok(store::idempotency::insert(tx, of, &mac, &mac, Vec::new(), now).await?)
}

/// What came of the wish to reject a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Rejection {
    Rejected,
    Unknown,
    Over,
}

/// Rejects a call of a session that runs here. The session then writes the event of its end.
pub(crate) async fn reject(
    services: &Services,
    session: SessionId,
    connection: &Connection,
    call: &str,
) -> anyhow::Result<Rejection> {
    let Some(calls) = services.registry().calls(session) else {
        return Ok(Rejection::Unknown);
    };
    let clock = services.clock();
    let route = match calls.ringing(call, clock.monotonic()) {
        Ok(route) => route,
        Err(NotRinging::Unknown) => return Ok(Rejection::Unknown),
        Err(NotRinging::Over) => return Ok(Rejection::Over),
    };
    connection.reject_call(&route).await?;
    Ok(if calls.end(call, CallEnd::Rejected, clock.monotonic()) {
        Rejection::Rejected
    } else {
        Rejection::Over
    })
}
