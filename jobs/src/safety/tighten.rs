//! What a tenant may change of a policy: only towards more care.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    curve::Curve,
    groups::{APART_MOST, JOINED_MOST},
    policy::{Budget, ByAge, Groups, Growth, NearDuplicates, Policy, QuietHours, Streak},
    presets::{CODES_AN_HOUR, QUIET_FROM, QUIET_TO, STREAK_DEFAULT, quiet_pass},
};

/// A tenant's own limits. What is not named stays as the preset has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tightening {
    /// The smallest gap before a reply, in milliseconds. The whole curve becomes slower by the same factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_gap_ms: Option<u64>,
    /// The smallest gap before a warm message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_gap_ms: Option<u64>,
    /// The smallest gap before a cold message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_gap_ms: Option<u64>,
    /// The most new conversations in any 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_conversations_a_day: Option<u32>,
    /// The most messages in any 24 hours that are no replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_a_day: Option<u32>,
    /// The most replies in any hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replies_an_hour: Option<u32>,
    /// The most unanswered messages to one contact, within the time that the preset names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered_by_one_contact: Option<u32>,
    /// The least minutes between two of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered_apart_minutes: Option<u32>,
    /// The most cold messages without an answer in any 30 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered_in_30_days: Option<u32>,
    /// The most new recipients of nearly equal texts in any 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_duplicates: Option<u32>,
    /// When quiet hours begin, in minutes since midnight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_from_minute: Option<u16>,
    /// When quiet hours end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_to_minute: Option<u16>,
    /// Whether warm messages keep quiet hours too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_holds_warm: Option<bool>,
    /// The most messages with the purpose `code` or `security` in quiet hours, in any hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codes_at_night_an_hour: Option<u32>,
    /// The least seconds between two messages to one group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_apart_seconds: Option<u32>,
    /// The least hours that a number must be in a group before it writes there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_joined_hours: Option<u32>,
}

/// A tenant's limit that is looser than the policy, or that no day has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} is looser than the platform allows")]
pub struct BelowFloor {
    /// The JSON pointer of the field.
    pub pointer: &'static str,
}

/// No tenant may ask for a gap longer than this.
const GAP_MOST: Duration = Duration::from_hours(1);
/// The limits of groups where there are none.
const NO_GROUPS: Groups = Groups {
    gap_times: 1,
    apart: Duration::ZERO,
    joined_for: Duration::ZERO,
};
/// Two hours round noon are never quiet: quiet hours end before them.
const LATE_MORNING: u16 = 11 * 60;
/// See [`LATE_MORNING`]. Quiet hours begin after them.
const AFTERNOON: u16 = 13 * 60;

impl Policy {
    /// Returns the policy with a tenant's limits, or which of them is looser than it.
    pub fn tightened(&self, by: &Tightening) -> Result<Self, BelowFloor> {
        self.check(by)?;
        Ok(self.with(by))
    }

    /// Returns the stricter of the policy and a tenant's limits, field by field. For limits that were accepted when the
    /// policy was another one.
    #[must_use]
    pub fn with(&self, by: &Tightening) -> Self {
        let mut policy = self.clone();
        policy.reply = slower(policy.reply, by.reply_gap_ms);
        policy.warm = slower(policy.warm, by.warm_gap_ms);
        policy.cold = slower(policy.cold, by.cold_gap_ms);
        if let Some(most) = by.new_conversations_a_day {
            policy.new_conversations = Some(fewer_new(policy.new_conversations, most));
        }
        if let Some(most) = by.messages_a_day {
            policy.messages = Some(fewer_messages(policy.messages, most));
        }
        policy.replies_an_hour = least(policy.replies_an_hour, by.replies_an_hour);
        for streak in [&mut policy.unanswered.warm, &mut policy.unanswered.cold] {
            *streak = fewer_unanswered(*streak, by);
        }
        if let Some(most) = by.unanswered_in_30_days {
            policy.unanswered_in_30_days = Some(less_budget(policy.unanswered_in_30_days, most));
        }
        if let Some(most) = by.near_duplicates {
            let rule = policy.near_duplicates;
            policy.near_duplicates = Some(NearDuplicates {
                most: rule.map_or(most, |rule| rule.most.min(most)),
                refuses: rule.is_some_and(|rule| rule.refuses),
            });
        }
        policy.quiet_hours = longer_quiet(policy.quiet_hours, by);
        if by.group_apart_seconds.is_some() || by.group_joined_hours.is_some() {
            policy.groups = Some(less_to_groups(policy.groups, by));
        }
        // What goes by class is limited by class: a sandbox with limits of its own keeps them.
        policy.orders_by_class |= policy.has_limits();
        policy
    }

    /// Returns whether anything but a gap limits a number.
    fn has_limits(&self) -> bool {
        self.replies_an_hour.is_some()
            || self.new_conversations.is_some()
            || self.messages.is_some()
            || self.unanswered.warm.is_some()
            || self.unanswered_in_30_days.is_some()
            || self.near_duplicates.is_some()
            || self.quiet_hours.is_some()
            || self.groups.is_some()
    }

    fn check(&self, by: &Tightening) -> Result<(), BelowFloor> {
        let refuse = |pointer| Err(BelowFloor { pointer });
        let gaps = [
            (by.reply_gap_ms, &self.reply, "/reply_gap_ms"),
            (by.warm_gap_ms, &self.warm, "/warm_gap_ms"),
            (by.cold_gap_ms, &self.cold, "/cold_gap_ms"),
        ];
        for (asked, curve, pointer) in gaps {
            let asked = asked.map(Duration::from_millis);
            if asked.is_some_and(|gap| gap < curve.floor() || gap > GAP_MOST) {
                return refuse(pointer);
            }
        }
        let new = self.new_conversations.as_ref();
        let streak = self.unanswered.cold.or(self.unanswered.warm);
        let most = [
            (
                by.new_conversations_a_day,
                new.map(|by_age| by_age.older),
                "/new_conversations_a_day",
            ),
            (
                by.messages_a_day,
                self.messages.map(|growth| growth.most),
                "/messages_a_day",
            ),
            (by.replies_an_hour, self.replies_an_hour, "/replies_an_hour"),
            (
                by.unanswered_by_one_contact,
                streak.map(|streak| streak.most),
                "/unanswered_by_one_contact",
            ),
            (
                by.unanswered_in_30_days,
                self.unanswered_in_30_days.map(|budget| budget.at(None)),
                "/unanswered_in_30_days",
            ),
            (
                by.near_duplicates,
                self.near_duplicates.map(|rule| rule.most),
                "/near_duplicates",
            ),
            (
                by.codes_at_night_an_hour,
                self.quiet_hours.as_ref().map(|quiet| quiet.codes_an_hour),
                "/codes_at_night_an_hour",
            ),
        ];
        for (asked, most, pointer) in most {
            if asked.is_some_and(|asked| most.is_some_and(|most| asked > most)) {
                return refuse(pointer);
            }
        }
        let apart = by.unanswered_apart_minutes.map(minutes);
        if apart.is_some_and(|apart| streak.is_some_and(|streak| apart < streak.apart)) {
            return refuse("/unanswered_apart_minutes");
        }
        self.check_groups(by)?;
        self.check_quiet(by)
    }

    fn check_groups(&self, by: &Tightening) -> Result<(), BelowFloor> {
        let platform = self.groups.unwrap_or(NO_GROUPS);
        let least = [
            (
                by.group_apart_seconds.map(seconds),
                platform.apart,
                APART_MOST,
                "/group_apart_seconds",
            ),
            (
                by.group_joined_hours.map(hours),
                platform.joined_for,
                JOINED_MOST,
                "/group_joined_hours",
            ),
        ];
        let is_refused = |asked: Option<Duration>, least, most| {
            asked.is_some_and(|asked| asked < least || asked > most)
        };
        let refused = least
            .into_iter()
            .find(|(asked, least, most, _)| is_refused(*asked, *least, *most));
        match refused {
            Some((.., pointer)) => Err(BelowFloor { pointer }),
            None => Ok(()),
        }
    }

    fn check_quiet(&self, by: &Tightening) -> Result<(), BelowFloor> {
        let quiet = self.quiet_hours.as_ref();
        let from = quiet.map_or(u16::MAX, |quiet| quiet.from_minute);
        let to = quiet.map_or(0, |quiet| quiet.to_minute);
        let holds_warm = quiet.is_some_and(|quiet| quiet.holds_warm);
        let pointer = if by
            .quiet_from_minute
            .is_some_and(|asked| asked > from || asked < AFTERNOON)
        {
            "/quiet_from_minute"
        } else if by
            .quiet_to_minute
            .is_some_and(|asked| asked < to || asked > LATE_MORNING)
        {
            "/quiet_to_minute"
        } else if by.quiet_holds_warm == Some(false) && holds_warm {
            "/quiet_holds_warm"
        } else {
            return Ok(());
        };
        Err(BelowFloor { pointer })
    }
}

/// Returns the curve with a larger floor. Every gap grows by the same factor, so that its shape stays.
fn slower(curve: Curve, floor_ms: Option<u64>) -> Curve {
    let floor = floor_ms
        .map_or(Duration::ZERO, Duration::from_millis)
        .min(GAP_MOST);
    if floor <= curve.floor() {
        return curve;
    }
    if curve.floor().is_zero() {
        let ceiling = curve.ceiling().max(floor);
        return Curve::Uniform { floor, ceiling };
    }
    curve.slower(floor.as_secs_f64() / curve.floor().as_secs_f64())
}

fn least(platform: Option<u32>, own: Option<u32>) -> Option<u32> {
    match (platform, own) {
        (Some(platform), Some(own)) => Some(platform.min(own)),
        (platform, own) => platform.or(own),
    }
}

fn fewer_new(by_age: Option<ByAge>, most: u32) -> ByAge {
    let Some(mut by_age) = by_age else {
        let steps = Vec::new();
        return ByAge { steps, older: most };
    };
    for step in &mut by_age.steps {
        step.most = step.most.min(most);
    }
    by_age.older = by_age.older.min(most);
    by_age
}

fn fewer_messages(growth: Option<Growth>, most: u32) -> Growth {
    let none = Growth {
        first_day: most,
        factor: 1.0,
        most,
        hours: 1,
    };
    let growth = growth.unwrap_or(none);
    Growth {
        first_day: growth.first_day.min(most),
        most: growth.most.min(most),
        ..growth
    }
}

fn fewer_unanswered(streak: Option<Streak>, by: &Tightening) -> Option<Streak> {
    let most = by.unanswered_by_one_contact;
    let apart = by.unanswered_apart_minutes.map(minutes);
    if streak.is_none() && most.is_none() && apart.is_none() {
        return None;
    }
    let none = Streak {
        most: u32::MAX,
        apart: Duration::ZERO,
        ..STREAK_DEFAULT
    };
    let streak = streak.unwrap_or(none);
    Some(Streak {
        most: streak.most.min(most.unwrap_or(u32::MAX)),
        apart: streak.apart.max(apart.unwrap_or_default()),
        ..streak
    })
}

fn less_budget(budget: Option<Budget>, most: u32) -> Budget {
    let budget = budget.unwrap_or(Budget {
        percent_of_quota: 100,
        without_quota: most,
        most: None,
    });
    Budget {
        most: least(budget.most, Some(most)),
        ..budget
    }
}

fn longer_quiet(quiet: Option<QuietHours>, by: &Tightening) -> Option<QuietHours> {
    let from = by.quiet_from_minute.map(|from| from.max(AFTERNOON));
    let to = by.quiet_to_minute.map(|to| to.min(LATE_MORNING));
    let codes = by.codes_at_night_an_hour;
    let Some(mut quiet) = quiet else {
        let asks = from.or(to).is_some() || by.quiet_holds_warm.is_some() || codes.is_some();
        return asks.then(|| QuietHours {
            from_minute: from.unwrap_or(QUIET_FROM),
            to_minute: to.unwrap_or(QUIET_TO),
            holds_warm: by.quiet_holds_warm.unwrap_or(false),
            pass: quiet_pass(),
            codes_an_hour: codes.unwrap_or(CODES_AN_HOUR),
        });
    };
    quiet.from_minute = quiet.from_minute.min(from.unwrap_or(u16::MAX));
    quiet.to_minute = quiet.to_minute.max(to.unwrap_or(0));
    quiet.holds_warm |= by.quiet_holds_warm.unwrap_or(false);
    quiet.codes_an_hour = quiet.codes_an_hour.min(codes.unwrap_or(u32::MAX));
    Some(quiet)
}

fn less_to_groups(groups: Option<Groups>, by: &Tightening) -> Groups {
    let groups = groups.unwrap_or(NO_GROUPS);
    let apart = by.group_apart_seconds.map_or(Duration::ZERO, seconds);
    let joined_for = by.group_joined_hours.map_or(Duration::ZERO, hours);
    Groups {
        apart: groups.apart.max(apart.min(APART_MOST)),
        joined_for: groups.joined_for.max(joined_for.min(JOINED_MOST)),
        ..groups
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

fn minutes(minutes: u32) -> Duration {
    Duration::from_secs(u64::from(minutes) * 60)
}

fn hours(hours: u32) -> Duration {
    Duration::from_secs(u64::from(hours) * 3600)
}
