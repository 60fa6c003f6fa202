//! The policy of a number: every limit that a preset sets.

use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    curve::{Curve, normal},
    pace::Pace,
    preset::Preset,
    presets,
};
use crate::model::{Class, Purpose};

/// Everything that decides when a number may send. `null` in JSON means that there is no such limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Policy {
    /// The preset that it comes from.
    #[serde(serialize_with = "super::shown::preset")]
    pub preset: Preset,
    /// Whether replies go before warm messages, and those before cold ones.
    pub orders_by_class: bool,
    /// Whether a message outside a conversation needs a purpose, and a first message a consent.
    pub needs_consent: bool,
    /// From any message to a reply.
    pub reply: Curve,
    /// From a message that is no reply to a warm one.
    pub warm: Curve,
    /// From a cold message to the next.
    pub cold: Curve,
    /// The least from any message to a cold one.
    #[serde(rename = "cold_after_any_ms", serialize_with = "super::shown::ms")]
    pub cold_after_any: Duration,
    /// The least between two messages to one contact.
    #[serde(rename = "spacing_ms", serialize_with = "super::shown::ms")]
    pub spacing: Duration,
    /// How a number comes back from a pause.
    pub think: Think,
    /// How long the recipient sees the number typing.
    pub typing: Typing,
    /// Conversations that the number may begin in any 24 hours.
    pub new_conversations: Option<ByAge>,
    /// Messages in any 24 hours that are no replies.
    pub messages: Option<Growth>,
    /// Replies in any hour.
    pub replies_an_hour: Option<u32>,
    /// Messages to one contact that did not answer.
    pub unanswered: Unanswered,
    /// Cold messages without an answer in any 30 days.
    pub unanswered_in_30_days: Option<Budget>,
    /// How many of the new conversations must be answered.
    pub reply_ratio: Option<ReplyRatio>,
    /// Nearly equal messages to new recipients in any 24 hours.
    pub near_duplicates: Option<NearDuplicates>,
    /// The hours in which a recipient is left alone.
    pub quiet_hours: Option<QuietHours>,
    /// Messages to groups.
    pub groups: Option<Groups>,
    /// After how many days without a message a number counts as new again.
    pub new_again_after_days: Option<u32>,
}

/// The time that a number takes before its first message after a pause. Drawn evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Think {
    /// The least.
    #[serde(rename = "least_ms", serialize_with = "super::shown::ms")]
    pub least: Duration,
    /// The most.
    #[serde(rename = "most_ms", serialize_with = "super::shown::ms")]
    pub most: Duration,
}

/// How fast a number types.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Typing {
    /// The mean speed.
    pub characters_a_second: f64,
    /// Its standard deviation.
    pub deviation: f64,
    /// The slowest.
    pub slowest: f64,
    /// The share of a voice note's length that recording is shown.
    pub share_of_voice: f64,
    /// The shortest time.
    #[serde(rename = "least_ms", serialize_with = "super::shown::ms")]
    pub least: Duration,
    /// The longest time.
    #[serde(rename = "most_ms", serialize_with = "super::shown::ms")]
    pub most: Duration,
    /// The longest time before a cold message, and before the first message after a pause. While a number types, a reply
    /// to somebody else waits.
    #[serde(
        rename = "most_while_others_wait_ms",
        serialize_with = "super::shown::ms"
    )]
    pub most_while_others_wait: Duration,
}

/// A limit that grows in steps with the age of the number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ByAge {
    /// The limits of younger numbers, the youngest first.
    pub steps: Vec<Step>,
    /// The limit of older numbers.
    pub older: u32,
}

/// A limit for numbers younger than some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The age.
    pub younger_than_days: u32,
    /// The limit.
    pub most: u32,
}

/// A limit that grows by a factor each day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Growth {
    /// The limit on the first day.
    pub first_day: u32,
    /// The growth a day.
    pub factor: f64,
    /// Where growth ends.
    pub most: u32,
    /// An hour may have one part of so many of the day's limit.
    pub hours: u32,
}

/// The limits of messages to one contact who did not answer, by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Unanswered {
    /// To a contact who wrote in the last 24 hours.
    pub reply: Option<Streak>,
    /// To a contact who wrote in the last 180 days.
    pub warm: Option<Streak>,
    /// To the others.
    pub cold: Option<Streak>,
}

/// So many messages within a time, and so long from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Streak {
    /// How many.
    pub most: u32,
    /// Within what time.
    #[serde(rename = "within_ms", serialize_with = "super::shown::ms")]
    pub within: Duration,
    /// The least from one to the next.
    #[serde(rename = "apart_ms", serialize_with = "super::shown::ms")]
    pub apart: Duration,
}

/// A limit that follows WhatsApp's quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// The share of the quota, when WhatsApp tells one.
    pub percent_of_quota: u32,
    /// The limit when it does not.
    pub without_quota: u32,
    /// The limit whatever the quota.
    pub most: Option<u32>,
}

/// What happens when too few of the new conversations are answered, in 7 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReplyRatio {
    /// The share that must be answered.
    pub least_percent: u32,
    /// From how many new conversations on it counts.
    pub of_at_least: u32,
    /// Whether new conversations stop then. Else gaps are doubled.
    pub stops: bool,
}

/// What happens when a message is nearly the same as many others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NearDuplicates {
    /// How many may be nearly the same.
    pub most: u32,
    /// Whether more are refused. Else they wait.
    pub refuses: bool,
}

/// Hours of the recipient's day. They begin in the evening and end in the morning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuietHours {
    /// When they begin, in minutes since midnight.
    pub from_minute: u16,
    /// When they end.
    pub to_minute: u16,
    /// Whether warm messages wait too, and not only cold ones.
    pub holds_warm: bool,
    /// The purposes that do not wait.
    pub pass: Vec<Purpose>,
    /// How many messages with the purpose `code` or `security` may go in quiet hours, in any hour.
    pub codes_an_hour: u32,
}

/// The limits of messages to groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Groups {
    /// So many times the gap of a warm message, after a message that is no reply.
    pub gap_times: u32,
    /// The least between two messages to one group.
    #[serde(rename = "apart_ms", serialize_with = "super::shown::ms")]
    pub apart: Duration,
    /// How long the number must be in a group before it writes there.
    #[serde(rename = "joined_for_ms", serialize_with = "super::shown::ms")]
    pub joined_for: Duration,
}

impl Policy {
    /// Returns the policy of a preset. The pace is that of the sandbox; the others have curves of their own.
    pub fn of(preset: Preset, pace: Pace) -> Self {
        match preset {
            Preset::Default => presets::default(),
            Preset::Strict => presets::strict(),
            Preset::Sandbox => presets::sandbox(pace),
        }
    }

    /// Returns how long before a message may be written it is looked at, so that typing can begin in time.
    pub fn lead(&self) -> Duration {
        self.typing.most_while_others_wait
    }

    /// Returns the curve of a class.
    pub fn curve(&self, class: Class) -> &Curve {
        match class {
            Class::Reply => &self.reply,
            Class::Warm => &self.warm,
            Class::Cold => &self.cold,
        }
    }

    /// Returns the hash of the policy: SHA-256 of its JSON with sorted keys and without spaces, in hexadecimal.
    pub fn hash(&self) -> String {
        let shown = serde_json::to_value(self).unwrap_or_default();
        hex::encode(Sha256::digest(canonical(&shown)))
    }
}

impl Policy {
    /// Returns how long the recipient sees the number typing before a text, before the gap shortens it. `quantile` is the
    /// one of the number's last message.
    pub fn typing(&self, characters: usize, quantile: f64) -> Duration {
        self.typing.text(characters, digits(digits(quantile)))
    }
}

/// Returns a quantile made of other digits of a drawn one, so that two things that it decides do not go together.
pub(super) fn digits(quantile: f64) -> f64 {
    (quantile * 1000.0).fract()
}

impl Think {
    /// Returns the time that a quantile means.
    pub fn at(&self, quantile: f64) -> Duration {
        self.least
            + self
                .most
                .saturating_sub(self.least)
                .mul_f64(quantile.clamp(0.0, 1.0))
    }
}

impl Typing {
    /// Returns how long a text of so many characters takes to type.
    pub fn text(&self, characters: usize, quantile: f64) -> Duration {
        let speed = self
            .deviation
            .mul_add(normal(quantile), self.characters_a_second);
        let speed = speed.max(self.slowest);
        let characters = u32::try_from(characters).unwrap_or(u32::MAX);
        if speed <= 0.0 || !speed.is_finite() {
            return self.least;
        }
        Duration::from_secs_f64(f64::from(characters) / speed).clamp(self.least, self.most)
    }

    /// Returns how long recording is shown for a voice note.
    pub fn voice(&self, length: Duration) -> Duration {
        let length = length.min(Duration::from_hours(24));
        length
            .mul_f64(self.share_of_voice)
            .clamp(self.least, self.most)
    }
}

impl ByAge {
    /// Returns the limit of a number of this age.
    pub fn at(&self, days: u32) -> u32 {
        let step = self.steps.iter().find(|step| days < step.younger_than_days);
        step.map_or(self.older, |step| step.most)
    }
}

impl Growth {
    /// Returns the limit of a day, for a number of this age.
    pub fn day(&self, days: u32) -> u32 {
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let grown = f64::from(self.first_day) * libm::pow(self.factor, f64::from(days));
        if grown >= f64::from(self.most) {
            return self.most;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is positive and below `most`"
        )]
        let whole = grown.round() as u32;
        whole
    }

    /// Returns the limit of an hour on a day with this limit: at least one.
    pub fn hour(&self, day: u32) -> u32 {
        (day / self.hours.max(1)).max(1)
    }
}

impl Budget {
    /// Returns the limit with the quota that WhatsApp told.
    pub fn at(&self, quota: Option<u32>) -> u32 {
        let percent = u64::from(self.percent_of_quota);
        let part = |quota: u32| u32::try_from(u64::from(quota) * percent / 100).unwrap_or(u32::MAX);
        let limit = quota.map_or(self.without_quota, part);
        limit.min(self.most.unwrap_or(u32::MAX))
    }
}

/// Writes JSON with sorted keys and without spaces.
fn canonical(value: &serde_json::Value) -> String {
    use serde_json::Value::{Array, Object};
    match value {
        Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let name = |name: &String| serde_json::Value::from(name.as_str()).to_string();
            let field = |(key, value)| format!("{}:{}", name(key), canonical(value));
            format!(
                "{{{}}}",
                fields.into_iter().map(field).collect::<Vec<_>>().join(",")
            )
        }
        Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}
