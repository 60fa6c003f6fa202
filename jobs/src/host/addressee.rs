//! The recipient of a claimed message: whether they opted out, and their own number. A spelling that was never looked up
//! is looked up before its first message leaves, one number a question. The lane's gap paces the questions, and each
//! answer is kept: as the contact's, or for a day if the number has no WhatsApp.

use std::{sync::Arc, time::Duration};

use passerelle_engine::{
    clock::Millis,
    content::{Peer, Phone},
    ids::ContactId,
    lease::Lease,
    store::Tx,
    vault::DataKey,
    whatsapp::Connection,
};
use tokio_util::sync::CancellationToken;

use crate::{
    contacts::{self, Book},
    error::Fault,
    host::{
        job::SendMessage,
        outcome::{Claimed, Outcome},
    },
    messages::{self, opt_out},
    model::{Message, OptOutCheck, number::NumberStatus},
    outage,
    services::Services,
    sessions::number_checks,
    state::registry::Running,
    store::{self, contacts::ContactRow, messages::Addressee},
};

/// The error code of a message whose recipient is not on WhatsApp.
pub(crate) const NOT_ON_WHATSAPP: &str = "recipient_not_on_whatsapp";

/// How long WhatsApp may take to answer.
const ANSWER: Duration = Duration::from_secs(20);
/// The pause before the question is asked again after an error.
const AGAIN: Duration = Duration::from_secs(5);

/// What has to be done before a claimed message can be sent to a person.
#[derive(Debug, Clone)]
pub(crate) enum Addressing {
    /// Nothing: it has the address that WhatsApp knows.
    Done,
    /// WhatsApp named another number as the recipient's since the message was accepted.
    Changed(Peer),
    /// WhatsApp has to be asked about this number.
    LookUp(Phone),
}

impl Addressing {
    /// Returns what has to be done for the message, whose recipient is `known`.
    pub(crate) fn of(key: &DataKey, message: &Message, known: Addressee) -> Result<Self, Fault> {
        let (Some(phone), None) = (&message.peer.phone, &message.group) else {
            return Ok(Self::Done);
        };
        if known.is_addressed && known.is_canonical {
            return Ok(Self::Done);
        }
        let Some(id) = message.contact else {
            return Ok(Self::LookUp(phone.clone()));
        };
        let row = ContactRow {
            id,
            phone_sealed: known.phone_sealed,
            lid_sealed: known.lid_sealed,
        };
        let peer = contacts::names(key, message.org, &row)?;
        if known.is_canonical && peer.phone.is_some() {
            return Ok(Self::Changed(peer));
        }
        Ok(Self::LookUp(peer.phone.unwrap_or_else(|| phone.clone())))
    }
}

/// Addresses the message to its recipient's own number. Returns its outcome if it is not to be sent.
pub(super) async fn settle(
    services: &Services,
    running: &Running,
    job: &SendMessage,
    claimed: &mut Claimed,
) -> Result<Result<(), Outcome>, Fault> {
    let look_up = LookUp {
        services,
        lease: &running.lease,
        stop: &running.stop,
        key: services.vault().org_key(job.org).await?,
    };
    let asked = match look_up.begin(claimed).await? {
        Next::Ready(ready) => return Ok(ready),
        Next::Ask(asked) => asked,
    };
    let connection = running.connection.as_ref();
    let Some(connection) = connection.filter(|connection| connection.is_connected()) else {
        return Ok(Err(Outcome::PutBack));
    };
    let found = tokio::select! {
        found = ask_whatsapp(services, job, connection, &asked) => found,
        () = running.stop.cancelled() => Err(Outcome::PutBack),
    };
    match found {
        Ok(found) => look_up.answered(claimed, asked, found).await,
        Err(outcome) => Ok(Err(outcome)),
    }
}

async fn ask_whatsapp(
    services: &Services,
    job: &SendMessage,
    connection: &Connection,
    phone: &Phone,
) -> Result<NumberStatus, Outcome> {
    // It counts with the number checks, but is not refused: its lane has waited for its turn.
    let _ = services.rates().numbers.count(job.session);
    let found = tokio::time::timeout(ANSWER, connection.find(phone)).await;
    let found = found.map_err(anyhow::Error::from).flatten();
    found.map(NumberStatus::of).map_err(|error| {
        tracing::warn!(message.id = %job.message, error = format!("{error:#}"), "WhatsApp did not say whether a recipient has WhatsApp; the message waits");
        Outcome::Later(AGAIN)
    })
}

fn opted_out() -> Outcome {
    Outcome::Failed(opt_out::CODE.to_owned())
}

/// The look-up of one message's recipient.
pub(super) struct LookUp<'l> {
    pub(super) services: &'l Services,
    pub(super) lease: &'l Lease,
    /// Cancelled when the session stops.
    pub(super) stop: &'l CancellationToken,
    pub(super) key: Arc<DataKey>,
}

/// WhatsApp's answer about a number.
#[derive(Clone)]
struct Answer {
    asked: Phone,
    found: NumberStatus,
    /// It is not stored yet.
    is_new: bool,
}

/// The recipient, as the database knows them now.
struct Known {
    peer: Peer,
    contact: Option<ContactId>,
    opted_out: bool,
}

/// What comes next for a claimed message.
pub(super) enum Next {
    /// It can be sent, or this is its outcome.
    Ready(Result<(), Outcome>),
    /// WhatsApp has to be asked about this number.
    Ask(Phone),
}

impl LookUp<'_> {
    /// Addresses the message to its recipient's own number, as far as that is known.
    pub(super) async fn begin(&self, claimed: &mut Claimed) -> Result<Next, Fault> {
        if claimed.opt_out == OptOutCheck::OptedOut {
            return Ok(Next::Ready(Err(opted_out())));
        }
        let message = &mut claimed.message;
        if message.is_expired(self.services.clock().now()) {
            return Ok(Next::Ready(Ok(())));
        }
        let answer = match claimed.addressing.clone() {
            Addressing::Done => return Ok(Next::Ready(Ok(()))),
            Addressing::Changed(peer) => {
                message.peer = peer;
                None
            }
            Addressing::LookUp(asked) => {
                let Some(found) = self.cached(&asked).await? else {
                    return Ok(Next::Ask(asked));
                };
                Some(Answer {
                    asked,
                    found,
                    is_new: false,
                })
            }
        };
        self.address(claimed, answer).await.map(Next::Ready)
    }

    /// Learns WhatsApp's answer about the number, and addresses the message. Returns its outcome if it is not to be sent.
    pub(super) async fn answered(
        &self,
        claimed: &mut Claimed,
        asked: Phone,
        found: NumberStatus,
    ) -> Result<Result<(), Outcome>, Fault> {
        let answer = Answer {
            asked,
            found,
            is_new: true,
        };
        self.address(claimed, Some(answer)).await
    }

    /// Returns what WhatsApp said of the number within the last day.
    async fn cached(&self, asked: &Phone) -> Result<Option<NumberStatus>, Fault> {
        let (services, org) = (self.services, self.lease.org);
        let cached = number_checks::cached(services, &self.key, org, asked).await?;
        // Earlier versions did not keep the canonical number.
        let is_whole = |found: &NumberStatus| !found.on_whatsapp() || found.names().is_some();
        Ok(cached.map(|(found, _)| found).filter(is_whole))
    }

    /// Addresses the message to the contact's own number.
    async fn address(
        &self,
        claimed: &mut Claimed,
        answer: Option<Answer>,
    ) -> Result<Result<(), Outcome>, Fault> {
        let message = &mut claimed.message;
        let is_on_whatsapp = answer
            .as_ref()
            .is_none_or(|answer| answer.found.on_whatsapp());
        let known = match self.keep(message, answer).await? {
            Ok(known) => known,
            Err(outcome) => return Ok(Err(outcome)),
        };
        (message.peer, message.contact) = (known.peer, known.contact);
        Ok(if !is_on_whatsapp {
            Err(Outcome::Failed(NOT_ON_WHATSAPP.to_owned()))
        } else if known.opted_out && claimed.opt_out != OptOutCheck::ConfirmsOptOut {
            Err(opted_out())
        } else {
            Ok(())
        })
    }

    /// Stores the answer and what it says of the contact, and addresses the message to it. Returns the recipient as the
    /// same transaction sees them, so that an opt-out under any spelling is seen.
    async fn keep(
        &self,
        message: &Message,
        answer: Option<Answer>,
    ) -> Result<Result<Known, Outcome>, Fault> {
        let log = |fault: &Fault| {
            tracing::warn!(message.id = %message.id, error = %fault, "the database is down; a message's address waits");
        };
        let commit = || async {
            match self.commit(message.clone(), answer.clone()).await {
                // On PostgreSQL an inbound message or another session may write the same contact at the same time.
                Err(fault) if fault.is_race() => self.commit(message.clone(), answer.clone()).await,
                done => done,
            }
        };
        let wanted = || !self.stop.is_cancelled();
        match outage::wait_out(commit, wanted, log).await {
            Ok(known) => Ok(Ok(known)),
            // The new owner sends the message.
            Err(Fault::LeaseLost) => Ok(Err(Outcome::PutBack)),
            Err(fault) if fault.is_outage() => Ok(Err(Outcome::PutBack)),
            Err(fault) => Err(fault),
        }
    }

    async fn commit(&self, message: Message, answer: Option<Answer>) -> Result<Known, Fault> {
        let (key, clock) = (Arc::clone(&self.key), self.services.clock().clone());
        let lease = self.lease.clone();
        let kept = self.services.store().write(lease.org, move |tx| {
            Box::pin(async move {
                let now = lease.check(tx).await?;
                let (org, session) = (lease.org, lease.session);
                let book = Book {
                    org,
                    key: &key,
                    clock: &clock,
                    session,
                };
                let (peer, contact) = match answer {
                    Some(answer) => learn(tx, &book, &message, answer, now).await?,
                    None => (message.peer.clone(), message.contact),
                };
                let mac = contacts::mac(&key, &peer);
                let opted_out =
                    store::contacts::opt_outs::is_opted_out(tx.conn(), org, &mac).await?;
                let addressed = Message {
                    peer,
                    contact,
                    ..message
                };
                let side = messages::sealed::seal_side(&key, &addressed)?;
                store::messages::address(tx, org, addressed.id, contact, &mac, &side).await?;
                Ok::<_, Fault>(Known {
                    peer: addressed.peer,
                    contact,
                    opted_out,
                })
            })
        });
        let known = kept.await?;
        self.services.wake_deliveries();
        Ok(known)
    }
}

/// Learns from WhatsApp's answer. Returns the recipient's names and contact as they are now.
async fn learn(
    tx: &mut Tx,
    book: &Book<'_>,
    message: &Message,
    answer: Answer,
    now: Millis,
) -> Result<(Peer, Option<ContactId>), Fault> {
    let Answer {
        asked,
        found,
        is_new,
    } = answer;
    let named = found.names();
    let contact = match (is_new, &named) {
        (true, _) => number_checks::keep(tx, book, &asked, &found, now).await?,
        (false, Some(named)) => book.learn_spelling(tx, &asked, named).await?,
        (false, None) => None,
    };
    let named = named.unwrap_or_else(|| message.peer.clone());
    let Some(id) = contact else {
        return Ok((named, message.contact));
    };
    let row = store::contacts::read(tx.conn(), book.org, id).await?;
    let names = row.map(|row| contacts::names(book.key, book.org, &row));
    Ok((names.transpose()?.unwrap_or(named), contact))
}
