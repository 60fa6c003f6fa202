//! Whether a message may be accepted: what it is for, and whether its recipient agreed to it. A pure function; what it
//! goes by is read elsewhere.

use super::preset::Preset;
use crate::model::{Class, Purpose};

/// How many of the first people whom a number writes to need no consent and no purpose.
pub const TRIAL: i64 = 5;

/// What is known of a message and its recipient.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// How well the number knows the recipient.
    pub class: Class,
    /// What the message is for, if that was said.
    pub purpose: Option<Purpose>,
    /// The recipient agreed, and has not opted out since.
    pub has_consent: bool,
    /// The recipient is the number's own account.
    pub is_own: bool,
    /// The recipient is one of the first people whom the number wrote to.
    pub is_trial: bool,
}

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The purpose.
    Purpose,
    /// The consent, and perhaps the purpose.
    Consent,
}

/// Returns what a message lacks; `None` if it may be accepted.
pub fn missing(preset: Preset, facts: Facts) -> Option<Missing> {
    if !preset.needs_consent() || facts.is_own || facts.is_trial {
        return None;
    }
    match facts.class {
        Class::Cold if !facts.has_consent => Some(Missing::Consent),
        Class::Warm | Class::Cold if facts.purpose.is_none() => Some(Missing::Purpose),
        Class::Reply | Class::Warm | Class::Cold => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consent_and_purpose_are_needed_by_this_table() {
        use Class::{Cold, Reply, Warm};
        let (bare, order) = (None, Some(Purpose::Order));
        for (class, purpose, has_consent, want) in [
            (Reply, bare, false, None),
            (Reply, order, true, None),
            (Warm, bare, false, Some(Missing::Purpose)),
            (Warm, bare, true, Some(Missing::Purpose)),
            (Warm, order, false, None),
            (Cold, bare, false, Some(Missing::Consent)),
            (Cold, order, false, Some(Missing::Consent)),
            (Cold, bare, true, Some(Missing::Purpose)),
            (Cold, order, true, None),
        ] {
            let facts = Facts {
                class,
                purpose,
                has_consent,
                is_own: false,
                is_trial: false,
            };
            for preset in [Preset::Default, Preset::Strict] {
                assert_eq!(missing(preset, facts), want, "{facts:?}");
            }
            assert_eq!(missing(Preset::Sandbox, facts), None);
            let own = Facts {
                is_own: true,
                ..facts
            };
            let trial = Facts {
                is_trial: true,
                ..facts
            };
            assert_eq!(missing(Preset::Strict, own), None);
            assert_eq!(missing(Preset::Strict, trial), None);
        }
    }
}
