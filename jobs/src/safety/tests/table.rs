//! The table of the presets, row by row.

use crate::model::Purpose;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::safety::{contact::Contact, level::Level};

#[test]
fn safety_each_preset_has_its_own_hash_and_shows_every_limit() {
    let hashes: Vec<_> = [Preset::Default, Preset::Strict, Preset::Sandbox]
        .map(|preset| policy(preset).hash())
        .into();
    assert!(hashes.iter().all(|hash| hash.len() == 64));
    assert_ne!(hashes[0], hashes[1]);
    assert_ne!(hashes[1], hashes[2]);
    assert_eq!(policy(Preset::Default).hash(), hashes[0]);
    let shown = serde_json::to_value(policy(Preset::Default)).unwrap();
    assert_eq!(shown["preset"], "default");
    assert_eq!(shown["reply"]["floor_ms"], 2000);
    assert_eq!(shown["quiet_hours"]["pass"][0], "order");
    let shown = serde_json::to_value(policy(Preset::Sandbox)).unwrap();
    assert_eq!(shown["new_conversations"], serde_json::Value::Null);
}

#[test]
fn safety_new_conversations_a_day_grow_with_the_age_of_the_number() {
    for (preset, table) in [
        (
            Preset::Default,
            vec![(0, 20), (9, 20), (10, 50), (29, 50), (30, 250), (900, 250)],
        ),
        (
            Preset::Strict,
            vec![
                (0, 5),
                (2, 5),
                (3, 10),
                (9, 10),
                (10, 20),
                (29, 20),
                (30, 50),
            ],
        ),
    ] {
        let policy = policy(preset);
        for (age, most) in table {
            let mut state = State::default();
            let mut now = NOON;
            // Warm messages do not count.
            state.record(sent(Class::Warm, now, 0.5), now);
            for _ in 0..most {
                let number = number(&policy, &state, age);
                assert_eq!(
                    number.limit(Class::Cold, true, now, now),
                    None,
                    "{preset} {age}"
                );
                state.record(sent(Class::Cold, now, 0.5), now);
                state.answered(&[now], true, now);
                // The hour's limit is another one.
                now += 130 * SECOND;
                state.hour.forget(now + DAY);
            }
            let number = number(&policy, &state, age);
            let held = number.limit(Class::Cold, true, now, now);
            assert_eq!(
                held.map(|(_, hold)| hold),
                Some(Hold::NewConversations),
                "{preset} {age}"
            );
            assert_eq!(number.limit(Class::Cold, false, now, now), None);
            assert_eq!(number.new_cap(now, now), Some(most));
        }
    }
}

#[test]
fn safety_messages_that_are_no_replies_grow_each_day() {
    for (preset, table) in [
        (
            Preset::Default,
            vec![
                (0, 150),
                (1, 225),
                (2, 338),
                (3, 506),
                (6, 1709),
                (7, 2000),
                (5000, 2000),
            ],
        ),
        (
            Preset::Strict,
            vec![
                (0, 40),
                (1, 54),
                (2, 73),
                (3, 98),
                (7, 327),
                (10, 804),
                (11, 1000),
                (5000, 1000),
            ],
        ),
    ] {
        let policy = policy(preset);
        for (age, most) in table {
            let state = State::default();
            let number = number(&policy, &state, age);
            assert_eq!(number.day_cap(NOON, NOON), Some(most), "{preset} {age}");
            assert_eq!(number.hour_cap(NOON, NOON), Some(most / 5));
        }
        let (day, hour) = if preset == Preset::Default {
            (150, 30)
        } else {
            (40, 8)
        };
        let mut state = State::default();
        let mut now = NOON;
        for count in 0..day {
            if count > 0 && count % hour == 0 {
                let number = number(&policy, &state, 0);
                let (at, hold) = number.limit(Class::Warm, false, now, now).unwrap();
                assert_eq!(hold, Hold::Hour);
                now = at;
            }
            assert_eq!(
                number(&policy, &state, 0).limit(Class::Warm, false, now, now),
                None
            );
            state.record(sent(Class::Warm, now, 0.5), now);
            now += SECOND;
        }
        let (at, hold) = number(&policy, &state, 0)
            .limit(Class::Warm, false, now, now)
            .unwrap();
        assert_eq!(hold, Hold::Day);
        assert!((NOON + 12 * HOUR..=NOON + 25 * HOUR).contains(&at));
    }
}

#[test]
fn safety_replies_have_six_hundred_places_an_hour_and_no_other_limit() {
    for preset in [Preset::Default, Preset::Strict] {
        let policy = policy(preset);
        let mut state = State::default();
        for second in 0..600 {
            let now = NOON + second * SECOND;
            assert_eq!(
                number(&policy, &state, 0).limit(Class::Reply, false, now, now),
                None
            );
            state.record(sent(Class::Reply, now, 0.5), now);
        }
        let now = NOON + 600 * SECOND;
        let (at, hold) = number(&policy, &state, 0)
            .limit(Class::Reply, false, now, now)
            .unwrap();
        assert_eq!(hold, Hold::Replies);
        assert!((NOON + HOUR..=NOON + HOUR + 5 * MINUTE).contains(&at));
        assert_eq!(
            number(&policy, &state, 0).limit(Class::Warm, false, now, now),
            None
        );
    }
}

#[test]
fn safety_a_contact_who_does_not_answer_gets_few_messages() {
    let free = |preset, class, sent: &[Millis]| {
        let contact = Contact {
            unanswered: sent.to_vec(),
            ..Contact::default()
        };
        contact.unanswered_free_at(&policy(preset), class)
    };
    for class in [Class::Warm, Class::Cold] {
        assert_eq!(free(Preset::Default, class, &[]), Millis::MIN);
        assert_eq!(free(Preset::Default, class, &[NOON]), NOON + 10 * MINUTE);
        let four = [NOON, NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR];
        assert_eq!(free(Preset::Default, class, &four), NOON + 7 * DAY);
    }
    assert_eq!(free(Preset::Strict, Class::Cold, &[NOON]), NOON + DAY);
    assert_eq!(
        free(Preset::Strict, Class::Cold, &[NOON, NOON + 2 * DAY]),
        NOON + 30 * DAY
    );
    assert_eq!(
        free(Preset::Default, Class::Reply, &[NOON; 30]),
        Millis::MIN
    );
    assert_eq!(free(Preset::Sandbox, Class::Cold, &[NOON; 30]), Millis::MIN);
}

#[test]
fn safety_unanswered_messages_of_thirty_days_follow_the_quota() {
    for (preset, quota, most) in [
        (Preset::Default, None, 1000),
        (Preset::Default, Some(500), 400),
        (Preset::Default, Some(3000), 2400),
        (Preset::Strict, None, 200),
        (Preset::Strict, Some(100), 80),
        (Preset::Strict, Some(3000), 200),
    ] {
        let policy = policy(preset);
        let mut state = State::default();
        for count in 0..most {
            state.record(
                sent(Class::Cold, NOON + i64::from(count) * 15 * MINUTE, 0.5),
                NOON,
            );
        }
        let now = NOON + 29 * DAY;
        let mut number = number(&policy, &state, 100);
        number.quota = quota;
        let held = number.limit(Class::Cold, false, now, now);
        assert_eq!(
            held.map(|(_, hold)| hold),
            Some(Hold::UnansweredIn30Days),
            "{preset} {quota:?}"
        );
        assert_eq!(number.limit(Class::Warm, false, now, now), None);
        let mut answered = state.clone();
        answered.answered(&[NOON], true, now);
        number.state = &answered;
        assert_eq!(
            number.limit(Class::Cold, false, now, now),
            None,
            "one was answered"
        );
    }
}

#[test]
fn safety_too_few_answers_double_the_gaps_or_stop_new_conversations() {
    for (preset, least) in [(Preset::Default, 50), (Preset::Strict, 20)] {
        let policy = policy(preset);
        let mut state = State::default();
        for count in 0..i64::from(least) {
            let begun = NOON + count * HOUR;
            assert!(!is_affected(&policy, &state, begun), "{preset} {count}");
            state.record(sent(Class::Cold, begun, 0.5), begun);
        }
        let now = NOON + i64::from(least) * HOUR;
        assert!(is_affected(&policy, &state, now), "{preset}");
        // 15 % of 50 are 7.5, of 20 they are 3.
        let enough = if least == 50 { 8 } else { 3 };
        for count in 0..enough {
            assert!(is_affected(&policy, &state, now));
            state.answered(&[NOON + count * HOUR], true, now);
        }
        assert!(!is_affected(&policy, &state, now));
    }
}

/// Returns whether too few answers change what the number may do.
fn is_affected(policy: &Policy, state: &State, now: Millis) -> bool {
    let number = number(policy, state, 100);
    if policy.preset == Preset::Default {
        assert_eq!(number.gap_factor(Class::Reply, now), 1);
        return number.gap_factor(Class::Warm, now) == 2;
    }
    let held = number
        .limit(Class::Cold, true, now, now)
        .map(|(_, hold)| hold);
    assert_eq!(number.limit(Class::Cold, false, now, now), None);
    assert_eq!(number.limit(Class::Warm, false, now, now), None);
    held == Some(Hold::ReplyRatio)
}

#[test]
fn safety_each_level_of_health_lets_less_through() {
    let policy = policy(Preset::Default);
    let mut state = State::default();
    state.record(sent(Class::Cold, NOON, 0.5), NOON);
    let classes = [Class::Reply, Class::Warm, Class::Cold];
    for (level, lets) in [
        (Level::Ok, [true, true, true]),
        (Level::Slow, [true, true, true]),
        (Level::ColdStop, [true, true, false]),
        (Level::ReplyOnly, [true, false, false]),
        (Level::Paused, [false, false, false]),
        (Level::Locked, [false, false, false]),
    ] {
        let mut number = number(&policy, &state, 100);
        number.level = level;
        number.level_until = Some(NOON + DAY);
        let open = classes.map(|class| number.limit(class, false, NOON, NOON).is_none());
        assert_eq!(open, lets, "{level}");
        let times = if level == Level::Ok { 1 } else { 2 };
        assert_eq!(number.gap_factor(Class::Reply, NOON), times);
        assert_eq!(number.new_cap(NOON, NOON), Some(250 / times));
        assert_eq!(number.replies_cap(), Some(600 / times));
    }
}

#[test]
fn safety_the_sandbox_keeps_one_gap_for_all_and_no_other_limit() {
    let policy = policy(Preset::Sandbox);
    let mut state = State::default();
    let mut chance = StdRng::seed_from_u64(7);
    let mut now = NOON;
    for count in 0..2000_usize {
        let class = [Class::Reply, Class::Warm, Class::Cold][count % 3];
        let mut message = Candidate::new(class, NOON);
        message.typing = policy.typing(100, state.quantile());
        message.contact.unanswered = vec![now - 1; 30];
        assert_eq!(message.typing, Duration::from_secs(1));
        let at = earliest(&number(&policy, &state, 0), &message, now).at;
        if count > 0 {
            assert!(
                (2 * SECOND..=8 * SECOND).contains(&(at - now)),
                "{}",
                at - now
            );
        }
        state.record(sent(class, at, chance.random()), now);
        now = at;
    }
}

#[test]
fn safety_a_number_that_rested_for_two_weeks_is_new_again_in_strict() {
    for (preset, before, after) in [(Preset::Strict, 50, 5), (Preset::Default, 250, 250)] {
        let policy = policy(preset);
        let mut state = State::default();
        state.record(sent(Class::Reply, NOON, 0.5), NOON);
        let caps = |state: &State, at: Millis| {
            let number = Number {
                age: Duration::from_millis(u64::try_from(at - NOON).unwrap()) + days(100),
                ..Number::new(&policy, state)
            };
            (number.new_cap(at, at), number.day_cap(at, at))
        };
        let soon = NOON + 13 * DAY;
        assert_eq!(caps(&state, soon).0, Some(before));
        let late = NOON + 14 * DAY;
        assert_eq!(caps(&state, late).0, Some(after), "{preset}");
        state.record(sent(Class::Reply, late, 0.5), late);
        let next = late + 2 * DAY;
        assert_eq!(caps(&state, next).0, Some(after));
        assert_eq!(
            caps(&state, next).1,
            policy.messages.map(|growth| growth.most)
        );
        state.begin_again(next);
        let new = policy.new_conversations.as_ref().unwrap().at(0);
        assert_eq!(caps(&state, next).0, Some(new));
    }
}

/// Sends to a thousand people who all agreed and all answer. Returns how many days that took.
fn days_for_a_thousand(preset: Preset, age: u32) -> i64 {
    let policy = policy(preset);
    let mut state = State::default();
    let mut chance = StdRng::seed_from_u64(u64::from(age));
    let (mut now, mut left) = (NOON, 1000);
    while left > 0 {
        let passed = Duration::from_millis(u64::try_from(now - NOON).unwrap());
        let number = Number {
            age: days(age) + passed,
            ..Number::new(&policy, &state)
        };
        let mut cold = message(Class::Cold, NOON);
        cold.purpose = Some(Purpose::Code);
        match decide(&number, std::slice::from_ref(&cold), now) {
            Decision::Send { at, .. } => {
                state.record(sent(Class::Cold, at, chance.random()), now);
                state.answered(&[at], true, at);
                (now, left) = (at, left - 1);
            }
            Decision::WaitUntil { at, .. } => now = at,
            Decision::Refuse { code, .. } => panic!("{code}"),
        }
    }
    (now - NOON) / DAY
}

#[test]
fn safety_a_thousand_new_recipients_take_the_days_that_the_limits_say() {
    for (preset, age, least) in [
        (Preset::Default, 0, 25),
        (Preset::Default, 10, 19),
        (Preset::Default, 100, 3),
        (Preset::Strict, 0, 40),
        (Preset::Strict, 100, 19),
    ] {
        let took = days_for_a_thousand(preset, age);
        eprintln!("{preset}, {age} days old: {took} days");
        assert!(took >= least, "{preset}, {age} days old: {took} days");
        assert!(took <= least + 5, "{preset}, {age} days old: {took} days");
    }
}
