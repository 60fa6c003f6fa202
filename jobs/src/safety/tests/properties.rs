//! Properties that hold for every number, whatever happens to it. Seeds are printed.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

use super::{world::World, *};
use crate::safety::tighten::Tightening;

/// How many decisions one simulated life has.
const LIFE: u64 = 20_000;

/// Returns how many decisions of each preset are simulated.
fn decisions() -> u64 {
    if std::env::var_os("PASSERELLE_TEST_LONG").is_some() {
        50_000_000
    } else {
        500_000
    }
}

/// Lives one number's life. What it does is checked as it is sent.
fn live(preset: Preset, seed: u64) -> World {
    let mut chance = StdRng::seed_from_u64(seed);
    let age = [0, 2, 5, 12, 40][chance.random_range(0..5)];
    // From something every second to something every hour; people who write, and people who do not.
    let pause = [SECOND, 5 * SECOND, MINUTE, 10 * MINUTE, HOUR][chance.random_range(0..5)];
    let hears = [3, 40][chance.random_range(0..2)];
    let steps = chance.random_ratio(1, 3);
    let mut world = World::new(preset, age, seed);
    let mut next = world.real;
    while world.decisions < LIFE {
        if world.real >= next {
            let person = chance.random_range(0..400);
            let people = if chance.random_bool(0.5) { 400 } else { 20 };
            match chance.random_range(0..100) {
                share if share < hears => world.hear(person % people),
                97 => world.join(),
                98 => world.health_changes(),
                99 if steps => world.clock_steps(),
                _ if world.queue.len() < 6 => {
                    world.accept(person % people, chance.random_range(1..200));
                }
                _ => (),
            }
            next = world.real + chance.random_range(0..2 * pause);
        }
        if let Some(at) = world.step() {
            let wakes = world.real.saturating_add(at.saturating_sub(world.now()));
            world.real = wakes.min(next).max(world.real + 1);
        }
    }
    world
}

/// Lives one life after the other, on two processors. A seed is printed before its life.
fn every_life(preset: Preset, first: u64) {
    let (next, totals) = (AtomicU64::new(first), Mutex::new((0, 0)));
    std::thread::scope(|scope| {
        let live_on = || {
            while totals.lock().0 < decisions() {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                eprintln!("seed {seed}");
                let world = live(preset, seed);
                let mut totals = totals.lock();
                totals.0 += world.decisions;
                totals.1 += world.sends;
            }
        };
        for _ in 0..2 {
            scope.spawn(live_on);
        }
    });
    let (decided, sent) = totals.into_inner();
    eprintln!("{decided} decisions, {sent} messages");
    assert!(
        sent > decided / 20,
        "the simulation sends too little to prove anything"
    );
}

#[test]
fn safety_holds_every_limit_of_the_default_preset_through_simulated_lives() {
    every_life(Preset::Default, 1_000);
}

#[test]
fn safety_holds_every_limit_of_the_strict_preset_through_simulated_lives() {
    every_life(Preset::Strict, 2_000);
}

/// Sends everything. Returns when each message was written.
fn drain(policy: &Policy, mut queue: Vec<Candidate>, mut now: Millis, seed: u64) -> Vec<Millis> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut state = State::default();
    state.record(sent(Class::Reply, now - 10 * HOUR, 0.0), now - 10 * HOUR);
    let mut written = Vec::new();
    while !queue.is_empty() {
        let number = Number {
            age: days(400),
            ..Number::new(policy, &state)
        };
        match decide(&number, &queue, now) {
            Decision::Send { index, at } => {
                let class = queue.remove(index).class;
                state.record(sent(class, at, chance.random()), now);
                now = at;
                written.push(at);
            }
            Decision::WaitUntil { at, .. } => now = at,
            Decision::Refuse { .. } => panic!("nothing is refused here"),
        }
    }
    written
}

#[test]
fn safety_after_ten_idle_hours_a_hundred_messages_take_at_least_their_floors() {
    let policy = policy(Preset::Default);
    for (class, floor) in [(Class::Reply, 2), (Class::Warm, 5), (Class::Cold, 30)] {
        for seed in 0..20 {
            let queue = vec![message(class, NOON); 100];
            let written = drain(&policy, queue, NOON, seed);
            assert!(written[0] >= NOON + SECOND, "the first one thinks");
            assert!(written[99] - written[0] >= 99 * floor * SECOND);
        }
    }
}

#[test]
fn safety_a_hundred_callers_that_ask_in_any_order_keep_the_gaps() {
    let policy = policy(Preset::Default);
    for seed in 0..8 {
        eprintln!("seed {seed}");
        let mut chance = StdRng::seed_from_u64(seed);
        let mut state = State::default();
        let classes = [Class::Reply, Class::Warm, Class::Cold];
        let mut callers: Vec<_> = (0..100).map(|i| message(classes[i % 3], NOON)).collect();
        let (mut now, mut written) = (NOON, Vec::<(Class, Millis)>::new());
        while !callers.is_empty() {
            // Each caller knows its own message only. The state is what one transaction after the other leaves.
            let caller = chance.random_range(0..callers.len());
            let number = Number {
                age: days(400),
                ..Number::new(&policy, &state)
            };
            if let Decision::Send { at, .. } = decide(&number, &callers[caller..=caller], now) {
                let class = callers.swap_remove(caller).class;
                state.record(sent(class, at, chance.random()), now);
                if let Some((_, last)) = written.last() {
                    assert!(at - last >= 2 * SECOND);
                }
                let last_cold = written
                    .iter()
                    .rev()
                    .find(|(class, _)| *class == Class::Cold);
                if let Some((_, last)) = last_cold.filter(|_| class == Class::Cold) {
                    assert!(at - last >= 30 * SECOND);
                }
                written.push((class, at));
            }
            now += chance.random_range(0..300);
        }
    }
}

#[test]
fn safety_a_reply_waits_ten_seconds_at_most_beside_a_thousand_cold_messages() {
    let policy = policy(Preset::Default);
    let mut waits = Vec::new();
    for seed in 0..2 {
        eprintln!("seed {seed}");
        let mut chance = StdRng::seed_from_u64(seed);
        let mut state = State::default();
        let mut queue = vec![message(Class::Cold, NOON); 1000];
        for cold in &mut queue {
            cold.typing = policy.typing(chance.random_range(20..300), 0.5);
        }
        let (mut now, end) = (NOON, NOON + 2 * HOUR);
        let mut next = now + MINUTE;
        while now < end {
            let number = Number {
                age: days(400),
                ..Number::new(&policy, &state)
            };
            match decide(&number, &queue, now) {
                Decision::Send { index, at } => {
                    let message = queue.remove(index);
                    state.record(sent(message.class, at, chance.random()), now);
                    if message.class == Class::Reply {
                        waits.push(at - message.accepted_at);
                    }
                    now = at;
                }
                Decision::WaitUntil { at, .. } => now = at.min(next).max(now),
                Decision::Refuse { .. } => panic!("nothing is refused here"),
            }
            while now >= next {
                let mut reply = message(Class::Reply, next);
                reply.typing = policy.typing(chance.random_range(2..120), state.quantile());
                queue.push(reply);
                next += chance.random_range(10 * SECOND..90 * SECOND);
            }
        }
    }
    waits.sort_unstable();
    let p95 = waits[waits.len() * 95 / 100];
    eprintln!(
        "{} replies, half within {}, 95 % within {p95} ms",
        waits.len(),
        waits[waits.len() / 2]
    );
    assert!(
        waits.len() > 200 && p95 <= 10 * SECOND,
        "95 % within {p95} ms"
    );
}

#[test]
fn safety_no_message_starves_while_replies_keep_coming() {
    let policy = policy(Preset::Default);
    for seed in 0..10 {
        eprintln!("seed {seed}");
        let mut chance = StdRng::seed_from_u64(seed);
        let mut state = State::default();
        let mut queue = Vec::new();
        let (mut now, mut next) = (NOON, NOON);
        let end = NOON + 6 * HOUR;
        while now < end {
            let number = Number {
                age: days(400),
                ..Number::new(&policy, &state)
            };
            match decide(&number, &queue, now) {
                Decision::Send { index, at } => {
                    let message: Candidate = queue.remove(index);
                    state.record(sent(message.class, at, chance.random()), now);
                    now = at;
                    let waited = at - message.accepted_at;
                    assert!(waited < HOUR, "a {:?} waited {waited} ms", message.class);
                }
                Decision::WaitUntil { at, .. } => now = at.min(next).max(now),
                Decision::Refuse { .. } => panic!("nothing is refused here"),
            }
            while now >= next {
                // About nine replies a minute, of twelve that fit; a warm and a cold message now and then.
                let class = match chance.random_range(0..100) {
                    0..3 => Class::Cold,
                    3..8 => Class::Warm,
                    _ => Class::Reply,
                };
                queue.push(message(class, next));
                next += chance.random_range(0..13 * SECOND);
            }
        }
        for message in &queue {
            assert!(now - message.accepted_at < HOUR, "{message:?}");
        }
    }
}

proptest! {
    #[test]
    fn safety_a_tightened_policy_never_allows_more(
        gaps in proptest::array::uniform3(0u64..200_000), caps in proptest::array::uniform8(0u32..3000),
        apart in 0u32..3000, quiet in proptest::array::uniform2(0u16..1500), warm: bool, mask: u16, q in 0.0f64..=1.0, strict: bool
    ) {
        let platform = policy(if strict { Preset::Strict } else { Preset::Default });
        let named = |bit: u32| mask >> bit & 1 == 1;
        let by = Tightening {
            reply_gap_ms: named(0).then_some(gaps[0]),
            warm_gap_ms: named(1).then_some(gaps[1]),
            cold_gap_ms: named(2).then_some(gaps[2]),
            new_conversations_a_day: named(3).then_some(caps[0]),
            messages_a_day: named(4).then_some(caps[1]),
            replies_an_hour: named(5).then_some(caps[2]),
            unanswered_by_one_contact: named(6).then_some(caps[3] % 8),
            unanswered_apart_minutes: named(7).then_some(apart),
            unanswered_in_30_days: named(8).then_some(caps[4]),
            near_duplicates: named(9).then_some(caps[5] % 80),
            quiet_from_minute: named(10).then_some(quiet[0]),
            quiet_to_minute: named(11).then_some(quiet[1]),
            quiet_holds_warm: named(12).then_some(warm),
            codes_at_night_an_hour: named(13).then_some(caps[5] % 90),
            group_apart_seconds: named(14).then_some(caps[6] % 900),
            group_joined_hours: named(15).then_some(caps[7] % 60),
        };
        let own = platform.with(&by);
        for class in [Class::Reply, Class::Warm, Class::Cold] {
            prop_assert!(own.curve(class).at(q) >= platform.curve(class).at(q));
        }
        let (ours, theirs) = (&own.new_conversations, &platform.new_conversations);
        for day in [0, 2, 3, 9, 10, 29, 30, 1000] {
            prop_assert!(ours.as_ref().unwrap().at(day) <= theirs.as_ref().unwrap().at(day));
            prop_assert!(own.messages.unwrap().day(day) <= platform.messages.unwrap().day(day));
        }
        prop_assert!(own.replies_an_hour <= platform.replies_an_hour);
        for (ours, theirs) in [(own.unanswered.warm, platform.unanswered.warm), (own.unanswered.cold, platform.unanswered.cold)] {
            let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
            prop_assert!(ours.most <= theirs.most && ours.apart >= theirs.apart && ours.within >= theirs.within);
        }
        for quota in [None, Some(10), Some(100_000)] {
            prop_assert!(own.unanswered_in_30_days.unwrap().at(quota) <= platform.unanswered_in_30_days.unwrap().at(quota));
        }
        prop_assert!(own.near_duplicates.unwrap().most <= platform.near_duplicates.unwrap().most);
        let (ours, theirs) = (own.quiet_hours.clone().unwrap(), platform.quiet_hours.clone().unwrap());
        prop_assert!(ours.from_minute <= theirs.from_minute && ours.to_minute >= theirs.to_minute);
        prop_assert!(ours.from_minute >= ours.to_minute + 120);
        prop_assert!(ours.holds_warm || !theirs.holds_warm);
        prop_assert!(ours.codes_an_hour <= theirs.codes_an_hour);
        let (ours, theirs) = (own.groups.unwrap(), platform.groups.unwrap());
        prop_assert!(ours.gap_times >= theirs.gap_times && ours.apart >= theirs.apart && ours.joined_for >= theirs.joined_for);
        // What is accepted is applied as it was asked; what would loosen is refused.
        match platform.tightened(&by) {
            Ok(tightened) => prop_assert_eq!(tightened, own),
            Err(refused) => prop_assert!(refused.pointer.starts_with('/')),
        }
    }
}
