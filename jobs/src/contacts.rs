//! Contacts: a stable id of ours for a phone number and a LID. WhatsApp may name a person by one or
//! both.
//!
//! A contact is found by the names known so far; a name that is learned later is added. If two contacts
//! turn out to be one person, they are merged, and the id that is given up leads to the other from then
//! on.

use passerelle_engine::{
    clock::Clock,
    content::{Peer, Phone},
    ids::{ContactId, OrgId, SessionId},
    store::Tx,
    vault::{DataKey, Place},
};

use crate::{
    error::Fault,
    events,
    store::{
        self,
        contacts::{Address, ContactMatch, ContactRow, FirstAddress},
    },
};

/// The contact with some names. A `twin` shares one of the names but has another name of its own: the
/// number changed hands, and the two are different people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Met {
    pub(crate) id: ContactId,
    pub(crate) twin: Option<ContactId>,
}

/// Looks up and updates an organisation's contacts inside its transactions.
pub(crate) struct Book<'b> {
    pub(crate) org: OrgId,
    pub(crate) key: &'b DataKey,
    pub(crate) clock: &'b Clock,
    /// The session that the names came through.
    pub(crate) session: SessionId,
}

impl Book<'_> {
    /// Returns the contact with these names, and creates it if there is none.
    pub(crate) async fn meet(&self, tx: &mut Tx, peer: &Peer) -> Result<Met, Fault> {
        if let Some(met) = self.recognise(tx, peer).await? {
            return Ok(met);
        }
        let id = ContactId::new(self.clock);
        let names = Names::of(self.key, peer);
        let (phone, lid) = (self.phone(id, &names), self.lid(id, &names));
        let now = self.clock.now();
        store::contacts::insert(tx, self.org, id, phone.as_ref(), lid.as_ref(), now).await?;
        Ok(Met { id, twin: None })
    }

    /// Returns the contact with these names, if there is one. Adds a name that was not known.
    pub(crate) async fn recognise(&self, tx: &mut Tx, peer: &Peer) -> Result<Option<Met>, Fault> {
        let names = Names::of(self.key, peer);
        let known = store::contacts::find(tx, self.org, names.phone_mac(), names.lid_mac()).await?;
        let (id, twin) = match known.as_slice() {
            [] => return Ok(None),
            [one] => {
                self.learn(tx, one, &names).await?;
                (one.id, None)
            }
            [one, other, ..] if one.has_lid || other.has_phone => {
                store::contacts::refuse_alike(tx, self.org, one.id, other.id).await?;
                (one.id, Some(other.id))
            }
            [one, other, ..] => {
                store::contacts::merge(tx, self.org, one.id, other.id).await?;
                self.learn(tx, one, &names).await?;
                let (of, ids) = ((self.org, self.session), (one.id, other.id));
                events::merged(tx, self.key, of, ids, peer, self.clock).await?;
                (one.id, None)
            }
        };
        Ok(Some(Met { id, twin }))
    }

    async fn learn(
        &self,
        tx: &mut Tx,
        known: &ContactMatch,
        names: &Names<'_>,
    ) -> Result<(), Fault> {
        let (org, id) = (self.org, known.id);
        if let Some(phone) = self.phone(id, names).filter(|_| !known.has_phone) {
            store::contacts::learn_phone(tx, org, id, &phone).await?;
        }
        if let Some(lid) = self.lid(id, names).filter(|_| !known.has_lid) {
            store::contacts::learn_lid(tx, org, id, &lid).await?;
        }
        Ok(())
    }

    fn phone(&self, id: ContactId, names: &Names<'_>) -> Option<Address> {
        let (phone, mac) = names.phone?;
        Some(sealed(self.key, (self.org, id), PHONE, phone.as_str(), mac))
    }

    fn lid(&self, id: ContactId, names: &Names<'_>) -> Option<Address> {
        let (lid, mac) = names.lid?;
        Some(sealed(self.key, (self.org, id), LID, lid, mac))
    }
}

/// Returns the look-up form of a phone number.
pub(crate) fn phone_mac(key: &DataKey, phone: &Phone) -> [u8; 32] {
    key.mac(PHONE, phone.as_str().as_bytes())
}

/// Returns the look-up form of a LID.
pub(crate) fn lid_mac(key: &DataKey, lid: &str) -> [u8; 32] {
    key.mac(LID, lid.as_bytes())
}

/// Returns the look-up form of the chat with a person: by phone if it is known, else by LID.
pub(crate) fn mac(key: &DataKey, peer: &Peer) -> [u8; 32] {
    let phone = peer.phone.as_ref().map(|phone| phone_mac(key, phone));
    let lid = || peer.lid.as_deref().map(|lid| lid_mac(key, lid));
    phone.or_else(lid).unwrap_or_default()
}

/// Decrypts a contact's names.
pub(crate) fn names(key: &DataKey, org: OrgId, known: &ContactRow) -> Result<Peer, Fault> {
    let record = known.id.to_string();
    let open = |table, sealed: &Option<Vec<u8>>| {
        let opened = sealed
            .as_ref()
            .map(|sealed| key.open(&Place::of(org, table, &record), sealed));
        let opened = opened.transpose()?;
        Ok::<_, Fault>(opened.map(|name| String::from_utf8_lossy(&name).into_owned()))
    };
    let phone = open(PHONE, &known.phone_sealed)?;
    Ok(Peer {
        phone: phone.as_deref().and_then(Phone::parse),
        lid: open(LID, &known.lid_sealed)?,
    })
}

/// Returns the stored forms of the phone or the LID of a person who is written to for the first time.
pub(crate) fn first_written_to(
    key: &DataKey,
    org: OrgId,
    id: ContactId,
    peer: &Peer,
) -> FirstAddress {
    if let Some(phone) = &peer.phone {
        let mac = phone_mac(key, phone);
        return FirstAddress::Phone(sealed(key, (org, id), PHONE, phone.as_str(), mac));
    }
    let lid = peer.lid.as_deref().unwrap_or_default();
    FirstAddress::Lid(sealed(key, (org, id), LID, lid, lid_mac(key, lid)))
}

/// Labels for both the sealed and the look-up form of a name.
const PHONE: &str = "contact.phone";
const LID: &str = "contact.lid";

/// The names of a person, with their look-up forms.
struct Names<'p> {
    phone: Option<(&'p Phone, [u8; 32])>,
    lid: Option<(&'p str, [u8; 32])>,
}

impl<'p> Names<'p> {
    fn of(key: &DataKey, peer: &'p Peer) -> Self {
        let (phone, lid) = (peer.phone.as_ref(), peer.lid.as_deref());
        Self {
            phone: phone.map(|phone| (phone, phone_mac(key, phone))),
            lid: lid.map(|lid| (lid, lid_mac(key, lid))),
        }
    }

    fn phone_mac(&self) -> Option<[u8; 32]> {
        self.phone.map(|(_, mac)| mac)
    }

    fn lid_mac(&self) -> Option<[u8; 32]> {
        self.lid.map(|(_, mac)| mac)
    }
}

fn sealed(
    key: &DataKey,
    (org, id): (OrgId, ContactId),
    table: &'static str,
    name: &str,
    mac: [u8; 32],
) -> Address {
    let record = id.to_string();
    Address {
        mac,
        sealed: key.seal(&Place::of(org, table, &record), name.as_bytes()),
    }
}
