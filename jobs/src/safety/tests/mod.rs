//! Tests of the decisions: rules one by one, the table of the presets, and simulated numbers.

mod estimates;
mod figures;
mod groups;
mod guide;
mod likeness;
mod messages;
mod night;
mod night_codes;
mod properties;
mod rules;
mod story;
mod table;
mod tightening;
mod turns;
mod world;

use std::time::Duration;

use passerelle_engine::clock::Millis;

use super::{
    decide::{Candidate, Decision, Hold, Number, decide, earliest, early},
    pace::Pace,
    policy::Policy,
    preset::Preset,
    state::{Sent, State},
};
use crate::model::Class;

const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;
/// Noon in UTC, on a Tuesday in January 2026.
const NOON: Millis = 20_466 * DAY + 12 * HOUR;

fn policy(preset: Preset) -> Policy {
    Policy::of(preset, Pace::default())
}

/// A message to a contact who agreed, accepted then.
fn message(class: Class, accepted_at: Millis) -> Candidate {
    let mut candidate = Candidate::new(class, accepted_at);
    candidate.contact.has_consent = true;
    candidate
}

fn sent(class: Class, at: Millis, quantile: f64) -> Sent {
    Sent {
        class,
        at,
        quantile,
        is_new_conversation: class == Class::Cold,
        is_at_night: false,
        group: None,
    }
}

fn days(days: u32) -> Duration {
    Duration::from_hours(24) * days
}

/// A number that was linked so many days ago.
fn number<'a>(policy: &'a Policy, state: &'a State, age: u32) -> Number<'a> {
    Number {
        age: days(age),
        ..Number::new(policy, state)
    }
}
