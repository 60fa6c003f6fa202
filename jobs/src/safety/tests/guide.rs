//! What `docs/guide/pacing.md` shows is what the constants say: its tables, and its picture. With `PASSERELLE_REDRAW` in the
//! environment the tests write them instead of comparing.

use std::fmt::Write as _;

use strum::VariantArray as _;

use super::*;
use crate::safety::{
    figure::svg,
    policy::{QuietHours, Streak},
};

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide/");
const PAGE: &str = "pacing.md";

fn is_redrawn() -> bool {
    std::env::var_os("PASSERELLE_REDRAW").is_some()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(format!("{GUIDE}{name}")).unwrap()
}

fn write(name: &str, text: &str) {
    std::fs::write(format!("{GUIDE}{name}"), text).unwrap();
}

/// Compares what stands between two comments of the page, or writes it.
pub(super) fn compare(name: &str, text: &str) {
    let (begin, end) = (
        format!("<!-- {name}: begin -->\n"),
        format!("<!-- {name}: end -->"),
    );
    // Each test of the page writes its own part, in a process of its own or not.
    static PAGE_IS_WRITTEN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = PAGE_IS_WRITTEN.lock().unwrap();
    let page = read(PAGE);
    let (head, rest) = page.split_once(&begin).unwrap();
    let (found, tail) = rest.split_once(&end).unwrap();
    let wanted = format!("\n{text}\n");
    if is_redrawn() {
        write(PAGE, &format!("{head}{begin}{wanted}{end}{tail}"));
        return;
    }
    assert!(
        found == wanted,
        "the part `{name}` of docs/guide/{PAGE} is out of date; PASSERELLE_REDRAW=1 writes it:\n{text}"
    );
}

#[test]
fn safety_guide_shows_the_curves_of_the_presets() {
    let (default, strict) = (policy(Preset::Default), policy(Preset::Strict));
    let curves = |policy: &Policy| [policy.reply, policy.warm, policy.cold];
    assert_eq!(curves(&default), curves(&strict), "strict needs a picture");
    let picture = svg(&default);
    if is_redrawn() {
        write("pacing.svg", &picture);
    }
    assert!(
        read("pacing.svg") == picture,
        "docs/guide/pacing.svg is out of date; PASSERELLE_REDRAW=1 writes it"
    );
}

#[test]
fn safety_guide_has_the_limits_of_each_preset() {
    let columns = [Preset::Default, Preset::Strict].map(|preset| {
        let policy = policy(preset);
        let mut all = limits(&policy);
        all.extend(more_limits(&policy));
        all
    });
    let mut table = "| limit | `default` | `strict` |\n|---|---|---|\n".to_owned();
    for ((name, default), (_, strict)) in columns[0].iter().zip(&columns[1]) {
        let _ = writeln!(table, "| {name} | {default} | {strict} |");
    }
    compare("limits", &table);
}

#[test]
fn safety_guide_has_the_limits_of_each_age() {
    let mut table = "| days since the number was linked | `default`: new conversations | others a day | in an hour \
                     | `strict`: new conversations | others a day | in an hour |\n|---|---|---|---|---|---|---|\n"
        .to_owned();
    for age in [0, 1, 2, 3, 5, 7, 10, 14, 30] {
        let _ = write!(table, "| {age} |");
        for preset in [Preset::Default, Preset::Strict] {
            let (policy, state) = (policy(preset), State::default());
            let number = number(&policy, &state, age);
            let caps = [
                number.new_cap(NOON, NOON),
                number.day_cap(NOON, NOON),
                number.hour_cap(NOON, NOON),
            ];
            for cap in caps {
                let _ = write!(table, " {} |", count(cap.unwrap()));
            }
        }
        table.push('\n');
    }
    compare("ages", &table);
}

#[test]
fn safety_guide_explains_each_reason_to_wait_and_to_refuse() {
    let page = read(PAGE);
    let holds = Hold::VARIANTS.iter().map(ToString::to_string);
    let refusals = crate::safety::decide::Refusal::VARIANTS.iter();
    for word in holds.chain(refusals.map(ToString::to_string)) {
        assert!(page.contains(&format!("\n| `{word}` |")), "{word}");
    }
}

/// Returns each limit of a policy by its name.
fn limits(policy: &Policy) -> Vec<(&'static str, String)> {
    let gap = |class| {
        let curve = policy.curve(class);
        let [floor, half, ceiling] = [curve.floor(), curve.at(0.5), curve.ceiling()];
        format!(
            "{} to {} s, half of them below {:.0} s",
            floor.as_secs(),
            ceiling.as_secs(),
            half.as_secs_f64()
        )
    };
    let ages = policy.new_conversations.as_ref().unwrap();
    let mut new = String::new();
    for step in &ages.steps {
        let _ = write!(new, "{} below {} days, ", step.most, step.younger_than_days);
    }
    let _ = write!(new, "then {}", ages.older);
    let growth = policy.messages.unwrap();
    let others = format!(
        "{} on the first day, times {} each day, up to {}",
        growth.first_day,
        growth.factor,
        count(growth.most)
    );
    let budget = policy.unanswered_in_30_days.unwrap();
    let at_most = budget
        .most
        .map_or_else(String::new, |most| format!(", at most {most}"));
    let ratio = policy.reply_ratio.unwrap();
    let too_few = if ratio.stops {
        "new conversations stop"
    } else {
        "gaps are doubled, except before replies"
    };
    let alike = policy.near_duplicates.unwrap();
    let more = if alike.refuses { "refused" } else { "wait" };
    let again = policy.new_again_after_days;
    vec![
        ("gap before a reply", gap(Class::Reply)),
        (
            "gap from a warm or cold message to a warm one",
            gap(Class::Warm),
        ),
        ("gap from a cold message to the next", gap(Class::Cold)),
        (
            "from any message to a cold one, at least",
            time(policy.cold_after_any),
        ),
        (
            "between two messages to one contact, at least",
            time(policy.spacing),
        ),
        ("new conversations in 24 hours, by age of the number", new),
        ("warm and cold messages in 24 hours", others),
        (
            "of these in an hour",
            format!("one part in {}", growth.hours),
        ),
        (
            "replies in an hour",
            policy.replies_an_hour.unwrap().to_string(),
        ),
        (
            "unanswered replies to one contact",
            streak(policy.unanswered.reply),
        ),
        (
            "unanswered warm messages to one contact",
            streak(policy.unanswered.warm),
        ),
        (
            "unanswered cold messages to one contact",
            streak(policy.unanswered.cold),
        ),
        (
            "unanswered cold messages of the number in 30 days",
            format!(
                "{} % of WhatsApp's quota if it tells one, else {}{at_most}",
                budget.percent_of_quota,
                count(budget.without_quota)
            ),
        ),
        (
            "less than so many of the new conversations of 7 days are answered",
            format!(
                "{} % of {} or more: {too_few}",
                ratio.least_percent, ratio.of_at_least
            ),
        ),
        (
            "nearly equal first messages in 24 hours",
            format!("{}, more are {more}", alike.most).replace("are wait", "wait"),
        ),
        ("quiet hours", quiet(policy.quiet_hours.as_ref().unwrap())),
        (
            "counts as new again",
            again.map_or("never".to_owned(), |days| {
                format!("after {days} days without a message")
            }),
        ),
    ]
}

/// Returns the limits of codes at night and of groups.
fn more_limits(policy: &Policy) -> [(&'static str, String); 4] {
    let quiet = policy.quiet_hours.as_ref().unwrap();
    let groups = policy.groups.unwrap();
    let joined = if groups.joined_for.is_zero() {
        "no limit".to_owned()
    } else {
        format!("{} in the group before", time(groups.joined_for))
    };
    [
        (
            "messages for `code` and `security` in quiet hours",
            format!("{} in an hour", quiet.codes_an_hour),
        ),
        (
            "gap from a warm or cold message to one to a group",
            format!("{} times that to a warm one", groups.gap_times),
        ),
        (
            "between two messages to one group, at least",
            time(groups.apart),
        ),
        ("first message to a group", joined),
    ]
}

fn streak(streak: Option<Streak>) -> String {
    let Some(Streak {
        most,
        within,
        apart,
    }) = streak
    else {
        return "no limit".to_owned();
    };
    let apart = if apart.is_zero() {
        String::new()
    } else {
        format!(", {} apart", time(apart))
    };
    format!("{most} in {}{apart}", time(within))
}

fn quiet(hours: &QuietHours) -> String {
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let whom = if hours.holds_warm {
        "warm and cold messages"
    } else {
        "cold messages"
    };
    let pass: Vec<_> = hours
        .pass
        .iter()
        .map(|one| format!("`{}`", one.as_str()))
        .collect();
    format!(
        "{} to {}: {whom} wait, except {}",
        clock(hours.from_minute),
        clock(hours.to_minute),
        pass.join(", ")
    )
}

/// Returns a time in words.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    for (unit, length) in [("days", 86_400), ("hours", 3600), ("minutes", 60)] {
        if seconds >= length
            && seconds.is_multiple_of(length)
            && (seconds > length || length == 86_400)
        {
            let many = seconds / length;
            return format!(
                "{many} {}",
                if many == 1 {
                    &unit[..unit.len() - 1]
                } else {
                    unit
                }
            );
        }
    }
    if seconds == 3600 {
        "1 hour".to_owned()
    } else {
        format!("{seconds} s")
    }
}

/// Returns a whole number with commas.
fn count(number: u32) -> String {
    if number < 1000 {
        return number.to_string();
    }
    format!("{},{:03}", number / 1000, number % 1000)
}
