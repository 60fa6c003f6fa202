//! Rules for automatic replies.

use passerelle_engine::{
    clock::Millis,
    content::Content,
    ids::{AutoReplyId, SessionId},
};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

words!(Then, When, Day, Why, Outcome);

/// The most rules of an organisation.
pub const RULES_MAX: i64 = 100;
/// The most rules with a regular expression of an organisation.
pub const REGEX_RULES_MAX: usize = 20;
/// The longest regular expression, in bytes.
pub const PATTERN_MAX: usize = 512;
/// The most bytes of a compiled regular expression.
pub const COMPILED_MAX: usize = 256 * 1024;
/// Regular expressions see so many bytes of a text.
pub const REGEX_TEXT_MAX: usize = 1024;
/// The most keywords, texts or beginnings of a rule.
pub const TEXTS_MAX: usize = 50;
/// The longest keyword, text or beginning, in characters.
pub const TEXT_CHARS_MAX: usize = 200;
/// The longest template, and the longest text that it makes, in bytes.
pub const TEMPLATE_MAX: usize = 4096;
/// The highest place in the order of rules.
pub const POSITION_MAX: i64 = 1_000_000;
/// The longest time in which a rule answers a contact once, in seconds.
pub const ONCE_MAX: u32 = 90 * 24 * 60 * 60;
/// The shortest such time, in seconds.
pub const ONCE_MIN: u32 = 10;
/// The longest time that a rule rests after a person answered, in minutes.
pub const PERSON_MAX: u32 = 7 * 24 * 60;
/// The oldest message that a rule may answer, in seconds.
pub const AGE_MAX: u32 = 24 * 60 * 60;
/// The longest absence after which a contact returns, in hours.
pub const ABSENCE_MAX: u32 = 5 * 365 * 24;
/// The most opening times of a rule.
pub const OPENINGS_MAX: usize = 50;
/// The most holidays of a rule.
pub const HOLIDAYS_MAX: usize = 200;
/// The most replies to one message.
pub const REPLIES_MAX: usize = 5;

macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, EnumString, IntoStaticStr,
            VariantArray,
        )]
        #[strum(serialize_all = "snake_case")]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }
    };
}

word_enum! {
    /// What follows a rule that fired.
    Then {
        /// No further rule is tried.
        Stop,
        /// The next rules are tried, too.
        Continue,
    }
}

word_enum! {
    /// When a rule with office hours holds.
    When {
        /// Outside of them.
        Outside,
        /// Within them.
        Inside,
    }
}

word_enum! {
    /// A day of the week.
    Day {
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
}

word_enum! {
    /// Whether a rule fires at a message, or the first thing that keeps it from that.
    Why {
        /// It fires.
        Fires,
        /// It is switched off.
        Disabled,
        /// It is for another session.
        OtherSession,
        /// Its time has not begun.
        NotYet,
        /// Its time is over.
        Over,
        /// Nothing of this kind is answered: reactions, edits, deletions, votes, and what cannot be decrypted.
        NeverAnswered,
        /// The message was written in a group.
        Group,
        /// The message is too old.
        TooOld,
        /// The text is another one.
        Text,
        /// The message is of another kind.
        Type,
        /// The contact wrote before.
        NotFirstContact,
        /// The contact wrote too recently, or never.
        NotReturning,
        /// It is the wrong time of the day.
        Hours,
        /// A rule before it has fired and stops.
        Stopped,
        /// The contact opted out, or does so with this message.
        OptedOut,
        /// Automatic replies to the contact rest, as the API asked.
        Resting,
        /// Automatic replies to the chat rest, because another machine seems to answer.
        Loop,
        /// A person answered from a phone or a linked device.
        Person,
        /// It has answered the contact already.
        Once,
    }
}

word_enum! {
    /// What came of a rule that fired.
    Outcome {
        /// Its answer is queued.
        Answered,
        /// Another machine seems to answer: nothing is sent, and automatic replies to the chat rest for an hour.
        Loop,
        /// The session's queue is full.
        QueueFull,
        /// Its template made no text.
        TemplateFailed,
        /// Its file is not there any more.
        FileUnavailable,
    }
}

/// What a text has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextTest {
    /// One of these is in it, as whole words.
    Keywords(Vec<String>),
    /// It is one of these.
    Exact(Vec<String>),
    /// It begins with one of these.
    Prefixes(Vec<String>),
    /// The regular expression finds something in it.
    Regex(String),
}

/// An opening time. One that ends at or before its beginning ends on the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The days on which it begins.
    pub days: Vec<Day>,
    /// Minutes from midnight.
    pub from: u16,
    /// Minutes from midnight, up to 1440.
    pub until: u16,
}

/// Office hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfficeHours {
    /// When the rule holds.
    pub when: When,
    /// The name of the time zone, such as `Europe/Berlin`.
    pub zone: String,
    /// The opening times.
    pub open: Vec<Opening>,
    /// Days without opening times, as `2026-12-25`.
    pub holidays: Vec<String>,
}

/// Which messages a rule answers: those for which all of this holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Matching {
    /// Every message.
    pub any: bool,
    /// What its text is.
    pub text: Option<TextTest>,
    /// It is of one of these kinds; any if empty.
    pub types: Vec<String>,
    /// The contact never wrote before.
    pub first_contact: bool,
    /// The contact wrote, and then not for so many hours.
    pub returning_after_hours: Option<u32>,
    /// The time of the day.
    pub hours: Option<OfficeHours>,
}

/// When a rule that matches does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// It answers a contact once in so many seconds.
    pub once_per_seconds: Option<u32>,
    /// It answers no messages in groups.
    pub private_only: bool,
    /// It rests for so many minutes after a person has answered from a phone or a linked device; 0: it does not.
    pub person_minutes: u32,
    /// It answers no message that is older.
    pub max_age_seconds: u32,
    /// It holds from then on.
    pub from: Option<Millis>,
    /// It holds until then.
    pub until: Option<Millis>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            once_per_seconds: None,
            private_only: true,
            person_minutes: 60,
            max_age_seconds: 300,
            from: None,
            until: None,
        }
    }
}

/// What the tenant decides of a rule. It is stored encrypted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Whether it is tried at all.
    pub enabled: bool,
    /// Its place in the order; equal ones are tried in the order in which they were made.
    pub position: i64,
    /// What follows when it fires.
    pub then: Then,
    /// Which messages it answers.
    pub matching: Matching,
    /// When it does not.
    pub conditions: Conditions,
    /// The answer. The text or the caption is a template.
    pub answer: Content,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct AutoReply {
    /// `alr_…`
    pub id: AutoReplyId,
    /// Only messages to this session.
    pub session: Option<SessionId>,
    /// What the tenant decides.
    pub rule: Rule,
    /// How often it fired.
    pub hits: i64,
    /// When it last fired.
    pub last_hit_at: Option<Millis>,
    /// When it was created.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}
