//! How well a number knows the person a message is for.

use std::time::Duration;

use passerelle_engine::clock::Millis;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::time::millis;

words!(Class);

/// The class of a message to send. It decides how fast the message goes and what limits it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The contact wrote to the number in the last 24 hours.
    Reply,
    /// The contact wrote to the number in the last 180 days, or WhatsApp knows their chat.
    Warm,
    /// The contact never wrote to the number, or long ago.
    Cold,
}

/// How long after a contact's message an answer is a reply.
const WINDOW: Duration = Duration::from_hours(24);
/// How long after a contact's message the number still knows them.
const KNOWN: Duration = Duration::from_hours(180 * 24);

impl Class {
    /// Returns its place in a list of all: replies, warm and cold messages.
    pub(crate) fn place(self) -> usize {
        match self {
            Self::Reply => 0,
            Self::Warm => 1,
            Self::Cold => 2,
        }
    }

    /// Returns the class of a message to a contact who last wrote then. `has_token` says that WhatsApp gave the number
    /// a privacy token for their chat.
    pub fn of(last_inbound_at: Option<Millis>, has_token: bool, now: Millis) -> Self {
        let since = |at: Millis| now.saturating_sub(at);
        match last_inbound_at {
            Some(at) if since(at) <= millis(WINDOW) => Self::Reply,
            Some(at) if since(at) <= millis(KNOWN) => Self::Warm,
            _ if has_token => Self::Warm,
            _ => Self::Cold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_follows_from_the_contacts_last_message() {
        const HOUR: Millis = 60 * 60 * 1000;
        let now = 1000 * 24 * HOUR;
        for (ago, has_token, class) in [
            (Some(24 * HOUR), false, Class::Reply),
            (Some(24 * HOUR + 1), false, Class::Warm),
            (Some(180 * 24 * HOUR), false, Class::Warm),
            (Some(180 * 24 * HOUR + 1), false, Class::Cold),
            (Some(180 * 24 * HOUR + 1), true, Class::Warm),
            (None, true, Class::Warm),
            (None, false, Class::Cold),
        ] {
            assert_eq!(
                Class::of(ago.map(|ago| now - ago), has_token, now),
                class,
                "{ago:?}"
            );
        }
    }
}
