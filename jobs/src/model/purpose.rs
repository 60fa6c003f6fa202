//! What a message is for. There is no purpose for advertising.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// The purpose of a message that is no answer.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// An order: confirmed, changed, ready.
    Order,
    /// A delivery that is on its way.
    Delivery,
    /// An appointment: made, moved, soon.
    Appointment,
    /// An invoice or a payment.
    Billing,
    /// The contact's account or contract.
    Account,
    /// A one-time code.
    Code,
    /// A warning, such as of a login.
    Security,
    /// A case that the contact opened.
    Support,
}

/// How long a code is worth something.
const CODE: Duration = Duration::from_mins(10);
/// How long a warning can still be acted upon.
const SECURITY: Duration = Duration::from_hours(1);
/// How long news of a delivery stays true.
const DELIVERY: Duration = Duration::from_hours(6);
/// The life of a message with any other purpose.
const OTHER: Duration = Duration::from_hours(24);

impl Purpose {
    /// Every purpose.
    pub const ALL: &[Self] = <Self as VariantArray>::VARIANTS;

    /// Returns the text that the store and the API write.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns how long a message with this purpose may wait, unless its caller says otherwise.
    pub fn life(self) -> Duration {
        match self {
            Self::Code => CODE,
            Self::Security => SECURITY,
            Self::Delivery => DELIVERY,
            Self::Order | Self::Appointment | Self::Billing | Self::Account | Self::Support => {
                OTHER
            }
        }
    }

    /// Returns whether a message with this purpose does not wait for the end of quiet hours.
    pub fn passes_quiet(self) -> bool {
        match self {
            Self::Order | Self::Delivery | Self::Code | Self::Security => true,
            Self::Appointment | Self::Billing | Self::Account | Self::Support => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consent_each_purpose_has_a_word_a_life_and_a_place_at_night() {
        let found: Vec<_> = Purpose::ALL
            .iter()
            .map(|purpose| {
                let minutes = purpose.life().as_secs() / 60;
                (purpose.as_str(), minutes, purpose.passes_quiet())
            })
            .collect();
        assert_eq!(
            found,
            [
                ("order", 1440, true),
                ("delivery", 360, true),
                ("appointment", 1440, false),
                ("billing", 1440, false),
                ("account", 1440, false),
                ("code", 10, true),
                ("security", 60, true),
                ("support", 1440, false),
            ]
        );
        assert!(
            Purpose::ALL
                .iter()
                .all(|one| one.as_str().parse() == Ok(*one))
        );
    }
}
