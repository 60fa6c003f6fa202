//! Keeps the health of phone numbers: what is learned about a number is stored with it, and each of its sessions is told
//! when its level changes.

use std::{collections::HashMap, sync::Arc};

use passerelle_engine::{
    clock::Millis,
    content::Phone,
    ids::{ContactId, OrgId, SessionId},
    lease::Lease,
    store::SystemTx,
    vault::DataKey,
};

use crate::{
    error::{Fault, if_readable},
    events,
    safety::health::{Health, KNOWN, Newcomers, News, Signal, Standing},
    services::Services,
    sessions,
    store::{
        self,
        system::health::{Held, Of},
    },
};

/// Returns the health of a session's number; `None` if the session never knew its number.
pub(crate) async fn read(services: &Services, session: SessionId) -> Result<Option<Health>, Fault> {
    let mut conn = services.store().read_system().await?;
    let stored = store::system::health::read(&mut conn, session).await?;
    let now = services.clock().now();
    Ok(stored.map(|stored| Health::parse(stored.as_deref(), now)))
}

/// Returns a recipient as signals name it: a keyed hash.
pub(crate) fn recipient(
    services: &Services,
    contact: Option<ContactId>,
    phone: Option<&Phone>,
) -> String {
    let name = match (contact, phone) {
        (Some(contact), _) => contact.to_string(),
        (None, Some(phone)) => phone.as_str().to_owned(),
        (None, None) => String::new(),
    };
    let mac = services.mac("number.health", name.as_bytes());
    hex::encode(&mac[..8])
}

/// Counts what became of the last first messages of the session's number.
pub(crate) async fn newcomers(
    services: &Services,
    session: SessionId,
    health: &Health,
) -> Result<Newcomers, Fault> {
    let mut conn = services.store().read_system().await?;
    let of = Of::Session(session);
    let mut messages = Vec::new();
    for (_, session) in store::system::health::sessions(&mut conn, &of).await? {
        let since = health.figures.counted_from;
        let some = store::system::health::first_messages(&mut conn, session, since, KNOWN);
        messages.extend(some.await?);
    }
    Ok(Newcomers::count(messages, services.clock().now()))
}

/// Stores what was learned about the number of a session that runs here.
pub(crate) async fn signal(
    services: &Services,
    lease: &Lease,
    signals: Vec<Signal>,
) -> Result<(), Fault> {
    for signal in &signals {
        metrics::counter!("passerelle_number_signals_total", "signal" => signal.name())
            .increment(1);
    }
    let of = Of::Session(lease.session);
    change(services, of, Some(lease), signals).await
}

/// Tells the sessions of numbers that have recovered. `now` is only to find them: what counts is the database's clock.
pub(crate) async fn recover(services: &Services, now: Millis) -> Result<(), Fault> {
    let due = {
        let mut conn = services.store().read_system().await?;
        store::system::health::due(&mut conn, now).await?
    };
    for mac in due {
        change(services, Of::Number(mac), None, Vec::new()).await?;
    }
    Ok(())
}

async fn change(
    services: &Services,
    of: Of,
    lease: Option<&Lease>,
    signals: Vec<Signal>,
) -> Result<(), Fault> {
    let keys = keys(services, &of).await?;
    let changed = async || {
        let (of, lease, signals) = (of.clone(), lease.cloned(), signals.clone());
        let (services, keys) = (services.clone(), Arc::clone(&keys));
        let store = services.store().clone();
        let write = store.write_system(move |tx| {
            Box::pin(async move { apply(tx, &services, &keys, (of, lease), signals).await })
        });
        write.await
    };
    match changed().await {
        // A claim took the number's lanes in another order.
        Err(fault) if fault.is_race() => changed().await?,
        done => done?,
    }
    services.wake_deliveries();
    services.wake_lanes();
    Ok(())
}

/// The keys of the organisations whose sessions have a number.
type Keys = HashMap<OrgId, Arc<DataKey>>;

async fn keys(services: &Services, of: &Of) -> Result<Arc<Keys>, Fault> {
    let sessions = {
        let mut conn = services.store().read_system().await?;
        store::system::health::sessions(&mut conn, of).await?
    };
    let mut keys = Keys::new();
    for (org, _) in sessions {
        if let Some(key) = services.org_key_if_readable(org).await? {
            keys.insert(org, key);
        }
    }
    Ok(Arc::new(keys))
}

async fn apply(
    tx: &mut SystemTx,
    services: &Services,
    keys: &Keys,
    (of, lease): (Of, Option<Lease>),
    signals: Vec<Signal>,
) -> Result<(), Fault> {
    if let Some(lease) = &lease {
        lease.check(tx).await?;
    }
    let now = tx.now().await?;
    let Some(held) = store::system::health::hold(tx, &of).await? else {
        return Ok(());
    };
    let mut health = Health::parse(held.health.as_deref(), now);
    let before = limits(&health, now);
    for signal in signals {
        health.signal(signal, now);
    }
    let news = health.news(now);
    let stored = serde_json::to_string(&health)?;
    store::system::health::keep(tx, &held.mac, &stored, health.next_change(now)).await?;
    if news.is_some() || limits(&health, now) != before {
        store::system::health::look_again(tx, &held.mac).await?;
    }
    if let Some(news) = news {
        tell(tx, services, keys, &held, &news).await?;
    }
    Ok(())
}

/// Returns all by which the health limits messages. What waits was told to wait by it.
fn limits(health: &Health, now: Millis) -> (Standing, i64, Option<u32>) {
    (health.at(now), health.cold_divisor(now), health.quota())
}

/// Writes an event for each session of the number. A session whose organisation has just linked it hears of the next one.
async fn tell(
    tx: &mut SystemTx,
    services: &Services,
    keys: &Keys,
    held: &Held,
    news: &News,
) -> Result<(), Fault> {
    for (org, session) in &held.sessions {
        let Some(key) = keys.get(org) else { continue };
        let client = sessions::sealed::client(tx, key, *org, *session).await;
        // What cannot be read holds up no event.
        let client = if_readable("session", session, client)?.unwrap_or_default();
        let place = (*org, *session);
        events::health::changed(tx, key, place, news, &client, services.clock()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
