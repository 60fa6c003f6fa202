//! Why a message waits, and why one is refused.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::model::Class;

/// What holds a message back.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The gap after the number's last message.
    Gap,
    /// The time that a number thinks and types after a pause.
    Thinking,
    /// The time that the sender asked for.
    Schedule,
    /// The limit of new conversations a day.
    NewConversations,
    /// The limit of messages a day that are no replies.
    Day,
    /// The limit of such messages an hour.
    Hour,
    /// The limit of replies an hour.
    Replies,
    /// The limit of messages to one contact who does not answer.
    Unanswered,
    /// The limit of messages without an answer in 30 days.
    #[strum(serialize = "unanswered_in_30_days")]
    #[serde(rename = "unanswered_in_30_days")]
    UnansweredIn30Days,
    /// Too few of the new conversations are answered.
    ReplyRatio,
    /// Too many new recipients got nearly the same text.
    NearDuplicates,
    /// It is night where the recipient is.
    QuietHours,
    /// The limit of codes an hour in quiet hours.
    CodesAtNight,
    /// The number wrote to the contact a moment ago.
    Spacing,
    /// The number wrote to the group a moment ago.
    GroupSpacing,
    /// The number came into the group not long ago.
    NewGroup,
    /// The number's health.
    Health,
    /// The tenant paused the queue.
    Paused,
    /// The session is not connected.
    Disconnected,
}

impl Hold {
    /// Returns whether the limit holds some messages of a class and not others, so that others may pass. The distance to the
    /// last message to a contact is as short as a gap, and the lane waits for it.
    pub fn is_of_recipient(self) -> bool {
        matches!(
            self,
            Self::Unanswered
                | Self::NearDuplicates
                | Self::QuietHours
                | Self::CodesAtNight
                | Self::GroupSpacing
                | Self::NewGroup
                | Self::NewConversations
                | Self::ReplyRatio
        )
    }

    /// Returns whether it is part of how every message goes, and no limit.
    pub fn is_short(self) -> bool {
        matches!(self, Self::Gap | Self::Thinking)
    }

    /// Every hold.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Returns the word of the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns whether it holds messages of this class.
    pub fn holds(self, class: Class) -> bool {
        match self {
            Self::NewConversations
            | Self::UnansweredIn30Days
            | Self::ReplyRatio
            | Self::NearDuplicates => class == Class::Cold,
            Self::Day | Self::Hour => class != Class::Reply,
            Self::Replies => class == Class::Reply,
            _ => true,
        }
    }

    /// Returns whether waiting is bounded by what the gateway itself limits. What a person or WhatsApp ends may end at any
    /// time.
    pub fn is_certain(self) -> bool {
        !matches!(
            self,
            Self::Health | Self::Unanswered | Self::ReplyRatio | Self::Paused | Self::Disconnected
        )
    }
}

/// Why a message is refused.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A first message to a contact who has not agreed.
    ConsentRequired,
    /// Its limits let it go only after it expires.
    WouldExpire,
    /// Too many new recipients got nearly the same text.
    NearDuplicates,
}
