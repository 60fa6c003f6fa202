//! Accepts a message to send, and cancels it.
//!
//! One transaction writes the idempotency row, the place in the lane and the message with the WhatsApp id
//! that it will be sent with. The caller is answered after the commit.
//!
//! | page | what it holds |
//! |---|---|
//! | here | accepting and canceling |
//! | `earlier` | the earlier answer to a repeated request |
//! | `request` | a message to send, and its answer |
//! | `recipient` | the recipient of a message |
//! | `likeness` | whom nearly the same text went to |
//! | `forecast` | when it is likely to be sent |
//! | `about` | the messages that a new one refers to |
//! | `permission` | its class, its purpose, and the consent of its recipient |
//! | `schedule` | when a message is sent |

mod about;
mod earlier;
pub(crate) mod forecast;
mod likeness;
mod permission;
pub(crate) mod recipient;
pub(crate) mod request;
pub mod schedule;

use std::{sync::Arc, time::Duration};

use passerelle_engine::{
    clock::Millis,
    content::Content,
    ids::{MessageId, OrgId},
    store::Tx,
    vault::DataKey,
    whatsapp::new_wa_id,
};

pub(crate) use self::recipient::address;
use rand::RngExt as _;

use self::{
    about::{About, Refused},
    earlier::Macs,
    forecast::{Expected, Forecast},
    permission::Asked,
    recipient::Recipient,
};
pub use self::{
    earlier::Idempotency,
    recipient::To,
    request::{AcceptError, Accepted, NewMessage},
};
use crate::{
    crash,
    error::Fault,
    events,
    media::{
        error::IngestError,
        outgoing::{self, File, MediaSource, SourceError},
    },
    messages,
    model::{Class, Message, Permission, Purpose, Status, consent::Trial},
    preview,
    safety::{contact::Contact, groups::GroupKey, likeness::Fingerprint, quiet::Zones},
    services::Services,
    store::{
        self,
        lanes::Entrant,
        messages::{New, Outward, Way, When},
    },
};

/// Accepts a message. When it returns, the message is committed.
pub async fn accept(
    services: &Services,
    org: OrgId,
    new: NewMessage,
    idempotency: Option<Idempotency>,
) -> Result<Accepted, AcceptError> {
    let key = services.vault().org_key(org).await.map_err(Fault::from)?;
    let macs = idempotency.map(|given| Macs::of(&key, &given));
    // Looked up here as well, so that the file of a repeated request is not processed again.
    if let (Some(macs), Some(MediaSource::Bytes(_))) = (macs, &new.source) {
        let mut conn = services.store().read(org).await?;
        if let Some(earlier) = macs.answered(&mut conn, org, &key).await? {
            return Ok(earlier);
        }
    }
    let draft = Box::pin(Draft::new(services, org, key, new, macs)).await?;
    let done = match Box::pin(draft.clone().commit(services)).await {
        // A concurrent request with the same key has committed; the second try finds its answer.
        Err(AcceptError::KeyInUse) => Box::pin(draft.clone().commit(services)).await,
        done => done,
    };
    let may_be_needed = match &done {
        Ok(accepted) => !accepted.replayed,
        Err(error) => error.may_be_accepted(),
    };
    if let (Some(file), false) = (&draft.file, may_be_needed) {
        outgoing::refused(services, org, file).await;
    }
    done
}

/// A message prepared before the transaction, so that the transaction stays short.
#[derive(Clone)]
struct Draft {
    message: Message,
    to: Recipient,
    expires_at: Millis,
    asked: Asked,
    way: Way,
    row: New,
    /// The message's file.
    file: Option<File>,
    /// Why it is refused. Kept here because an earlier answer under its key takes precedence.
    refused: Option<Refused>,
    key: Arc<DataKey>,
    idempotency: Option<Macs>,
}

impl Draft {
    async fn new(
        services: &Services,
        org: OrgId,
        key: Arc<DataKey>,
        mut new: NewMessage,
        idempotency: Option<Macs>,
    ) -> Result<Self, AcceptError> {
        let now = services.clock().now();
        let to = Recipient::look_up(services, &key, org, &new.to).await?;
        let to = to.ok_or(AcceptError::NoContact)?;
        let mut about = About::look_up(services, &key, &mut new, &to, now, org).await?;
        let file = file(services, &key, org, &mut new).await?;
        let file = file.unwrap_or_else(|error| {
            about.refused = Some(Refused::Source(error));
            None
        });
        let asked = Asked::of(services, org, &new, &to, (now, about.until)).await?;
        let expires_at = asked.expires_at();
        let (id, wa_id) = (
            MessageId::new(services.clock()),
            new_wa_id(&mut services.chance()),
        );
        let peer = to.peer.clone();
        let message = Message {
            group: to.group.clone(),
            contact: to.contact,
            context: about.context,
            client: new.client,
            purpose: new.purpose,
            send_at: new.send_at,
            priority: new.priority,
            expires_at: Some(expires_at),
            ..Message::queued(id, (org, new.session), peer, new.content, (wa_id, now))
        };
        Ok(Self {
            way: way(services, &message),
            row: messages::sealed::row(&key, &message)?,
            file,
            refused: about.refused,
            idempotency,
            message,
            to,
            expires_at,
            asked,
            key,
        })
    }

    async fn commit(self, services: &Services) -> Result<Accepted, AcceptError> {
        let limit = services.settings().lane_limit;
        let forecast = Forecast::of(services, self.message.session).await?;
        let by_class = forecast.counts();
        let is_fetched = matches!(self.file, Some(File::Fetched(_)))
            || preview::unfinished(&self.message.content).is_some();
        let write = services.store().write_in_time(self.message.org, move |tx| {
            Box::pin(async move { self.write(tx, &forecast, limit).await })
        });
        let accepted = write.await?;
        crash::point("accept.after_commit");
        crash::lost_answer("accept.answer")?;
        if is_fetched {
            services.wake_fetches();
        }
        // A message behind others does not change when its lane is due, unless it goes before them.
        if accepted.position == 0 || by_class {
            services.wake_lanes();
        }
        Ok(accepted)
    }

    /// Writes the accepted message, or returns the earlier answer to the same request.
    async fn write(
        mut self,
        tx: &mut Tx,
        forecast: &Forecast,
        limit: i64,
    ) -> Result<Accepted, AcceptError> {
        let (org, now) = (self.message.org, self.message.created_at);
        if let Some(macs) = self.idempotency
            && let Some(earlier) = macs.answered(tx.conn(), org, &self.key).await?
        {
            return Ok(earlier);
        }
        if let Some(refused) = self.refused.take() {
            return Err(refused.into());
        }
        if self
            .message
            .send_at
            .is_some_and(|at| !schedule::is_possible(at, now))
        {
            return Err(AcceptError::SendAt);
        }
        if self.expires_at <= self.message.send_at.unwrap_or(now) {
            return Err(AcceptError::Expired);
        }
        if self.asked.is_from_the_future() {
            return Err(AcceptError::ConsentAt);
        }
        self.message.contact = self.to.keep(tx, &self.key, org, now).await?;
        let (expected, trial) = self.enter(tx, forecast, limit).await?;
        let accepted = Accepted {
            message: self.message,
            position: expected.position,
            estimated_send_at: expected.at,
            estimated_send_by: expected.by,
            hold: expected.hold,
            trial,
            replayed: false,
        };
        if let Some(macs) = self.idempotency {
            macs.remember(tx, org, &self.key, &accepted, now).await?;
        }
        crash::point("accept.before_commit");
        Ok(accepted)
    }

    async fn enter(
        &mut self,
        tx: &mut Tx,
        forecast: &Forecast,
        limit: i64,
    ) -> Result<(Expected, Option<Trial>), AcceptError> {
        let Message {
            org,
            session,
            contact,
            ..
        } = self.message;
        let found = self.asked.look_up(tx, &self.key, contact).await?;
        self.expires_at = found.expires_at;
        let send_at = self.message.send_at.unwrap_or(0);
        let new = Entrant {
            to: &self.to.to_mac,
            contact,
            send_at,
            now: self.message.created_at,
            counts: forecast.counts(),
        };
        let Some(place) = store::lanes::enter(tx, org, session, limit, &new).await? else {
            return Err(self.no_place(tx, limit).await?);
        };
        let known = found.contact.clone();
        let (permission, trial) = found.judge(tx, org, contact).await?;
        permission.show(&mut self.message, self.expires_at);
        let alike = self.alike(tx, forecast, permission, &known).await?;
        let asked = forecast::Asked {
            class: permission.class.unwrap_or(Class::Warm),
            purpose: permission.purpose,
            contact: known,
            group: self
                .to
                .group
                .as_ref()
                .map(|_| GroupKey::of(&self.to.to_mac)),
            is_trial: permission.is_trial,
            way: self.way,
            alike: alike
                .as_ref()
                .map(|(_, alike)| alike.clone())
                .unwrap_or_default(),
        };
        let expected = forecast.expect(&self.message, asked, &place, self.message.created_at);
        let expected = expected.map_err(AcceptError::Refused)?;
        let outward = Outward {
            to_mac: self.to.to_mac,
            contact,
            seq: place.seq,
            permission,
            way: self.way,
            when: When {
                send_at,
                expires_at: self.expires_at,
                priority: self.message.priority,
            },
        };
        store::messages::insert_outbound(tx, &self.row, &outward).await?;
        if let (Some((own, _)), Some(contact)) = (alike, contact) {
            let (id, now) = (self.message.id, self.message.created_at);
            store::fingerprints::insert(tx, org, id, contact, &own.to_bytes(), now).await?;
        }
        if let Some(file) = &self.file {
            outgoing::accepted(tx, org, file, self.expires_at).await?;
        }
        if preview::unfinished(&self.message.content).is_some() {
            store::previews::want(tx, org, self.message.id, self.message.created_at).await?;
        }
        Ok((expected, trial))
    }

    /// Returns the fingerprint of a first message that says enough, and when nearly the same went to others.
    async fn alike(
        &self,
        tx: &mut Tx,
        forecast: &Forecast,
        permission: Permission,
        known: &Contact,
    ) -> Result<Option<(Fingerprint, Vec<Millis>)>, Fault> {
        let Message {
            org,
            contact,
            created_at,
            ..
        } = self.message;
        let rule = forecast.near_duplicates();
        let is_first = permission.class == Some(Class::Cold) && known.is_new(created_at);
        let (Some(rule), Some(contact), true) = (rule, contact, is_first) else {
            return Ok(None);
        };
        // Codes are alike by nature.
        if permission.purpose == Some(Purpose::Code) {
            return Ok(None);
        }
        let Some(own) = likeness::fingerprint(&self.message.content, &self.key) else {
            return Ok(None);
        };
        let alike = likeness::alike(tx, (org, contact), &own, rule.refuses, created_at).await?;
        Ok(Some((own, alike)))
    }

    /// Returns why the lane had no place for the message.
    async fn no_place(&self, tx: &mut Tx, limit: i64) -> Result<AcceptError, AcceptError> {
        let Message { org, session, .. } = self.message;
        if !store::lanes::exists(tx.conn(), org, session).await? {
            return Ok(AcceptError::NoSession);
        }
        let opted_out =
            store::contacts::opt_outs::is_opted_out(tx.conn(), org, &self.to.to_mac).await?;
        Ok(if opted_out {
            AcceptError::OptedOut
        } else {
            AcceptError::QueueFull(limit)
        })
    }
}

/// Returns how the message is sent, as far as it follows from the message alone.
pub(crate) fn way(services: &Services, message: &Message) -> Way {
    let (policy, quantile) = (services.policy(), services.chance().random());
    let phone = message
        .peer
        .phone
        .as_ref()
        .filter(|_| message.group.is_none());
    let digits = phone.map(|phone| phone.as_str().trim_start_matches('+'));
    let typing = match &message.content {
        Content::Text { body, .. } => policy.typing(body.chars().count(), quantile),
        Content::Voice(voice) => policy
            .typing
            .voice(Duration::from_secs(voice.seconds.unwrap_or(0).into())),
        _ => policy.typing.least,
    };
    Way {
        calling_code: digits.and_then(Zones::code),
        typing,
    }
}

/// Finds or stores the file of a new message. Returns `None` for a message without a file.
async fn file(
    services: &Services,
    key: &DataKey,
    org: OrgId,
    new: &mut NewMessage,
) -> Result<Result<Option<File>, SourceError>, IngestError> {
    let (Some(shown), Some(source)) = (new.content.media_mut(), new.source.take()) else {
        return Ok(Ok(None));
    };
    let found = outgoing::find(services, key, org, shown, source).await?;
    Ok(found.map(Some))
}

/// Why a message was not canceled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// No such message.
    #[error("no such message")]
    NotFound,
    /// The message is no longer queued.
    #[error("the message is no longer queued")]
    TooLate(Status),
    /// The gateway failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Cancels a message that no host has claimed yet. A message that waits for its resend was claimed, so it
/// cannot be canceled.
pub async fn cancel(
    services: &Services,
    org: OrgId,
    id: MessageId,
) -> Result<Message, CancelError> {
    let message = messages::read(services, org, id)
        .await?
        .ok_or(CancelError::NotFound)?;
    if message.status != Status::Queued {
        return Err(CancelError::TooLate(message.status));
    }
    let canceled = leave_queue(services, &message, Status::Canceled).await?;
    let message = messages::read(services, org, id)
        .await?
        .ok_or(CancelError::NotFound)?;
    if canceled {
        Ok(message)
    } else {
        Err(CancelError::TooLate(message.status))
    }
}

/// Takes a queued message out of its lane. Returns false if it was claimed in the meantime.
pub(crate) async fn leave_queue(
    services: &Services,
    message: &Message,
    status: Status,
) -> Result<bool, Fault> {
    let key = services.vault().org_key(message.org).await?;
    let mut message = message.clone();
    let clock = services.clock().clone();
    let left = services
        .store()
        .write(message.org, move |tx| {
            Box::pin(async move {
                store::lanes::leave(tx, message.org, message.session).await?;
                let ended = (status, clock.now());
                if !store::messages::unqueue(tx, message.org, message.id, ended).await? {
                    return Err(NotQueued::Claimed);
                }
                message.status = status;
                events::message(tx, &key, &message, &clock).await?;
                crash::point("leave.before_commit");
                Ok(())
            })
        })
        .await;
    services.wake_deliveries();
    match left {
        Ok(()) => Ok(true),
        Err(NotQueued::Claimed) => Ok(false),
        Err(NotQueued::Fault(fault)) => Err(fault),
    }
}

/// The error that rolls the transaction back: the message was no longer queued, or the gateway failed.
enum NotQueued {
    Claimed,
    Fault(Fault),
}

impl From<Fault> for NotQueued {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<sqlx::Error> for NotQueued {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}
