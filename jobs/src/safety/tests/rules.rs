//! The rules of a decision, one by one.

use super::*;
use crate::safety::level::Level;

fn after(sends: &[Sent]) -> State {
    let mut state = State::default();
    for sent in sends {
        state.record(*sent, sent.at);
    }
    state
}

fn at(policy: &Policy, state: &State, candidate: &Candidate, now: Millis) -> Millis {
    earliest(&Number::new(policy, state), candidate, now).at
}

#[test]
fn safety_gaps_follow_from_the_quantile_of_the_last_message_of_each_kind() {
    let policy = policy(Preset::Default);
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap();
    let cold = message(Class::Cold, 0);
    let (reply, warm) = (message(Class::Reply, 0), message(Class::Warm, 0));
    for q in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let state = after(&[
            sent(Class::Cold, NOON, 0.5),
            sent(Class::Warm, NOON + 10 * SECOND, 0.25),
            sent(Class::Reply, NOON + 13 * SECOND, q),
        ]);
        let last = NOON + 13 * SECOND;
        let close = |a: Millis, b: Millis| (a - b).abs() <= 1;
        let from_any = last + ms(policy.reply.at(q));
        assert!(close(at(&policy, &state, &reply, last), from_any));
        let from_warm = NOON + 10 * SECOND + ms(policy.warm.at(0.25));
        let both = from_any.max(from_warm);
        assert!(close(at(&policy, &state, &warm, last), both));
        let from_cold = NOON + ms(policy.cold.at(0.5));
        let both = from_cold.max(last + ms(policy.reply.at(q)).max(5 * SECOND));
        assert!(close(at(&policy, &state, &cold, last), both));
    }
}

#[test]
fn safety_idle_time_earns_nothing() {
    let policy = policy(Preset::Default);
    let state = after(&[sent(Class::Reply, NOON, 0.123_456_7)]);
    let now = NOON + 10 * HOUR;
    let mut reply = message(Class::Reply, now);
    reply.typing = Duration::from_secs(2);
    let when = earliest(&Number::new(&policy, &state), &reply, now);
    let waited = when.at - now;
    assert!((3 * SECOND..=5 * SECOND).contains(&waited), "{waited}");
    assert_eq!(when.why, Some(Hold::Thinking));
    assert_eq!(when.at - when.from, 2 * SECOND);
    // It does not move while the clock does.
    let later = earliest(&Number::new(&policy, &state), &reply, when.from);
    assert_eq!(later.at, when.at);
    let begins = decide(&Number::new(&policy, &state), &[reply], when.from);
    assert_eq!(
        begins,
        Decision::Send {
            index: 0,
            at: when.at
        }
    );
}

#[test]
fn safety_a_number_that_was_away_thinks_before_it_goes_on() {
    let policy = policy(Preset::Default);
    let state = after(&[sent(Class::Reply, NOON, 0.5)]);
    let reply = message(Class::Reply, NOON + MINUTE);
    let mut number = Number::new(&policy, &state);
    number.able_since = NOON + HOUR;
    let when = earliest(&number, &reply, NOON + HOUR);
    assert!(when.at >= NOON + HOUR + SECOND);
}

#[test]
fn safety_replies_go_first_and_then_warm_messages_and_priority_counts_within_a_class() {
    let policy = policy(Preset::Default);
    let state = State::default();
    let number = Number::new(&policy, &state);
    let now = NOON + MINUTE;
    let mut messages = vec![
        message(Class::Cold, NOON),
        message(Class::Warm, NOON),
        message(Class::Warm, NOON),
        message(Class::Reply, NOON),
    ];
    messages[2].priority = 1;
    for expected in [3, 2, 1, 0] {
        let Decision::Send { index, .. } = decide(&number, &messages, now) else {
            panic!("nothing is sent");
        };
        assert_eq!(index, expected);
        messages[index].follows = true;
    }
    let nothing = decide(&number, &messages, now);
    assert!(matches!(
        nothing,
        Decision::WaitUntil {
            index: None,
            at: Millis::MAX,
            ..
        }
    ));
}

#[test]
fn safety_a_message_that_waits_long_goes_with_the_class_before() {
    let policy = policy(Preset::Default);
    let state = State::default();
    let number = Number::new(&policy, &state);
    for (waited, expected) in [(29, 1), (30, 0)] {
        let now = NOON + waited * MINUTE;
        let messages = [
            message(Class::Cold, NOON),
            message(Class::Reply, NOON + MINUTE),
        ];
        let decision = decide(&number, &messages, now);
        assert!(matches!(decision, Decision::Send { index, .. } if index == expected));
    }
}

#[test]
fn safety_state_survives_a_restart_and_stays_small() {
    let mut state = State::default();
    for i in 0..5000 {
        let class = [Class::Reply, Class::Warm, Class::Cold][i % 3];
        let at = NOON + i64::try_from(i).unwrap() * 9 * MINUTE;
        state.record(
            sent(
                class,
                at,
                0.123_456_789 + f64::from(u8::try_from(i % 7).unwrap()) / 10.0,
            ),
            at,
        );
        let json = serde_json::to_string(&state).unwrap();
        assert!(json.len() < 4096, "{} bytes", json.len());
        let back: State = serde_json::from_str(&json).unwrap();
        assert_eq!(back, state);
    }
    assert_eq!(
        serde_json::from_str::<State>("{}").unwrap(),
        State::default()
    );
}

#[test]
fn safety_a_message_written_later_than_planned_moves_the_next_one() {
    let policy = policy(Preset::Default);
    let mut state = after(&[sent(Class::Cold, NOON, 0.5)]);
    let before = state.earliest_by_gap(&policy, Class::Cold, 1);
    state.moved(NOON + 7 * SECOND);
    for class in [Class::Reply, Class::Warm, Class::Cold] {
        assert!(state.earliest_by_gap(&policy, class, 1) > NOON + 8 * SECOND);
    }
    assert_eq!(
        state.earliest_by_gap(&policy, Class::Cold, 1),
        before + 7 * SECOND
    );
    state.moved(NOON);
    assert_eq!(
        state.earliest_by_gap(&policy, Class::Cold, 1),
        before + 7 * SECOND
    );
}

#[test]
fn safety_a_message_that_moves_into_the_next_hour_is_counted_there() {
    let hour = NOON + HOUR - SECOND;
    let mut state = after(&[sent(Class::Cold, hour, 0.5)]);
    state.moved(hour + 5 * SECOND);
    let counts = |state: &State, now: Millis| {
        let windows = [
            state.hour.count(now),
            state.day.count(now),
            state.new.count(now),
        ];
        [
            windows[0],
            windows[1],
            windows[2],
            state.unanswered.count(now),
        ]
    };
    // An hour, a day and 30 days after it was really written it still counts.
    let written = hour + 5 * SECOND;
    assert_eq!(counts(&state, written + HOUR - 1), [1, 1, 1, 1]);
    assert_eq!(counts(&state, written + DAY - 1), [0, 1, 1, 1]);
    assert_eq!(counts(&state, written + DAY + HOUR), [0, 0, 0, 1]);
}

#[test]
fn safety_what_a_clock_that_went_back_notes_is_no_older_than_what_it_noted_before() {
    let policy = policy(Preset::Default);
    let mut state = after(&[sent(Class::Cold, NOON, 0.5)]);
    let before = state.earliest_by_gap(&policy, Class::Cold, 1);
    state.record(sent(Class::Cold, NOON - HOUR, 0.5), NOON - HOUR);
    assert_eq!(state.earliest_by_gap(&policy, Class::Cold, 1), before);
    assert_eq!(state.hour.count(NOON + HOUR - 1), 2);
}

#[test]
fn safety_a_clock_that_was_years_ahead_does_not_stop_a_number_for_years() {
    let policy = policy(Preset::Default);
    let mut state = after(&[sent(Class::Cold, NOON + 3000 * DAY, 0.5)]);
    state.follow(NOON);
    let next = state.earliest_by_gap(&policy, Class::Cold, 1);
    assert!((NOON + 30 * SECOND..NOON + 3 * MINUTE).contains(&next));
    assert_eq!(state.new.count(NOON), 1);
    // A clock that is wrong by an hour is waited for.
    let mut state = after(&[sent(Class::Cold, NOON + HOUR, 0.5)]);
    state.follow(NOON);
    assert!(state.earliest_by_gap(&policy, Class::Cold, 1) > NOON + HOUR);
}

#[test]
fn safety_a_limit_that_grows_tomorrow_lets_more_go_tomorrow() {
    let policy = policy(Preset::Default);
    let mut state = State::default();
    for count in 0..20 {
        let at = NOON - HOUR + count * SECOND;
        state.record(sent(Class::Cold, at, 0.5), at);
    }
    // Tomorrow the number is ten days old and may begin 50 conversations a day.
    let mut number = Number {
        age: Duration::from_hours(9 * 24 + 22),
        ..Number::new(&policy, &state)
    };
    let held = number.limit(Class::Cold, true, NOON, NOON);
    assert_eq!(held, Some((NOON + 2 * HOUR, Hold::NewConversations)));
    number.age = days(8);
    let (at, _) = number.limit(Class::Cold, true, NOON, NOON).unwrap();
    assert_eq!(at, NOON + DAY);
}

#[test]
fn safety_a_warning_by_whatsapp_divides_the_limit_of_new_conversations() {
    let policy = policy(Preset::Default);
    let state = State::default();
    for (by, most) in [(1, 250), (2, 125), (4, 62), (0, 250), (1000, 1)] {
        let number = Number {
            age: days(100),
            new_divided_by: by,
            ..Number::new(&policy, &state)
        };
        assert_eq!(number.new_cap(NOON, NOON), Some(most));
    }
}

#[test]
fn safety_a_reply_is_taken_while_its_gap_ends_and_nothing_else_is() {
    let policy = policy(Preset::Default);
    let state = after(&[sent(Class::Reply, NOON, 0.9)]);
    let number = Number::new(&policy, &state);
    for (class, is_taken) in [(Class::Reply, true), (Class::Warm, false)] {
        let messages = [message(class, NOON)];
        let at = earliest(&number, &messages[0], NOON).at;
        assert!(at > NOON + 5 * SECOND, "{at}");
        for (before, is_near) in [(5 * SECOND, false), (3 * SECOND, true)] {
            let now = at - before;
            let decision = decide(&number, &messages, now);
            assert!(matches!(decision, Decision::WaitUntil { .. }));
            let taken = early(&decision, &number, &messages, now);
            let expected = Decision::Send { index: 0, at };
            assert_eq!(taken, Some(expected).filter(|_| is_taken && is_near));
        }
    }
}

#[test]
fn safety_a_message_that_counts_already_waits_for_no_limit_that_it_fills() {
    let policy = policy(Preset::Default);
    let mut state = State::default();
    let now = NOON + HOUR;
    for n in 0..20 {
        state.record(sent(Class::Cold, NOON + n * MINUTE, 0.5), NOON + n * MINUTE);
    }
    let mut number = Number::new(&policy, &state);
    let mut counted = message(Class::Cold, NOON + 40 * MINUTE);
    let held = decide(&number, std::slice::from_ref(&counted), now);
    let why = Some(Hold::NewConversations);
    assert!(matches!(held, Decision::WaitUntil { why: held, .. } if held == why));
    counted.is_counted = true;
    let sends = decide(&number, std::slice::from_ref(&counted), now);
    assert!(matches!(sends, Decision::Send { .. }), "{sends:?}");
    // But for the number's health.
    number.level = Level::Locked;
    let held = decide(&number, &[counted], now);
    assert!(matches!(
        held,
        Decision::WaitUntil {
            why: Some(Hold::Health),
            ..
        }
    ));
}
