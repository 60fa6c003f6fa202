//! Contacts, from a tenant's view: list, read, name, and their profile pictures.

use std::collections::BTreeMap;

pub use passerelle_engine::whatsapp::Avatar;
use passerelle_engine::{
    clock::Millis,
    content::{Phone, Recipient},
    ids::{ContactId, OrgId, SessionId},
    vault::DataKey,
};

use crate::{
    contacts::{self, called},
    error::{AskError, Fault},
    model::{Listed, Page, contact::Contact},
    queries::{ListRead, bounded},
    services::Services,
    sessions::{
        self,
        commands::{self, Command},
    },
    store::{
        self,
        contacts::{
            ContactRow,
            people::{Narrowed, PersonRow},
        },
    },
};

/// Which contacts a list shows.
#[derive(Debug, Clone, Default)]
pub enum Filter {
    /// All of them.
    #[default]
    All,
    /// The one with this phone, whatever its spelling.
    Phone(Phone),
    /// The one with this LID.
    Lid(String),
    /// Those with these words in one of their names.
    Name(String),
}

/// A change of a contact. What is `None` does not change.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The tenant's own name for the contact; an empty one removes it.
    pub name: Option<String>,
    /// The tenant's own values, instead of the earlier ones.
    pub metadata: Option<BTreeMap<String, String>>,
}

/// Returns the organisation's contacts that pass the filter, newest first.
pub async fn list(
    services: &Services,
    org: OrgId,
    filter: &Filter,
    page: &Page<ContactId>,
) -> Result<Listed<Contact>, Fault> {
    let key = services.vault().org_key(org).await?;
    let narrowed = narrowed(&key, filter);
    let mut read = ListRead::begin(services, org).await?;
    let rows = bounded(store::contacts::people::list(
        read.conn(),
        org,
        &narrowed,
        page,
    ));
    let rows = rows.await;
    let rows = read.end(rows)?;
    let id = |row: &PersonRow| row.id.to_string();
    Ok(rows.open("contact", id, |row| open(&key, org, &row)))
}

fn narrowed(key: &DataKey, filter: &Filter) -> Narrowed {
    match filter {
        Filter::All => Narrowed::No,
        Filter::Phone(phone) => Narrowed::Phone(contacts::phone_mac(key, phone)),
        Filter::Lid(lid) => Narrowed::Lid(contacts::lid_mac(key, lid)),
        Filter::Name(name) => {
            // The longest words are the rarest. A name without a word finds nothing.
            let mut words: Vec<_> = name.split_whitespace().collect();
            words.sort_by_key(|word| std::cmp::Reverse(word.len()));
            let macs = called::words(key, &words.join(" "));
            let first = macs.first().copied().unwrap_or_default();
            let nth = |n: usize| macs.get(n).copied().unwrap_or(first);
            Narrowed::Words([first, nth(1), nth(2)])
        }
    }
}

/// Returns a contact, or `None` if it does not exist. The id of a contact that was merged leads to the one that stays.
pub async fn read(
    services: &Services,
    org: OrgId,
    id: ContactId,
) -> Result<Option<Contact>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut conn = services.store().read(org).await?;
    let row = store::contacts::people::read(&mut conn, org, id).await?;
    row.map(|row| open(&key, org, &row)).transpose()
}

/// Changes a contact and returns it; `None` if it does not exist.
pub async fn change(
    services: &Services,
    org: OrgId,
    id: ContactId,
    change: Change,
) -> Result<Option<Contact>, Fault> {
    let key = services.vault().org_key(org).await?;
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            let Some(row) = store::contacts::people::hold(tx, org, id).await? else {
                return Ok(None);
            };
            let mut contact = open(&key, org, &row)?;
            if let Some(name) = change.name {
                contact.called.own = Some(name).filter(|name| !name.is_empty());
                called::keep(tx, &key, (org, row.id), &contact.called).await?;
            }
            if let Some(metadata) = change.metadata {
                let sealed = called::seal_metadata(&key, (org, row.id), &metadata)?;
                let sealed = sealed.as_deref();
                store::contacts::people::set_metadata(tx, org, row.id, sealed).await?;
                contact.metadata = metadata;
            }
            Ok::<_, Fault>(Some(contact))
        })
    });
    write.await
}

/// Lets automatic replies to a contact rest until then, or go on, and returns the contact; `None` if it does not exist.
pub async fn rest_automation(
    services: &Services,
    org: OrgId,
    id: ContactId,
    until: Option<Millis>,
) -> Result<Option<Contact>, Fault> {
    let key = services.vault().org_key(org).await?;
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            let Some(row) = store::contacts::people::hold(tx, org, id).await? else {
                return Ok(None);
            };
            store::contacts::people::rest_automation(tx, org, row.id, until).await?;
            let mut contact = open(&key, org, &row)?;
            contact.automation_rests_until = until;
            Ok::<_, Fault>(Some(contact))
        })
    });
    write.await
}

/// Returns where the profile picture of a contact is, asked through this session. `Ok(None)` if there is none, or the
/// session's number may not see it. It is paced as number checks are.
pub async fn avatar(
    services: &Services,
    org: OrgId,
    session: SessionId,
    id: ContactId,
) -> Result<Option<Avatar>, AskError> {
    if sessions::read(services, org, session).await?.is_none() {
        return Err(AskError::NotFound);
    }
    let key = services.vault().org_key(org).await.map_err(Fault::from)?;
    let known = {
        let mut conn = services.store().read(org).await?;
        store::contacts::read(&mut conn, org, id).await?
    };
    let known = known.ok_or(AskError::NotFound)?;
    let of = Recipient::Person(contacts::names(&key, org, &known)?);
    let answer = commands::ask(services, org, session, Command::Avatar(of)).await?;
    Ok(serde_json::from_str(&answer.into_text()?).map_err(Fault::from)?)
}

fn open(key: &DataKey, org: OrgId, row: &PersonRow) -> Result<Contact, Fault> {
    let place = (org, row.id);
    let names = ContactRow {
        id: row.id,
        phone_sealed: row.phone_sealed.clone(),
        lid_sealed: row.lid_sealed.clone(),
    };
    let peer = contacts::names(key, org, &names)?;
    Ok(Contact {
        id: row.id,
        phone: peer.phone,
        lid: peer.lid,
        called: called::open(key, place, &row.names)?,
        metadata: called::open_metadata(key, place, row.metadata_sealed.as_deref())?,
        opted_out_at: row.opted_out_at,
        last_inbound_at: row.last_inbound_at,
        automation_rests_until: row.automation_rests_until,
        created_at: row.created_at,
    })
}
