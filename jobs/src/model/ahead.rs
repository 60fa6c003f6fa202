//! What waits in a lane before a message.

use passerelle_engine::clock::Millis;

use super::class::Class;

/// What waits before a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Replies, warm and cold messages that may go now by their own times.
    pub now: [i64; 3],
    /// Those that may go later, the earliest first.
    pub later: Vec<Later>,
}

/// Messages of one class that may go from the same time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Later {
    /// That time.
    pub at: Millis,
    /// Their class.
    pub class: Class,
    /// How many they are.
    pub count: i64,
}

impl Ahead {
    /// Joins those of one time and class. What is in order already is sorted faster.
    pub fn new(now: [i64; 3], mut later: Vec<Later>) -> Self {
        let place = |one: &Later| (one.at, one.class.place());
        later.sort_by_key(place);
        later.dedup_by(|next, one| {
            let is_same = place(next) == place(one);
            if is_same {
                one.count += next.count;
            }
            is_same
        });
        Self { now, later }
    }

    /// Returns those that may go at that time, too.
    #[must_use]
    pub fn until(mut self, at: Millis) -> Self {
        self.later.retain(|later| later.at <= at);
        self
    }

    /// Returns it without so many messages of a class: `now` of those that may go now, `later` of the others, the latest first.
    #[must_use]
    pub fn without(mut self, class: Class, now: i64, later: i64) -> Self {
        let of_class = &mut self.now[class.place()];
        *of_class = (*of_class - now).max(0);
        let mut left = later;
        for some in self.later.iter_mut().rev() {
            if some.class == class {
                let gone = left.min(some.count);
                some.count -= gone;
                left -= gone;
            }
        }
        self
    }

    /// Returns how many of each class they are.
    pub fn counts(&self) -> [i64; 3] {
        let mut counts = self.now;
        for later in &self.later {
            counts[later.class.place()] += later.count;
        }
        counts
    }
}

impl From<[i64; 3]> for Ahead {
    fn from(now: [i64; 3]) -> Self {
        Self::new(now, Vec::new())
    }
}
