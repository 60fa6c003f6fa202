//! The health of a number: what WhatsApp signals about it, and how much it may send therefore.
//!
//! A signal puts a restriction on the number at once. A restriction holds until its end. After that the number recovers one
//! level at a time, each after six hours without a new restriction. All is data and takes the time as an argument.

mod figures;
mod signal;
#[cfg(test)]
mod tests;

use passerelle_engine::clock::Millis;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

pub(crate) use self::figures::KNOWN;
pub use self::{
    figures::{Ban, Capping, Figures, Newcomers, Timelock},
    signal::{
        DISCONNECTS, NOT_ON_WHATSAPP, OPT_OUTS, REFUSED, SAMPLE, SAMPLE_LEAST, Signal,
        UNDELIVERED_PERCENT,
    },
};
use super::level::Level;

pub(crate) const HOUR: Millis = 60 * 60 * 1000;
pub(crate) const DAY: Millis = 24 * HOUR;

/// How long a number must stay without a new restriction before it recovers by one level.
pub const CLEAN: Millis = 6 * HOUR;

/// Why a number is restricted.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// WhatsApp locked the account: a person must look at the phone.
    AccountLocked,
    /// The number was unlinked soon after other signals.
    Unlinked,
    /// WhatsApp banned the number for some time.
    TemporaryBan,
    /// The number was linked again after it was locked.
    LinkedAgain,
    /// WhatsApp does not let the number open new chats for some time.
    ReachoutTimelock,
    /// The number has used up WhatsApp's quota of new chats.
    NewChatCap,
    /// WhatsApp refused several first messages.
    RefusedNewChats,
    /// Several recipients have no WhatsApp.
    NotOnWhatsapp,
    /// Several people opted out after their first message.
    OptOuts,
    /// Many first messages did not reach their phones.
    Undelivered,
    /// WhatsApp closed the connection because of too many requests.
    RateLimited,
    /// The connection dropped often.
    Disconnects,
    /// A later version of the gateway knows it.
    #[serde(other)]
    Unknown,
}

impl Reason {
    /// Every reason, the most severe first.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Returns the word of the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What a signal put on a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// Why.
    pub reason: Reason,
    /// The level that it holds the number at.
    pub level: Level,
    /// Since when.
    pub since: Millis,
    /// Until when; `None` if only a person can end it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Millis>,
    /// It ends without steps, because a milder one follows it.
    #[serde(skip_serializing_if = "is_false", default)]
    ends_at_once: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Restriction {
    /// Returns the level that it holds the number at, and when that changes.
    fn at(&self, now: Millis) -> (Level, Option<Millis>) {
        let Some(until) = self.until else {
            return (self.level, None);
        };
        if now < until {
            return (self.level, Some(until));
        }
        if self.ends_at_once {
            return (Level::Ok, None);
        }
        let clean = (now - until) / CLEAN;
        let level = (0..=clean.min(Level::ALL.len().try_into().unwrap_or(clean)))
            .fold(self.level, |level, _| level.better());
        let next = (level != Level::Ok).then(|| until.saturating_add(CLEAN * (clean + 1)));
        (level, next)
    }
}

/// How much a number may send at some time, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The level.
    pub level: Level,
    /// When the next better level begins if nothing happens. `None` if nothing is wrong, or only a person can end it.
    pub until: Option<Millis>,
    /// Why, the most severe first.
    pub reasons: Vec<Reason>,
}

/// A change of a number's level that its sessions are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It became worse, or has one more reason.
    Restricted(Standing),
    /// It became better.
    Recovered(Standing),
}

/// The level that the sessions were told of last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Told {
    level: Level,
    reasons: Vec<Reason>,
}

/// The health of a number, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    restrictions: Vec<Restriction>,
    told: Told,
    /// What it goes by.
    pub figures: Figures,
}

impl Health {
    /// Reads what is stored; nothing is a healthy number. What cannot be read stops first messages for a day, because nobody
    /// knows what it said.
    pub fn parse(stored: Option<&str>, now: Millis) -> Self {
        let Some(stored) = stored else {
            return Self::default();
        };
        serde_json::from_str(stored).unwrap_or_else(|error| {
            tracing::error!(%error, "the health of a number cannot be read; it sends no first messages for a day");
            let mut health = Self::default();
            health.restrict(Reason::Unknown, Level::ColdStop, Some(now + DAY), now);
            health
        })
    }

    /// Returns what the number may do at this time, and why.
    pub fn at(&self, now: Millis) -> Standing {
        let each = self.restrictions.iter().map(|one| (one, one.at(now)));
        let each: Vec<_> = each.collect();
        let level = each.iter().map(|(_, (level, _))| *level).max();
        let level = level.unwrap_or_default();
        if level == Level::Ok {
            return Standing::default();
        }
        let holding = each.iter().filter(|(_, (held, _))| *held == level);
        let mut reasons: Vec<_> = holding.clone().map(|(one, _)| one.reason).collect();
        reasons.sort_unstable();
        reasons.dedup();
        let ends: Option<Vec<_>> = holding.map(|(_, (_, next))| *next).collect();
        Standing {
            level,
            until: ends.and_then(|ends| ends.into_iter().max()),
            reasons,
        }
    }

    /// Returns what the caps on new conversations are divided by, because WhatsApp warned that its own quota is nearly used
    /// up.
    pub fn cold_divisor(&self, now: Millis) -> i64 {
        let capping = self.figures.capping.as_ref();
        capping.map_or(1, |capping| capping.divisor(now))
    }

    /// Returns how many people WhatsApp lets the number write to first, if it said so.
    pub fn quota(&self) -> Option<u32> {
        let capping = self.figures.capping.as_ref()?;
        u32::try_from(capping.total?).ok()
    }

    /// Returns the restrictions that still count, the most severe first.
    pub fn restrictions(&self, now: Millis) -> Vec<&Restriction> {
        let counts = |one: &&Restriction| one.at(now).0 > Level::Ok;
        let mut counting: Vec<_> = self.restrictions.iter().filter(counts).collect();
        counting.sort_by_key(|one| (std::cmp::Reverse(one.at(now).0), one.reason));
        counting
    }

    /// Returns when the level may change if nothing happens.
    pub fn next_change(&self, now: Millis) -> Option<Millis> {
        let each = self.restrictions.iter().filter_map(|one| one.at(now).1);
        each.min()
    }

    /// Returns what the number's sessions have to be told, and takes it as told.
    pub fn news(&mut self, now: Millis) -> Option<News> {
        let standing = self.at(now);
        let told = std::mem::replace(
            &mut self.told,
            Told {
                level: standing.level,
                reasons: standing.reasons.clone(),
            },
        );
        let is_new = |reason: &Reason| !told.reasons.contains(reason);
        match standing.level.cmp(&told.level) {
            std::cmp::Ordering::Less => Some(News::Recovered(standing)),
            std::cmp::Ordering::Greater => Some(News::Restricted(standing)),
            std::cmp::Ordering::Equal => {
                let more = standing.reasons.iter().any(is_new);
                more.then_some(News::Restricted(standing))
            }
        }
    }

    /// Puts a restriction on the number. One for the same reason at the same level is extended. What recovers starts its
    /// six hours again.
    fn restrict(&mut self, reason: Reason, level: Level, until: Option<Millis>, now: Millis) {
        let is_same = |one: &Restriction| (one.reason, one.level) == (reason, level);
        let holds = |one: &Restriction| match (one.until, until) {
            (Some(one), Some(other)) => one > now && one >= other,
            (one, _) => one.is_none(),
        };
        if self
            .restrictions
            .iter()
            .any(|one| is_same(one) && holds(one))
        {
            return;
        }
        self.restart_recovery(now);
        if let Some(one) = self.restrictions.iter_mut().find(|one| is_same(one)) {
            one.until = one.until.zip(until).map(|(one, other)| one.max(other));
            return;
        }
        self.restrictions.push(Restriction {
            reason,
            level,
            since: now,
            until,
            ends_at_once: false,
        });
    }

    /// Has what recovers begin again at its present level, and forgets what has recovered.
    fn restart_recovery(&mut self, now: Millis) {
        self.restrictions.retain_mut(|one| {
            let level = one.at(now).0;
            if one.until.is_some_and(|until| until <= now) {
                one.level = level;
                one.until = Some(now.saturating_add(CLEAN));
            }
            level != Level::Ok
        });
    }

    /// Ends the restrictions for this reason at `at`, if they would last longer.
    fn shorten(&mut self, reason: Reason, at: Millis) {
        let same = self.restrictions.iter_mut();
        for one in same.filter(|one| one.reason == reason) {
            one.until = one.until.map(|until| until.min(at));
        }
    }
}
