//! Sliding windows: how many messages were sent in the last hour, day or month.
//!
//! Messages are counted in buckets. A bucket leaves the window when its last moment does, so a message counts for at
//! least the whole length, and for at most one bucket longer.

use passerelle_engine::clock::Millis;
use serde::{Deserialize, Serialize};

const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

/// The last hour, in buckets of five minutes.
pub type LastHour = Window<{ 5 * MINUTE }, HOUR>;
/// The last 24 hours, in buckets of an hour.
pub type LastDay = Window<HOUR, DAY>;
/// The last 30 days, in buckets of a day.
pub type LastMonth = Window<DAY, { 30 * DAY }>;

/// What happened in the last `LENGTH` milliseconds, in buckets of `BUCKET` milliseconds: the number of each bucket since
/// 1970 and its count, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Window<const BUCKET: Millis, const LENGTH: Millis>(Vec<(i64, u32)>);

impl<const BUCKET: Millis, const LENGTH: Millis> Window<BUCKET, LENGTH> {
    /// Counts one message. If the clock went back, it is counted with the newest, so that it does not leave early.
    pub fn add(&mut self, at: Millis) {
        let bucket = Self::bucket(at);
        match self.0.last_mut() {
            Some((newest, count)) if *newest >= bucket => *count = count.saturating_add(1),
            _ => self.0.push((bucket, 1)),
        }
    }

    /// Takes back a message that was counted at that time. Returns `false` if that time's bucket has none.
    pub fn take(&mut self, at: Millis) -> bool {
        let bucket = Self::bucket(at);
        let Ok(index) = self.0.binary_search_by_key(&bucket, |(of, _)| *of) else {
            return false;
        };
        let count = &mut self.0[index].1;
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.0.remove(index);
        }
        true
    }

    /// Moves a message that was counted at one time to a later one.
    pub fn shift(&mut self, from: Millis, to: Millis) {
        if Self::bucket(from) < Self::bucket(to) && self.take(from) {
            self.add(to);
        }
    }

    /// Moves all by as much as the clock went ahead, and up to the next bucket.
    pub(super) fn later(&mut self, by: Millis) {
        let buckets = by.saturating_add(BUCKET - 1).div_euclid(BUCKET);
        for (bucket, _) in &mut self.0 {
            *bucket = bucket.saturating_add(buckets);
        }
    }

    /// Forgets what has left.
    pub fn forget(&mut self, now: Millis) {
        self.0.retain(|(bucket, _)| Self::leaves(*bucket) > now);
    }

    /// Moves what is later than `latest` there. For a clock that was wrong by days.
    pub(super) fn no_later(&mut self, latest: Millis) {
        let latest = Self::bucket(latest);
        let is_later = |(bucket, _): &&(i64, u32)| *bucket > latest;
        let moved = self.0.iter().filter(is_later).map(|(_, count)| *count);
        let moved = moved.fold(0, u32::saturating_add);
        if moved == 0 {
            return;
        }
        self.0.retain(|(bucket, _)| *bucket <= latest);
        match self.0.last_mut() {
            Some((newest, count)) if *newest == latest => *count = count.saturating_add(moved),
            _ => self.0.push((latest, moved)),
        }
    }

    /// Returns how many are inside.
    pub fn count(&self, now: Millis) -> u32 {
        let inside = self.0.iter().filter(|(of, _)| Self::leaves(*of) > now);
        inside.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Returns when one more fits under the limit: now, or when enough have left. [`Millis::MAX`] if none ever fits.
    pub fn free_at(&self, cap: u32, now: Millis) -> Millis {
        if cap == 0 {
            return Millis::MAX;
        }
        let mut left = self.count(now);
        if left < cap {
            return now;
        }
        for (bucket, count) in &self.0 {
            let leaves = Self::leaves(*bucket);
            if leaves > now {
                left = left.saturating_sub(*count);
                if left < cap {
                    return leaves;
                }
            }
        }
        Millis::MAX
    }

    /// Returns when the message after `ahead` others fits, if each of them goes as soon as it fits.
    pub fn fits_after(&self, ahead: u32, cap: u32, now: Millis) -> Millis {
        if cap == 0 {
            return Millis::MAX;
        }
        // After each round of `cap` messages the same places are free again a whole window later.
        let (round, place) = (ahead / cap, ahead % cap);
        let free = cap.saturating_sub(self.count(now));
        let mut first = now;
        if place >= free {
            let mut left = free;
            for (bucket, count) in &self.0 {
                if Self::leaves(*bucket) > now {
                    left = left.saturating_add(*count);
                    first = Self::leaves(*bucket);
                    if left > place {
                        break;
                    }
                }
            }
        }
        let later = (LENGTH + BUCKET).saturating_mul(i64::from(round));
        first.saturating_add(later)
    }

    fn bucket(at: Millis) -> i64 {
        at.div_euclid(BUCKET)
    }

    /// Returns when the bucket's last message is as old as the window is long.
    fn leaves(bucket: i64) -> Millis {
        bucket
            .saturating_add(1)
            .saturating_mul(BUCKET)
            .saturating_add(LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn safety_window_counts_for_its_length_and_at_most_a_bucket_more() {
        let mut hour = LastHour::default();
        hour.add(7 * MINUTE);
        hour.add(8 * MINUTE);
        assert_eq!(hour.count(67 * MINUTE), 2);
        assert_eq!(hour.count(70 * MINUTE - 1), 2);
        assert_eq!(hour.count(70 * MINUTE), 0);
        assert_eq!(hour.free_at(2, 20 * MINUTE), 70 * MINUTE);
        assert_eq!(hour.free_at(3, 20 * MINUTE), 20 * MINUTE);
        assert_eq!(hour.free_at(0, 20 * MINUTE), Millis::MAX);
    }

    #[test]
    fn safety_window_lets_nothing_leave_early_when_the_clock_goes_back() {
        let mut hour = LastHour::default();
        hour.add(2 * HOUR);
        hour.add(HOUR);
        assert_eq!(hour.count(HOUR), 2);
        assert_eq!(hour.count(3 * HOUR), 2);
        assert_eq!(hour.free_at(1, HOUR), 3 * HOUR + 5 * MINUTE);
    }

    #[test]
    fn safety_window_takes_back_only_what_it_counted() {
        let mut month = LastMonth::default();
        month.add(DAY);
        month.add(DAY + 1);
        month.take(5 * DAY);
        assert_eq!(month.count(6 * DAY), 2);
        month.take(DAY);
        assert_eq!(month.count(6 * DAY), 1);
        month.take(DAY);
        month.take(DAY);
        assert_eq!(month, LastMonth::default());
    }

    #[test]
    fn safety_window_of_a_clock_that_was_years_ahead_comes_back() {
        let mut day = LastDay::default();
        day.add(DAY);
        day.add(1000 * DAY);
        day.add(1001 * DAY);
        day.no_later(DAY + HOUR);
        assert_eq!(day.count(DAY + 2 * HOUR), 3);
        assert_eq!(day.count(2 * DAY + 2 * HOUR), 0);
    }

    proptest! {
        #[test]
        fn safety_window_holds_its_limit_in_every_window(
            steps in proptest::collection::vec(0..20 * MINUTE, 1..300), cap in 1u32..20
        ) {
            let (mut window, mut now, mut sent) = (LastHour::default(), 0, Vec::new());
            for step in steps {
                now = (now + step).max(window.free_at(cap, now + step));
                window.forget(now);
                window.add(now);
                sent.push(now);
            }
            let most = usize::try_from(cap).unwrap();
            for pair in sent.windows(most + 1) {
                prop_assert!(pair[most] - pair[0] >= HOUR, "{pair:?}");
            }
        }

        #[test]
        fn safety_window_says_when_a_later_message_fits(
            sent in proptest::collection::vec(0..HOUR, 0..30), ahead in 0u32..60, cap in 1u32..20
        ) {
            let mut window = LastHour::default();
            let mut sent = sent;
            sent.sort_unstable();
            sent.truncate(usize::try_from(cap).unwrap());
            for at in sent {
                window.add(at);
            }
            let said = window.fits_after(ahead, cap, HOUR);
            let (mut played, mut now) = (window, HOUR);
            for _ in 0..ahead {
                now = played.free_at(cap, now);
                played.add(now);
            }
            let real = played.free_at(cap, now);
            let late = i64::from(ahead / cap + 1) * 5 * MINUTE;
            prop_assert!((said - real).abs() <= late, "{said} and really {real}");
        }
    }
}
