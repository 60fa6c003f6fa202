//! The health of a session's number.

use passerelle_jobs::{
    ids::SessionId,
    safety::health::{
        self, DISCONNECTS, Figures, NOT_ON_WHATSAPP, Newcomers, OPT_OUTS, REFUSED,
        UNDELIVERED_PERCENT,
    },
    sessions::health::HealthView,
};
use poem_openapi::Object;
use serde::Serialize;

use crate::types::{Id, Timestamp};

/// The health of a session's number: what WhatsApp signals about it, and how much it may send therefore. Sessions of one
/// number have one health.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SessionHealth {
    /// Always `session_health`.
    pub object: String,
    /// The session.
    pub session_id: Id<SessionId>,
    /// How much the number may send: `ok`, `slow` (gaps are doubled, caps halved), `cold_stop` (no first messages to people
    /// who never wrote), `reply_only` (only answers to people who wrote within 24 hours), `paused` (nothing for some time) or
    /// `locked` (nothing until a person has linked it again).
    pub level: String,
    /// When the next better level begins if nothing happens. Absent if the level is `ok`, or only a person can end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why, the most severe first.
    pub reasons: Vec<String>,
    /// Whether the level limits what is sent. It is `false` in a sandbox.
    pub enforced: bool,
    /// Each restriction that still counts, also while it recovers.
    pub restrictions: Vec<HealthRestriction>,
    /// The reach-out time-lock, as WhatsApp last told it. Absent until WhatsApp was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timelock: Option<ReachoutTimelock>,
    /// WhatsApp's own quota of messages to new chats. Absent if WhatsApp sets none, or was not asked yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_chat_quota: Option<NewChatQuota>,
    /// Every figure that the level goes by, with its threshold.
    pub figures: Vec<HealthFigure>,
}

/// A restriction of a number.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct HealthRestriction {
    /// Why.
    pub reason: String,
    /// The level that it holds the number at until its end.
    pub level: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when. After that the number recovers one level in each six hours without a new restriction. Absent if only a
    /// person can end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Whether WhatsApp keeps the number from opening new chats.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ReachoutTimelock {
    /// Whether it does now.
    pub active: bool,
    /// WhatsApp's own word for the kind of lock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// When the lock ends, if WhatsApp said so. The gateway waits a tenth longer, at least an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// When WhatsApp said so.
    pub checked_at: Timestamp,
}

/// WhatsApp's own quota of messages to new chats.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct NewChatQuota {
    /// WhatsApp's own word: `NONE`, `FIRST_WARNING`, `SECOND_WARNING` or `CAPPED`.
    pub status: String,
    /// The quota of a cycle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
    /// How much of it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<i64>,
    /// When the cycle began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle_started_at: Option<Timestamp>,
    /// When the cycle ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle_ends_at: Option<Timestamp>,
    /// What the gateway's caps on new conversations are divided by because of the warning: 1, 2 or 4.
    pub caps_divided_by: i64,
    /// When WhatsApp said so.
    pub checked_at: Timestamp,
}

/// A figure that the health of a number goes by.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct HealthFigure {
    /// What is counted. In the last hour: `refused_under_timelock` and `refused_without_timelock` (messages that WhatsApp
    /// refused with 463), `refused_strangers` (people who never wrote and could not be written to), `not_on_whatsapp`
    /// (recipients without WhatsApp), `disconnects`. Among the last 50 first messages: `opt_outs`, and `undelivered_percent`
    /// (of those older than a day). In the last 24 hours: `rate_limits` (429), `temporary_bans` (402), `account_locks` (403).
    /// Later versions add more.
    pub name: String,
    /// How much it is.
    pub value: i64,
    /// From which value on the number is restricted. Absent if the figure alone restricts nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<i64>,
    /// How many first messages it is counted among.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<i64>,
    /// When it happened last, at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
}

/// How long a ban, a lock and a limit of requests show as one.
const DAY: i64 = 24 * 60 * 60 * 1000;

impl SessionHealth {
    pub(super) fn of(id: SessionId, view: &HealthView) -> Self {
        let HealthView { health, now, .. } = view;
        let standing = health.at(*now);
        Self {
            object: "session_health".to_owned(),
            session_id: Id(id),
            level: standing.level.to_string(),
            until: standing.until.map(Timestamp),
            reasons: words(&standing.reasons),
            enforced: view.is_enforced,
            restrictions: health
                .restrictions(*now)
                .into_iter()
                .map(Into::into)
                .collect(),
            timelock: health
                .figures
                .timelock
                .as_ref()
                .map(|lock| ReachoutTimelock {
                    active: lock.holds(*now),
                    kind: lock.kind.clone(),
                    ends_at: lock.ends_at.map(Timestamp),
                    checked_at: Timestamp(lock.told_at),
                }),
            new_chat_quota: quota(health, *now),
            figures: figures(&health.figures, *now),
        }
    }
}

fn words(reasons: &[health::Reason]) -> Vec<String> {
    let each = reasons.iter().map(|reason| reason.as_str().to_owned());
    each.collect()
}

impl From<&health::Restriction> for HealthRestriction {
    fn from(restriction: &health::Restriction) -> Self {
        Self {
            reason: restriction.reason.as_str().to_owned(),
            level: restriction.level.to_string(),
            since: Timestamp(restriction.since),
            until: restriction.until.map(Timestamp),
        }
    }
}

fn quota(health: &health::Health, now: i64) -> Option<NewChatQuota> {
    let told = health.figures.capping.as_ref();
    let told = told.filter(|told| !told.status.is_empty())?;
    Some(NewChatQuota {
        status: told.status.clone(),
        total: told.total,
        used: told.used,
        cycle_started_at: told.cycle_start.map(Timestamp),
        cycle_ends_at: told.cycle_end.map(Timestamp),
        caps_divided_by: health.cold_divisor(now),
        checked_at: Timestamp(told.told_at),
    })
}

fn figures(figures: &Figures, now: i64) -> Vec<HealthFigure> {
    let (locked, free) = figures.refused(now);
    let count = |name, value: usize, threshold: Option<usize>| HealthFigure {
        threshold: threshold.and_then(|threshold| i64::try_from(threshold).ok()),
        ..figure(name, i64::try_from(value).unwrap_or(i64::MAX))
    };
    let newcomers = figures.newcomers.unwrap_or_default();
    let ban = figures.ban.as_ref().map(|ban| ban.at);
    vec![
        count("refused_under_timelock", locked, None),
        count("refused_without_timelock", free, None),
        count(
            "refused_strangers",
            figures.refused_newcomers(now),
            Some(REFUSED),
        ),
        count(
            "not_on_whatsapp",
            figures.not_on_whatsapp(now),
            Some(NOT_ON_WHATSAPP),
        ),
        count("disconnects", figures.disconnects(now), Some(DISCONNECTS)),
        HealthFigure {
            threshold: Some(OPT_OUTS.into()),
            of: Some(newcomers.sent.into()),
            ..figure("opt_outs", newcomers.opted_out.into())
        },
        HealthFigure {
            threshold: Some(UNDELIVERED_PERCENT.into()),
            of: Some(newcomers.sent_a_day_ago.into()),
            ..figure("undelivered_percent", percent(newcomers))
        },
        last("rate_limits", figures.rate_limited_at, now),
        last("temporary_bans", ban, now),
        last("account_locks", figures.account_locked_at, now),
    ]
}

fn percent(newcomers: Newcomers) -> i64 {
    let of = i64::from(newcomers.sent_a_day_ago).max(1);
    i64::from(newcomers.undelivered) * 100 / of
}

fn figure(name: &str, value: i64) -> HealthFigure {
    HealthFigure {
        name: name.to_owned(),
        value,
        threshold: None,
        of: None,
        last_at: None,
    }
}

fn last(name: &str, at: Option<i64>, now: i64) -> HealthFigure {
    let is_recent = at.is_some_and(|at| now.saturating_sub(at) < DAY);
    HealthFigure {
        threshold: Some(1),
        last_at: at.map(Timestamp),
        ..figure(name, is_recent.into())
    }
}
