//! The consent that an inbound message gives: it has the code of an opt-in link in it.

use passerelle_engine::{content::Content, ids::ConsentId, store::Tx, vault::DataKey};

use super::{
    links::{code_mac, find_code},
    open, sealed,
};
use crate::{
    contacts::Met,
    error::Fault,
    events,
    model::{Message, OptOutSource, consent::Agreement, event::EventType},
    services::Services,
    store::{self, consents::NewRow, contacts::opt_outs},
};

/// Stores the consent that a contact's message gives, as part of this transaction, and emits its event. A contact who had
/// opted out opts in again: nobody else can send the message. A text without a code costs no statement.
pub(crate) async fn take(
    tx: &mut Tx,
    key: &DataKey,
    writer: Met,
    message: &Message,
    services: &Services,
) -> Result<(), Fault> {
    let Content::Text { body, .. } = &message.content else {
        return Ok(());
    };
    let Some(code) = find_code(body) else {
        return Ok(());
    };
    let (org, clock) = (message.org, services.clock());
    let (now, mac) = (clock.now(), code_mac(key, &code));
    let link = store::opt_in_links::by_code(tx, org, message.session, &mac, now).await?;
    let Some(link) = link else { return Ok(()) };
    let mut opted_in = false;
    for contact in [Some(writer.id), writer.twin].into_iter().flatten() {
        opted_in |= opt_outs::opt_in(tx, org, contact).await?;
    }
    let (place, who) = ((org, Some(message.session)), (writer.id, &message.peer));
    if opted_in {
        let what = (EventType::ContactOptedIn, OptOutSource::Word);
        events::opt_outs::changed(tx, key, place, who, what, clock).await?;
    }
    if store::consents::is_given_with(tx, org, writer.id, link).await? {
        return Ok(());
    }
    let id = ConsentId::new(clock);
    let how = Agreement {
        source: Agreement::LINK.to_owned(),
        proof: Some(message.id.to_string()),
    };
    let new = NewRow {
        id,
        contact: writer.id,
        link: Some(link),
        sealed: sealed::seal(key, org, id, &how)?,
        // After the opt-out, even if both came at once.
        given_at: now + i64::from(opted_in),
        now,
    };
    store::consents::insert(tx, org, &new).await?;
    let stored = store::consents::read(tx.conn(), org, writer.id, id).await?;
    if let Some(stored) = stored {
        let consent = open(key, org, &stored)?;
        let of = (org, message.session);
        events::consents::given(tx, key, of, &consent, &message.peer, clock).await?;
    }
    Ok(())
}
