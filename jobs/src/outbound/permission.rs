//! Whether a new message may be accepted: its class, its purpose, and the consent of its recipient. It is asked in the
//! transaction of the accept, in two steps: what is written of the contact comes before the lane, because inbound messages
//! lock contact and lane in the same order; what counts the people of the number comes after, because the lane is locked
//! then.

use std::sync::Arc;

use passerelle_engine::{
    clock::Millis,
    content::{Peer, Phone},
    ids::{ConsentId, ContactId, OrgId, SessionId},
    keystore::token,
    store::Tx,
    vault::{DataKey, VaultError},
};

use super::{
    recipient::Recipient,
    request::{AcceptError, NewMessage},
};
use crate::{
    consents::{AHEAD, sealed},
    error::Fault,
    model::{
        Class, Permission, Purpose,
        consent::{NewConsent, Trial},
        millis,
    },
    safety::{
        contact::Contact,
        permission::{self, Facts, Missing},
        preset::Preset,
    },
    services::Services,
    sessions::sealed::number_mac,
    store::{
        self,
        consents::{NewRow, Standing},
    },
};

/// What decides about a message, prepared before the transaction.
#[derive(Clone)]
pub(super) struct Asked {
    of: (OrgId, SessionId),
    now: Millis,
    preset: Preset,
    subject: Subject,
    purpose: Option<Purpose>,
    /// The consent that came with it, and the id that it gets if it is stored.
    consent: Option<(ConsentId, NewConsent)>,
    lives: Lives,
}

/// What is asked about.
#[derive(Clone)]
enum Subject {
    /// A change of another message: it belongs to that one.
    Change,
    /// An answer to something that the contact did just now.
    Answer,
    /// A message to a group.
    Group,
    /// A message to a person.
    Person {
        names: Peer,
        /// The look-up forms that the number's own row would have if this is its account.
        own: Vec<[u8; 32]>,
        session_key: Option<Arc<DataKey>>,
    },
}

/// Until when the message lives.
#[derive(Clone, Copy)]
struct Lives {
    /// Its life begins then.
    from: Millis,
    /// Its caller said so.
    expires_at: Option<Millis>,
    /// How long it lives if neither its caller nor its purpose says so.
    otherwise: Millis,
    /// It has no effect later.
    until: Millis,
}

/// What the first step found.
pub(super) struct Found {
    pub(super) permission: Permission,
    pub(super) expires_at: Millis,
    /// What the number and the recipient have said to each other.
    pub(super) contact: Contact,
    session: SessionId,
    now: Millis,
    missing: Option<Missing>,
    trial: Option<Trial>,
    /// The number, if its recipient may be one of the first people that it writes to.
    number: Option<Vec<u8>>,
}

impl Asked {
    pub(super) async fn of(
        services: &Services,
        org: OrgId,
        new: &NewMessage,
        to: &Recipient,
        (now, until): (Millis, Millis),
    ) -> Result<Self, Fault> {
        let of = (org, new.session);
        let consent = new.consent.clone();
        Ok(Self {
            of,
            now,
            preset: services.settings().preset,
            subject: Subject::of(services, of, new, to).await?,
            purpose: new.purpose,
            consent: consent.map(|consent| (ConsentId::new(services.clock()), consent)),
            lives: Lives {
                // A message's life begins when it may be sent.
                from: new.send_at.unwrap_or(now).max(now),
                expires_at: new.expires_at,
                otherwise: millis(services.settings().message_ttl),
                until,
            },
        })
    }

    /// Returns when the message expires, unless the session has a purpose that says otherwise.
    pub(super) fn expires_at(&self) -> Millis {
        self.lives.end(self.purpose)
    }

    /// Returns whether the consent was given later than now.
    pub(super) fn is_from_the_future(&self) -> bool {
        let at = self.consent.as_ref().and_then(|(_, consent)| consent.at);
        at.is_some_and(|at| at > self.now.saturating_add(AHEAD))
    }

    /// The first step: looks up what is known, and stores the consent that came with the message. Refuses nothing.
    pub(super) async fn look_up(
        &self,
        tx: &mut Tx,
        key: &DataKey,
        contact: Option<ContactId>,
    ) -> Result<Found, Fault> {
        let (org, session) = self.of;
        let permission = match &self.subject {
            Subject::Change => return Ok(self.found(Permission::default())),
            Subject::Answer => return Ok(self.found(Permission::of_answer())),
            Subject::Group | Subject::Person { .. } => Permission::default(),
        };
        let standing = store::consents::standing(tx.conn(), org, session, contact).await?;
        let Some(standing) = standing else {
            return Ok(self.found(permission));
        };
        let permission = Permission {
            purpose: self.purpose.or(standing.purpose),
            ..permission
        };
        let (Some(contact), Subject::Person { own, .. }) = (contact, &self.subject) else {
            return Ok(self.found(permission));
        };
        let number = standing.number.as_deref();
        let is_own = own.iter().any(|mac| number == Some(mac));
        let class = self.class(tx, &standing, is_own).await?;
        let consent = self.consent(tx, key, contact, &standing).await?;
        let facts = Facts {
            class,
            purpose: permission.purpose,
            has_consent: consent.is_some(),
            is_own,
            is_trial: standing.is_trial,
        };
        let missing = permission::missing(self.preset, facts);
        let may_try = missing.is_some() && standing.trials < permission::TRIAL;
        if may_try {
            // The contact before the lane, and the acquaintance after it, as an inbound message locks them.
            store::contacts::people::hold(tx, org, contact).await?;
        }
        let bare = Facts {
            is_own: false,
            is_trial: false,
            ..facts
        };
        let is_exempt = missing.is_none() && permission::missing(self.preset, bare).is_some();
        let trial = Trial {
            used: standing.trials,
            of: permission::TRIAL,
        };
        let permission = Permission {
            class: Some(class),
            consent: consent.filter(|_| class == Class::Cold || self.consent.is_some()),
            is_trial: is_exempt && standing.is_trial,
            ..permission
        };
        Ok(Found {
            missing,
            contact: Contact {
                last_inbound_at: standing.last_inbound_at,
                unanswered: standing.unanswered.clone(),
                last_sent_at: None,
                // Without one it is not accepted.
                has_consent: true,
            },
            trial: is_exempt.then_some(trial),
            number: standing.number.filter(|_| may_try),
            ..self.found(permission)
        })
    }

    fn found(&self, permission: Permission) -> Found {
        Found {
            permission,
            expires_at: self.lives.end(permission.purpose.or(self.purpose)),
            contact: Contact::default(),
            session: self.of.1,
            now: self.now,
            missing: None,
            trial: None,
            number: None,
        }
    }

    /// Returns the class. WhatsApp's tokens are asked for only if nothing else makes the contact known.
    async fn class(&self, tx: &mut Tx, standing: &Standing, is_own: bool) -> Result<Class, Fault> {
        if is_own {
            return Ok(Class::Reply);
        }
        let class = Class::of(standing.last_inbound_at, false, self.now);
        let Subject::Person {
            names,
            session_key: Some(key),
            ..
        } = &self.subject
        else {
            return Ok(class);
        };
        if class != Class::Cold {
            return Ok(class);
        }
        let has_token = token::is_held(tx.conn(), key, self.of, names).await?;
        Ok(Class::of(standing.last_inbound_at, has_token, self.now))
    }

    /// Returns the contact's consent, if there is one that counts. One that came with the message is stored, unless it
    /// says what the newest one says.
    async fn consent(
        &self,
        tx: &mut Tx,
        key: &DataKey,
        contact: ContactId,
        standing: &Standing,
    ) -> Result<Option<ConsentId>, Fault> {
        let known = standing.consent.as_ref();
        let Some((id, new)) = &self.consent else {
            return Ok(known.map(|(id, _)| *id));
        };
        let org = self.of.0;
        if let Some((known, sealed)) = known
            && new.at.is_none()
            && sealed::open(key, org, *known, sealed).is_ok_and(|how| how == new.how)
        {
            return Ok(Some(*known));
        }
        // Held, so that it is not merged into another contact in between.
        let held = store::contacts::people::hold(tx, org, contact).await?;
        let Some(held) = held else { return Ok(None) };
        let given_at = new.at.unwrap_or(self.now).min(self.now);
        let row = NewRow {
            id: *id,
            contact: held.id,
            link: None,
            sealed: sealed::seal(key, org, *id, &new.how)?,
            given_at,
            now: self.now,
        };
        store::consents::insert(tx, org, &row).await?;
        let counts = standing.refused_at.is_none_or(|at| given_at > at);
        Ok(counts.then_some(*id).or(known.map(|(id, _)| *id)))
    }
}

impl Subject {
    async fn of(
        services: &Services,
        (org, session): (OrgId, SessionId),
        new: &NewMessage,
        to: &Recipient,
    ) -> Result<Self, Fault> {
        if new.content.target().is_some() {
            return Ok(Self::Change);
        }
        if new.is_answer {
            return Ok(Self::Answer);
        }
        if to.group.is_some() {
            return Ok(Self::Group);
        }
        let session_key = match services.vault().session_key(org, session).await {
            Ok(key) => Some(key),
            // No such session, which is said later.
            Err(VaultError::NoKey(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let phone = to.peer.phone.as_ref().map(Phone::as_str);
        let names = [phone, to.peer.lid.as_deref()];
        let own = names.into_iter().flatten();
        Ok(Self::Person {
            names: to.peer.clone(),
            own: own.map(|name| number_mac(services, name)).collect(),
            session_key,
        })
    }
}

impl Lives {
    fn end(&self, purpose: Option<Purpose>) -> Millis {
        let life = purpose.map_or(self.otherwise, |purpose| millis(purpose.life()));
        let by_itself = self.from.saturating_add(life);
        self.expires_at.unwrap_or(by_itself).min(self.until)
    }
}

impl Found {
    /// The second step, with the lane locked: what lacks a purpose or a consent is accepted only for one of the first people
    /// that the number writes to.
    pub(super) async fn judge(
        mut self,
        tx: &mut Tx,
        org: OrgId,
        contact: Option<ContactId>,
    ) -> Result<(Permission, Option<Trial>), AcceptError> {
        let Some(missing) = self.missing else {
            return Ok((self.permission, self.trial));
        };
        if let (Some(number), Some(contact)) = (&self.number, contact) {
            let most = permission::TRIAL;
            store::acquaintances::meet(tx, org, self.session, contact, self.now).await?;
            if store::acquaintances::try_out(tx, org, number, contact, most).await? {
                self.permission.is_trial = true;
                let used = store::acquaintances::trials(tx, org, number).await?;
                return Ok((self.permission, Some(Trial { used, of: most })));
            }
        }
        Err(match missing {
            Missing::Purpose => AcceptError::PurposeRequired,
            Missing::Consent => AcceptError::ConsentRequired(self.permission.purpose),
        })
    }
}
