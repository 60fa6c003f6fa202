//! Messages to groups.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::safety::groups::{GroupKey, GroupTimes};

const TEAM: [u8; 6] = [1, 2, 3, 4, 5, 6];
const CLUB: [u8; 6] = [1, 2, 3, 4, 5, 7];

fn to(group: [u8; 6], accepted_at: Millis) -> Candidate {
    Candidate {
        group: Some(GroupKey::of(&group)),
        ..message(Class::Warm, accepted_at)
    }
}

fn sent_to(group: [u8; 6], at: Millis, quantile: f64) -> Sent {
    Sent {
        group: Some(GroupKey::of(&group)),
        ..sent(Class::Warm, at, quantile)
    }
}

/// Returns what a number remembers that sent these.
fn after(sends: &[Sent]) -> State {
    let mut state = State::default();
    for sent in sends {
        state.record(*sent, sent.at);
    }
    state
}

#[test]
fn safety_each_preset_has_its_limits_of_a_group() {
    for (preset, apart, joined) in [
        (Preset::Default, MINUTE, 0),
        (Preset::Strict, MINUTE, 12 * HOUR),
        (Preset::Sandbox, 0, 0),
    ] {
        let policy = policy(preset);
        let state = after(&[sent_to(TEAM, NOON, 0.5)]);
        let known = |joined: &GroupTimes, group| {
            let number = Number {
                joined: Some(joined),
                ..number(&policy, &state, 100)
            };
            let when = earliest(&number, &to(group, NOON), NOON);
            (when.at - NOON, when.why)
        };
        let mut times = GroupTimes::default();
        // A minute from one message to the next, and a moment of thinking.
        let (at, why) = known(&times, TEAM);
        if apart > 0 {
            assert!((apart..apart + 5 * SECOND).contains(&at), "{preset}: {at}");
            assert_eq!(why, Some(Hold::GroupSpacing), "{preset}");
        } else {
            assert!(at <= 8 * SECOND, "{preset}: {at}");
        }
        // Another group waits for the gap only. Nobody knows when the number came there.
        let (at, why) = known(&times, CLUB);
        assert!(at < MINUTE, "{preset}: {at}");
        assert_eq!(why, Some(Hold::Gap), "{preset}");
        // It came there an hour ago.
        times.note(GroupKey::of(&CLUB), NOON - HOUR);
        let (at, why) = known(&times, CLUB);
        if joined > 0 {
            let left = joined - HOUR;
            assert!(at >= left, "{preset}: {at}");
            // It is evening then in UTC, where the members of a group are thought to be.
            assert!(at < left + 12 * HOUR, "{preset}: {at}");
            assert!(why == Some(Hold::NewGroup) || why == Some(Hold::QuietHours));
        } else {
            assert!(at < MINUTE, "{preset}: {at}");
        }
    }
}

#[test]
fn safety_the_gap_before_a_group_is_twice_that_of_a_warm_message() {
    let policy = policy(Preset::Default);
    for q in [0.0, 0.3, 0.5, 0.9, 1.0] {
        let state = after(&[sent(Class::Warm, NOON, q)]);
        let number = Number::new(&policy, &state);
        let (warm, group) = (number.gap(Class::Warm, NOON), number.group_gap(NOON));
        assert!((group - NOON).abs_diff(2 * (warm - NOON)) <= 2, "{q}");
        assert!(group - NOON >= 10 * SECOND);
        let when = earliest(&number, &to(TEAM, NOON - MINUTE), NOON);
        assert_eq!((when.at, when.why), (group, Some(Hold::Gap)));
        // After a reply it is as before any other message.
        let state = after(&[sent(Class::Reply, NOON, q)]);
        let number = Number::new(&policy, &state);
        assert_eq!(number.gap(Class::Warm, NOON), number.group_gap(NOON));
    }
}

#[test]
fn safety_no_group_gets_two_messages_in_a_minute_while_others_pass() {
    let policy = policy(Preset::Default);
    let mut chance = StdRng::seed_from_u64(11);
    let mut state = State::default();
    let mut queue: Vec<_> = (0..20).map(|_| to(TEAM, NOON)).collect();
    queue.extend((0..20).map(|_| message(Class::Warm, NOON)));
    let (mut now, mut last, mut others) = (NOON, Millis::MIN, Vec::new());
    while !queue.is_empty() {
        match decide(&number(&policy, &state, 100), &queue, now) {
            Decision::Send { index, at } => {
                let message = queue.remove(index);
                let new = Sent {
                    group: message.group,
                    ..sent(Class::Warm, at, chance.random())
                };
                state.record(new, now);
                if message.group.is_some() {
                    assert!(at.saturating_sub(last) >= MINUTE, "{at} after {last}");
                    last = at;
                } else {
                    others.push(at);
                }
                now = at;
            }
            Decision::WaitUntil { at, .. } => now = at,
            Decision::Refuse { code, .. } => panic!("{code}"),
        }
    }
    let took = last - NOON;
    assert!((19 * MINUTE..30 * MINUTE).contains(&took), "{took}");
    assert!(others.iter().all(|at| at - NOON < 10 * MINUTE));
}

#[test]
fn safety_a_message_to_a_group_does_not_starve_behind_warm_ones() {
    let policy = policy(Preset::Default);
    for seed in 0..5 {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut state = after(&[sent(Class::Warm, NOON, 0.5)]);
        let mut queue = vec![to(TEAM, NOON)];
        let mut now = NOON;
        let waited = loop {
            // There is always one more warm message.
            while queue.len() < 4 {
                queue.push(message(Class::Warm, now));
            }
            match decide(&number(&policy, &state, 400), &queue, now) {
                Decision::Send { index, at } => {
                    let message = queue.remove(index);
                    state.record(sent(Class::Warm, at, chance.random()), now);
                    now = at;
                    if message.group.is_some() {
                        break at - NOON;
                    }
                }
                Decision::WaitUntil { at, .. } => now = at,
                Decision::Refuse { code, .. } => panic!("{code}"),
            }
        };
        assert!(waited < 20 * MINUTE, "seed {seed}: {waited} ms");
    }
}

#[test]
fn safety_a_reply_does_not_wait_for_a_group() {
    let policy = policy(Preset::Default);
    let state = after(&[sent(Class::Warm, NOON, 1.0)]);
    let number = Number::new(&policy, &state);
    let now = NOON + 21 * SECOND;
    let queue = [
        to(TEAM, NOON - HOUR),
        message(Class::Reply, now - 5 * SECOND),
    ];
    assert!(matches!(
        decide(&number, &queue, now),
        Decision::Send { index: 1, .. }
    ));
    // A warm one does: it came later.
    let queue = [
        to(TEAM, NOON - HOUR),
        message(Class::Warm, now - 5 * SECOND),
    ];
    let later = now + 25 * SECOND;
    assert!(matches!(
        decide(&number, &queue, later),
        Decision::WaitUntil { index: Some(0), .. }
    ));
}

#[test]
fn safety_a_message_to_a_group_that_goes_late_counts_from_then() {
    let policy = policy(Preset::Default);
    let group = GroupKey::of(&TEAM);
    let mut state = after(&[sent_to(TEAM, NOON, 0.5)]);
    state.moved(NOON + 30 * SECOND);
    let text = serde_json::to_string(&state).unwrap();
    let state: State = serde_json::from_str(&text).unwrap();
    let free = |state: &State| Number::new(&policy, state).group(group).0;
    assert_eq!(free(&state), NOON + 90 * SECOND);
    // A clock that was a year ahead stops no group for a year.
    let mut wrong = after(&[sent_to(TEAM, NOON + 365 * DAY, 0.5)]);
    wrong.follow(NOON);
    assert_eq!(free(&wrong), NOON + MINUTE);
    // What is long ago is forgotten.
    let mut state = state;
    state.record(sent(Class::Reply, NOON + HOUR, 0.5), NOON + HOUR);
    assert!(!serde_json::to_string(&state).unwrap().contains("groups"));
}

#[test]
fn safety_what_is_kept_of_groups_is_bounded() {
    let mut times = GroupTimes::default();
    for group in 0..1000_u64 {
        times.note(GroupKey::of(&group.to_be_bytes()[2..]), NOON);
    }
    let json = serde_json::to_string(&times).unwrap();
    assert!(json.len() < 2048, "{} bytes", json.len());
    let last = GroupKey::of(&999_u64.to_be_bytes()[2..]);
    assert_eq!(times.after(last, Duration::from_mins(1)), NOON + MINUTE);
    times.forget(Duration::from_mins(1), NOON + MINUTE);
    assert_eq!(times, GroupTimes::default());
}
