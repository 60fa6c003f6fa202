//! When a message goes that is accepted behind others to the same contact or group.

use super::*;
use crate::{
    model::{Ahead, Later},
    safety::{
        groups::GroupKey,
        turn::{Before, Turn},
    },
};

/// A number that may begin one more conversation today.
fn nearly_full(preset: Preset) -> State {
    let most = policy(preset).new_conversations.unwrap().at(0);
    let mut state = State::default();
    for count in 1..most {
        let at = NOON - HOUR + i64::from(count) * MINUTE;
        state.record(sent(Class::Cold, at, 0.5), at);
    }
    state.hour.forget(NOON + DAY);
    state
}

fn behind(same: i64, cold: i64) -> Before {
    Before {
        all: [0, 0, cold].into(),
        same,
        same_now: same,
    }
}

#[test]
fn safety_what_waits_behind_the_first_message_to_its_contact_begins_no_conversation() {
    let policy = policy(Preset::Default);
    let state = nearly_full(Preset::Default);
    let number = number(&policy, &state, 0);
    let candidate = message(Class::Cold, NOON);
    let turn = |before: Before| Turn::of(&number, &candidate, &before, NOON);
    // The first one takes the last place of the day, the second one follows ten minutes later.
    let first = turn(behind(0, 0));
    assert!(first.at < NOON + 5 * MINUTE, "{first:?}");
    let second = turn(behind(1, 1));
    assert!(second.answered < NOON + 5 * MINUTE, "{second:?}");
    let apart = second.at - first.at;
    assert!((9 * MINUTE..15 * MINUTE).contains(&apart), "{second:?}");
    assert!(second.by >= second.at);
    // One to somebody else waits for a place until tomorrow.
    let other = turn(behind(0, 1));
    assert!(other.answered > NOON + 20 * HOUR, "{other:?}");
    // So does one whose contact's first message has to wait for a place itself.
    let third = turn(behind(1, 2));
    assert!(third.answered > NOON + 20 * HOUR, "{third:?}");
    // A first message that is held is not counted by class.
    let held = Before {
        same_now: 0,
        ..behind(1, 0)
    };
    assert!(turn(held).answered < NOON + 5 * MINUTE);
}

#[test]
fn safety_an_estimate_keeps_the_distance_of_messages_that_nobody_answers() {
    for (preset, class, least) in [
        (Preset::Default, Class::Cold, 20 * MINUTE),
        (Preset::Default, Class::Warm, 20 * MINUTE),
        (Preset::Strict, Class::Cold, 30 * DAY),
        (Preset::Strict, Class::Warm, 6 * SECOND),
        (Preset::Default, Class::Reply, 6 * SECOND),
    ] {
        let policy = policy(preset);
        let state = State::default();
        let number = number(&policy, &state, 0);
        let candidate = message(class, NOON);
        let turn = Turn::of(&number, &candidate, &behind(2, 0), NOON);
        let waits = turn.at - NOON;
        assert!(
            (least..least + 5 * MINUTE).contains(&waits),
            "{preset} {class:?}: {turn:?}"
        );
        // An answer may come at any time. So it is no reason to refuse.
        assert!(turn.answered < NOON + 10 * MINUTE, "{preset} {class:?}");
    }
}

#[test]
fn safety_an_estimate_knows_what_waits_for_the_same_group() {
    let candidate = Candidate {
        group: Some(GroupKey::of(b"a group")),
        ..message(Class::Warm, NOON)
    };
    for (preset, apart) in [(Preset::Default, MINUTE), (Preset::Sandbox, 0)] {
        let policy = policy(preset);
        let state = State::default();
        let number = number(&policy, &state, 100);
        for same in [0, 1, 30] {
            let before = Before {
                all: [0, same, 0].into(),
                same,
                same_now: same,
            };
            let turn = Turn::of(&number, &candidate, &before, NOON);
            assert!(turn.answered >= NOON + same * apart, "{preset} {same}");
            assert!(turn.answered < NOON + same * (apart + 20 * SECOND) + MINUTE);
            assert_eq!(turn.at, turn.answered);
        }
    }
}

#[test]
fn safety_an_estimate_counts_first_messages_that_are_held_already() {
    let policy = policy(Preset::Default);
    let mut state = nearly_full(Preset::Default);
    state.record(sent(Class::Cold, NOON - MINUTE, 0.5), NOON);
    let number = number(&policy, &state, 0);
    let candidate = message(Class::Cold, NOON);
    let from = earliest(&number, &candidate, NOON).from;
    assert!(from > NOON + 20 * HOUR);
    let held = |count| {
        let held = Later {
            at: from,
            class: Class::Cold,
            count,
        };
        Ahead::new([0; 3], vec![held])
    };
    let most = policy.new_conversations.as_ref().unwrap();
    let most = i64::from(most.at(0));
    for (count, days) in [
        (0, 0),
        (most - 1, 0),
        (most, 1),
        (3 * most, 3),
        (10 * most, 9),
    ] {
        let before = Before {
            all: held(count),
            ..Before::default()
        };
        let turn = Turn::of(&number, &candidate, &before, NOON);
        let waits = turn.at - from;
        assert!(waits >= days * DAY, "{count}: {waits}");
        assert!(waits < (days + 1) * DAY + 12 * HOUR, "{count}: {waits}");
        assert!(turn.by >= turn.at);
    }
    // Those to its own contact begin one conversation, whether they are held or not.
    let before = Before {
        all: held(1),
        same: 1,
        same_now: 0,
    };
    let turn = Turn::of(&number, &candidate, &before, NOON);
    assert!(turn.answered < from + HOUR, "{turn:?}");
}
