//! What the number's owner writes on the phone or on another linked device. It is stored as an outbound message
//! that was sent; no lane, no gap and no limit has to do with it. Receipts of the other side move its status on, as
//! they do with a message of the gateway; one that came before the message is applied with it.

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
    events::{self, Beside},
    host::receipts,
    media::incoming::Announcing,
    messages::{
        self, mentions,
        target::{self, Chat},
        timer,
    },
    model::{Direction, Message, Source, Status},
    state::early_receipts::EarlyReceipts,
    store::{
        self,
        chat_timers::TimedChat,
        messages::{KnownTimer, own::Place},
    },
};

/// Stores the message once, with its file and its events. Does nothing with a message that was stored before: a
/// repeat, or one that this gateway sent itself.
pub(super) async fn receive(
    tx: &mut Tx,
    lease: &Lease,
    key: &Arc<DataKey>,
    files: &Announcing,
    clock: &Clock,
    (device, mut inbound, early): (OwnDevice, Inbound, &EarlyReceipts),
) -> Result<(), Fault> {
    let now = clock.now();
    let book = Book {
        org: lease.org,
        key,
        clock,
        session: lease.session,
    };
    // Two repeats may come at the same time, through the hook and from the phone. The second one waits here. The lane is
    // locked before a contact, as a send does.
    store::lanes::lock(tx, lease.org, lease.session).await?;
    let (to, to_mac) = if let Some(group) = &inbound.group {
        (None, messages::sealed::group_mac(key, group))
    } else {
        let to = if inbound.phone_is_derived {
            book.meet_derived(tx, &mut inbound.from).await?
        } else {
            book.meet(tx, &inbound.from).await?
        };
        (Some(to), contacts::mac(key, &inbound.from))
    };
    let chat = Chat {
        org: lease.org,
        session: lease.session,
        to_mac: &to_mac,
        contact: to.map(|to| to.id),
    };
    let timed = match to {
        Some(to) => TimedChat::With(to.id),
        None => TimedChat::Group(&to_mac),
    };
    let (said, of) = (timer::Said::by(&inbound), (lease.org, lease.session));
    if matches!(inbound.content, Content::ChatTimer { .. }) {
        said.keep(tx, of, timed, None).await?;
        return Ok(());
    }
    target::recognise(tx, key, chat, to, &mut inbound).await?;
    mentions::recognise(tx, key, lease.org, &mut inbound.context.mentions).await?;
    let (at, remote, raw) = (inbound.at, inbound.remote.take(), inbound.raw.take());
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
    let Some(known) = keep(tx, key, &place, &mut message).await? else {
        return Ok(());
    };
    said.keep(tx, of, timed, known).await?;
    let sent_at = message.sent_at.unwrap_or(at);
    target::apply(tx, key, &message, sent_at).await?;
    let file = files.announce(tx, key, &message, remote, now).await?;
    let beside = Beside {
        called: None,
        media: file.map(|file| file.json()),
        raw: raw.as_ref(),
    };
    events::written_by_owner(tx, key, &message, beside, clock).await?;
    // Read under the lane's lock: what comes later finds the message.
    let early = early.of(&message.wa_id);
    receipts::apply_early(tx, (key, clock, lease), &message.wa_id, early).await
}

fn source(device: OwnDevice) -> Source {
    match device {
        OwnDevice::Phone => Source::Phone,
        OwnDevice::Linked => Source::LinkedDevice,
    }
}

/// Stores the message. Returns the timer of its chat, or `None` if the message was stored before. A message that could not be
/// decrypted at first, and now can be, takes its earlier row. It keeps that row's times, and the device that wrote it.
async fn keep(
    tx: &mut Tx,
    key: &DataKey,
    place: &Place<'_>,
    message: &mut Message,
) -> Result<Option<KnownTimer>, Fault> {
    let (org, session) = (message.org, message.session);
    let known = store::messages::own::find(tx, org, session, &message.wa_id, place).await?;
    let Some(known) = known else {
        let new = messages::sealed::row(key, message)?;
        let sent_at = message.sent_at.unwrap_or(message.created_at);
        let timer = store::messages::own::insert(tx, &new, place, message.source, sent_at).await?;
        return Ok(Some(timer));
    };
    if !known.waits || matches!(message.content, Content::Undecryptable {}) {
        return Ok(None);
    }
    message.source = known.source;
    Ok(fill(tx, key, message, known.first).await?.then_some(None))
}
