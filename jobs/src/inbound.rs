//! Commits the messages that WhatsApp delivers: those of other people, and what the number's owner writes on
//! other devices ([`own`]). WhatsApp gets an acknowledgement only after this has returned without an
//! error; until then it keeps the message and delivers it again.

mod own;

use std::{collections::HashMap, sync::Arc};

use passerelle_engine::{
    clock::Millis,
    content::Content,
    ids::{ContactId, MessageId},
    lease::Lease,
    store::Tx,
    vault::DataKey,
    whatsapp::inbound::{Inbound, InboundSink},
};

use crate::{
    acquaintances, consents,
    contacts::{self, Book, Met},
    crash,
    error::Fault,
    events::{self, Beside},
    media::incoming::Announcing,
    messages::{
        self, mentions,
        opt_out::{self, Taken},
        target::{self, Chat},
        timer,
    },
    model::{Direction, Message, Priority, Source, Status, client_data::ClientData},
    outage,
    replies::{self, foreseen::Foreseen, run::Received},
    services::Services,
    state::early_receipts::EarlyReceipts,
    store::{
        self,
        chat_timers::TimedChat,
        messages::{Before, Origin},
    },
};

/// Stores the inbound messages of one session.
pub(crate) struct Inbox {
    pub(crate) services: Services,
    pub(crate) lease: Lease,
    /// The receipts that came before their messages.
    pub(crate) early: Arc<EarlyReceipts>,
}

impl Inbox {
    /// Returns whether the session should go on running here.
    fn is_wanted(&self) -> bool {
        let running = self
            .services
            .registry()
            .running(self.lease.session, self.lease.epoch);
        running.is_some_and(|running| !running.stop.is_cancelled())
    }

    /// Stores a batch in one transaction. Waits while the database is down.
    async fn store(&self, batch: &[Inbound]) -> Result<(), Fault> {
        let commit = async || {
            match self.commit_all(batch.to_vec()).await {
                // On PostgreSQL another session of the organisation may create or lock the same contacts at the
                // same time. One message locks the contact of one person only. So of transactions with one
                // message no two can wait for each other, however many sessions receive.
                Err(fault) if fault.is_race() => {
                    for inbound in batch {
                        self.commit_all(vec![inbound.clone()]).await?;
                    }
                    Ok(())
                }
                done => done,
            }
        };
        let log = |fault: &Fault| {
            tracing::warn!(session.id = %self.lease.session, error = %fault, "inbound messages wait because the store failed");
        };
        // A refusal would leave the messages with WhatsApp until the next connect, which may be hours
        // away. To read on makes no sense either, because nothing could be stored.
        outage::wait_out(commit, || self.is_wanted(), log).await
    }
}

impl Inbox {
    async fn commit_all(&self, batch: Vec<Inbound>) -> Result<(), Fault> {
        let own = batch.iter().filter(|inbound| inbound.own.is_some());
        let own: Vec<_> = own.map(|inbound| inbound.id.clone()).collect();
        commit(&self.services, &self.lease, &self.early, batch).await?;
        if let Some(health) = self.services.registry().health(self.lease.session) {
            health.committed();
        }
        if !own.is_empty() {
            self.early.forget(&own);
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl InboundSink for Inbox {
    async fn commit(&self, batch: Vec<Inbound>) -> anyhow::Result<()> {
        match self.store(&batch).await {
            Err(fault) if batch.len() > 1 && fault.is_of_one_row() => {}
            done => return Ok(done?),
        }
        // One of them cannot be stored; the others are. WhatsApp keeps the batch, and what was stored is
        // recognised when it comes again.
        let mut stored = Ok(());
        for inbound in &batch {
            if let Err(fault) = self.store(std::slice::from_ref(inbound)).await {
                tracing::error!(session.id = %self.lease.session, error = %fault, "an inbound message could not be stored");
                stored = Err(fault);
            }
        }
        Ok(stored?)
    }
}

/// Stores the batch in one transaction: each message once, with its contact, its event and one delivery
/// per endpoint. A message that was stored before changes nothing.
async fn commit(
    services: &Services,
    lease: &Lease,
    early: &Arc<EarlyReceipts>,
    messages: Vec<Inbound>,
) -> Result<(), Fault> {
    let foreseen = Foreseen::of(services, (lease.org, lease.session), &messages).await;
    let key = services.vault().org_key(lease.org).await?;
    let (lease, clock) = (lease.clone(), services.clock().clone());
    let (early, using) = (Arc::clone(early), services.clone());
    let files = Announcing::now(&services.settings().media);
    let brings_files = messages.iter().any(|inbound| inbound.remote.is_some());
    let received = messages.len();
    let answers = services
        .store()
        .write(lease.org, move |tx| {
            Box::pin(async move {
                lease.check(tx).await?;
                let mut answers = false;
                let mut batch = Batch {
                    foreseen,
                    ..Batch::default()
                };
                for inbound in messages {
                    if let Some(device) = inbound.own {
                        let own = (device, inbound, &*early);
                        own::receive(tx, &lease, &key, &files, &clock, own).await?;
                    } else {
                        answers |=
                            receive(tx, &lease, &key, &files, &using, &mut batch, inbound).await?;
                    }
                }
                if !batch.wrote.is_empty() {
                    answers |= acquaintances::heard(tx, &lease, &batch.wrote).await?;
                }
                crash::point("inbound.before_commit");
                Ok::<_, Fault>(answers)
            })
        })
        .await?;
    crash::point("inbound.after_commit");
    services.wake_deliveries();
    if brings_files {
        services.wake_fetches();
    }
    if answers {
        services.wake_lanes();
        // An answer may have a link whose preview is wanted.
        services.wake_fetches();
    }
    tracing::debug!(received, "inbound messages committed");
    Ok(())
}

/// What is known of a batch beside its messages.
#[derive(Default)]
struct Batch {
    /// When each contact wrote last.
    wrote: HashMap<ContactId, Millis>,
    /// Which texts the regular expressions of rules find.
    foreseen: Foreseen,
}

/// Stores one message of somebody else, and notes in `batch` when the contact wrote. Returns whether an answer to it was
/// queued.
async fn receive(
    tx: &mut Tx,
    lease: &Lease,
    key: &Arc<DataKey>,
    files: &Announcing,
    services: &Services,
    batch: &mut Batch,
    mut inbound: Inbound,
) -> Result<bool, Fault> {
    let clock = services.clock();
    let now = clock.now();
    let book = Book {
        org: lease.org,
        key,
        clock,
        session: lease.session,
    };
    let writer = if inbound.phone_is_derived {
        book.meet_derived(tx, &mut inbound.from).await?
    } else {
        book.meet(tx, &inbound.from).await?
    };
    let group_mac = inbound
        .group
        .as_ref()
        .map(|group| messages::sealed::group_mac(key, group));
    let chat = Chat {
        org: lease.org,
        session: lease.session,
        to_mac: &group_mac.unwrap_or_else(|| contacts::mac(key, &inbound.from)),
        contact: group_mac.is_none().then_some(writer.id),
    };
    let timed = match &group_mac {
        Some(group) => TimedChat::Group(group),
        None => TimedChat::With(writer.id),
    };
    let (said, of) = (timer::Said::by(&inbound), (lease.org, lease.session));
    if matches!(inbound.content, Content::ChatTimer { .. }) {
        said.keep(tx, of, timed, None).await?;
        return Ok(false);
    }
    target::recognise(tx, key, chat, Some(writer), &mut inbound).await?;
    mentions::recognise(tx, key, lease.org, &mut inbound.context.mentions).await?;
    let origin = Origin {
        chat_mac: key.mac("message.chat", inbound.chat.as_bytes()),
        sender_mac: messages::sealed::sender_mac(key, &inbound.sender),
        group_mac,
        contact: writer.id,
    };
    let names = std::mem::take(&mut inbound.names);
    let (at, remote, recovered) = (inbound.at, inbound.remote.take(), inbound.recovered);
    let raw = inbound.raw.take();
    let mut message = Message {
        contact: Some(writer.id),
        ..message(lease, inbound, MessageId::new(clock), now)
    };
    let Some(before) = keep(tx, key, &origin, &mut message, recovered).await? else {
        return Ok(false);
    };
    said.keep(tx, of, timed, before.timer).await?;
    let known = match message.group {
        None => {
            let wrote_at = message.sent_at.unwrap_or(now).min(now);
            let last = batch.wrote.entry(writer.id).or_insert(wrote_at);
            *last = wrote_at.max(*last);
            store::contacts::people::touch(tx, lease.org, writer.id, now).await?
        }
        Some(_) => store::contacts::people::names(tx, lease.org, writer.id).await?,
    };
    let heard = match known {
        Some(known) => Some(book.learn_names(tx, writer.id, &known, names).await?),
        None => None,
    };
    let sent_at = message.sent_at.unwrap_or(at);
    target::apply(tx, key, &message, sent_at).await?;
    let file = files.announce(tx, key, &message, remote, now).await?;
    let media = file.map(|file| file.json());
    let beside = Beside {
        called: heard.as_ref().map(|heard| &heard.called),
        media,
        raw: raw.as_ref(),
    };
    events::received(tx, key, &message, beside, clock).await?;
    if let Some(heard) = heard.as_ref().filter(|heard| heard.is_changed) {
        events::renamed(tx, key, writer.id, &message, &heard.called, clock).await?;
    }
    let known = (&origin, &before, &batch.foreseen);
    answer(tx, key, services, writer, &message, known).await
}

/// Does what the message asks for: consents, opting out and in, and what the rules of the organisation say. Returns whether an
/// answer was queued.
async fn answer(
    tx: &mut Tx,
    key: &Arc<DataKey>,
    services: &Services,
    writer: Met,
    message: &Message,
    (origin, before, foreseen): (&Origin, &Before, &Foreseen),
) -> Result<bool, Fault> {
    let taken = match message.group {
        None => {
            consents::given::take(tx, key, writer, message, services).await?;
            opt_out::take(tx, key, writer, message, services).await?
        }
        Some(_) => Taken::default(),
    };
    let received = Received {
        message,
        group_mac: origin.group_mac.as_ref(),
        rules: before.rules.as_deref(),
        previous: before.last_inbound_at,
        is_a_wish: taken.is_a_wish,
        foreseen,
    };
    let is_answered = replies::run::answer(tx, key, services, received).await?;
    Ok(taken.is_confirmed || is_answered)
}

fn message(lease: &Lease, inbound: Inbound, id: MessageId, now: Millis) -> Message {
    Message {
        id,
        org: lease.org,
        session: lease.session,
        direction: Direction::Inbound,
        source: Source::Gateway,
        status: Status::Received,
        peer: inbound.from,
        group: inbound.group,
        contact: None,
        content: inbound.content,
        context: inbound.context,
        client: ClientData::default(),
        wa_id: inbound.id,
        error: None,
        expires_in: inbound.expires_in,
        created_at: now,
        class: None,
        purpose: None,
        consent: None,
        send_at: None,
        priority: Priority::Normal,
        expires_at: None,
        sent_at: Some(inbound.at),
        delivered_at: None,
        read_at: None,
        played_at: None,
        edited_at: None,
        deleted_at: None,
    }
}

/// Stores the message; returns `None` if it was stored before, and otherwise what was known before it. A message
/// that could not be decrypted at first, and now can be, replaces its earlier row. It keeps the earlier times, because a repeat carries
/// the time of the repetition, but the message was sent when its first frame was.
async fn keep(
    tx: &mut Tx,
    key: &DataKey,
    origin: &Origin,
    message: &mut Message,
    recovered: bool,
) -> Result<Option<Before>, Fault> {
    let sent_at = message.sent_at.unwrap_or(message.created_at);
    let new = messages::sealed::row(key, message)?;
    let known = if recovered {
        store::messages::of_contact(tx, &new, origin).await?
    } else {
        None
    };
    if let Some((waits, first)) = known {
        let filled = waits && fill(tx, key, message, first).await?;
        return filled_in(tx, message, origin, filled).await;
    }
    if let Some(known) = store::messages::insert_inbound(tx, &new, origin, sent_at).await? {
        return Ok(Some(known));
    }
    if matches!(message.content, Content::Undecryptable {}) {
        return Ok(None);
    }
    let Some(first) = store::messages::undecryptable(tx, &new, origin).await? else {
        return Ok(None);
    };
    let filled = fill(tx, key, message, first).await?;
    filled_in(tx, message, origin, filled).await
}

/// Returns what was known before a message that has its content by now.
async fn filled_in(
    tx: &mut Tx,
    message: &Message,
    origin: &Origin,
    filled: bool,
) -> Result<Option<Before>, Fault> {
    if !filled {
        return Ok(None);
    }
    let rules = store::auto_replies::stamp(tx.conn(), message.org).await?;
    let last_inbound_at = if rules.is_some() {
        let (org, contact) = (message.org, origin.contact);
        store::auto_replies::heard_before(tx, org, contact, message.id).await?
    } else {
        None
    };
    Ok(Some(Before {
        timer: None,
        rules,
        last_inbound_at,
    }))
}

/// Puts the message in place of its earlier row. Returns false if another repeat of it was faster.
async fn fill(
    tx: &mut Tx,
    key: &DataKey,
    message: &mut Message,
    first: store::messages::First,
) -> Result<bool, Fault> {
    (message.id, message.created_at, message.sent_at) = first;
    let row = messages::sealed::row(key, message)?;
    Ok(store::messages::decrypted(tx, &row).await?)
}

#[cfg(test)]
mod tests;
