//! Consents of contacts, from a tenant's view: reporting, listing and revoking them. What comes with a message is stored
//! when the message is accepted (`outbound/permission.rs`).
//!
//! | page | what it holds |
//! |---|---|
//! | here | what a tenant does with the consents of a contact |
//! | [`links`] | links with which contacts give their consent |
//! | `given` | the consent that an inbound message gives |
//! | `sealed` | the encrypted parts |

pub(crate) mod given;
pub mod links;
pub(crate) mod sealed;

use passerelle_engine::{
    ids::{ConsentId, ContactId, OrgId},
    vault::DataKey,
};

use crate::{
    error::Fault,
    model::{
        Listed, Page,
        consent::{Consent, NewConsent},
    },
    queries::{ListRead, bounded},
    services::Services,
    store::{
        self,
        consents::{ConsentRow, NewRow},
    },
};

/// How much later than now a consent may have been given, in milliseconds: clocks differ.
pub(crate) const AHEAD: i64 = 60_000;

/// Why a consent was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// No such contact.
    #[error("no such contact")]
    NoContact,
    /// It says that it was given later than now.
    #[error("the consent is from the future")]
    FromTheFuture,
    /// The gateway failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for ConsentError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Stores a consent of a contact.
pub async fn add(
    services: &Services,
    org: OrgId,
    contact: ContactId,
    new: NewConsent,
) -> Result<Consent, ConsentError> {
    let key = services.vault().org_key(org).await.map_err(Fault::from)?;
    let (id, now) = (ConsentId::new(services.clock()), services.clock().now());
    let given_at = new.at.unwrap_or(now);
    if given_at > now.saturating_add(AHEAD) {
        return Err(ConsentError::FromTheFuture);
    }
    let sealed = sealed::seal(&key, org, id, &new.how)?;
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move {
            // Held, so that it is not merged into another contact in between.
            let held = store::contacts::people::hold(tx, org, contact).await?;
            let contact = held.ok_or(ConsentError::NoContact)?.id;
            let row = NewRow {
                id,
                contact,
                link: None,
                sealed,
                given_at: given_at.min(now),
                now,
            };
            store::consents::insert(tx, org, &row).await?;
            let row = store::consents::read(tx.conn(), org, contact, id).await?;
            let row = row.ok_or(ConsentError::NoContact)?;
            Ok::<_, ConsentError>(open(&key, org, &row)?)
        })
    });
    write.await
}

/// Returns the consents of a contact, the newest first.
pub async fn list(
    services: &Services,
    org: OrgId,
    contact: ContactId,
    page: &Page<ConsentId>,
) -> Result<Listed<Consent>, Fault> {
    let key = services.vault().org_key(org).await?;
    let mut read = ListRead::begin(services, org).await?;
    let rows = bounded(store::consents::list(read.conn(), org, contact, page)).await;
    let rows = read.end(rows)?;
    let id = |row: &ConsentRow| row.id.to_string();
    Ok(rows.open("consent", id, |row| open(&key, org, &row)))
}

/// Revokes a consent of a contact: it counts no longer, and stays in the list. Returns false if there is none that was not
/// revoked.
pub async fn revoke(
    services: &Services,
    org: OrgId,
    contact: ContactId,
    id: ConsentId,
) -> Result<bool, Fault> {
    let now = services.clock().now();
    let write = services.store().write_in_time(org, move |tx| {
        Box::pin(async move { store::consents::revoke(tx, org, contact, id, now).await })
    });
    Ok(write.await?)
}

pub(crate) fn open(key: &DataKey, org: OrgId, row: &ConsentRow) -> Result<Consent, Fault> {
    let refused_at = row.refused_at.filter(|at| *at >= row.given_at);
    let ended_at = match (row.revoked_at, refused_at) {
        (Some(revoked), Some(refused)) => Some(revoked.min(refused)),
        (revoked, refused) => revoked.or(refused),
    };
    Ok(Consent {
        id: row.id,
        contact: row.contact,
        how: sealed::open(key, org, row.id, &row.sealed)?,
        link: row.link,
        given_at: row.given_at,
        ended_at,
        created_at: row.created_at,
    })
}
