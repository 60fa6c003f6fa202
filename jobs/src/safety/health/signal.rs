//! What each signal does to a number. The thresholds are choices of ours: WhatsApp publishes none.

use passerelle_engine::clock::Millis;

use super::{
    DAY, HOUR, Health, Reason,
    figures::{Ban, Capping, Newcomers, Refused, Seen, Timelock},
};
use crate::safety::level::Level;

/// So many people who never wrote and could not be written to within an hour stop first messages for a day. One or two are
/// people who do not take messages of strangers.
pub const REFUSED: usize = 3;
/// So many recipients without WhatsApp within an hour stop first messages for a day: the list of numbers is old.
pub const NOT_ON_WHATSAPP: usize = 3;
/// So many disconnects within an hour slow the number down.
pub const DISCONNECTS: usize = 5;
/// The last first messages that opt-outs and undelivered messages are counted among.
pub const SAMPLE: u32 = 50;
/// So many opt-outs among the last [`SAMPLE`] first messages stop first messages for a week.
pub const OPT_OUTS: u32 = 3;
/// So many percent of the last [`SAMPLE`] first messages that no phone received within a day stop first messages for a week.
pub const UNDELIVERED_PERCENT: u32 = 40;
/// Among fewer first messages than this, undelivered ones say nothing.
pub const SAMPLE_LEAST: u32 = 10;

/// How often WhatsApp is asked within an hour whether the number may open new chats.
pub(super) const TIMELOCK_ASKED: usize = 4;

/// The least time that is added to the end of a lock.
const MARGIN: Millis = HOUR;
/// How long a number pauses after WhatsApp closed its connection because of too many requests.
const RATE_LIMITED: Millis = 15 * 60 * 1000;
/// How long few connections slow a number down.
const UNSTEADY: Millis = 6 * HOUR;
/// How long a number that was locked only answers after it was linked again.
const LINKED_AGAIN: Millis = 6 * HOUR;
/// How long opt-outs and undelivered messages stop first messages.
const WEEK: Millis = 7 * DAY;

/// How far the clocks of two hosts may be apart.
const CLOCKS_APART: Millis = 60 * 1000;

/// Something that was learned about a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// WhatsApp said whether the number may open new chats.
    Timelock(Timelock),
    /// We asked WhatsApp whether the number may open new chats.
    TimelockAsked,
    /// WhatsApp said how much of its quota of new chats is used.
    Capping(Capping),
    /// WhatsApp refused a message with 463.
    Refused {
        /// The recipient, as a keyed hash.
        who: String,
        /// The recipient never wrote to the number.
        is_cold: bool,
        /// The number is under a time-lock.
        is_locked: bool,
    },
    /// A recipient, as a keyed hash, has no WhatsApp.
    NotOnWhatsapp(String),
    /// WhatsApp closed the connection because of too many requests (429).
    RateLimited,
    /// WhatsApp banned the number (402).
    Banned {
        /// WhatsApp's code of the reason.
        code: u32,
        /// When the ban ends, if WhatsApp said so.
        until: Option<Millis>,
    },
    /// WhatsApp locked the account (403, 406).
    AccountLocked,
    /// The number was unlinked, and not by us.
    Unlinked,
    /// The number was linked.
    Linked,
    /// The connection dropped.
    Disconnected,
    /// The last first messages were counted.
    Newcomers(Newcomers),
}

impl Signal {
    /// Returns its name in the metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Timelock(_) => "timelock",
            Self::TimelockAsked => "timelock_asked",
            Self::Capping(_) => "capping",
            Self::Refused { .. } => "refused",
            Self::NotOnWhatsapp(_) => "not_on_whatsapp",
            Self::RateLimited => "rate_limited",
            Self::Banned { .. } => "banned",
            Self::AccountLocked => "account_locked",
            Self::Unlinked => "unlinked",
            Self::Linked => "linked",
            Self::Disconnected => "disconnected",
            Self::Newcomers(_) => "newcomers",
        }
    }
}

/// Returns whether WhatsApp told something newer while it answered a question of that time. A time far ahead was written by
/// another clock.
fn is_outdated(asked_at: Millis, known: Option<Millis>, now: Millis) -> bool {
    known.is_some_and(|told_at| told_at > asked_at && told_at < now.saturating_add(CLOCKS_APART))
}

impl Health {
    /// Takes a signal. What makes the number worse counts at once.
    pub fn signal(&mut self, signal: Signal, now: Millis) {
        self.figures.prune(now);
        match signal {
            Signal::Timelock(lock) => self.timelock(lock, now),
            Signal::TimelockAsked => self.figures.timelock_asked.push(now),
            Signal::Capping(capping) => self.capping(capping, now),
            Signal::Refused {
                who,
                is_cold,
                is_locked,
            } => {
                self.figures.refused.push(Refused {
                    at: now,
                    who,
                    is_cold,
                    is_locked,
                });
                if self.figures.refused_newcomers(now) >= REFUSED {
                    self.stop_cold(Reason::RefusedNewChats, DAY, now);
                }
            }
            Signal::NotOnWhatsapp(who) => {
                self.figures.not_on_whatsapp.push(Seen { at: now, who });
                if self.figures.not_on_whatsapp(now) >= NOT_ON_WHATSAPP {
                    self.stop_cold(Reason::NotOnWhatsapp, DAY, now);
                }
            }
            Signal::RateLimited => self.rate_limited(now),
            Signal::Banned { code, until } => {
                let at = now;
                self.figures.ban = Some(Ban { at, code, until });
                let until = until.unwrap_or(now + DAY).max(now) + MARGIN;
                self.restrict(Reason::TemporaryBan, Level::Paused, Some(until), now);
            }
            Signal::AccountLocked => {
                self.figures.account_locked_at = Some(now);
                self.restrict(Reason::AccountLocked, Level::Locked, None, now);
            }
            Signal::Unlinked => self.unlinked(now),
            Signal::Linked => self.linked(now),
            Signal::Disconnected => {
                self.figures.disconnects.push(now);
                if self.figures.disconnects(now) >= DISCONNECTS {
                    let until = Some(now + UNSTEADY);
                    self.restrict(Reason::Disconnects, Level::Slow, until, now);
                }
            }
            Signal::Newcomers(newcomers) => self.newcomers(newcomers, now),
        }
    }

    fn stop_cold(&mut self, reason: Reason, lasts: Millis, now: Millis) {
        self.restrict(reason, Level::ColdStop, Some(now + lasts), now);
    }

    /// A lock counts a tenth longer than WhatsApp says, at least an hour. If WhatsApp lifts it early, an hour is left of it.
    fn timelock(&mut self, lock: Timelock, now: Millis) {
        let known = self.figures.timelock.as_ref();
        if is_outdated(lock.told_at, known.map(|known| known.told_at), now) {
            return;
        }
        if lock.holds(now) {
            let lasts = lock.ends_at.map_or(DAY, |ends_at| ends_at - now);
            self.stop_cold(
                Reason::ReachoutTimelock,
                lasts.saturating_add((lasts / 10).max(MARGIN)),
                now,
            );
        } else {
            self.shorten(Reason::ReachoutTimelock, now + MARGIN);
        }
        self.figures.timelock = Some(lock);
    }

    fn capping(&mut self, capping: Capping, now: Millis) {
        let known = self.figures.capping.as_ref();
        if is_outdated(capping.told_at, known.map(|known| known.told_at), now) {
            return;
        }
        let ends = capping.cycle_end.unwrap_or(now + DAY);
        if capping.is_capped() && ends > now {
            self.stop_cold(Reason::NewChatCap, ends - now, now);
        } else {
            self.shorten(Reason::NewChatCap, now);
        }
        self.figures.capping = Some(capping);
    }

    fn rate_limited(&mut self, now: Millis) {
        self.figures.rate_limited_at = Some(now);
        let pause = Some(now + RATE_LIMITED);
        self.restrict(Reason::RateLimited, Level::Paused, pause, now);
        let paused = |one: &&mut super::Restriction| {
            (one.reason, one.level) == (Reason::RateLimited, Level::Paused)
        };
        if let Some(pause) = self.restrictions.iter_mut().find(paused) {
            pause.ends_at_once = true;
        }
        let slow = Some(now + RATE_LIMITED + DAY);
        self.restrict(Reason::RateLimited, Level::Slow, slow, now);
    }

    /// An owner unlinks a number on the phone and that means nothing. Soon after other signals it was WhatsApp.
    fn unlinked(&mut self, now: Millis) {
        let is_recent = |at: Option<Millis>| at.is_some_and(|at| at > now - DAY);
        let figures = &self.figures;
        let is_suspicious = self.at(now).level >= Level::ColdStop
            || is_recent(figures.rate_limited_at)
            || is_recent(figures.ban.as_ref().map(|ban| ban.at))
            || self.figures.refused(now) != (0, 0);
        if is_suspicious {
            self.figures.unlinked_at = Some(now);
            self.restrict(Reason::Unlinked, Level::Locked, None, now);
        }
    }

    fn linked(&mut self, now: Millis) {
        if self.at(now).level < Level::Locked {
            return;
        }
        self.restrictions.retain(|one| one.level != Level::Locked);
        let until = Some(now + LINKED_AGAIN);
        self.restrict(Reason::LinkedAgain, Level::ReplyOnly, until, now);
    }

    fn newcomers(&mut self, counted: Newcomers, now: Millis) {
        self.figures.newcomers = Some(counted);
        if counted.opted_out >= OPT_OUTS {
            self.stop_cold(Reason::OptOuts, WEEK, now);
            self.figures.counted_from = now;
        }
        let share = UNDELIVERED_PERCENT * counted.sent_a_day_ago;
        if counted.sent_a_day_ago >= SAMPLE_LEAST && counted.undelivered * 100 >= share {
            self.stop_cold(Reason::Undelivered, WEEK, now);
            self.figures.counted_from = now;
        }
    }
}
