//! A rule in a request and in an answer.

use passerelle_jobs::{
    content::Content,
    ids::{AutoReplyId, SessionId},
    model::auto_reply::{self as model, TextTest},
    replies::rules::NewRule,
};
use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};

use super::answer::{AutoReplyAnswer, NewAutoReplyAnswer};
use crate::{
    flaws::Flaws,
    list::list_of,
    problem::{Code, Problem},
    routes::name,
    types::{Id, Timestamp, same_variants},
};

/// What follows a rule that fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum AutoReplyThen {
    /// No further rule is tried.
    Stop,
    /// The next rules are tried, too. At most five rules answer one message.
    Continue,
}

same_variants!(AutoReplyThen => model::Then: Stop Continue);

/// When a rule with office hours holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum OfficeHoursWhen {
    /// Outside of the opening times, and on holidays.
    Outside,
    /// Within the opening times.
    Inside,
}

same_variants!(OfficeHoursWhen => model::When: Outside Inside);

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

same_variants!(Weekday => model::Day: Mon Tue Wed Thu Fri Sat Sun);

/// Converts the other way.
macro_rules! back {
    ($($ours:ident <= $theirs:ty: $($variant:ident)*;)*) => {$(
        impl From<$theirs> for $ours {
            fn from(theirs: $theirs) -> Self {
                match theirs {
                    $(<$theirs>::$variant => Self::$variant,)*
                }
            }
        }
    )*};
}

back! {
    AutoReplyThen <= model::Then: Stop Continue;
    OfficeHoursWhen <= model::When: Outside Inside;
    Weekday <= model::Day: Mon Tue Wed Thu Fri Sat Sun;
}

/// An opening time. One that ends before it begins ends on the next day.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct OpeningTime {
    /// The days on which it begins.
    pub days: Vec<Weekday>,
    /// When it begins, such as `09:00`.
    pub from: String,
    /// When it ends, such as `18:00`; `24:00` is the end of the day.
    pub until: String,
}

/// Office hours in a time zone.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
pub struct OfficeHours {
    /// When the rule holds.
    pub when: OfficeHoursWhen,
    /// A time zone of the IANA database, such as `Europe/Berlin`.
    pub timezone: String,
    /// The opening times, at most 50. Always closed when empty.
    #[oai(default)]
    #[serde(default)]
    pub open: Vec<OpeningTime>,
    /// Days without opening times, such as `2026-12-25`, at most 200.
    #[oai(default)]
    #[serde(default)]
    pub holidays: Vec<String>,
}

/// Which messages a rule answers: those for which all of this holds. Give at most one of `keywords`, `exact`, `prefixes` and
/// `regex`. The text of a file is its caption, that of a button or a row what is on it.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct AutoReplyMatch {
    /// Every message. Then only `office_hours` may be given beside it.
    #[serde(default)]
    pub any: Option<bool>,
    /// One of these is in the text, as whole words, whatever their case, accents and punctuation. 1 to 50 of 1 to 200
    /// characters.
    #[serde(default)]
    pub keywords: Option<Vec<String>>,
    /// The text is one of these, whatever its case, accents and punctuation.
    #[serde(default)]
    pub exact: Option<Vec<String>>,
    /// The text begins with one of these, whatever its case.
    #[serde(default)]
    pub prefixes: Option<Vec<String>>,
    /// This regular expression finds something in the first 1,024 bytes of the text. At most 512 bytes, without look-around
    /// and back-references; `(?i)` at its beginning ignores case. At most 20 rules of an organisation have one.
    #[serde(default)]
    pub regex: Option<String>,
    /// The message has one of these types: `text`, `image`, `video`, `audio`, `voice`, `document`, `sticker`, `location`,
    /// `contacts`, `poll`, `button_reply`, `list_reply`, `order`, `product`, `view_once_unavailable`, `unsupported`.
    #[serde(default)]
    pub types: Option<Vec<String>>,
    /// The contact writes to your organisation for the first time.
    #[serde(default)]
    pub first_contact: Option<bool>,
    /// The contact wrote before, and then not for so many hours, 1 to 43,800.
    #[serde(default)]
    pub returning_after_hours: Option<u32>,
    /// The time of the day.
    #[serde(default)]
    pub office_hours: Option<OfficeHours>,
}

/// An opening time of a rule.
#[derive(Debug, Serialize, Object)]
pub struct OpeningTimeShown {
    /// The days on which it begins.
    pub days: Vec<Weekday>,
    /// When it begins.
    pub from: String,
    /// When it ends.
    pub until: String,
}

/// The office hours of a rule.
#[derive(Debug, Serialize, Object)]
pub struct OfficeHoursShown {
    /// When the rule holds.
    pub when: OfficeHoursWhen,
    /// The time zone.
    pub timezone: String,
    /// The opening times.
    pub open: Vec<OpeningTimeShown>,
    /// Days without opening times.
    pub holidays: Vec<String>,
}

/// Which messages a rule answers: those for which all of this holds.
#[derive(Debug, Default, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AutoReplyMatchShown {
    /// Every message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any: Option<bool>,
    /// One of these is in the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keywords: Option<Vec<String>>,
    /// The text is one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<Vec<String>>,
    /// The text begins with one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefixes: Option<Vec<String>>,
    /// The regular expression finds something in the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// The message has one of these types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
    /// The contact writes for the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_contact: Option<bool>,
    /// The contact did not write for so many hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returning_after_hours: Option<u32>,
    /// The time of the day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub office_hours: Option<OfficeHoursShown>,
}

/// When a rule that matches does not answer.
#[derive(Debug, Clone, Serialize, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct AutoReplyConditions {
    /// It answers a contact, or in a group the group, once in so many seconds: 10 to 7,776,000 (90 days). Required if the
    /// rule would answer its own answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub once_per_seconds: Option<u32>,
    /// It answers no messages in groups. The default is true.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub private_only: Option<bool>,
    /// It rests for so many minutes after somebody wrote to the chat from the number's phone or another linked device, 0 to
    /// 10,080. The default is 60; 0 means that it does not rest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub person_minutes: Option<u32>,
    /// It answers no message that was sent longer ago, for example while the session was away: 1 to 86,400 seconds. The
    /// default is 300.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_age_seconds: Option<u32>,
    /// It answers nothing before this time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<Timestamp>,
    /// It answers nothing from this time on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
}

/// A rule to store.
#[derive(Debug, Deserialize, Object)]
#[serde(deny_unknown_fields)]
#[oai(skip_serializing_if_is_none)]
pub struct NewAutoReply {
    /// Its name, 1 to 100 characters.
    pub name: String,
    /// Only messages to this session. Messages to every session when absent.
    #[serde(default)]
    pub session_id: Option<Id<SessionId>>,
    /// Whether it is tried. The default is true.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Its place in the order, 0 to 1,000,000: lower ones are tried first, and of equal ones the older. The default is 100.
    #[serde(default)]
    pub position: Option<i64>,
    /// What follows when it fires. The default is `stop`.
    #[serde(default)]
    pub then: Option<AutoReplyThen>,
    /// Which messages it answers.
    #[oai(rename = "match")]
    #[serde(rename = "match")]
    pub matching: AutoReplyMatch,
    /// When it does not.
    #[serde(default)]
    pub conditions: Option<AutoReplyConditions>,
    /// The answer.
    pub answer: NewAutoReplyAnswer,
}

/// A rule for automatic replies.
#[derive(Debug, Serialize, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AutoReply {
    /// Its id.
    pub id: Id<AutoReplyId>,
    /// Always `auto_reply`.
    pub object: String,
    /// Its name.
    pub name: String,
    /// Only messages to this session. Messages to every session when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Id<SessionId>>,
    /// Whether it is tried.
    pub enabled: bool,
    /// Its place in the order.
    pub position: i64,
    /// What follows when it fires.
    pub then: AutoReplyThen,
    /// Which messages it answers.
    #[oai(rename = "match")]
    #[serde(rename = "match")]
    pub matching: AutoReplyMatchShown,
    /// When it does not.
    pub conditions: AutoReplyConditions,
    /// The answer.
    pub answer: AutoReplyAnswer,
    /// How often it fired.
    pub hits: i64,
    /// When it last fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_hit_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

list_of!(
    /// A page of rules.
    AutoReplyList, AutoReply);

/// The place of a rule that does not say it.
const POSITION: i64 = 100;

impl NewAutoReply {
    pub(super) fn parse(self) -> Result<NewRule, Problem> {
        let called = name(&self.name)?;
        let mut flaws = Flaws::default();
        let matching = self.matching.parse(&mut flaws);
        let answer = self.answer.parse(&mut flaws);
        let conditions = self.conditions.map(Into::into).unwrap_or_default();
        let (answer, source) = flaws.judge(answer)?.unwrap_or((Content::text(""), None));
        Ok(NewRule {
            session: self.session_id.map(|id| id.0),
            rule: model::Rule {
                name: called,
                enabled: self.enabled.unwrap_or(true),
                position: self.position.unwrap_or(POSITION),
                then: self.then.map_or(model::Then::Stop, Into::into),
                matching,
                conditions,
                answer,
            },
            source,
        })
    }
}

impl AutoReplyMatch {
    fn parse(self, flaws: &mut Flaws) -> model::Matching {
        let tests = [
            ("keywords", self.keywords.map(TextTest::Keywords)),
            ("exact", self.exact.map(TextTest::Exact)),
            ("prefixes", self.prefixes.map(TextTest::Prefixes)),
            ("regex", self.regex.map(TextTest::Regex)),
        ];
        let mut text = None;
        for (field, test) in tests {
            let Some(test) = test else { continue };
            let wanted = "at most one of keywords, exact, prefixes and regex";
            let pointer = format!("/match/{field}");
            flaws.unless(text.is_none(), Code::RuleContradicts, pointer, wanted);
            text = text.or(Some(test));
        }
        model::Matching {
            any: self.any.unwrap_or(false),
            text,
            types: self.types.unwrap_or_default(),
            first_contact: self.first_contact.unwrap_or(false),
            returning_after_hours: self.returning_after_hours,
            hours: self.office_hours.map(|hours| hours.parse(flaws)),
        }
    }
}

impl OfficeHours {
    fn parse(self, flaws: &mut Flaws) -> model::OfficeHours {
        let mut open = Vec::new();
        for (place, opening) in self.open.into_iter().enumerate() {
            let mut minute = |text: &str, field: &str| {
                let minute = minute(text);
                let pointer = format!("/match/office_hours/open/{place}/{field}");
                let wanted = "a time of the day such as 09:00";
                flaws.unless(minute.is_some(), Code::InvalidRule, pointer, wanted);
                minute.unwrap_or_default()
            };
            open.push(model::Opening {
                from: minute(&opening.from, "from"),
                until: minute(&opening.until, "until"),
                days: opening.days.into_iter().map(Into::into).collect(),
            });
        }
        model::OfficeHours {
            when: self.when.into(),
            zone: self.timezone,
            open,
            holidays: self.holidays,
        }
    }
}

/// Parses `09:00` to minutes from midnight.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str, max: u16| {
        let is_plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .parse::<u16>()
            .ok()
            .filter(|number| is_plain && *number <= max)
    };
    let minute = number(hours, 24)? * 60 + number(minutes, 59)?;
    (minute <= 1440).then_some(minute)
}

fn written(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

impl From<AutoReplyConditions> for model::Conditions {
    fn from(given: AutoReplyConditions) -> Self {
        let default = Self::default();
        Self {
            once_per_seconds: given.once_per_seconds,
            private_only: given.private_only.unwrap_or(default.private_only),
            person_minutes: given.person_minutes.unwrap_or(default.person_minutes),
            max_age_seconds: given.max_age_seconds.unwrap_or(default.max_age_seconds),
            from: given.from.map(|at| at.0),
            until: given.until.map(|at| at.0),
        }
    }
}

impl From<model::Conditions> for AutoReplyConditions {
    fn from(stored: model::Conditions) -> Self {
        Self {
            once_per_seconds: stored.once_per_seconds,
            private_only: Some(stored.private_only),
            person_minutes: Some(stored.person_minutes),
            max_age_seconds: Some(stored.max_age_seconds),
            from: stored.from.map(Timestamp),
            until: stored.until.map(Timestamp),
        }
    }
}

impl From<model::Matching> for AutoReplyMatchShown {
    fn from(stored: model::Matching) -> Self {
        let mut shown = Self {
            any: stored.any.then_some(true),
            types: (!stored.types.is_empty()).then_some(stored.types),
            first_contact: stored.first_contact.then_some(true),
            returning_after_hours: stored.returning_after_hours,
            office_hours: stored.hours.map(Into::into),
            ..Self::default()
        };
        match stored.text {
            Some(TextTest::Keywords(words)) => shown.keywords = Some(words),
            Some(TextTest::Exact(texts)) => shown.exact = Some(texts),
            Some(TextTest::Prefixes(texts)) => shown.prefixes = Some(texts),
            Some(TextTest::Regex(pattern)) => shown.regex = Some(pattern),
            None => {}
        }
        shown
    }
}

impl From<model::OfficeHours> for OfficeHoursShown {
    fn from(stored: model::OfficeHours) -> Self {
        let opening = |opening: model::Opening| OpeningTimeShown {
            days: opening.days.into_iter().map(Into::into).collect(),
            from: written(opening.from),
            until: written(opening.until),
        };
        Self {
            when: stored.when.into(),
            timezone: stored.zone,
            open: stored.open.into_iter().map(opening).collect(),
            holidays: stored.holidays,
        }
    }
}

impl From<model::AutoReply> for AutoReply {
    fn from(stored: model::AutoReply) -> Self {
        let rule = stored.rule;
        Self {
            id: Id(stored.id),
            object: "auto_reply".to_owned(),
            name: rule.name,
            session_id: stored.session.map(Id),
            enabled: rule.enabled,
            position: rule.position,
            then: rule.then.into(),
            matching: rule.matching.into(),
            conditions: rule.conditions.into(),
            answer: AutoReplyAnswer::from(&rule.answer),
            hits: stored.hits,
            last_hit_at: stored.last_hit_at.map(Timestamp),
            created_at: Timestamp(stored.created_at),
            updated_at: Timestamp(stored.updated_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_times_of_the_day_have_two_digits_each() {
        for (text, wanted) in [
            ("00:00", Some(0)),
            ("09:30", Some(570)),
            ("23:59", Some(1439)),
            ("24:00", Some(1440)),
            ("24:01", None),
            ("9:30", None),
            ("09:60", None),
            ("+9:30", None),
            ("0930", None),
            ("", None),
        ] {
            assert_eq!(minute(text), wanted, "{text}");
        }
        assert_eq!(written(570), "09:30");
    }
}
