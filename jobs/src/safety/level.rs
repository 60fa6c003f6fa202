//! How much a number may send, by what WhatsApp signals about it.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// A level of a number's health. A greater one is more severe, and includes what the ones before it forbid.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Level {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// Gaps are doubled and caps halved.
    Slow,
    /// No first messages to people who never wrote.
    ColdStop,
    /// Only answers to people who wrote within 24 hours.
    ReplyOnly,
    /// Nothing is sent for some time.
    Paused,
    /// Nothing is sent until a person has linked the number again.
    Locked,
}

impl Level {
    /// Every level, the best first.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Returns the word of the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the next better level.
    #[must_use]
    pub fn better(self) -> Self {
        match self {
            Self::Ok | Self::Slow => Self::Ok,
            Self::ColdStop => Self::Slow,
            Self::ReplyOnly => Self::ColdStop,
            Self::Paused => Self::ReplyOnly,
            Self::Locked => Self::Paused,
        }
    }
}
