//! Points in time, as the store keeps them and the API writes them.

use std::time::Duration;

use passerelle_engine::clock::Millis;

/// Returns a duration in the store's milliseconds.
pub(crate) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// Returns how long it is until `at`; zero if that is past.
pub(crate) fn until(at: Millis, now: Millis) -> Duration {
    Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
}

/// Returns a time as the API writes it: RFC 3339, UTC, milliseconds.
pub fn rfc3339(at: Millis) -> String {
    chrono::DateTime::from_timestamp_millis(at)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
