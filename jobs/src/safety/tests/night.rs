//! Quiet hours, in every time zone.

use jiff::{
    Timestamp,
    tz::{TimeZone, db},
};

use super::*;
use crate::safety::{
    quiet::{Zones, open_at},
    zones::{BY_CODE, of_phone},
};

/// Returns the minute of the local day.
fn minute(zone: &TimeZone, at: Millis) -> i64 {
    let local = Timestamp::from_millisecond(at)
        .unwrap()
        .to_zoned_datetime(zone.clone());
    i64::from(local.hour()) * 60 + i64::from(local.minute())
}

fn is_day(zone: &TimeZone, at: Millis) -> bool {
    (8 * 60..21 * 60).contains(&minute(zone, at))
}

#[test]
fn safety_quiet_hours_hold_in_every_zone_through_every_change_of_clocks() {
    let policy = policy(Preset::Default);
    let open = |zones: &Zones, at| open_at(zones, &policy, Class::Cold, None, at);
    let names: Vec<_> = db()
        .available()
        .map(|name| name.as_str().to_owned())
        .collect();
    assert!(names.len() > 400, "{} zones", names.len());
    for name in names {
        let (zones, zone) = (Zones::named(&name).unwrap(), TimeZone::get(&name).unwrap());
        // Two years from 2026, in steps that meet every time of the day; and each change of clocks, minute by minute.
        let mut times: Vec<_> = (0..500)
            .map(|i| NOON + i * (35 * HOUR + 7 * MINUTE))
            .collect();
        let from = Timestamp::from_millisecond(NOON).unwrap();
        for change in zone.following(from).take(4) {
            let at = change.timestamp().as_millisecond();
            times.extend((-40..40).map(|i| at + i * 20 * MINUTE));
        }
        for at in times {
            let opens = open(&zones, at);
            assert!(is_day(&zone, opens), "{name}: {at} opens at {opens}");
            assert_eq!(opens == at, is_day(&zone, at), "{name}: {at}");
            if opens > at {
                // Eleven hours, and two more where clocks go back by so much.
                assert!(opens - at <= 13 * HOUR, "{name}: {at} opens at {opens}");
                // Not a minute earlier.
                assert!(
                    !is_day(&zone, opens - MINUTE),
                    "{name}: {at} opens at {opens}"
                );
                assert!(
                    !is_day(&zone, at.midpoint(opens)),
                    "{name}: {at} opens at {opens}"
                );
            }
        }
    }
}

#[test]
fn safety_quiet_hours_end_later_on_a_morning_that_clocks_skip() {
    // In Samoa the 30th of December 2011 did not exist.
    let policy = policy(Preset::Default);
    let zone = Zones::named("Pacific/Apia").unwrap();
    let night: Timestamp = "2011-12-29T22:00:00-10:00".parse().unwrap();
    let morning: Timestamp = "2011-12-31T08:00:00+14:00".parse().unwrap();
    let opens = open_at(&zone, &policy, Class::Cold, None, night.as_millisecond());
    assert_eq!(opens, morning.as_millisecond());
}

#[test]
fn safety_a_phone_number_may_be_anywhere_in_its_country() {
    let policy = policy(Preset::Default);
    for (code, names) in BY_CODE {
        let zones = Zones::of_phone(&format!("{code}5551234"));
        let all: Vec<_> = names
            .iter()
            .map(|name| TimeZone::get(name).unwrap())
            .collect();
        assert!(!all.is_empty(), "{code}");
        for step in 0..400 {
            let at = NOON + step * (23 * HOUR + 11 * MINUTE);
            let opens = open_at(&zones, &policy, Class::Cold, None, at);
            assert!(opens >= at && opens - at < DAY, "{code}");
            assert!(
                all.iter().all(|zone| is_day(zone, opens)),
                "{code}: {opens}"
            );
            let is_open = all.iter().all(|zone| is_day(zone, at));
            assert_eq!(opens == at, is_open, "{code}: {at}");
        }
    }
}

#[test]
fn safety_country_codes_are_sorted_and_the_longest_counts() {
    assert!(BY_CODE.is_sorted_by(|(a, _), (b, _)| a < b));
    assert!(BY_CODE.len() > 220);
    for (digits, zone) in [
        ("33612345678", "Europe/Paris"),
        ("14155550100", "America/New_York"),
        ("18085550100", "Pacific/Honolulu"),
        ("16715550100", "Pacific/Guam"),
        ("77012345678", "Asia/Almaty"),
        ("6189164123", "Indian/Christmas"),
    ] {
        assert_eq!(of_phone(digits)[0], zone, "{digits}");
    }
    assert!(of_phone("14155550100").contains(&"America/Los_Angeles"));
    for nowhere in ["", "0", "999", "88213", "é1234567", "12é"] {
        let found = of_phone(nowhere);
        assert!(found.is_empty() || nowhere.starts_with('1'), "{nowhere}");
    }
}
