//! Quiet hours, in the recipient's own time.

use jiff::{Timestamp, ToSpan as _, ZonedDateTime, civil::Time, tz::TimeZone};
use passerelle_engine::clock::Millis;

use super::policy::{Policy, QuietHours};
use crate::model::{Class, Purpose};

/// The time zones that a contact may be in. All of them count; UTC if there is none.
#[derive(Debug, Clone, Default)]
pub struct Zones(Vec<TimeZone>);

/// After so many steps the zones' hours have no part in common.
const STEPS: usize = 12;

impl Zones {
    /// Returns the zone with this name of the IANA database; `None` if it has none.
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(|zone| Self(vec![zone]))
    }

    /// Returns the zones of a phone number with its country code, as digits. UTC for codes that no country has.
    pub fn of_phone(digits: &str) -> Self {
        let names = super::zones::of_phone(digits);
        let zones = names.iter().filter_map(|name| TimeZone::get(name).ok());
        Self(zones.collect())
    }

    /// Returns the part of a phone number that its zones follow from.
    pub fn code(digits: &str) -> Option<&'static str> {
        super::zones::code(digits)
    }

    fn all(&self) -> &[TimeZone] {
        const NONE: &[TimeZone] = &[TimeZone::UTC];
        if self.0.is_empty() { NONE } else { &self.0 }
    }
}

/// Returns when a message may go that could go now: now, or when the recipient's quiet hours end.
pub fn open_at(
    zones: &Zones,
    policy: &Policy,
    class: Class,
    purpose: Option<Purpose>,
    now: Millis,
) -> Millis {
    match holding(policy, class) {
        Some(quiet) if !purpose.is_some_and(|purpose| quiet.pass.contains(&purpose)) => {
            quiet.all_end(zones, now)
        }
        _ => now,
    }
}

/// Returns when the recipient's quiet hours end, for a code that may go in them, and counts. `None` for other messages, and
/// by day.
pub fn morning(
    zones: &Zones,
    policy: &Policy,
    class: Class,
    purpose: Option<Purpose>,
    now: Millis,
) -> Option<Millis> {
    let purpose = purpose.filter(|purpose| COUNTED.contains(purpose))?;
    let quiet = holding(policy, class).filter(|quiet| quiet.pass.contains(&purpose))?;
    Some(quiet.all_end(zones, now)).filter(|end| *end > now)
}

/// What counts when it goes in quiet hours.
const COUNTED: [Purpose; 2] = [Purpose::Code, Purpose::Security];

/// Returns the quiet hours if they hold messages of this class.
fn holding(policy: &Policy, class: Class) -> Option<&QuietHours> {
    policy.quiet_hours.as_ref().filter(|quiet| match class {
        Class::Reply => false,
        Class::Warm => quiet.holds_warm,
        Class::Cold => true,
    })
}

impl QuietHours {
    /// Returns when the quiet hours of all these zones are over; the time itself if it is day in all of them.
    fn all_end(&self, zones: &Zones, now: Millis) -> Millis {
        let mut at = now;
        for _ in 0..STEPS {
            let latest = zones.all().iter().map(|zone| self.ends(zone, at)).max();
            match latest {
                Some(latest) if latest > at => at = latest,
                _ => return at,
            }
        }
        // The hours of these zones never meet. The first zone counts.
        self.ends(&zones.all()[0], now)
    }

    /// Returns when the quiet hours of this zone end; the time itself if it is not in them.
    fn ends(&self, zone: &TimeZone, at: Millis) -> Millis {
        let Ok(instant) = Timestamp::from_millisecond(at) else {
            return at;
        };
        let local = instant.to_zoned_datetime(zone.clone());
        let minute =
            u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        if minute >= self.to_minute && minute < self.from_minute {
            return at;
        }
        let days = i64::from(minute >= self.from_minute);
        self.morning(&local, days)
            .map_or(at, |end| end.as_millisecond().max(at))
    }

    /// Returns when the quiet hours end on the day of this time, or on a later one. Where clocks jump over that moment, they
    /// end as much later as the clocks jump.
    fn morning(&self, local: &ZonedDateTime, days: i64) -> Option<Timestamp> {
        let (hour, minute) = (self.to_minute / 60, self.to_minute % 60);
        let time = Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()?;
        let date = local.date().checked_add(days.days()).ok()?;
        let end = date
            .to_datetime(time)
            .to_zoned_datetime(local.time_zone().clone())
            .ok()?;
        Some(end.timestamp())
    }
}
