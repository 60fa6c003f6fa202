//! When a message that waits is likely to be sent, and what holds it.

use std::sync::Arc;

use passerelle_engine::{clock::Millis, ids::SessionId};

use crate::{
    error::Fault,
    model::{Class, Message, Purpose},
    safety::{
        contact::Contact,
        decide::{self, Candidate, Hold, Refusal},
        groups::GroupKey,
        known::Known,
        policy::{NearDuplicates, Policy},
        quiet::Zones,
        turn::{Before, Turn},
    },
    services::Services,
    store::{lanes::Place, messages::Way, system::numbers},
};

/// What decides when a session's number sends.
#[derive(Clone)]
pub(crate) struct Forecast {
    services: Services,
    /// `None` where only gaps count, and for a session that was never linked.
    known: Option<Known>,
    policy: Arc<Policy>,
}

/// A message, as far as it decides when it is sent.
pub(crate) struct Asked {
    pub(crate) class: Class,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) contact: Contact,
    /// The group that it goes to, if it is one.
    pub(crate) group: Option<GroupKey>,
    pub(crate) is_trial: bool,
    pub(crate) way: Way,
    /// When nearly the same text went to other new recipients.
    pub(crate) alike: Vec<Millis>,
}

/// When a message is sent, as far as that can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The likely time; [`Millis::MAX`] if it cannot be foreseen.
    pub(crate) at: Millis,
    /// By this time 19 of 20 are sent.
    pub(crate) by: Millis,
    /// How many messages are before it.
    pub(crate) position: i64,
    /// What holds it; `None` if it goes in its turn.
    pub(crate) hold: Option<Hold>,
}

impl Expected {
    /// Returns it for a queue that may be paused: then nobody can say when it goes on.
    fn or_paused(self, place: &Place) -> Self {
        if !place.is_paused {
            return self;
        }
        Self {
            at: Millis::MAX,
            by: Millis::MAX,
            hold: Some(Hold::Paused),
            ..self
        }
    }
}

impl Forecast {
    /// Reads what the number has sent.
    pub(crate) async fn of(services: &Services, session: SessionId) -> Result<Self, Fault> {
        let known = {
            let mut conn = services.store().read_system().await?;
            numbers::known(&mut conn, session).await?
        };
        let own = known.as_ref().and_then(|row| row.policy.as_deref());
        let policy = services.policies().of(own);
        let known = known.filter(|_| policy.orders_by_class);
        Ok(Self {
            services: services.clone(),
            policy,
            known: known.map(|row| {
                let steps = services.clock_steps().so_far();
                Known::of(&row, &steps, services.clock().now())
            }),
        })
    }

    /// Returns whether what waits has to be counted by class.
    pub(crate) fn counts(&self) -> bool {
        self.known.is_some()
    }

    /// Returns the limit of nearly equal texts to new recipients, if there is one.
    pub(crate) fn near_duplicates(&self) -> Option<NearDuplicates> {
        self.policy.near_duplicates
    }

    /// Says when a message goes that has this place, or why it is refused: it would expire first.
    pub(crate) fn expect(
        &self,
        message: &Message,
        asked: Asked,
        place: &Place,
        now: Millis,
    ) -> Result<Expected, Refusal> {
        let Some(known) = &self.known else {
            // What waits for the same moment is before it then.
            let from = place.next_at.max(message.send_at.unwrap_or(0));
            let pace = self.services.settings().pace;
            let (at, by) = pace.estimate(now, from, place.position);
            let is_scheduled = message.send_at.is_some_and(|at| at > now);
            let hold = is_scheduled.then_some(Hold::Schedule);
            let position = place.position;
            let expected = Expected {
                at,
                by,
                position,
                hold,
            };
            return Ok(expected.or_paused(place));
        };
        let number = known.number(&self.policy);
        let mut contact = asked.contact;
        contact.step(&self.services.clock_steps().so_far());
        let expires_at = message.expires_at.unwrap_or(Millis::MAX);
        let candidate = Candidate {
            purpose: asked.purpose,
            contact,
            group: asked.group,
            zones: Zones::of_phone(asked.way.calling_code.unwrap_or_default()),
            send_at: message.send_at,
            expires_at: Some(expires_at),
            typing: asked.way.typing,
            is_trial: asked.is_trial,
            alike: asked.alike,
            ..Candidate::new(asked.class, now)
        };
        if let Some(refusal) = decide::refuses(&number, &candidate, now) {
            return Err(refusal);
        }
        let alone = decide::earliest(&number, &candidate, now);
        let waiting = Before {
            all: place.ahead.clone().until(alone.from),
            same: place.same,
            same_now: place.same_now,
        };
        let turn = Turn::of(&number, &candidate, &waiting, now);
        let before = &waiting.all.counts()[..=asked.class.place()];
        let position = match message.send_at {
            // What waits for the same moment is before it then.
            Some(_) => place.position,
            None => before.iter().sum::<i64>() + i64::from(place.is_sending),
        };
        let expected = Expected {
            position,
            at: turn.at,
            by: turn.by,
            hold: alone.why.filter(|why| !why.is_short()),
        };
        if place.is_paused {
            return Ok(expected.or_paused(place));
        }
        // What a person or WhatsApp may end at any time is waited for.
        let is_certain = alone.why.is_none_or(Hold::is_certain);
        if is_certain && turn.answered > expires_at && turn.answered < Millis::MAX {
            return Err(Refusal::WouldExpire);
        }
        Ok(expected)
    }
}
