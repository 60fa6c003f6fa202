//! Checks whether a phone number has WhatsApp.
//!
//! To WhatsApp, a number that looks up many others looks like one that collects numbers. So an answer is
//! kept for a day, and each session's rate is limited. A request above the limit is refused, with the time
//! to wait.

use std::time::Duration;

use passerelle_engine::{
    clock::Millis,
    content::Phone,
    ids::{OrgId, SessionId},
    vault::Place,
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
    let mac = contacts::phone_mac(&key, phone);
    let record = hex::encode(mac);
    let now = services.clock().now();
    let known = {
        let mut conn = services.store().read(org).await?;
        store::number_checks::read(&mut conn, org, &mac, now.saturating_sub(millis(STANDS))).await?
    };
    if sessions::read(services, org, session).await?.is_none() {
        return Err(AskError::NotFound);
    }
    if let Some((sealed, at)) = known {
        let found = key.open_json(&Place::of(org, ANSWER, &record), &sealed);
        let found: Option<NumberStatus> =
            if_readable("number_check", &record, found.map_err(Fault::from))?;
        // WhatsApp is asked again if the stored answer cannot be read.
        if let Some(found) = found {
            return Ok(found.at(at));
        }
    }
    let answer = commands::ask(services, org, session, Command::Find(phone.clone())).await?;
    let found: NumberStatus = serde_json::from_str(&answer.into_text()?).map_err(Fault::from)?;
    let answer = (found, now);
    match keep(services, org, session, phone, &answer).await {
        // On PostgreSQL this can race with an inbound message of the same contact.
        Err(fault) if fault.is_race() => keep(services, org, session, phone, &answer).await?,
        kept => kept?,
    }
    services.wake_deliveries();
    let (found, now) = answer;
    Ok(found.at(now))
}

/// Stores the answer. If phone and LID were known as two contacts until now, they are merged.
async fn keep(
    services: &Services,
    org: OrgId,
    session: SessionId,
    phone: &Phone,
    (found, at): &(NumberStatus, Millis),
) -> Result<(), Fault> {
    let at = *at;
    let key = services.vault().org_key(org).await?;
    let mac = contacts::phone_mac(&key, phone);
    let sealed = key.seal_json(&Place::of(org, ANSWER, &hex::encode(mac)), found)?;
    let (clock, named) = (services.clock().clone(), found.names(phone));
    let kept = services.store().write(org, move |tx| {
        Box::pin(async move {
            let book = Book {
                org,
                key: &key,
                clock: &clock,
                session,
            };
            book.recognise(tx, &named).await?;
            Ok(store::number_checks::keep(tx, (org, session), &mac, &sealed, at).await?)
        })
    });
    kept.await
}
