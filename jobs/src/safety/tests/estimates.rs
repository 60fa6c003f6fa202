//! Estimates against what simulated numbers then do.

use crate::model::{Ahead, Later, Purpose};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::safety::estimate::{Own, estimate};

/// A message that begins a conversation.
const FIRST: Own = Own {
    class: Class::Cold,
    is_new: true,
    morning: None,
    from: Millis::MIN,
};

/// A number in the middle of its work, and a queue.
struct Case {
    policy: Policy,
    state: State,
    age: u32,
    queue: Vec<Candidate>,
    /// The mean time between replies that arrive, from now on.
    replies_every: Millis,
    now: Millis,
}

fn random_case(chance: &mut StdRng) -> Case {
    let preset = [Preset::Default, Preset::Strict, Preset::Sandbox][chance.random_range(0..3)];
    let policy = policy(preset);
    let age = [0, 4, 20, 100][chance.random_range(0..4)];
    let replies_every = [20 * SECOND, MINUTE, 10 * MINUTE][chance.random_range(0..3)];
    let mut state = State::default();
    let mut now = NOON;
    // It has sent for an hour, replies and some others.
    while now < NOON + HOUR {
        let class = match chance.random_range(0..20) {
            0 => Class::Cold,
            1..4 => Class::Warm,
            _ => Class::Reply,
        };
        state.record(sent(class, now, chance.random()), now);
        if class == Class::Cold && chance.random() {
            state.answered(&[now], true, now);
        }
        now += chance.random_range(2 * SECOND..2 * replies_every);
    }
    let most = [3, 30, 150, 300][chance.random_range(0..4)];
    let classes = chance.random_range(1..4);
    let length = chance.random_range(1..=most);
    // Some wait for a later time of their own.
    let scheduled = [0.0, 0.5, 1.0][chance.random_range(0..3)];
    let queue = (0..length).map(|_| {
        let class = [Class::Warm, Class::Reply, Class::Cold][chance.random_range(0..classes)];
        let mut queued = message(class, now);
        queued.purpose = Some(Purpose::Code);
        let later = chance.random_bool(scheduled);
        queued.send_at = later.then(|| now + chance.random_range(1..4) * 15 * MINUTE);
        queued.typing = policy.typing(chance.random_range(2..200), chance.random());
        queued
    });
    let queue = queue.collect();
    Case {
        policy,
        state,
        age,
        queue,
        replies_every,
        now,
    }
}

impl Case {
    fn number<'a>(&'a self, state: &'a State, now: Millis) -> Number<'a> {
        let passed = Duration::from_millis(u64::try_from(now - self.now).unwrap());
        Number {
            age: days(self.age) + passed,
            ..Number::new(&self.policy, state)
        }
    }

    /// Returns the estimate for the last message of the queue.
    fn estimate(&self) -> (Millis, Millis) {
        let last = self.queue.last().unwrap();
        let (mut open, mut later) = ([0; 3], Vec::new());
        for message in &self.queue[..self.queue.len() - 1] {
            match message.send_at {
                Some(at) => later.push(Later {
                    at,
                    class: message.class,
                    count: 1,
                }),
                None => open[message.class.place()] += 1,
            }
        }
        let from = last.send_at.unwrap_or(self.now);
        estimate(
            &self.number(&self.state, self.now),
            Own {
                is_new: last.class == Class::Cold,
                from,
                ..Own::of(last.class)
            },
            &Ahead::new(open, later).until(from),
            self.now,
        )
    }

    /// Sends until the last message of the queue is sent. Returns when that was; `None` if it takes more than a day.
    fn play(&self, chance: &mut StdRng) -> Option<Millis> {
        let mut state = self.state.clone();
        let mut queue = self.queue.clone();
        let mut last = queue.len() - 1;
        let (mut now, mut next) = (self.now, self.now);
        while now < self.now + DAY {
            while now >= next {
                next += chance.random_range(0..2 * self.replies_every);
                if self.policy.orders_by_class {
                    queue.push(message(Class::Reply, now));
                }
            }
            match decide(&self.number(&state, now), &queue, now) {
                Decision::Send { index, at } => {
                    if index == last {
                        return Some(at);
                    }
                    let message = queue.remove(index);
                    last -= usize::from(index < last);
                    state.record(sent(message.class, at, chance.random()), now);
                    if message.class == Class::Cold && chance.random() {
                        state.answered(&[at], true, at);
                    }
                    now = at;
                }
                Decision::WaitUntil { at, .. } => now = at.min(next).max(now + 1),
                Decision::Refuse { code, .. } => panic!("{code}"),
            }
        }
        None
    }
}

#[test]
fn safety_nine_of_ten_messages_are_sent_by_the_time_that_was_estimated() {
    const CASES: u64 = 100;
    let (mut by_then, mut by_half, mut played) = (0_u32, 0_u32, 0_u32);
    let mut widths = Vec::new();
    eprintln!("seeds 0 to {CASES}");
    for seed in 0..CASES {
        let mut chance = StdRng::seed_from_u64(seed);
        let case = random_case(&mut chance);
        let (half, by) = case.estimate();
        assert!(case.now <= half && half <= by, "seed {seed}");
        let Some(at) = case.play(&mut chance) else {
            assert!(by > case.now + DAY / 2, "seed {seed}: {by}");
            continue;
        };
        played += 1;
        by_then += u32::from(at <= by);
        by_half += u32::from(at <= half);
        let seconds = |at: Millis| f64::from(u32::try_from((at - case.now) / SECOND).unwrap());
        widths.push((seconds(by) + 1.0) / (seconds(at) + 1.0));
        if at > by {
            let (took, said) = ((at - case.now) / SECOND, (by - case.now) / SECOND);
            eprintln!(
                "seed {seed}: {took} s, estimated {said} s, {} {} days",
                case.policy.preset, case.age
            );
        }
    }
    widths.sort_by(f64::total_cmp);
    let width = widths[widths.len() / 2];
    eprintln!(
        "{played} played: {by_then} by the later time, {by_half} by the earlier; it is {width:.2} times what it took"
    );
    assert!(played > 75);
    assert!(by_then * 100 >= played * 90, "{by_then} of {played}");
    assert!(
        (played * 25..=played * 80).contains(&(by_half * 100)),
        "{by_half} of {played}"
    );
    assert!(width < 2.5, "the later time is {width} times what it took");
}

#[test]
fn safety_an_estimate_knows_the_limits_and_what_never_comes() {
    let policy = policy(Preset::Default);
    let mut state = State::default();
    for count in 0..20 {
        state.record(sent(Class::Cold, NOON + count * 3 * MINUTE, 0.5), NOON);
    }
    let now = NOON + HOUR;
    let mut number = Number::new(&policy, &state);
    let (at, by) = estimate(&number, FIRST, &[0, 0, 0].into(), now);
    assert!(at >= NOON + DAY && by <= NOON + DAY + 3 * HOUR, "{at} {by}");
    let (at, _) = estimate(&number, FIRST, &[0, 0, 40].into(), now);
    assert!(at >= NOON + 3 * DAY, "{at}");
    let (at, _) = estimate(&number, Own::of(Class::Reply), &[0, 0, 1000].into(), now);
    assert!(at <= now + 5 * SECOND, "{at}");
    number.level = crate::safety::level::Level::Locked;
    let never = estimate(&number, Own::of(Class::Reply), &[5, 0, 0].into(), now);
    assert_eq!(never, (Millis::MAX, Millis::MAX));
}

#[test]
fn safety_an_estimate_expects_replies_to_go_on_as_in_the_last_hour() {
    let policy = policy(Preset::Default);
    let (mut calm, mut busy) = (State::default(), State::default());
    calm.record(sent(Class::Reply, NOON, 0.5), NOON);
    for count in 0..300 {
        let at = NOON - HOUR + count * 12 * SECOND;
        busy.record(sent(Class::Reply, at, 0.5), at);
    }
    let now = NOON + MINUTE;
    let said = |state: &State| {
        estimate(
            &number(&policy, state, 100),
            Own::of(Class::Warm),
            &[0, 50, 0].into(),
            now,
        )
    };
    let ((calm_at, calm_by), (busy_at, busy_by)) = (said(&calm), said(&busy));
    assert!((busy_at - now) * 10 > (calm_at - now) * 12);
    assert!((busy_by - now) * 10 > (calm_by - now) * 12);
}
