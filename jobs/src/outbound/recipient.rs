//! The recipient of a message: a phone number, a contact, or a group.

use passerelle_engine::{
    clock::Millis,
    content::{self, Group, Peer, Phone},
    ids::{ContactId, OrgId},
    store::Tx,
    vault::DataKey,
};

use crate::{
    contacts,
    error::Fault,
    messages,
    services::Services,
    store::{self, contacts::ContactRow},
};

/// The recipient, as the caller names it.
#[derive(Debug, Clone)]
pub enum To {
    /// The owner of this number.
    Phone(Phone),
    /// The account with this LID: the digits before `@lid`.
    Lid(String),
    /// A contact, by our id.
    Contact(ContactId),
    /// All members of a group that the session's number is in.
    Group(Group),
}

/// Looks up the recipient of something that is not a message. Returns its address at WhatsApp and the MAC
/// under which it is stored, or `None` if there is no such contact.
pub(crate) async fn address(
    services: &Services,
    key: &DataKey,
    org: OrgId,
    to: &To,
) -> Result<Option<(content::Recipient, [u8; 32])>, Fault> {
    let found = Recipient::look_up(services, key, org, to).await?;
    Ok(found.map(|found| {
        let to = match found.group {
            Some(group) => content::Recipient::Group(group),
            None => content::Recipient::Person(found.peer),
        };
        (to, found.to_mac)
    }))
}

/// The recipient, looked up.
#[derive(Clone)]
pub(super) struct Recipient {
    pub(super) peer: Peer,
    pub(super) group: Option<Group>,
    pub(super) to_mac: [u8; 32],
    pub(super) contact: Option<ContactId>,
    /// There is no contact for this phone number or LID yet.
    is_new: bool,
}

impl Recipient {
    /// Looks up the recipient. Returns `None` if there is no such contact.
    pub(super) async fn look_up(
        services: &Services,
        key: &DataKey,
        org: OrgId,
        to: &To,
    ) -> Result<Option<Self>, Fault> {
        match to {
            To::Group(group) => Ok(Some(Self::group(key, group))),
            To::Contact(id) => {
                let mut conn = services.store().read(org).await?;
                let known = store::contacts::read(&mut conn, org, *id).await?;
                known.map(|known| Self::known(key, org, &known)).transpose()
            }
            To::Phone(phone) => {
                let mac = contacts::phone_mac(key, phone);
                let mut conn = services.store().read(org).await?;
                let known = store::contacts::by_phone(&mut conn, org, &mac).await?;
                let (phone, lid) = (Some(phone.clone()), None);
                let new = || Self::new(services, Peer { phone, lid }, mac);
                known
                    .map_or_else(|| Ok(new()), |known| Self::known(key, org, &known))
                    .map(Some)
            }
            To::Lid(lid) => {
                let mac = contacts::lid_mac(key, lid);
                let mut conn = services.store().read(org).await?;
                let known = store::contacts::by_lid(&mut conn, org, &mac).await?;
                let (phone, lid) = (None, Some(lid.clone()));
                let new = || Self::new(services, Peer { phone, lid }, mac);
                known
                    .map_or_else(|| Ok(new()), |known| Self::known(key, org, &known))
                    .map(Some)
            }
        }
    }

    fn new(services: &Services, peer: Peer, to_mac: [u8; 32]) -> Self {
        Self {
            peer,
            group: None,
            to_mac,
            contact: Some(ContactId::new(services.clock())),
            is_new: true,
        }
    }

    fn group(key: &DataKey, group: &Group) -> Self {
        Self {
            peer: Peer {
                phone: None,
                lid: None,
            },
            to_mac: messages::sealed::group_mac(key, group),
            group: Some(group.clone()),
            contact: None,
            is_new: false,
        }
    }

    fn known(key: &DataKey, org: OrgId, known: &ContactRow) -> Result<Self, Fault> {
        let peer = contacts::names(key, org, known)?;
        Ok(Self {
            to_mac: contacts::mac(key, &peer),
            peer,
            group: None,
            contact: Some(known.id),
            is_new: false,
        })
    }

    /// Creates the contact if it is new. Called before the lane's row is written, because inbound messages
    /// write contact and lane in the same order.
    pub(super) async fn keep(
        &self,
        tx: &mut Tx,
        key: &DataKey,
        org: OrgId,
        now: Millis,
    ) -> Result<Option<ContactId>, sqlx::Error> {
        let (Some(id), true) = (self.contact, self.is_new) else {
            return Ok(self.contact);
        };
        let names = contacts::first_written_to(key, org, id, &self.peer);
        let id = store::contacts::write_to(tx, org, id, &names, now).await?;
        Ok(Some(id))
    }
}
