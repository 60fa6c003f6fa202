//! Opt-outs, from a tenant's view: who opted out, opting out and in by the API, and the settings. What contacts themselves
//! say is taken in [`messages::opt_out`](crate::messages).

use passerelle_engine::{
    content::{Peer, Phone},
    ids::{ContactId, OrgId},
    store::Tx,
    vault::DataKey,
};

use crate::{
    contacts,
    error::Fault,
    events,
    messages::opt_out::settings,
    model::{Listed, OptOut, OptOutSettings, OptOutSource, Page, event::EventType},
    queries::{ListRead, bounded},
    services::Services,
    store::{
        self,
        contacts::opt_outs::{self, Narrowed, OptOutRow},
    },
};

/// A contact, as the caller names it.
#[derive(Debug, Clone)]
pub enum Who {
    /// The owner of this number, whatever its spelling.
    Phone(Phone),
    /// A contact, by our id.
    Contact(ContactId),
}

/// Returns the organisation's opt-outs, or only that of one contact, the newest contact first.
pub async fn list(
    services: &Services,
    org: OrgId,
    of: Option<&Who>,
    page: &Page<ContactId>,
) -> Result<Listed<OptOut>, Fault> {
    let key = services.vault().org_key(org).await?;
    let narrowed = match of {
        None => Narrowed::No,
        Some(Who::Phone(phone)) => Narrowed::Phone(contacts::phone_mac(&key, phone)),
        Some(Who::Contact(id)) => Narrowed::Contact(*id),
    };
    let mut read = ListRead::begin(services, org).await?;
    let rows = bounded(opt_outs::list(read.conn(), org, &narrowed, page)).await;
    let rows = read.end(rows)?;
    let id = |row: &OptOutRow| row.contact.id.to_string();
    Ok(rows.open("contact", id, |row| open(&key, org, &row)))
}

/// Opts a contact out, and returns its opt-out. A number that nobody wrote to yet becomes a contact. A contact that has
/// opted out before keeps that opt-out. Returns `None` if there is no contact with this id.
pub async fn opt_out(services: &Services, org: OrgId, who: Who) -> Result<Option<OptOut>, Fault> {
    match try_opt_out(services, org, who.clone()).await {
        // Another transaction met or merged the same contact at the same time.
        Err(fault) if fault.is_race() => try_opt_out(services, org, who).await,
        done => done,
    }
}

async fn try_opt_out(services: &Services, org: OrgId, who: Who) -> Result<Option<OptOut>, Fault> {
    let key = services.vault().org_key(org).await?;
    let clock = services.clock().clone();
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            let new = ContactId::new(&clock);
            let Some((id, peer)) = hold(tx, &key, org, who, (new, clock.now())).await? else {
                return Ok(None);
            };
            let by = OptOutSource::Api;
            if opt_outs::opt_out(tx, org, id, by, clock.now()).await? {
                let what = (EventType::ContactOptedOut, by);
                events::opt_outs::changed(tx, &key, (org, None), (id, &peer), what, &clock).await?;
            }
            let row = opt_outs::read(tx.conn(), org, id).await?;
            row.map(|row| open(&key, org, &row)).transpose()
        })
    });
    let out = write.await?;
    services.wake_deliveries();
    Ok(out)
}

/// Opts a contact in again. Returns false if there is no such contact, or it has not opted out.
pub async fn opt_in(services: &Services, org: OrgId, id: ContactId) -> Result<bool, Fault> {
    let key = services.vault().org_key(org).await?;
    let clock = services.clock().clone();
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            let at = (ContactId::new(&clock), clock.now());
            let Some((id, peer)) = hold(tx, &key, org, Who::Contact(id), at).await? else {
                return Ok(false);
            };
            if !opt_outs::opt_in(tx, org, id).await? {
                return Ok(false);
            }
            let what = (EventType::ContactOptedIn, OptOutSource::Api);
            events::opt_outs::changed(tx, &key, (org, None), (id, &peer), what, &clock).await?;
            Ok::<_, Fault>(true)
        })
    });
    let changed = write.await?;
    services.wake_deliveries();
    Ok(changed)
}

/// Returns the contact with its names, and lets nobody else merge it until the transaction ends. A phone that is not known
/// becomes the contact `new`. Returns `None` if there is no contact with this id.
async fn hold(
    tx: &mut Tx,
    key: &DataKey,
    org: OrgId,
    who: Who,
    (new, now): (ContactId, i64),
) -> Result<Option<(ContactId, Peer)>, Fault> {
    let id = match who {
        Who::Contact(id) => id,
        Who::Phone(phone) => {
            let lid = None;
            let peer = Peer {
                phone: Some(phone),
                lid,
            };
            let first = contacts::first_written_to(key, org, new, &peer);
            store::contacts::write_to(tx, org, new, &first, now).await?
        }
    };
    let Some(held) = store::contacts::people::hold(tx, org, id).await? else {
        return Ok(None);
    };
    let row = store::contacts::ContactRow {
        id: held.id,
        phone_sealed: held.phone_sealed,
        lid_sealed: held.lid_sealed,
    };
    Ok(Some((held.id, contacts::names(key, org, &row)?)))
}

fn open(key: &DataKey, org: OrgId, row: &OptOutRow) -> Result<OptOut, Fault> {
    let peer = contacts::names(key, org, &row.contact)?;
    Ok(OptOut {
        contact: row.contact.id,
        phone: peer.phone,
        lid: peer.lid,
        by: row.by,
        at: row.at,
    })
}

/// Returns what the organisation does about opt-outs.
pub async fn read_settings(services: &Services, org: OrgId) -> Result<OptOutSettings, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut conn = services.store().read(org).await?;
    settings::read(&mut conn, &key, org).await
}

/// Sets what the organisation does about opt-outs from now on.
pub async fn set_settings(
    services: &Services,
    org: OrgId,
    settings: &OptOutSettings,
) -> Result<(), Fault> {
    let key = services.vault().org_key(org).await?;
    let sealed = settings::seal(&key, org, settings)?;
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move { store::organisations::set_opt_out_settings(tx, org, &sealed).await })
    });
    Ok(write.await?)
}
