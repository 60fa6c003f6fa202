use Level::{ColdStop, Locked, Ok, Paused, ReplyOnly, Slow};

use super::*;
use crate::model::number::FirstMessage;

const NOW: Millis = 1_800_000_000_000;
const MINUTE: Millis = 60_000;

fn lock(ends_at: Option<Millis>) -> Signal {
    Signal::Timelock(Timelock {
        told_at: NOW,
        is_active: true,
        kind: Some("RESTRICT_ALL_COMPANIONS".to_owned()),
        ends_at,
    })
}

fn no_lock() -> Signal {
    Signal::Timelock(Timelock {
        told_at: NOW,
        is_active: false,
        kind: Some("DEFAULT".to_owned()),
        ends_at: None,
    })
}

fn capping(status: &str) -> Capping {
    Capping {
        told_at: NOW,
        status: status.to_owned(),
        total: Some(300),
        used: Some(200),
        cycle_start: Some(NOW - DAY),
        cycle_end: Some(NOW + 9 * DAY),
    }
}

fn refused(who: &str, is_cold: bool, is_locked: bool) -> Signal {
    Signal::Refused {
        who: who.to_owned(),
        is_cold,
        is_locked,
    }
}

fn nobody(who: &str) -> Signal {
    Signal::NotOnWhatsapp(who.to_owned())
}

fn newcomers(opted_out: u32, undelivered: u32, of: u32) -> Signal {
    Signal::Newcomers(Newcomers {
        counted_at: NOW,
        sent: of,
        opted_out,
        sent_a_day_ago: of,
        undelivered,
    })
}

fn after(signals: impl IntoIterator<Item = Signal>) -> Health {
    let mut health = Health::default();
    for signal in signals {
        health.signal(signal, NOW);
    }
    health
}

/// Signals, and what they mean at once: the level, until when from now, and why.
type Row = (
    &'static str,
    Vec<Signal>,
    Level,
    Option<Millis>,
    &'static [Reason],
);

fn three(make: fn(&str) -> Signal) -> Vec<Signal> {
    ["a", "b", "c"].map(make).to_vec()
}

fn cold(who: &str) -> Signal {
    refused(who, true, false)
}

fn ban(until: Option<Millis>) -> Signal {
    Signal::Banned { code: 101, until }
}

fn locks() -> Vec<Row> {
    vec![
        ("nothing", vec![], Ok, None, &[]),
        (
            "a lock of ten days holds a day longer",
            vec![lock(Some(NOW + 10 * DAY))],
            ColdStop,
            Some(11 * DAY),
            &[Reason::ReachoutTimelock],
        ),
        (
            "a lock of an hour holds an hour longer",
            vec![lock(Some(NOW + HOUR))],
            ColdStop,
            Some(2 * HOUR),
            &[Reason::ReachoutTimelock],
        ),
        (
            "a lock without an end holds a day",
            vec![lock(None)],
            ColdStop,
            Some(DAY + DAY / 10),
            &[Reason::ReachoutTimelock],
        ),
        ("no lock", vec![no_lock()], Ok, None, &[]),
        (
            "a lock that is lifted early",
            vec![lock(Some(NOW + 10 * DAY)), no_lock()],
            ColdStop,
            Some(HOUR),
            &[Reason::ReachoutTimelock],
        ),
    ]
}

fn recipients() -> Vec<Row> {
    vec![
        (
            "two people who could not be written to",
            vec![cold("a"), cold("b"), cold("a")],
            Ok,
            None,
            &[],
        ),
        (
            "three people who could not be written to",
            three(|who| refused(who, true, false)),
            ColdStop,
            Some(DAY),
            &[Reason::RefusedNewChats],
        ),
        (
            "three refusals to people who wrote",
            three(|who| refused(who, false, false)),
            Ok,
            None,
            &[],
        ),
        (
            "three refusals under a lock are that lock",
            three(|who| refused(who, true, true)),
            Ok,
            None,
            &[],
        ),
        (
            "two without WhatsApp",
            vec![nobody("a"), nobody("b")],
            Ok,
            None,
            &[],
        ),
        (
            "three without WhatsApp",
            three(nobody),
            ColdStop,
            Some(DAY),
            &[Reason::NotOnWhatsapp],
        ),
        ("two opt-outs", vec![newcomers(2, 0, 50)], Ok, None, &[]),
        (
            "three opt-outs",
            vec![newcomers(3, 0, 50)],
            ColdStop,
            Some(7 * DAY),
            &[Reason::OptOuts],
        ),
        (
            "a third is undelivered",
            vec![newcomers(0, 19, 50)],
            Ok,
            None,
            &[],
        ),
        (
            "two of five are undelivered",
            vec![newcomers(0, 20, 50)],
            ColdStop,
            Some(7 * DAY),
            &[Reason::Undelivered],
        ),
        ("too few to say", vec![newcomers(0, 9, 9)], Ok, None, &[]),
    ]
}

fn quotas() -> Vec<Row> {
    vec![
        (
            "no warning",
            vec![Signal::Capping(capping("NONE"))],
            Ok,
            None,
            &[],
        ),
        (
            "a warning",
            vec![Signal::Capping(capping("FIRST_WARNING"))],
            Ok,
            None,
            &[],
        ),
        (
            "the quota is used up until the cycle ends",
            vec![Signal::Capping(capping("CAPPED"))],
            ColdStop,
            Some(9 * DAY),
            &[Reason::NewChatCap],
        ),
        (
            "the quota is free again",
            vec![
                Signal::Capping(capping("CAPPED")),
                Signal::Capping(capping("NONE")),
            ],
            Slow,
            Some(CLEAN),
            &[Reason::NewChatCap],
        ),
        (
            "too many requests",
            vec![Signal::RateLimited],
            Paused,
            Some(15 * MINUTE),
            &[Reason::RateLimited],
        ),
        (
            "the worst counts",
            vec![Signal::RateLimited, lock(Some(NOW + DAY))],
            Paused,
            Some(15 * MINUTE),
            &[Reason::RateLimited],
        ),
    ]
}

fn ends() -> Vec<Row> {
    vec![
        (
            "a ban holds an hour longer",
            vec![ban(Some(NOW + 2 * DAY))],
            Paused,
            Some(2 * DAY + HOUR),
            &[Reason::TemporaryBan],
        ),
        (
            "a ban without an end holds a day",
            vec![ban(None)],
            Paused,
            Some(DAY + HOUR),
            &[Reason::TemporaryBan],
        ),
        (
            "a locked account",
            vec![Signal::AccountLocked],
            Locked,
            None,
            &[Reason::AccountLocked],
        ),
        (
            "unlinked without a sign before",
            vec![Signal::Unlinked],
            Ok,
            None,
            &[],
        ),
        (
            "unlinked under a lock",
            vec![lock(Some(NOW + DAY)), Signal::Unlinked],
            Locked,
            None,
            &[Reason::Unlinked],
        ),
        (
            "unlinked after a refusal",
            vec![cold("a"), Signal::Unlinked],
            Locked,
            None,
            &[Reason::Unlinked],
        ),
        ("linked", vec![Signal::Linked], Ok, None, &[]),
        (
            "linked again after a lock",
            vec![Signal::AccountLocked, Signal::Linked],
            ReplyOnly,
            Some(6 * HOUR),
            &[Reason::LinkedAgain],
        ),
        (
            "linking ends no ban",
            vec![ban(Some(NOW + DAY)), Signal::Linked],
            Paused,
            Some(DAY + HOUR),
            &[Reason::TemporaryBan],
        ),
        (
            "four disconnects",
            vec![Signal::Disconnected; 4],
            Ok,
            None,
            &[],
        ),
        (
            "five disconnects",
            vec![Signal::Disconnected; 5],
            Slow,
            Some(6 * HOUR),
            &[Reason::Disconnects],
        ),
    ]
}

#[test]
fn safety_each_signal_means_what_the_table_says_at_once() {
    for (name, signals, level, lasts, reasons) in [locks(), recipients(), quotas(), ends()].concat()
    {
        let health = after(signals);
        let expected = Standing {
            level,
            until: lasts.map(|lasts| NOW + lasts),
            reasons: reasons.to_vec(),
        };
        assert_eq!(health.at(NOW), expected, "{name}");
        // It is the same after it was stored.
        let stored = serde_json::to_string(&health).unwrap();
        assert_eq!(Health::parse(Some(&stored), NOW), health, "{name}");
    }
}

#[test]
fn safety_a_number_recovers_one_level_each_clean_six_hours_after_the_end() {
    let health = after([Signal::Banned {
        code: 104,
        until: Some(NOW + DAY),
    }]);
    let end = NOW + DAY + HOUR;
    for (at, level) in [
        (end - 1, Level::Paused),
        (end, Level::ReplyOnly),
        (end + CLEAN - 1, Level::ReplyOnly),
        (end + CLEAN, Level::ColdStop),
        (end + 2 * CLEAN, Level::Slow),
        (end + 3 * CLEAN - 1, Level::Slow),
        (end + 3 * CLEAN, Level::Ok),
        (end + 1000 * CLEAN, Level::Ok),
    ] {
        assert_eq!(health.at(at).level, level, "{}", at - end);
    }
    assert_eq!(health.next_change(NOW), Some(end));
    assert_eq!(health.next_change(end), Some(end + CLEAN));
    assert_eq!(health.next_change(end + 3 * CLEAN), None);
}

#[test]
fn safety_a_new_restriction_starts_the_six_hours_again_and_lifts_no_level() {
    let mut health = after([Signal::Banned {
        code: 104,
        until: Some(NOW),
    }]);
    let end = NOW + HOUR;
    let later = end + CLEAN + HOUR;
    assert_eq!(health.at(later).level, Level::ColdStop);
    for _ in 0..DISCONNECTS {
        health.signal(Signal::Disconnected, later);
    }
    assert_eq!(health.at(later).level, Level::ColdStop);
    assert_eq!(health.at(later + CLEAN - 1).level, Level::ColdStop);
    assert_eq!(health.at(later + CLEAN).level, Level::Slow);
}

#[test]
fn safety_after_too_many_requests_a_number_is_slow_for_a_day() {
    let health = after([Signal::RateLimited]);
    let end = NOW + 15 * MINUTE;
    assert_eq!(health.at(end).level, Level::Slow);
    assert_eq!(health.at(end + DAY - 1).level, Level::Slow);
    assert_eq!(health.at(end + DAY).level, Level::Ok);
}

#[test]
fn safety_a_lock_that_whatsapp_extends_is_extended_and_never_shortened_by_a_repeated_answer() {
    let ends_at = NOW + 10 * DAY;
    let mut health = after([lock(Some(ends_at))]);
    health.signal(lock(Some(ends_at)), NOW + 9 * DAY);
    assert_eq!(health.at(NOW + 9 * DAY).until, Some(ends_at + DAY));
    health.signal(lock(Some(ends_at + 20 * DAY)), NOW + 10 * DAY);
    let until = health.at(NOW + 10 * DAY).until;
    assert_eq!(until, Some(NOW + 32 * DAY));
}

#[test]
fn safety_signals_count_within_an_hour_only() {
    let mut health = Health::default();
    for (who, at) in [("a", 0), ("b", 30), ("c", 61), ("d", 89)] {
        health.signal(refused(who, true, false), NOW + at * MINUTE);
        health.signal(nobody(who), NOW + at * MINUTE);
        assert_eq!(health.at(NOW + at * MINUTE).level, level_of(at), "{at}");
    }
    for n in 0..100 {
        health.signal(Signal::Disconnected, NOW + n);
    }
    let stored = serde_json::to_string(&health).unwrap();
    assert!(stored.len() < 4096, "{} bytes", stored.len());

    fn level_of(at: Millis) -> Level {
        if at < 89 { Level::Ok } else { Level::ColdStop }
    }
}

#[test]
fn safety_whatsapp_is_asked_about_the_lock_four_times_an_hour() {
    let mut health = Health::default();
    for n in 0..4 {
        assert!(health.figures.may_ask_timelock(NOW + n));
        health.signal(Signal::TimelockAsked, NOW + n);
    }
    assert!(!health.figures.may_ask_timelock(NOW + HOUR - 1));
    assert!(health.figures.may_ask_timelock(NOW + HOUR));
}

#[test]
fn safety_an_answer_that_is_older_than_what_whatsapp_told_since_changes_nothing() {
    let at = |told_at, signal| match signal {
        Signal::Timelock(lock) => Signal::Timelock(Timelock { told_at, ..lock }),
        Signal::Capping(quota) => Signal::Capping(Capping { told_at, ..quota }),
        other => other,
    };
    let pairs = [
        (lock(Some(NOW + 10 * DAY)), no_lock()),
        (
            Signal::Capping(capping("CAPPED")),
            Signal::Capping(capping("NONE")),
        ),
    ];
    for (push, answer) in pairs {
        let told = after([at(NOW - 1, push.clone())]);
        assert_eq!(told.at(NOW).level, ColdStop);
        let mut late = told.clone();
        late.signal(at(NOW - 2, answer.clone()), NOW);
        assert_eq!(late, told);
        let mut newer = told;
        newer.signal(at(NOW, answer.clone()), NOW);
        assert!(newer.at(NOW).until < late.at(NOW).until);
        // A clock that was ahead by a day, and was set right.
        let mut ahead = after([at(NOW + DAY, push)]);
        ahead.signal(at(NOW, answer), NOW);
        assert!(ahead.at(NOW).until < late.at(NOW).until);
    }
}

#[test]
fn safety_first_messages_that_led_to_a_restriction_do_not_lead_to_it_again() {
    let mut health = after([newcomers(3, 0, 50)]);
    assert_eq!(health.figures.counted_from, NOW);
    health.signal(newcomers(0, 0, 0), NOW + DAY);
    assert_eq!(health.at(NOW + DAY).until, Some(NOW + 7 * DAY));
}

/// Returns the nth newest first message, sent `nth` hours ago.
fn first(nth: i64, is_received: bool, opted_out_after: Option<Millis>) -> FirstMessage {
    let sent_at = NOW - nth * HOUR;
    FirstMessage {
        accepted_at: sent_at - MINUTE,
        sent_at,
        is_received,
        contact: Some(nth.to_string()),
        opted_out_at: opted_out_after.map(|after| sent_at + after),
    }
}

#[test]
fn safety_first_messages_are_counted_among_the_last_fifty_and_undelivered_ones_after_a_day() {
    let counted = |messages: Vec<FirstMessage>| {
        let counted = Newcomers::count(messages, NOW);
        let Newcomers {
            sent,
            opted_out,
            sent_a_day_ago,
            undelivered,
            ..
        } = counted;
        ((sent, opted_out), (sent_a_day_ago, undelivered))
    };
    assert_eq!(counted(vec![]), ((0, 0), (0, 0)));
    let all = |from, to| (from..to).map(|nth| first(nth, false, None));
    assert_eq!(counted(all(0, 24).collect()), ((24, 0), (0, 0)));
    assert_eq!(counted(all(0, 30).collect()), ((30, 0), (6, 6)));
    // Of those older than a day, the newest fifty count, although newer ones are the last fifty of all.
    let received = (50..150).map(|nth| first(nth, true, Some(MINUTE)));
    let mixed = counted(all(0, 50).chain(received).collect());
    assert_eq!(mixed, ((50, 0), (50, 26)));
    // Somebody who had opted out before, and one of whom there are two messages.
    let mut twice = first(1, true, Some(MINUTE));
    twice.contact = Some("2".to_owned());
    let some = vec![
        first(2, true, Some(MINUTE)),
        twice,
        first(3, true, Some(-MINUTE)),
    ];
    assert_eq!(counted(some), ((3, 1), (0, 0)));
}

#[test]
fn safety_each_change_of_level_is_told_once() {
    let mut health = after(vec![Signal::Disconnected; 5]);
    let slow = health.at(NOW);
    assert_eq!(health.news(NOW), Some(News::Restricted(slow)));
    assert_eq!(health.news(NOW), None);
    health.signal(Signal::Disconnected, NOW + MINUTE);
    assert_eq!(health.news(NOW + MINUTE), None, "the same again");
    health.signal(lock(Some(NOW + DAY)), NOW);
    let stopped = health.at(NOW);
    assert_eq!(health.news(NOW), Some(News::Restricted(stopped)));
    health.signal(newcomers(3, 0, 50), NOW);
    let both = health.at(NOW);
    assert_eq!(both.reasons, [Reason::ReachoutTimelock, Reason::OptOuts]);
    assert_eq!(health.news(NOW), Some(News::Restricted(both)));
    let end = NOW + 7 * DAY;
    let slow = health.at(end);
    assert_eq!(slow.level, Level::Slow);
    assert_eq!(health.news(end), Some(News::Recovered(slow)));
    let ok = Some(News::Recovered(Standing::default()));
    assert_eq!(health.news(end + CLEAN), ok);
}

#[test]
fn safety_warnings_of_whatsapp_divide_the_caps_until_the_cycle_ends() {
    for (status, divisor) in [
        ("NONE", 1),
        ("FIRST_WARNING", 2),
        ("SECOND_WARNING", 4),
        ("CAPPED", 4),
        ("THIRD_WARNING", 4),
    ] {
        let health = after([Signal::Capping(capping(status))]);
        assert_eq!(health.cold_divisor(NOW), divisor, "{status}");
        assert_eq!(health.cold_divisor(NOW + 9 * DAY), 1, "{status}");
    }
    assert_eq!(Health::default().cold_divisor(NOW), 1);
}

#[test]
fn safety_what_cannot_be_read_is_taken_carefully() {
    assert_eq!(Health::parse(None, NOW), Health::default());
    let unreadable = Health::parse(Some("{"), NOW).at(NOW);
    assert_eq!(unreadable.level, Level::ColdStop);
    let newer = r#"{"restrictions":[{"reason":"something_new","level":"slow","since":1,"until":9}],"more":1}"#;
    let newer = Health::parse(Some(newer), NOW).at(5);
    assert_eq!(
        (newer.level, newer.reasons),
        (Level::Slow, vec![Reason::Unknown])
    );
}
