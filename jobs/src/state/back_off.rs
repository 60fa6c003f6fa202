//! What keeps failing is left alone for a while, each time twice as long.

use std::{collections::HashMap, hash::Hash, time::Duration};

use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

/// Returns the next pause after this one.
pub(crate) fn longer(pause: Duration) -> Duration {
    (pause * 2).clamp(FIRST, LONGEST)
}

/// What failed, until when it is left alone, and for how long.
pub(crate) struct BackOff<K>(HashMap<K, (Instant, Duration)>);

impl<K> Default for BackOff<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq> BackOff<K> {
    /// Returns whether it is still left alone.
    pub(crate) fn rests(&self, key: &K, now: Instant) -> bool {
        self.0.get(key).is_some_and(|(until, _)| now < *until)
    }

    /// Records a failure. Returns for how long it is left alone.
    pub(crate) fn failed(&mut self, key: K, now: Instant) -> Duration {
        // What was not tried again is forgotten.
        self.0.retain(|_, (until, _)| now < *until + LONGEST);
        let before = self.0.get(&key).map_or(Duration::ZERO, |(_, pause)| *pause);
        let pause = longer(before);
        self.0.insert(key, (now + pause, pause));
        pause
    }

    /// Records a success.
    pub(crate) fn done(&mut self, key: &K) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_followed_by_a_longer_rest_and_a_success_ends_it() {
        let (mut back_off, start) = (BackOff::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!back_off.rests(&"a", start));
        assert_eq!(back_off.failed("a", start), FIRST);
        assert!(back_off.rests(&"a", start) && !back_off.rests(&"b", start));
        assert!(!back_off.rests(&"a", after(1)));
        assert_eq!(back_off.failed("a", after(1)), FIRST * 2);
        assert!(back_off.rests(&"a", after(2)));
        back_off.done(&"a");
        assert!(!back_off.rests(&"a", after(2)));
        let pauses = (0..9).map(|_| back_off.failed("a", start));
        assert_eq!(pauses.last(), Some(LONGEST));
    }
}
