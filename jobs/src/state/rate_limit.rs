//! Rate limits of a session for requests that are not messages, which no lane paces.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use passerelle_engine::ids::SessionId;

/// How many requests a session may make at once, and after how long one more.
pub type Pacing = (NonZeroU32, Duration);
/// Checks whether a number has WhatsApp.
pub const NUMBER_CHECKS: Pacing = (
    NonZeroU32::new(10).expect("10 is not 0"),
    Duration::from_secs(3),
);
/// Lists of the groups that the session's number is in.
pub const GROUP_LISTS: Pacing = (
    NonZeroU32::new(6).expect("6 is not 0"),
    Duration::from_secs(10),
);
/// Requests about one group: to describe it, or to leave it.
pub const GROUP_REQUESTS: Pacing = (
    NonZeroU32::new(10).expect("10 is not 0"),
    Duration::from_secs(6),
);
/// Typing indicators. Generous, because several people may answer through one number.
pub const TYPING: Pacing = (
    NonZeroU32::new(20).expect("20 is not 0"),
    Duration::from_secs(1),
);

/// A rate limit, counted per session of this process.
pub(crate) struct Rate {
    limiter: DefaultKeyedRateLimiter<SessionId>,
    clock: DefaultClock,
}

impl Rate {
    /// Allows a burst of `at_once`, then one request per `every`, which must not be zero.
    pub(crate) fn new((at_once, every): Pacing) -> Self {
        let quota = Quota::with_period(every).expect("every is not zero");
        Self {
            limiter: RateLimiter::keyed(quota.allow_burst(at_once)),
            clock: DefaultClock::default(),
        }
    }

    /// Counts one request of the session. Returns the time to wait if the limit is reached.
    pub(crate) fn count(&self, session: SessionId) -> Result<(), Duration> {
        let counted = self.limiter.check_key(&session);
        counted.map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

/// The rate limits of what each session may ask WhatsApp for.
pub(crate) struct Rates {
    /// Checks whether a number has WhatsApp.
    pub(crate) numbers: Rate,
    /// Lists of the groups that the session's number is in.
    pub(crate) groups: Rate,
    /// Requests about one group.
    pub(crate) group_requests: Rate,
    /// Typing indicators.
    pub(crate) typing: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            numbers: Rate::new(NUMBER_CHECKS),
            groups: Rate::new(GROUP_LISTS),
            group_requests: Rate::new(GROUP_REQUESTS),
            typing: Rate::new(TYPING),
        }
    }
}

#[cfg(test)]
mod tests {
    use passerelle_engine::clock::Clock;

    use super::*;

    #[test]
    fn a_session_asks_ten_times_and_then_waits_and_no_other_waits_for_it() {
        let every = Duration::from_secs(3);
        let rate = Rate::new((NonZeroU32::new(10).unwrap(), every));
        let (one, other) = (
            SessionId::new(&Clock::system()),
            SessionId::new(&Clock::system()),
        );
        for _ in 0..10 {
            assert_eq!(rate.count(one), Ok(()));
        }
        let wait = rate.count(one).unwrap_err();
        assert!(wait <= every && wait > Duration::ZERO, "{wait:?}");
        assert_eq!(rate.count(other), Ok(()));
    }
}
