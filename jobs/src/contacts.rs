//! Contacts: a stable id of ours for a phone number and a LID. WhatsApp may name a person by one or
//! both.
//!
//! A contact is found by the names known so far; a name that is learned later is added. If two contacts
//! turn out to be one person, they are merged, and the id that is given up leads to the other from then
//! on. WhatsApp has one canonical form of each number; `spellings` learns which one.

pub(crate) mod called;
mod derived;
pub(crate) mod known;
mod spellings;

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
    /// Returns the contact with these names, and creates it if there is none. They are WhatsApp's own names of the
    /// person, with the canonical form of the phone.
    pub(crate) async fn meet(&self, tx: &mut Tx, peer: &Peer) -> Result<Met, Fault> {
        if let Some(met) = self.recognise(tx, peer).await? {
            return Ok(met);
        }
        let id = self.insert(tx, &Names::of(self.key, peer)).await?;
        Ok(Met { id, twin: None })
    }

    /// Returns the contact with these names, if there is one. Adds a name that was not known. A phone replaces the one
    /// that the LID had before: the LID stays when a number changes.
    pub(crate) async fn recognise(&self, tx: &mut Tx, peer: &Peer) -> Result<Option<Met>, Fault> {
        let names = Names::of(self.key, peer);
        let known = store::contacts::find(tx, self.org, names.phone_mac(), names.lid_mac()).await?;
        let (id, twin) = match known.as_slice() {
            [] => return Ok(None),
            [one] if one.is_another_at(&names) => {
                self.forget_phone(tx, &names).await?;
                let id = self.insert(tx, &names).await?;
                (id, Some(one.id))
            }
            [one] => {
                self.learn(tx, one, &names).await?;
                (one.id, None)
            }
            [one, other, ..] if one.is_another_at(&names) => {
                self.learn(tx, other, &names).await?;
                (other.id, Some(one.id))
            }
            [one, other, ..] if one.lid_mac.is_some() => (one.id, Some(other.id)),
            [one, other, ..] => {
                store::contacts::merge(tx, self.org, one.id, other.id).await?;
                self.learn(tx, one, &names).await?;
                self.merged(tx, one.id, other.id, peer).await?;
                (one.id, None)
            }
        };
        if let Some(twin) = twin {
            store::contacts::opt_outs::refuse_alike(tx, self.org, id, twin).await?;
        }
        Ok(Some(Met { id, twin }))
    }

    /// Completes the merging of `other` into `one`: names and event.
    async fn merged(
        &self,
        tx: &mut Tx,
        one: ContactId,
        other: ContactId,
        peer: &Peer,
    ) -> Result<(), Fault> {
        self.inherit(tx, one, other).await?;
        let of = (self.org, self.session);
        events::merged(tx, self.key, of, (one, other), peer, self.clock).await
    }

    async fn insert(&self, tx: &mut Tx, names: &Names<'_>) -> Result<ContactId, Fault> {
        let id = ContactId::new(self.clock);
        let (phone, lid) = (self.phone(id, names), self.lid(id, names));
        let now = self.clock.now();
        // WhatsApp stated no phone if it named a LID alone.
        let is_canonical = names.is_stated && phone.is_some();
        let times = (now, is_canonical.then_some(now));
        store::contacts::insert(tx, self.org, id, phone.as_ref(), lid.as_ref(), times).await?;
        Ok(id)
    }

    /// Adds the names that are not known of the contact. A phone that WhatsApp did not state replaces none.
    async fn learn(
        &self,
        tx: &mut Tx,
        known: &ContactMatch,
        names: &Names<'_>,
    ) -> Result<(), Fault> {
        let has_phone = known.has_phone(names);
        let is_new = if names.is_stated {
            !(has_phone && known.is_canonical)
        } else {
            known.phone_mac.is_none()
        };
        let phone = self.phone(known.id, names).filter(|_| is_new);
        let lid = self.lid(known.id, names);
        let lid = lid.filter(|_| known.lid_mac.is_none());
        if phone.is_none() && lid.is_none() {
            return Ok(());
        }
        if phone.is_some() && !has_phone {
            self.forget_phone(tx, names).await?;
        }
        let (org, now) = (self.org, self.clock.now());
        let canonical_at = phone.is_some() && names.is_stated;
        let canonical_at = canonical_at.then_some(now);
        store::contacts::learn(
            tx,
            org,
            known.id,
            phone.as_ref(),
            lid.as_ref(),
            canonical_at,
        )
        .await?;
        Ok(())
    }

    /// Takes the phone from the row that has it, before another one gets it.
    async fn forget_phone(&self, tx: &mut Tx, names: &Names<'_>) -> Result<(), Fault> {
        if let Some(mac) = names.phone_mac() {
            store::contacts::forget_phone(tx, self.org, &mac).await?;
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
    /// WhatsApp stated the phone, which is in its canonical form then.
    is_stated: bool,
}

impl ContactMatch {
    /// Returns whether this phone is the contact's, and not another spelling of it.
    fn has_phone(&self, names: &Names<'_>) -> bool {
        names
            .phone_mac()
            .is_some_and(|mac| self.phone_mac.as_deref() == Some(&mac))
    }

    /// Returns whether these are the names of another person, although the phone was known as a spelling of this contact's.
    fn is_another_at(&self, names: &Names<'_>) -> bool {
        let lids = (self.lid_mac.as_deref(), names.lid_mac());
        let (Some(own), Some(theirs)) = lids else {
            return false;
        };
        own != theirs && names.phone.is_some() && !self.has_phone(names)
    }
}

impl<'p> Names<'p> {
    fn of(key: &DataKey, peer: &'p Peer) -> Self {
        let (phone, lid) = (peer.phone.as_ref(), peer.lid.as_deref());
        Self {
            phone: phone.map(|phone| (phone, phone_mac(key, phone))),
            lid: lid.map(|lid| (lid, lid_mac(key, lid))),
            is_stated: true,
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
