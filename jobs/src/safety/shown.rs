//! How the numbers of a policy are shown.

use std::time::Duration;

use serde::Serializer;

use super::preset::Preset;

/// Writes a duration in milliseconds.
pub(super) fn ms<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Writes the word of a preset.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes each field by reference"
)]
pub(super) fn preset<S: Serializer>(preset: &Preset, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str((*preset).into())
}
