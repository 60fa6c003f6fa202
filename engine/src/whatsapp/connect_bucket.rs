//! How fast one address opens connections: a token bucket.
//!
//! The rate is halved when WhatsApp refuses (429, 503) or does not answer. It grows by one connection per
//! second with each minute without a refusal, up to four times the initial rate.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

/// Initial number of connections per second from one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connects(pub NonZeroU32);

impl Default for Connects {
    /// Five per second: a thousand sessions reconnect in little more than three minutes.
    fn default() -> Self {
        Self(const { NonZeroU32::new(5).expect("five is not zero") })
    }
}

/// Refusals within this time count once: those connections were already under way.
const SAME: Duration = Duration::from_secs(1);
/// The rate grows after this time without a refusal.
const CLEAN: Duration = Duration::from_mins(1);
/// Upper limit of the rate, as a multiple of the initial rate.
const MOST: f64 = 4.0;
/// Lower limit of the rate, as a fraction of the initial rate.
const LEAST: f64 = 0.1;

/// A token bucket that holds at most the tokens of one second.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Lower and upper limit of the address's rate, in tokens per second.
    least: f64,
    most: f64,
    /// The address's rate, in tokens per second.
    rate: f64,
    /// Number of processes that share the address.
    sharers: f64,
    tokens: f64,
    /// Whether a token was ever requested. The time before that does not fill the bucket, because
    /// at the start all sessions are there before the first one connects.
    is_asked: bool,
    filled_at: Instant,
    /// Time of the last refusal, or of the last increase of the rate.
    clean_since: Instant,
    /// When the rate was last halved.
    halved_at: Option<Instant>,
}

impl Bucket {
    pub(super) fn new(connects: Connects, now: Instant) -> Self {
        let rate = f64::from(connects.0.get());
        Self {
            least: rate * LEAST,
            most: rate * MOST,
            rate,
            sharers: 1.0,
            tokens: 0.0,
            is_asked: false,
            filled_at: now,
            clean_since: now,
            halved_at: None,
        }
    }

    /// Returns this process's rate, in tokens per second.
    fn own(&self) -> f64 {
        self.rate / self.sharers
    }

    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.filled_at);
        self.filled_at = now;
        let since = if self.is_asked { since } else { Duration::ZERO };
        self.tokens = (self.tokens + since.as_secs_f64() * self.own()).min(self.own().max(1.0));
        while now.saturating_duration_since(self.clean_since) >= CLEAN {
            self.clean_since += CLEAN;
            self.rate = (self.rate + 1.0).min(self.most);
        }
    }

    /// Takes a token. If there is none, returns how long until there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.fill(now);
        self.is_asked = true;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.own()).max(Duration::from_millis(1)))
    }

    pub(super) fn share(&mut self, processes: u32, now: Instant) {
        self.fill(now);
        self.sharers = f64::from(processes.max(1));
    }

    /// Lowers the rate. Returns the new rate, if it changed.
    pub(super) fn refused(&mut self, now: Instant) -> Option<f64> {
        self.fill(now);
        self.clean_since = now;
        let same = |at| now.saturating_duration_since(at) < SAME;
        if self.halved_at.is_some_and(same) {
            return None;
        }
        self.halved_at = Some(now);
        let before = self.rate;
        self.rate = (before / 2.0).max(self.least);
        self.tokens = self.tokens.min(self.own());
        (self.rate < before).then_some(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(now: Instant) -> Bucket {
        Bucket::new(Connects::default(), now)
    }

    /// Returns how many tokens can be taken within a time, by asking whenever there is one.
    fn taken(bucket: &mut Bucket, mut now: Instant, within: Duration) -> u32 {
        let (end, mut taken) = (now + within, 0);
        while now < end {
            match bucket.take(now) {
                Ok(()) => taken += 1,
                Err(wait) => now += wait,
            }
        }
        taken
    }

    #[test]
    fn no_more_connections_than_the_rate_and_one_seconds_worth_after_a_rest() {
        let now = Instant::now();
        let mut bucket = bucket(now);
        let begun = now + Duration::from_secs(20);
        let ten = taken(&mut bucket, begun, Duration::from_secs(10));
        assert!((49..=50).contains(&ten), "{ten}");
        let rested = begun + Duration::from_secs(30);
        let one = taken(&mut bucket, rested, Duration::from_millis(100));
        assert_eq!(one, 5);
    }

    #[test]
    fn the_time_before_the_first_request_fills_nothing() {
        let now = Instant::now();
        let mut bucket = bucket(now);
        // A host counts the processes at its address before its sessions ask.
        let shared = now + Duration::from_secs(5);
        bucket.share(1, shared);
        assert!(bucket.take(shared).is_err());
        assert!(bucket.take(shared + Duration::from_millis(200)).is_ok());
    }

    #[test]
    fn a_refusal_halves_the_rate_once_a_second_and_clean_minutes_raise_it() {
        let now = Instant::now();
        let mut bucket = bucket(now);
        assert_eq!(bucket.refused(now), Some(2.5));
        assert_eq!(bucket.refused(now + Duration::from_millis(500)), None);
        let later = now + Duration::from_secs(2);
        assert_eq!(bucket.refused(later), Some(1.25));
        // No number of refusals lowers it further.
        for n in 11..200 {
            bucket.refused(now + Duration::from_millis(200 * n));
        }
        assert!((bucket.rate - 0.5).abs() < f64::EPSILON);
        let again = now + Duration::from_secs(41);
        assert_eq!(bucket.refused(again), None, "it is the lowest already");
        bucket.fill(again + Duration::from_mins(3));
        assert!((bucket.rate - 3.5).abs() < 1e-9, "{}", bucket.rate);
        bucket.fill(again + Duration::from_hours(2));
        assert!((bucket.rate - 20.0).abs() < f64::EPSILON, "{}", bucket.rate);
    }

    #[test]
    fn processes_at_one_address_share_its_rate() {
        let now = Instant::now();
        let mut bucket = bucket(now);
        bucket.share(5, now);
        taken(&mut bucket, now, Duration::from_secs(10));
        let ten = taken(
            &mut bucket,
            now + Duration::from_secs(10),
            Duration::from_secs(10),
        );
        assert!((10..=11).contains(&ten), "{ten}");
    }
}
