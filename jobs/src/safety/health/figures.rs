//! The figures that a number's health goes by.

use std::collections::BTreeSet;

use passerelle_engine::clock::Millis;
use serde::{Deserialize, Serialize};

use super::{DAY, HOUR, SAMPLE, signal::TIMELOCK_ASKED};
use crate::model::number::FirstMessage;

/// The most entries of each list.
const KEPT: usize = 50;
/// How long a warning of WhatsApp counts that did not say when its cycle ends.
const CYCLE: Millis = 30 * DAY;

/// What happened, and what WhatsApp said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// First and other messages that WhatsApp refused with 463 in the last hour.
    pub(super) refused: Vec<Refused>,
    /// Recipients without WhatsApp in the last hour.
    pub(super) not_on_whatsapp: Vec<Seen>,
    /// When the connection dropped in the last hour.
    pub(super) disconnects: Vec<Millis>,
    /// When WhatsApp last closed the connection because of too many requests.
    pub rate_limited_at: Option<Millis>,
    /// The last temporary ban.
    pub ban: Option<Ban>,
    /// When WhatsApp last locked the account.
    pub account_locked_at: Option<Millis>,
    /// When the number was last unlinked soon after other signals.
    pub unlinked_at: Option<Millis>,
    /// The reach-out time-lock, as WhatsApp last told it.
    pub timelock: Option<Timelock>,
    /// When we asked WhatsApp about the time-lock in the last hour.
    pub(super) timelock_asked: Vec<Millis>,
    /// The quota of new chats, as WhatsApp last told it.
    pub capping: Option<Capping>,
    /// What became of the last first messages.
    pub newcomers: Option<Newcomers>,
    /// First messages before this do not count any more: they led to a restriction.
    pub counted_from: Millis,
}

/// A message that WhatsApp refused with 463.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refused {
    pub(super) at: Millis,
    /// The recipient, as a keyed hash.
    pub(super) who: String,
    pub(super) is_cold: bool,
    /// The number was under a time-lock.
    pub(super) is_locked: bool,
}

/// A recipient, as a keyed hash, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) at: Millis,
    pub(super) who: String,
}

/// A temporary ban.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// When WhatsApp said so.
    pub at: Millis,
    /// WhatsApp's own code of the reason; 0 if it named none.
    pub code: u32,
    /// When it ends, if WhatsApp said so.
    pub until: Option<Millis>,
}

/// The reach-out time-lock: whether the number may open new chats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timelock {
    /// When WhatsApp said so.
    pub told_at: Millis,
    /// Whether it may not.
    pub is_active: bool,
    /// WhatsApp's word for the kind of lock.
    pub kind: Option<String>,
    /// When the lock ends, if WhatsApp said so.
    pub ends_at: Option<Millis>,
}

impl Timelock {
    /// Returns whether the lock holds at this time.
    pub fn holds(&self, now: Millis) -> bool {
        self.is_active && self.ends_at.is_none_or(|ends_at| ends_at > now)
    }
}

/// WhatsApp's own quota of messages to new chats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capping {
    /// When WhatsApp said so.
    pub told_at: Millis,
    /// WhatsApp's word: `NONE`, `FIRST_WARNING`, `SECOND_WARNING`, `CAPPED`, or one that is not known yet.
    pub status: String,
    /// The quota of a cycle.
    pub total: Option<i64>,
    /// How much of it is used.
    pub used: Option<i64>,
    /// When the cycle began.
    pub cycle_start: Option<Millis>,
    /// When the cycle ends.
    pub cycle_end: Option<Millis>,
}

impl Capping {
    pub(super) fn is_capped(&self) -> bool {
        self.status == "CAPPED"
    }

    /// Returns what caps on new conversations are divided by. A word that is not known yet counts as the second warning.
    pub(super) fn divisor(&self, now: Millis) -> i64 {
        let ends = self.cycle_end.unwrap_or(self.told_at + CYCLE);
        if now >= ends {
            return 1;
        }
        match self.status.as_str() {
            "" | "NONE" => 1,
            "FIRST_WARNING" => 2,
            _ => 4,
        }
    }
}

/// How many first messages of a session are read to count [`Newcomers`]: three times [`SAMPLE`], because those of the last day
/// count for one of its figures only.
pub(crate) const KNOWN: i64 = 150;

/// What became of the last first messages of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Newcomers {
    /// When they were counted.
    pub counted_at: Millis,
    /// How many first messages the opt-outs are counted among.
    pub sent: u32,
    /// How many of their recipients opted out.
    pub opted_out: u32,
    /// How many first messages are older than a day.
    pub sent_a_day_ago: u32,
    /// How many of those no phone has received.
    pub undelivered: u32,
}

impl Newcomers {
    /// Returns whether the figures are equal, whenever they were counted.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let counted_at = self.counted_at;
        *self
            == Self {
                counted_at,
                ..*other
            }
    }

    /// Counts a number's first messages. Their order is not important.
    pub(crate) fn count(mut messages: Vec<FirstMessage>, now: Millis) -> Self {
        messages.sort_unstable_by_key(|one| std::cmp::Reverse(one.accepted_at));
        let sample = usize::try_from(SAMPLE).unwrap_or(usize::MAX);
        let last = || messages.iter().take(sample);
        let opted_out = last().filter(|one| one.opted_out_at.is_some_and(|at| at >= one.sent_at));
        let opted_out: BTreeSet<_> = opted_out.map(|one| &one.contact).collect();
        let old = messages.iter().filter(|one| one.sent_at <= now - DAY);
        let old: Vec<_> = old.take(sample).collect();
        let undelivered = old.iter().filter(|one| !one.is_received).count();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            counted_at: now,
            sent: number(last().count()),
            opted_out: number(opted_out.len()),
            sent_a_day_ago: number(old.len()),
            undelivered: number(undelivered),
        }
    }
}

impl Figures {
    /// Returns how many messages WhatsApp refused with 463 in the last hour, with a time-lock and without one.
    pub fn refused(&self, now: Millis) -> (usize, usize) {
        let recent = self.refused.iter().filter(|one| is_recent(one.at, now));
        let (locked, free): (Vec<_>, Vec<_>) = recent.partition(|one| one.is_locked);
        (locked.len(), free.len())
    }

    /// Returns how many different people who never wrote could not be written to in the last hour without a time-lock.
    pub fn refused_newcomers(&self, now: Millis) -> usize {
        let recent = self.refused.iter().filter(|one| is_recent(one.at, now));
        different(
            recent
                .filter(|one| one.is_cold && !one.is_locked)
                .map(|one| &one.who),
        )
    }

    /// Returns how many different recipients of the last hour have no WhatsApp.
    pub fn not_on_whatsapp(&self, now: Millis) -> usize {
        let recent = self.not_on_whatsapp.iter();
        different(
            recent
                .filter(|one| is_recent(one.at, now))
                .map(|one| &one.who),
        )
    }

    /// Returns how often the connection dropped in the last hour.
    pub fn disconnects(&self, now: Millis) -> usize {
        let recent = self.disconnects.iter();
        recent.filter(|at| is_recent(**at, now)).count()
    }

    /// Returns whether WhatsApp may be asked about the time-lock.
    pub fn may_ask_timelock(&self, now: Millis) -> bool {
        let asked = self.timelock_asked.iter();
        asked.filter(|at| is_recent(**at, now)).count() < TIMELOCK_ASKED
    }

    /// Forgets what is older than an hour, and the oldest entries of a list that is too long.
    pub(super) fn prune(&mut self, now: Millis) {
        self.refused.retain(|one| is_recent(one.at, now));
        self.not_on_whatsapp.retain(|one| is_recent(one.at, now));
        self.disconnects.retain(|at| is_recent(*at, now));
        self.timelock_asked.retain(|at| is_recent(*at, now));
        cut(&mut self.refused);
        cut(&mut self.not_on_whatsapp);
        cut(&mut self.disconnects);
        cut(&mut self.timelock_asked);
    }
}

fn is_recent(at: Millis, now: Millis) -> bool {
    at > now.saturating_sub(HOUR)
}

fn cut<T>(list: &mut Vec<T>) {
    let surplus = list.len().saturating_sub(KEPT);
    list.drain(..surplus);
}

fn different<'a>(who: impl Iterator<Item = &'a String>) -> usize {
    let mut who: Vec<_> = who.collect();
    who.sort_unstable();
    who.dedup();
    who.len()
}
