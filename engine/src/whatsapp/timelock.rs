//! Asking WhatsApp whether it locks the number out of new chats.

use anyhow::Context as _;
use wacore::chrono;

use super::connection::Connection;
use crate::clock::Millis;

impl Connection {
    /// Until when WhatsApp locks this number out of new chats (milliseconds UTC); `None` when it
    /// does not. Asks WhatsApp.
    pub async fn reachout_timelock(&self) -> anyhow::Result<Option<Millis>> {
        let lock = self.client().mex().fetch_reachout_timelock().await?;
        if lock.is_active != Some(true) {
            return Ok(None);
        }
        let ends = lock
            .time_enforcement_ends
            .context("a time-lock without an end")?;
        until(&ends)
            .map(Some)
            .context("reading the end of the time-lock")
    }
}

/// A time in WhatsApp's GraphQL answers: seconds since 1970 or RFC 3339.
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
