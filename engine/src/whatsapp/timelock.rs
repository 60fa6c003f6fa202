//! Asks WhatsApp whether this number may open new chats.

use anyhow::Context as _;
use wacore::chrono;

use super::connection::Connection;
use crate::clock::Millis;

impl Connection {
    /// Asks WhatsApp until when this number may not open new chats, in milliseconds UTC. Returns
    /// `None` if it may.
    pub async fn reachout_timelock(&self) -> anyhow::Result<Option<Millis>> {
        let lock = self.client().mex().fetch_reachout_timelock().await?;
        if lock.is_active != Some(true) {
            return Ok(None);
        }
        let ends = lock
            .time_enforcement_ends
            .context("the time-lock has no end")?;
        until(&ends)
            .map(Some)
            .context("reading the end of the time-lock")
    }
}

/// Parses a time in WhatsApp's GraphQL answers: seconds since 1970, or RFC 3339. Returns
/// milliseconds UTC.
fn until(text: &str) -> Option<Millis> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lock_ends_at_seconds_or_at_a_date() {
        assert_eq!(until("1700000000"), Some(1_700_000_000_000));
        assert_eq!(until("2023-11-14T22:13:20Z"), Some(1_700_000_000_000));
        assert_eq!(until("soon"), None);
    }
}
