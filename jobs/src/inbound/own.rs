//! What the number's owner writes on the phone or on another linked device. It is stored as an outbound message
//! that was sent; no lane, no gap and no limit has to do with it. Receipts of the other side move its status on, as
//! they do with a message of the gateway.

use std::sync::Arc;

use passerelle_engine::{
    clock::Clock,
    content::Content,
    ids::MessageId,
    lease::Lease,
    store::Tx,
    vault::DataKey,
    whatsapp::inbound::{Inbound, OwnDevice},
};

use super::fill;
use crate::{
    contacts::{self, Book},
    error::Fault,
    events,
    media::incoming::Announcing,
    messages::{
        self,
        target::{self, Chat},
    },
    model::{Direction, Message, Source, Status},
    store::{self, messages::own::Place},
};

/// Stores the message once, with its file and its events. Does nothing with a message that was stored before: a
/// repeat, or one that this gateway sent itself.
pub(super) async fn receive(
    tx: &mut Tx,
    lease: &Lease,
    key: &Arc<DataKey>,
    files: &Announcing,
    clock: &Clock,
    (device, mut inbound): (OwnDevice, Inbound),
) -> Result<(), Fault> {
    let now = clock.now();
    let book = Book {
        org: lease.org,
        key,
        clock,
        session: lease.session,
    };
    let (to, to_mac) = match &inbound.group {
        Some(group) => (None, messages::sealed::group_mac(key, group)),
        None => {
            let to = book.meet(tx, &inbound.from).await?;
            (Some(to), contacts::mac(key, &inbound.from))
        }
    };
    // Two repeats may come at the same time, through the hook and from the phone. The second one waits here.
    store::lanes::lock(tx, lease.org, lease.session).await?;
    let chat = Chat {
        org: lease.org,
        session: lease.session,
        to_mac: &to_mac,
    };
    target::recognise(tx, key, chat, to, &mut inbound).await?;
    let (at, remote) = (inbound.at, inbound.remote.take());
    let mut message = Message {
        direction: Direction::Outbound,
        source: source(device),
        status: Status::Sent,
        contact: to.map(|to| to.id),
        ..super::message(lease, inbound, MessageId::new(clock), now)
    };
    let place = Place {
        to_mac: &to_mac,
        contact: message.contact,
    };
    if !keep(tx, key, &place, &mut message).await? {
        return Ok(());
    }
    let sent_at = message.sent_at.unwrap_or(at);
    target::apply(tx, key, &message, sent_at).await?;
    let file = files.announce(tx, key, &message, remote, now).await?;
    events::written_by_owner(tx, key, &message, file.map(|file| file.json()), clock).await
}

fn source(device: OwnDevice) -> Source {
    match device {
        OwnDevice::Phone => Source::Phone,
        OwnDevice::Linked => Source::LinkedDevice,
    }
}

/// Stores the message; returns false if it was stored before. One that could not be decrypted at first, and now
/// can be, takes its earlier row, and keeps what that row knows: its times, and the device that wrote it.
async fn keep(
    tx: &mut Tx,
    key: &DataKey,
    place: &Place<'_>,
    message: &mut Message,
) -> Result<bool, Fault> {
    let (org, session) = (message.org, message.session);
    let known = store::messages::own::find(tx, org, session, &message.wa_id, place).await?;
    let Some(known) = known else {
        let new = messages::sealed::row(key, message)?;
        let sent_at = message.sent_at.unwrap_or(message.created_at);
        store::messages::own::insert(tx, &new, place, message.source, sent_at).await?;
        return Ok(true);
    };
    if !known.waits || matches!(message.content, Content::Undecryptable {}) {
        return Ok(false);
    }
    message.source = known.source;
    fill(tx, key, message, known.first).await
}
