//! What is known of people whom WhatsApp names in passing, such as the members of a group. No contact is made for
//! them: a contact is somebody whom the organisation wrote to, or who wrote to it.

use std::collections::HashMap;

use passerelle_engine::{content::Peer, ids::OrgId, vault::DataKey};
use sqlx::AnyConnection;

use super::{called, lid_mac, names, phone_mac};
use crate::{
    error::{Fault, if_readable},
    model::{contact::Called, group::Person},
    store::contacts::{
        ContactRow,
        known::{self, AT_ONCE, KnownRow},
        people::PersonRow,
    },
};

/// Returns these people with what is known of them, in the same order.
pub(crate) async fn people(
    conn: &mut AnyConnection,
    (key, org): (&DataKey, OrgId),
    peers: &[Peer],
) -> Result<Vec<Person>, Fault> {
    let macs: Vec<_> = peers
        .iter()
        .flat_map(|peer| {
            let phone = peer.phone.as_ref().map(|phone| phone_mac(key, phone));
            let lid = peer.lid.as_deref().map(|lid| lid_mac(key, lid));
            [phone, lid].into_iter().flatten()
        })
        .collect();
    let mut found = Found::default();
    for some in macs.chunks(AT_ONCE) {
        for row in known::known(&mut *conn, org, some).await? {
            found.add(row);
        }
    }
    peers
        .iter()
        .map(|peer| found.person(key, org, peer))
        .collect()
}

#[derive(Default)]
struct Found(HashMap<Vec<u8>, PersonRow>);

impl Found {
    fn add(&mut self, row: KnownRow) {
        for mac in [row.phone_mac, row.lid_mac].into_iter().flatten() {
            self.0.insert(mac, row.person.clone());
        }
    }

    /// Returns the person. A LID stays when a number changes hands, so it counts more than the phone.
    fn person(&self, key: &DataKey, org: OrgId, peer: &Peer) -> Result<Person, Fault> {
        let by_lid = peer.lid.as_deref().map(|lid| lid_mac(key, lid));
        let by_phone = peer.phone.as_ref().map(|phone| phone_mac(key, phone));
        for mac in [by_lid, by_phone].into_iter().flatten() {
            if let Some(row) = self.0.get(&mac[..])
                && let Some(person) =
                    if_readable("contact", &row.id, open(key, org, row, peer))?.flatten()
            {
                return Ok(person);
            }
        }
        Ok(Person {
            peer: peer.clone(),
            contact: None,
            called: Called::default(),
            is_me: false,
        })
    }
}

/// Returns the contact as the person that WhatsApp named; `None` if its LID says that it is another one.
fn open(key: &DataKey, org: OrgId, row: &PersonRow, named: &Peer) -> Result<Option<Person>, Fault> {
    let stored = ContactRow {
        id: row.id,
        phone_sealed: row.phone_sealed.clone(),
        lid_sealed: row.lid_sealed.clone(),
    };
    let own = names(key, org, &stored)?;
    let lids = own.lid.as_ref().zip(named.lid.as_ref());
    if lids.is_some_and(|(own, named)| own != named) {
        return Ok(None);
    }
    Ok(Some(Person {
        peer: Peer {
            phone: named.phone.clone().or(own.phone),
            lid: named.lid.clone().or(own.lid),
        },
        contact: Some(row.id),
        called: called::open(key, (org, row.id), &row.names)?,
        is_me: false,
    }))
}

#[cfg(test)]
mod tests;
