//! Who has a message: the person whom it went to, or the members of its group.

use passerelle_engine::{
    content::Peer,
    ids::{MessageId, OrgId, ReceiptId},
    vault::{DataKey, Place},
};

use crate::{
    contacts::{self, called},
    error::Fault,
    messages,
    model::{
        Direction, Listed, Message, Page,
        contact::Called,
        receipt::{MEMBERS_MAX, Receipt},
    },
    queries::{ListRead, bounded},
    services::Services,
    store::{
        self,
        contacts::ContactRow,
        receipts::{MemberRow, ReceiptRow},
    },
};

/// The label under which a member's names are encrypted.
const MEMBER: &str = "receipt.member";

/// The receipts of one message.
#[derive(Debug)]
pub struct Receipts {
    message: Message,
    members: i64,
}

impl Receipts {
    /// Returns whether it is kept who has the message.
    pub fn are_per_member(&self) -> bool {
        self.members <= MEMBERS_MAX
    }
}

/// Returns the receipts of a message, `None` if there is no such message.
pub async fn of(services: &Services, org: OrgId, id: MessageId) -> Result<Option<Receipts>, Fault> {
    let Some(message) = messages::read(services, org, id).await? else {
        return Ok(None);
    };
    let mut members = 0;
    if message.group.is_some() && message.direction == Direction::Outbound {
        let mut conn = services.store().read(org).await?;
        members = store::receipts::members(&mut conn, org, id).await?;
    }
    Ok(Some(Receipts { message, members }))
}

/// Returns who has the message, the one whose first receipt is the newest first.
pub async fn list(
    services: &Services,
    of: &Receipts,
    page: &Page<ReceiptId>,
) -> Result<Listed<Receipt>, Fault> {
    let message = &of.message;
    if message.direction == Direction::Inbound || !of.are_per_member() {
        return Ok(Listed::nothing());
    }
    let (org, id) = (message.org, message.id);
    let key = services.vault().org_key(org).await?;
    if message.group.is_none() {
        let mut listed = Listed::nothing();
        listed
            .items
            .extend(of_person(services, &key, message).await?);
        return Ok(listed);
    }
    let mut read = ListRead::begin(services, org).await?;
    let rows = bounded(store::receipts::list(read.conn(), org, id, page)).await;
    let rows = read.end(rows)?;
    let id = |row: &ReceiptRow| row.id.to_string();
    Ok(rows.open("receipt", id, |row| open(&key, org, &row)))
}

/// Returns the receipt of the one person whom the message went to, if a phone of theirs has it.
async fn of_person(
    services: &Services,
    key: &DataKey,
    message: &Message,
) -> Result<Option<Receipt>, Fault> {
    if message.delivered_at.is_none() {
        return Ok(None);
    }
    let mut receipt = Receipt {
        id: None,
        contact: message.contact,
        peer: message.peer.clone(),
        called: Called::default(),
        delivered_at: message.delivered_at,
        read_at: message.read_at,
        played_at: message.played_at,
    };
    let Some(contact) = message.contact else {
        return Ok(Some(receipt));
    };
    let mut conn = services.store().read(message.org).await?;
    let row = store::contacts::people::read(&mut conn, message.org, contact).await?;
    if let Some(row) = row {
        receipt.called = called::open(key, (message.org, row.id), &row.names)?;
        let names = ContactRow {
            id: row.id,
            phone_sealed: row.phone_sealed,
            lid_sealed: row.lid_sealed,
        };
        receipt.peer = or(contacts::names(key, message.org, &names)?, receipt.peer);
    }
    Ok(Some(receipt))
}

/// Returns a member in look-up form and encrypted. The names are bound to the look-up form, so each of the member's
/// rows may have them.
pub(crate) fn seal(key: &DataKey, org: OrgId, member: &Peer) -> Result<MemberRow, Fault> {
    let phone_mac = member.phone.as_ref();
    let phone_mac = phone_mac.map(|phone| contacts::phone_mac(key, phone));
    let lid_mac = member.lid.as_deref().map(|lid| contacts::lid_mac(key, lid));
    let mac = lid_mac.or(phone_mac).unwrap_or_default();
    let record = record(&mac);
    Ok(MemberRow {
        sealed: key.seal_json(&Place::of(org, MEMBER, &record), member)?,
        mac,
        phone_mac,
    })
}

fn record(mac: &[u8]) -> String {
    hex::encode(mac)
}

fn open(key: &DataKey, org: OrgId, row: &ReceiptRow) -> Result<Receipt, Fault> {
    let record = record(&row.member_mac);
    let member: Peer = key.open_json(&Place::of(org, MEMBER, &record), &row.member_sealed)?;
    let (mut peer, mut called) = (member, Called::default());
    if let Some(id) = row.contact {
        called = called::open(key, (org, id), &row.names)?;
        let names = ContactRow {
            id,
            phone_sealed: row.phone_sealed.clone(),
            lid_sealed: row.lid_sealed.clone(),
        };
        peer = or(contacts::names(key, org, &names)?, peer);
    }
    Ok(Receipt {
        id: Some(row.id),
        contact: row.contact,
        peer,
        called,
        delivered_at: row.delivered_at,
        read_at: row.read_at,
        played_at: row.played_at,
    })
}

/// Returns the names of a contact, and the one that it lacks from `other`.
fn or(contact: Peer, other: Peer) -> Peer {
    Peer {
        phone: contact.phone.or(other.phone),
        lid: contact.lid.or(other.lid),
    }
}
