//! The presets of number safety.

use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// How careful the gateway is with a number. The operator chooses it at start; a tenant can only be more careful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Preset {
    /// For a business that people know.
    Default,
    /// For new numbers and for operators who take no risk.
    Strict,
    /// For tests without a phone: the gap of the flags and no other limit. Sandbox builds only.
    Sandbox,
}

impl Preset {
    /// The presets that this build accepts.
    pub const ACCEPTED: &[Self] = if cfg!(feature = "sandbox") {
        &[Self::Default, Self::Strict, Self::Sandbox]
    } else {
        &[Self::Default, Self::Strict]
    };

    /// Returns the preset of a build whose operator chose none.
    pub fn of_build() -> Self {
        if cfg!(feature = "sandbox") {
            Self::Sandbox
        } else {
            Self::Default
        }
    }

    /// Returns whether messages outside a conversation need a purpose, and first messages a consent.
    pub fn needs_consent(self) -> bool {
        self != Self::Sandbox
    }
}
