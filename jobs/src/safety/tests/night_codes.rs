//! Codes that go although it is night where their recipients are.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{
    model::Purpose,
    safety::{
        estimate::{Own, estimate},
        quiet::Zones,
    },
};

/// Eleven at night in UTC.
const NIGHT: Millis = NOON + 11 * HOUR;
const MORNING: Millis = NOON + 20 * HOUR;

fn code(class: Class, purpose: Purpose, accepted_at: Millis) -> Candidate {
    Candidate {
        purpose: Some(purpose),
        ..message(class, accepted_at)
    }
}

/// A number that sent so many codes this night.
fn after(count: u32, at: Millis) -> State {
    let mut state = State::default();
    for _ in 0..count {
        let sent = Sent {
            is_at_night: true,
            is_new_conversation: false,
            ..sent(Class::Warm, at, 0.5)
        };
        state.record(sent, at);
    }
    // The limits of an hour and a day are other ones.
    state.hour.forget(at + DAY);
    state.day.forget(at + 2 * DAY);
    state
}

#[test]
fn safety_codes_at_night_have_sixty_places_an_hour() {
    use Class::{Cold, Reply, Warm};
    use Purpose::{Code, Delivery, Security};
    let (default, strict) = (Preset::Default, Preset::Strict);
    for (preset, class, purpose, is_limited) in [
        (default, Cold, Code, true),
        (default, Cold, Security, true),
        // These pass in the preset `default`, and are no codes.
        (default, Cold, Delivery, false),
        // Warm messages keep no quiet hours there.
        (default, Warm, Code, false),
        (default, Reply, Code, false),
        (strict, Cold, Code, true),
        (strict, Warm, Security, true),
        (strict, Reply, Code, false),
    ] {
        let policy = policy(preset);
        let now = NIGHT + 10 * MINUTE;
        let held = |count: u32| {
            let state = after(count, NIGHT);
            let number = number(&policy, &state, 100);
            let when = earliest(&number, &code(class, purpose, now), now);
            (when.at, when.why)
        };
        let what = format!("{preset} {class:?} {purpose:?}");
        assert!(held(59).0 < now + 5 * MINUTE, "{what}");
        assert_ne!(held(59).1, Some(Hold::CodesAtNight), "{what}");
        let (at, why) = held(60);
        assert_eq!(why == Some(Hold::CodesAtNight), is_limited, "{what}");
        if is_limited {
            let window = NIGHT + HOUR..NIGHT + HOUR + 6 * MINUTE;
            assert!(window.contains(&at), "{what}: {at}");
        }
        // By day nothing counts.
        let noon = NOON + DAY;
        let state = after(60, noon);
        let number = number(&policy, &state, 100);
        let when = earliest(&number, &code(class, purpose, noon), noon);
        assert!(when.at < noon + 5 * MINUTE, "{what}");
    }
    assert!(policy(Preset::Sandbox).quiet_hours.is_none());
}

#[test]
fn safety_a_code_waits_no_longer_than_for_the_morning() {
    let policy = policy(Preset::Strict);
    let now = MORNING - 10 * MINUTE;
    let state = after(60, now - MINUTE);
    let number = number(&policy, &state, 100);
    let waits = code(Class::Cold, Purpose::Code, now);
    let when = earliest(&number, &waits, now);
    assert_eq!(when.why, Some(Hold::CodesAtNight));
    assert!(
        (MORNING..MORNING + MINUTE).contains(&when.at),
        "{}",
        when.at
    );
    // Who tries the number out, and who is where it is day, need not wait.
    let trial = Candidate {
        is_trial: true,
        ..waits.clone()
    };
    let away = Candidate {
        zones: Zones::named("Asia/Tokyo").unwrap(),
        ..waits
    };
    for other in [trial, away] {
        assert!(earliest(&number, &other, now).at < now + MINUTE);
    }
}

#[test]
fn safety_no_hour_of_the_night_has_more_than_sixty_codes() {
    let policy = policy(Preset::Strict);
    let mut chance = StdRng::seed_from_u64(5);
    let mut state = State::default();
    let waiting = code(Class::Warm, Purpose::Code, NIGHT);
    let (mut now, mut times) = (NIGHT, Vec::new());
    let own = Own {
        morning: waiting.morning(&policy, NIGHT),
        ..Own::of(Class::Warm)
    };
    assert_eq!(own.morning, Some(MORNING));
    let fresh = number(&policy, &state, 100);
    let (half, by) = estimate(&fresh, own, &[0, 149, 0].into(), NIGHT);
    let mut queue = vec![waiting; 150];
    while !queue.is_empty() {
        match decide(&number(&policy, &state, 100), &queue, now) {
            Decision::Send { index, at } => {
                let message = queue.remove(index);
                let new = Sent {
                    is_at_night: message.morning(&policy, at).is_some(),
                    ..sent(Class::Warm, at, chance.random())
                };
                state.record(new, now);
                times.push(at);
                now = at;
            }
            Decision::WaitUntil { at, .. } => now = at,
            Decision::Refuse { code, .. } => panic!("{code}"),
        }
    }
    for pair in times.windows(61) {
        assert!(
            pair[60] - pair[0] >= HOUR,
            "61 in {} ms",
            pair[60] - pair[0]
        );
    }
    // The estimate knew it.
    let last = times[149];
    assert!(
        half <= last + 20 * MINUTE && last <= by,
        "{half} {last} {by}"
    );
    assert!(half >= NIGHT + 2 * HOUR, "{half}");
}

#[test]
fn safety_a_code_that_goes_late_at_night_counts_from_then() {
    let policy = policy(Preset::Strict);
    let mut state = after(60, NIGHT);
    state.moved(NIGHT + 20 * MINUTE);
    let text = serde_json::to_string(&state).unwrap();
    let state: State = serde_json::from_str(&text).unwrap();
    let number = number(&policy, &state, 100);
    // 59 leave after an hour, and the last one later.
    assert_eq!(number.state.night.count(NIGHT + HOUR + 6 * MINUTE), 1);
    assert!(number.night(MORNING, NIGHT + 20 * MINUTE) < NIGHT + HOUR + 6 * MINUTE);
}
