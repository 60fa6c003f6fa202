//! Office hours in a time zone, with holidays. Times are those of the wall clock: when the clock goes forward, an hour is
//! missing, and when it goes back, one comes twice.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use passerelle_engine::clock::Millis;

use crate::model::auto_reply::{Day, OfficeHours, When};

const DAY_MINUTES: usize = 24 * 60;
const WEEK_MINUTES: usize = 7 * DAY_MINUTES;

/// Why office hours are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadHours {
    /// There is no such time zone.
    Zone,
    /// There is no such day; its place in the list.
    Holiday(usize),
    /// They never hold.
    Never,
}

/// Office hours that were checked.
#[derive(Debug)]
pub(super) struct Hours {
    when: When,
    zone: TimeZone,
    /// Every minute of the week, from Monday on: whether an opening time that began on the same day has it, and
    /// whether one that began on the day before has.
    open: Vec<(bool, bool)>,
    holidays: Vec<Date>,
}

impl Hours {
    pub(super) fn parse(hours: &OfficeHours) -> Result<Self, BadHours> {
        let zone = TimeZone::get(&hours.zone).map_err(|_| BadHours::Zone)?;
        let mut holidays = Vec::with_capacity(hours.holidays.len());
        for (place, day) in hours.holidays.iter().enumerate() {
            holidays.push(date(day).ok_or(BadHours::Holiday(place))?);
        }
        let parsed = Self {
            when: hours.when,
            zone,
            open: week(hours),
            holidays,
        };
        let minutes = parsed.open.iter();
        let open = minutes.filter(|(today, before)| *today || *before);
        let never = match hours.when {
            When::Inside => open.count() == 0,
            When::Outside => open.count() == WEEK_MINUTES && parsed.holidays.is_empty(),
        };
        if never {
            return Err(BadHours::Never);
        }
        Ok(parsed)
    }

    /// Returns whether the rule holds at this time.
    pub(super) fn hold(&self, now: Millis) -> bool {
        let is_open = self.are_open(now);
        match self.when {
            When::Outside => !is_open,
            When::Inside => is_open,
        }
    }

    fn are_open(&self, now: Millis) -> bool {
        let Ok(now) = Timestamp::from_millisecond(now) else {
            return false;
        };
        let there = now.to_zoned_datetime(self.zone.clone());
        let day = there.weekday().to_monday_zero_offset();
        let minute = i64::from(there.hour()) * 60 + i64::from(there.minute());
        let place = usize::try_from(i64::from(day) * 24 * 60 + minute).unwrap_or_default();
        let (today, before) = self.open.get(place).copied().unwrap_or_default();
        let is_holiday = |day: &Date| self.holidays.contains(day);
        let date = there.date();
        (today && !is_holiday(&date))
            || (before && !date.yesterday().is_ok_and(|day| is_holiday(&day)))
    }
}

/// Parses `2026-12-25`.
fn date(text: &str) -> Option<Date> {
    let is_plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    text.parse().ok().filter(|_| is_plain)
}

fn week(hours: &OfficeHours) -> Vec<(bool, bool)> {
    let mut week = vec![(false, false); WEEK_MINUTES];
    for opening in &hours.open {
        let (from, until) = (usize::from(opening.from), usize::from(opening.until));
        for day in &opening.days {
            let day = number(*day) * DAY_MINUTES;
            let next = (day + DAY_MINUTES) % WEEK_MINUTES;
            let ends_today = if until > from { until } else { DAY_MINUTES };
            let ends_tomorrow = if until > from { 0 } else { until };
            let today = day + from..day + ends_today.min(DAY_MINUTES);
            for (open, _) in week.get_mut(today).into_iter().flatten() {
                *open = true;
            }
            for (_, open) in week
                .get_mut(next..next + ends_tomorrow)
                .into_iter()
                .flatten()
            {
                *open = true;
            }
        }
    }
    week
}

fn number(day: Day) -> usize {
    Day::ALL
        .iter()
        .position(|one| *one == day)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::auto_reply::Opening;

    fn at(text: &str) -> Millis {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn berlin(when: When) -> OfficeHours {
        OfficeHours {
            when,
            zone: "Europe/Berlin".into(),
            open: vec![Opening {
                days: vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri],
                from: 9 * 60,
                until: 18 * 60,
            }],
            holidays: vec!["2026-12-25".into()],
        }
    }

    #[test]
    fn replies_hours_are_those_of_the_zone_summer_and_winter() {
        let outside = Hours::parse(&berlin(When::Outside)).unwrap();
        let inside = Hours::parse(&berlin(When::Inside)).unwrap();
        for (moment, is_open) in [
            ("2026-11-30T07:59:59Z", false),
            ("2026-11-30T08:00:00Z", true),
            ("2026-11-30T16:59:59Z", true),
            ("2026-11-30T17:00:00Z", false),
            ("2026-07-06T07:00:00Z", true),
            ("2026-07-06T06:59:59Z", false),
            // A Sunday, and a holiday that is a Friday.
            ("2026-11-29T10:00:00Z", false),
            ("2026-12-25T10:00:00Z", false),
            ("2026-12-24T10:00:00Z", true),
            // The clock goes back and forward on Sundays, and the Mondays after them are as usual.
            ("2026-10-26T08:00:00Z", true),
            ("2026-03-30T06:59:00Z", false),
            ("2026-03-30T07:00:00Z", true),
        ] {
            assert_eq!(inside.hold(at(moment)), is_open, "{moment}");
            assert_eq!(outside.hold(at(moment)), !is_open, "{moment}");
        }
    }

    #[test]
    fn replies_hours_past_midnight_belong_to_the_day_on_which_they_begin() {
        let bar = OfficeHours {
            when: When::Inside,
            zone: "UTC".into(),
            open: vec![Opening {
                days: vec![Day::Fri, Day::Sun],
                from: 20 * 60,
                until: 2 * 60,
            }],
            holidays: vec!["2026-12-04".into()],
        };
        let bar = Hours::parse(&bar).unwrap();
        for (moment, is_open) in [
            ("2026-11-27T20:00:00Z", true),
            ("2026-11-28T01:59:00Z", true),
            ("2026-11-28T02:00:00Z", false),
            ("2026-11-28T21:00:00Z", false),
            // From Sunday into Monday.
            ("2026-11-30T00:30:00Z", true),
            // The Friday is a holiday, and so is its night.
            ("2026-12-04T21:00:00Z", false),
            ("2026-12-05T01:00:00Z", false),
        ] {
            assert_eq!(bar.hold(at(moment)), is_open, "{moment}");
        }
    }

    #[test]
    fn replies_refuse_zones_and_days_that_do_not_exist_and_hours_that_never_hold() {
        let with = |change: &dyn Fn(&mut OfficeHours)| {
            let mut hours = berlin(When::Outside);
            change(&mut hours);
            Hours::parse(&hours).err()
        };
        assert_eq!(with(&|_| ()), None);
        let atlantis = |hours: &mut OfficeHours| hours.zone = "Europe/Atlantis".into();
        assert_eq!(with(&atlantis), Some(BadHours::Zone));
        assert_eq!(
            with(&|hours| hours.zone = String::new()),
            Some(BadHours::Zone)
        );
        for day in [
            "2026-02-30",
            "2025-02-29",
            "25.12.2026",
            "2026-12-25T00:00",
            "",
        ] {
            let found = with(&|hours| hours.holidays.push(day.into()));
            assert_eq!(found, Some(BadHours::Holiday(1)), "{day}");
        }
        assert_eq!(
            with(&|hours| hours.holidays.push("2028-02-29".into())),
            None
        );
        let always = |hours: &mut OfficeHours| {
            hours.holidays.clear();
            hours.open = vec![Opening {
                days: Day::ALL.to_vec(),
                from: 0,
                until: 1440,
            }];
        };
        assert_eq!(with(&always), Some(BadHours::Never));
        let closed = |hours: &mut OfficeHours| {
            hours.when = When::Inside;
            hours.open.clear();
        };
        assert_eq!(with(&closed), Some(BadHours::Never));
    }

    #[test]
    fn replies_know_every_zone_of_the_database() {
        let zones: Vec<_> = jiff::tz::db()
            .available()
            .map(|name| name.to_string())
            .collect();
        assert!(zones.len() > 400, "{}", zones.len());
        for zone in zones {
            let hours = OfficeHours {
                zone: zone.clone(),
                ..berlin(When::Inside)
            };
            assert!(Hours::parse(&hours).is_ok(), "{zone}");
        }
    }
}
