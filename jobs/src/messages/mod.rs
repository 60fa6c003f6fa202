//! Messages, from a tenant's view.
//!
//! | page | what it holds |
//! |---|---|
//! | here | reading and listing |
//! | [`sealed`], [`shown`] | a message as it is stored encrypted, and as the API and events show it |
//! | [`target`] | messages about other messages |
//! | [`unreadable`] | the end of a message that cannot be read |
//! | [`opt_out`] | the words with which a contact opts out |

pub(crate) mod opt_out;
pub(crate) mod sealed;
pub mod shown;
pub mod target;
pub(crate) mod unreadable;

use passerelle_engine::ids::{MessageId, OrgId};

pub use crate::store::messages::lists::Filter;
use crate::{
    error::Fault,
    model::{Listed, Message, Page},
    queries::{ListRead, bounded},
    services::Services,
    store,
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
    let client_ref = filter.client_ref.as_ref();
    let mac = client_ref.map(|text| sealed::client_ref_mac(&key, text));
    let stored = bounded(store::messages::lists::list(
        read.conn(),
        org,
        (filter, mac),
        page,
    ));
    let stored = stored.await;
    let stored = read.end(stored)?;
    let id = |row: &store::messages::Stored| row.id.to_string();
    Ok(stored.open("message", id, |row| sealed::open(&key, row)))
}
