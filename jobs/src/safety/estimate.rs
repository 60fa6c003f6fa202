//! When a message that waits is sent, as far as that can be said now.

use std::time::Duration;

use passerelle_engine::clock::Millis;

use super::{
    number::Number,
    policy::digits,
    state::{Sent, State},
    window::Window,
};
use crate::model::{Ahead, Class, Later, millis, until};

/// So many messages are sent in thought, one by one. The others are estimated together.
const PLAYED: i64 = 120;
/// The fraction of the golden ratio: its multiples spread evenly between 0 and 1.
const GOLDEN: f64 = 0.618_033_988_749_895;
/// So many standard deviations above the mean are 95 % of the times.
const Z: f64 = 1.645;
/// What is estimated together may be later by one part in so many.
const LATER: Millis = 8;
/// Replies that arrive meanwhile never count for more than this share of the time.
const BUSY_MOST: f64 = 0.6;

/// A message, as far as the limits of its number go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// Its class.
    pub class: Class,
    /// Whether it begins a conversation.
    pub is_new: bool,
    /// When quiet hours end, if it is a code that goes in them.
    pub morning: Option<Millis>,
    /// It does not go before this time, whatever waits before it.
    pub from: Millis,
}

impl Own {
    /// Returns a message of this class that begins no conversation, is no code at night, and may go at once.
    pub fn of(class: Class) -> Self {
        Self {
            class,
            is_new: false,
            morning: None,
            from: Millis::MIN,
        }
    }
}

/// Estimates when a message is sent if the number stays connected: the likely time, and the time by which 19 of 20
/// are sent. Those of its class before it count as if they were like it. `ahead` are the messages that wait; of its own class
/// only those before it. [`Millis::MAX`] if that cannot be foreseen.
///
/// Limits of the contact are not part of it: the later of this and [`super::decide::earliest`] counts.
pub fn estimate(number: &Number<'_>, own: Own, ahead: &Ahead, now: Millis) -> (Millis, Millis) {
    let class = own.class;
    let mut play = Play::new(number, own, ahead, now);
    let mut at = None;
    for _ in 0..=PLAYED {
        let Some((next, due)) = play.next(class) else {
            return (Millis::MAX, Millis::MAX);
        };
        if next == class && play.left[class.place()] == 0 {
            at = Some(due);
            break;
        }
        play.send(next, due);
    }
    let policy = number.policy;
    let reply = Duration::from_secs_f64(play.gaps[0].0);
    let slack = policy.think.most + policy.typing.most_while_others_wait + reply;
    // The time until it may go is certain. Only what comes after it is spread.
    let began = own.from.max(now);
    let (at, more) = if let Some(at) = at {
        (at, 0)
    } else {
        let at = play.rest(class).max(own.from);
        (at, at.saturating_sub(began) / LATER)
    };
    if at == Millis::MAX {
        return (at, at);
    }
    let spread = Duration::from_secs_f64(Z * play.variance.sqrt());
    let spread = millis(spread + slack).saturating_add(more);
    let by = at.saturating_add(spread);
    let replies = if number.policy.orders_by_class {
        play.gaps[0].0
    } else {
        0.0
    };
    let busy = |at| busy(number, class, replies, at, (began.min(at), now));
    (busy(at), busy(by))
}

/// Sends of one number, in thought.
struct Play<'a> {
    number: Number<'a>,
    state: State,
    /// What waits, by class.
    left: [i64; 3],
    /// What may go later.
    later: &'a [Later],
    began: Millis,
    now: Millis,
    /// The mean and the variance of each class's gap, in seconds.
    gaps: [(f64, f64); 3],
    /// The sum of the variances of the gaps so far.
    variance: f64,
    /// The message that is asked about. What is held because it begins a conversation lets others pass.
    own: Own,
    quantile: f64,
}

impl<'a> Play<'a> {
    fn new(number: &Number<'a>, own: Own, ahead: &'a Ahead, now: Millis) -> Self {
        let (mut left, mut later) = (ahead.now.map(|count| count.max(0)), &ahead.later[..]);
        if !number.policy.orders_by_class {
            // They go in the order in which they came.
            let all = ahead.counts().iter().sum();
            (left, later) = ([0; 3], &[]);
            left[own.class.place()] = all;
        }
        let gap = |class: Class| {
            let (mean, deviation) = number.policy.curve(class).mean();
            (mean.as_secs_f64(), deviation.as_secs_f64().powi(2))
        };
        Self {
            number: *number,
            state: number.state.clone(),
            left,
            later,
            began: now,
            now,
            gaps: [Class::Reply, Class::Warm, Class::Cold].map(gap),
            variance: 0.0,
            own,
            quantile: 0.5,
        }
    }

    /// Returns the class that goes next and when. `None` if that cannot be foreseen. `own` always has a message left: the one
    /// that is asked about.
    fn next(&mut self, own: Class) -> Option<(Class, Millis)> {
        loop {
            let number = self.at_now();
            let classes = [Class::Reply, Class::Warm, Class::Cold].into_iter();
            let waits = |class: &Class| *class == own || self.left[class.place()] > 0;
            let due = |class: Class| {
                let is_own = class == own && self.left[class.place()] == 0;
                let from = if is_own { self.own.from } else { Millis::MIN };
                (class, self.due(&number, class).max(from))
            };
            let next = classes.filter(waits).map(due).min_by_key(|(_, due)| *due)?;
            match self.later.first().filter(|later| later.at <= next.1) {
                Some(later) => self.arrive(*later),
                None => return (next.1 < Millis::MAX).then_some(next),
            }
        }
    }

    /// The next of those that may go later wait from now on.
    fn arrive(&mut self, later: Later) {
        self.later = &self.later[1..];
        self.left[later.class.place()] += later.count;
        self.now = self.now.max(later.at);
    }

    fn due(&self, number: &Number<'_>, class: Class) -> Millis {
        let (policy, now) = (number.policy, self.now);
        let limit = number.limit(class, self.begins(class), now, now);
        let gap = number.gap(class, now);
        let ready = limit.map_or(now, |(at, _)| at);
        let ready = self
            .morning(class)
            .map_or(ready, |morning| number.night(morning, ready));
        if gap >= ready && gap > now {
            return gap;
        }
        let think = policy.think.at(digits(number.state.quantile()));
        let typing = policy.typing.least;
        gap.max(ready.saturating_add(millis(think + typing)))
    }

    fn send(&mut self, class: Class, at: Millis) {
        self.quantile = (self.quantile + GOLDEN).fract();
        self.state.record(
            Sent {
                class,
                at,
                quantile: self.quantile,
                is_new_conversation: self.begins(class),
                is_at_night: self.morning(class).is_some_and(|morning| at < morning),
                group: None,
            },
            at,
        );
        self.variance += self.gaps[class.place()].1;
        let left = &mut self.left[class.place()];
        *left = (*left - 1).max(0);
        self.now = at.max(self.now);
    }

    /// Returns when the message is sent after all that is left before it, with the limits as they are then.
    fn rest(&mut self, own: Class) -> Millis {
        while let Some(later) = self.later.first() {
            self.arrive(*later);
        }
        let number = self.at_now();
        let [replies, warm, cold] = self.left;
        let chain = |count: i64, class: Class| {
            let mean = millis(Duration::from_secs_f64(self.gaps[class.place()].0));
            let factor = i64::from(number.gap_factor(class, self.now));
            count.saturating_mul(mean).saturating_mul(factor)
        };
        let replies_take = chain(replies, Class::Reply);
        let warm_take = replies_take.saturating_add(chain(warm, Class::Warm));
        let take = match own {
            Class::Reply => replies_take,
            Class::Warm => warm_take,
            Class::Cold => warm_take.max(chain(cold, Class::Cold)),
        };
        let at = self.now.saturating_add(take);
        let state = number.state;
        if own == Class::Reply {
            let fits = self.fits(&state.replies, replies, number.replies_cap());
            return at.max(fits);
        }
        let others = if own == Class::Warm {
            warm
        } else {
            warm.saturating_add(cold)
        };
        let hour = self.fits(&state.hour, others, number.hour_cap(self.now, self.now));
        let day = self.fits(&state.day, others, number.day_cap(self.now, self.now));
        let night = self.own.morning.map_or(self.now, |morning| {
            let (night, cap) = (&state.night, number.night_cap());
            self.fits(night, self.left[own.place()], cap).min(morning)
        });
        let at = at.max(hour).max(day).max(night);
        if own == Class::Warm {
            return at;
        }
        let month = self.fits(&state.unanswered, cold, number.unanswered_cap());
        if !self.own.is_new {
            return at.max(month);
        }
        let new = self.fits(&state.new, cold, number.new_cap(self.now, self.now));
        at.max(new).max(month)
    }

    /// Returns whether a message of this class begins a conversation, in thought.
    fn begins(&self, class: Class) -> bool {
        self.own.is_new && class == Class::Cold
    }

    /// Returns when quiet hours end if messages of this class are codes that go in them, in thought.
    fn morning(&self, class: Class) -> Option<Millis> {
        self.own.morning.filter(|_| class == self.own.class)
    }

    fn fits<const B: Millis, const L: Millis>(
        &self,
        window: &Window<B, L>,
        ahead: i64,
        cap: Option<u32>,
    ) -> Millis {
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        cap.map_or(self.now, |cap| window.fits_after(ahead, cap, self.now))
    }

    fn at_now(&self) -> Number<'_> {
        let passed = self.now.saturating_sub(self.began);
        let passed = Duration::from_millis(u64::try_from(passed).unwrap_or(0));
        Number {
            state: &self.state,
            age: self.number.age + passed,
            ..self.number
        }
    }
}

/// Returns a time as it is when replies keep arriving as in the last hour: they go first, and each takes so many seconds.
fn busy(
    number: &Number<'_>,
    class: Class,
    seconds: f64,
    at: Millis,
    (began, now): (Millis, Millis),
) -> Millis {
    if class == Class::Reply {
        return at;
    }
    let an_hour = f64::from(number.state.replies.count(now));
    let busy = (an_hour * seconds / 3600.0).min(BUSY_MOST);
    let waits = until(at, began).div_f64(1.0 - busy);
    began.saturating_add(millis(waits))
}
