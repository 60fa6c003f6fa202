//! Checks whether a phone number has WhatsApp.
//!
//! To WhatsApp, a number that looks up many others looks like one that collects numbers. So an answer is
//! kept for a day, and each session's rate is limited. A request above the limit is refused, with the time
//! to wait.

use std::{sync::Arc, time::Duration};

use passerelle_engine::{
    clock::Millis,
    content::Phone,
    ids::{ContactId, OrgId, SessionId},
    store::Tx,
    vault::{DataKey, Place},
};

use crate::{
    contacts::{self, Book},
    error::{AskError, Fault, if_readable},
    model::{
        millis,
        number::{Checked, NumberStatus},
    },
    services::Services,
    sessions::{
        self,
        commands::{self, Command},
    },
    store,
};

/// How long a stored answer is used.
const STANDS: Duration = Duration::from_hours(24);
/// The label under which an answer is encrypted.
const ANSWER: &str = "number_check.answer";

/// Checks the number, through this session if WhatsApp has to be asked.
pub async fn check(
    services: &Services,
    org: OrgId,
    session: SessionId,
    phone: &Phone,
) -> Result<Checked, AskError> {
    let key = services.vault().org_key(org).await.map_err(Fault::from)?;
    let known = cached(services, &key, org, phone).await?;
    if sessions::read(services, org, session).await?.is_none() {
        return Err(AskError::NotFound);
    }
    if let Some((found, at)) = known {
        return Ok(found.at(phone, at));
    }
    let now = services.clock().now();
    let answer = commands::ask(services, org, session, Command::Find(phone.clone())).await?;
    let found: NumberStatus = serde_json::from_str(&answer.into_text()?).map_err(Fault::from)?;
    let store = || {
        let (key, clock) = (Arc::clone(&key), services.clock().clone());
        let (phone, found) = (phone.clone(), found.clone());
        services.store().write(org, move |tx| {
            Box::pin(async move {
                let book = Book {
                    org,
                    key: &key,
                    clock: &clock,
                    session,
                };
                keep(tx, &book, &phone, &found, now).await.map(drop)
            })
        })
    };
    match store().await {
        // On PostgreSQL this can race with an inbound message of the same contact.
        Err(fault) if fault.is_race() => store().await?,
        kept => kept?,
    }
    services.wake_deliveries();
    Ok(found.at(phone, now))
}

/// Returns the stored answer for the number, and when WhatsApp gave it. `None` if there is none from the last day, or if
/// it cannot be read.
pub(crate) async fn cached(
    services: &Services,
    key: &DataKey,
    org: OrgId,
    phone: &Phone,
) -> Result<Option<(NumberStatus, Millis)>, Fault> {
    let mac = contacts::phone_mac(key, phone);
    let since = services.clock().now().saturating_sub(millis(STANDS));
    let mut conn = services.store().read(org).await?;
    let known = store::number_checks::read(&mut conn, org, &mac, since).await?;
    drop(conn);
    let Some((sealed, at)) = known else {
        return Ok(None);
    };
    let record = hex::encode(mac);
    let found = key.open_json(&Place::of(org, ANSWER, &record), &sealed);
    let found = if_readable("number_check", &record, found.map_err(Fault::from))?;
    Ok(found.map(|found| (found, at)))
}

/// Stores WhatsApp's answer of `at`, and learns from it: if two contacts turn out to be one person, they are merged.
/// Returns the number's contact, if there is one.
pub(crate) async fn keep(
    tx: &mut Tx,
    book: &Book<'_>,
    phone: &Phone,
    found: &NumberStatus,
    at: Millis,
) -> Result<Option<ContactId>, Fault> {
    let (org, mac) = (book.org, contacts::phone_mac(book.key, phone));
    let record = hex::encode(mac);
    let contact = match found.names() {
        Some(named) => book.learn_spelling(tx, phone, &named).await?,
        None => None,
    };
    let sealed = book
        .key
        .seal_json(&Place::of(org, ANSWER, &record), found)?;
    store::number_checks::keep(tx, (org, book.session), &mac, &sealed, at).await?;
    Ok(contact)
}
