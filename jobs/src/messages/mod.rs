//! Messages, from a tenant's view.
//!
//! | page | what it holds |
//! |---|---|
//! | here | reading and listing |
//! | [`chats`], [`receipts`] | the last message of each chat; who has a message |
//! | [`sealed`], [`shown`] | a message as it is stored encrypted, and as the API and events show it |
//! | [`target`], [`mentions`] | messages about other messages; people whom a message mentions |
//! | [`timeline`] | what happened to a message, and why it waited |
//! | [`timer`] | how long the messages of a chat stay |
//! | [`unreadable`] | the end of a message that cannot be read |
//! | [`opt_out`] | the words with which a contact opts out |

pub mod chats;
pub(crate) mod mentions;
pub(crate) mod opt_out;
pub mod receipts;
pub(crate) mod sealed;
pub mod shown;
pub mod target;
pub mod timeline;
pub(crate) mod timer;
pub(crate) mod unreadable;

use passerelle_engine::{
    ids::{MessageId, OrgId},
    vault::DataKey,
};
use sqlx::AnyConnection;

pub use crate::store::messages::lists::Filter;
use crate::{
    contacts,
    error::Fault,
    model::{Listed, Message, Page},
    queries::{ListRead, bounded},
    services::Services,
    store::{
        self,
        messages::lists::{self, Whose},
    },
};

/// Returns one message, or `None` if it does not exist.
pub async fn read(
    services: &Services,
    org: OrgId,
    id: MessageId,
) -> Result<Option<Message>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut conn = services.store().read(org).await?;
    let stored = store::messages::read(&mut conn, org, id).await?;
    stored.map(|stored| sealed::open(&key, stored)).transpose()
}

/// Returns the organisation's messages that pass the filter, newest first.
pub async fn list(
    services: &Services,
    org: OrgId,
    filter: &Filter,
    page: &Page<MessageId>,
) -> Result<Listed<Message>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut read = ListRead::begin(services, org).await?;
    let conn = read.conn();
    let listed = async {
        match whose(conn, &key, org, filter).await? {
            Some(whose) => lists::list(conn, org, (filter, &whose), page).await,
            None => Ok(Listed::nothing()),
        }
    };
    let stored = bounded(listed).await;
    let stored = read.end(stored)?;
    let id = |row: &store::messages::Stored| row.id.to_string();
    Ok(stored.open("message", id, |row| sealed::open(&key, row)))
}

/// Finds the contact or the group of a filter. Returns `None` if no message can pass it.
async fn whose(
    conn: &mut AnyConnection,
    key: &DataKey,
    org: OrgId,
    filter: &Filter,
) -> Result<Option<Whose>, sqlx::Error> {
    if let Some(text) = &filter.client_ref {
        return Ok(Some(Whose::Referred(sealed::client_ref_mac(key, text))));
    }
    let mut named = Vec::new();
    if let Some(id) = filter.contact {
        named.push(store::contacts::read(conn, org, id).await?);
    }
    if let Some(phone) = &filter.phone {
        let mac = contacts::phone_mac(key, phone);
        named.push(store::contacts::by_phone(conn, org, &mac).await?);
    }
    let ids: Option<Vec<_>> = named.iter().map(|one| Some(one.as_ref()?.id)).collect();
    let group = filter.group.as_ref();
    let group = group.map(|group| sealed::group_mac(key, group));
    Ok(match (ids.as_deref(), group) {
        (Some([]), None) => Some(Whose::Everyones),
        (Some([]), Some(mac)) => Some(Whose::Groups(mac)),
        (Some([id, rest @ ..]), None) if rest.iter().all(|other| other == id) => {
            let ids = lists::ids_of_contact(conn, org, *id).await?;
            Some(Whose::Contacts(ids))
        }
        _ => None,
    })
}
