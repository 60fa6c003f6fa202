//! A simulated number: contacts that write and are written to, a clock that may go back, restarts, and changes of health.
//! What it sends is checked against the rules as they are written, not as they are computed.

use crate::model::Purpose;
use std::collections::VecDeque;

use jiff::{Timestamp, tz::TimeZone};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::safety::{contact::Contact, level::Level, quiet::Zones};

const PEOPLE: usize = 400;
const ZONES: [&str; 4] = [
    "Europe/Paris",
    "America/New_York",
    "Asia/Kolkata",
    "Pacific/Auckland",
];

/// A message as it was written, in real time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) class: Class,
    pub(super) at: Millis,
    is_new: bool,
    level: Level,
}

pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) state: State,
    pub(super) chance: StdRng,
    /// Real time. The clock is behind it by `behind`.
    pub(super) real: Millis,
    behind: Millis,
    linked_at: Millis,
    people: Vec<(Contact, Zones, TimeZone)>,
    pub(super) queue: Vec<Candidate>,
    /// Who each of them is for.
    recipients: Vec<usize>,
    /// The last messages.
    pub(super) written: VecDeque<Written>,
    /// When each reply, each other message and each new conversation was written.
    times: [Vec<Millis>; 3],
    level: Level,
    pub(super) decisions: u64,
    pub(super) sends: u64,
    pub(super) refused: u64,
}

impl World {
    pub(super) fn new(preset: Preset, age_days: u32, seed: u64) -> Self {
        let person = |i: usize| {
            let zone = ZONES[i % ZONES.len()];
            let contact = Contact {
                has_consent: true,
                ..Contact::default()
            };
            let zones = Zones::named(zone).unwrap();
            (contact, zones, TimeZone::get(zone).unwrap())
        };
        Self {
            policy: policy(preset),
            state: State::default(),
            chance: StdRng::seed_from_u64(seed),
            real: NOON,
            behind: 0,
            linked_at: NOON - i64::from(age_days) * DAY,
            people: (0..PEOPLE).map(person).collect(),
            queue: Vec::new(),
            recipients: Vec::new(),
            written: VecDeque::new(),
            times: Default::default(),
            level: Level::Ok,
            decisions: 0,
            sends: 0,
            refused: 0,
        }
    }

    pub(super) fn now(&self) -> Millis {
        self.real - self.behind
    }

    pub(super) fn number(&self) -> Number<'_> {
        Number {
            level: self.level,
            level_until: Some(self.now() + HOUR),
            age: self.age(self.now()),
            ..Number::new(&self.policy, &self.state)
        }
    }

    fn age(&self, at: Millis) -> Duration {
        Duration::from_millis(u64::try_from(at - self.linked_at).unwrap_or(0))
    }

    /// Somebody writes to the number.
    pub(super) fn hear(&mut self, person: usize) {
        let now = self.now();
        let contact = &mut self.people[person].0;
        let is_first = contact.last_inbound_at.is_none();
        self.state.answered(&contact.unanswered, is_first, now);
        contact.unanswered.clear();
        contact.last_inbound_at = Some(now);
    }

    /// A message to somebody is accepted.
    pub(super) fn accept(&mut self, person: usize, characters: usize) {
        let now = self.now();
        let class = Class::of(self.people[person].0.last_inbound_at, false, now);
        let mut candidate = message(class, now);
        candidate.zones = self.people[person].1.clone();
        candidate.typing = self.policy.typing(characters, self.state.quantile());
        let purposes = [
            Purpose::Order,
            Purpose::Billing,
            Purpose::Code,
            Purpose::Support,
        ];
        candidate.purpose = Some(purposes[self.chance.random_range(0..4)]);
        candidate.priority = self.chance.random_range(-1..=1);
        self.queue.push(candidate);
        self.recipients.push(person);
    }

    /// Decides once, and sends if that is the decision. Returns when to ask again.
    pub(super) fn step(&mut self) -> Option<Millis> {
        self.decisions += 1;
        let now = self.now();
        for (index, candidate) in self.queue.iter_mut().enumerate() {
            let person = self.recipients[index];
            candidate.contact.clone_from(&self.people[person].0);
            candidate.class = Class::of(candidate.contact.last_inbound_at, false, now);
            candidate.follows = self.recipients[..index].contains(&person);
        }
        match decide(&self.number(), &self.queue, now) {
            Decision::WaitUntil { at, .. } => return Some(at),
            Decision::Refuse { index, .. } => {
                self.queue.remove(index);
                self.recipients.remove(index);
                self.refused += 1;
            }
            Decision::Send { index, at } => self.send(index, at),
        }
        None
    }

    fn send(&mut self, index: usize, at: Millis) {
        let now = self.now();
        assert!(at >= now, "{at} is before {now}");
        let candidate = self.queue.remove(index);
        let person = self.recipients.remove(index);
        let contact = &mut self.people[person].0;
        let is_new = candidate.class == Class::Cold && contact.is_new(now);
        let sent = Sent {
            class: candidate.class,
            at,
            quantile: self.chance.random(),
            is_new_conversation: is_new,
        };
        self.state.record(sent, now);
        let late = if self.chance.random_ratio(1, 10) {
            self.chance.random_range(0..4000)
        } else {
            0
        };
        let at = at + late;
        self.state.moved(at);
        contact.unanswered.push(at);
        if contact.unanswered.len() > Contact::KEPT {
            contact.unanswered.remove(0);
        }
        contact.last_sent_at = Some(at);
        let written = Written {
            class: candidate.class,
            at: at + self.behind,
            is_new,
            level: self.level,
        };
        self.check_gaps(&written);
        self.check_contact(person, at, candidate.class);
        self.check_quiet(person, at, &candidate);
        self.written.push_back(written);
        self.check_caps(&written, at);
        self.sends += 1;
        self.real = written.at + self.chance.random_range(0..500);
        if self.chance.random_ratio(1, 20) {
            self.restart();
        }
    }

    /// What is kept is what was written down.
    fn restart(&mut self) {
        let json = serde_json::to_string(&self.state).unwrap();
        assert!(json.len() < 4096);
        self.state = serde_json::from_str(&json).unwrap();
    }

    /// The clock goes back and stays there.
    pub(super) fn clock_goes_back(&mut self) {
        self.behind += self.chance.random_range(0..HOUR);
    }

    pub(super) fn health_changes(&mut self) {
        let levels = [
            Level::Ok,
            Level::Ok,
            Level::Slow,
            Level::ColdStop,
            Level::ReplyOnly,
            Level::Paused,
        ];
        self.level = levels[self.chance.random_range(0..levels.len())];
    }

    fn check_gaps(&self, new: &Written) {
        let times = if new.level >= Level::Slow { 2 } else { 1 };
        let since = |of: &dyn Fn(&Written) -> bool| {
            let last = self.written.iter().rev().find(|written| of(written));
            last.map_or(Millis::MAX, |last| new.at - last.at)
        };
        let any = since(&|_| true);
        assert!(
            any >= 2 * SECOND * times,
            "{any} ms after any message: {new:?}"
        );
        assert!(new.level.lets(new.class), "{new:?}");
        if new.class == Class::Warm {
            let gap = since(&|last| last.class != Class::Reply);
            assert!(gap >= 5 * SECOND * times, "{gap} ms before a warm message");
        }
        if new.class == Class::Cold {
            let gap = since(&|last| last.class == Class::Cold);
            assert!(gap >= 30 * SECOND * times, "{gap} ms before a cold message");
            assert!(
                any >= 5 * SECOND * times,
                "{any} ms from any to a cold message"
            );
        }
    }

    fn check_contact(&self, person: usize, at: Millis, class: Class) {
        let contact = &self.people[person].0;
        let before = &contact.unanswered[..contact.unanswered.len() - 1];
        let within = |time: Millis| before.iter().filter(|sent| at - **sent < time).count();
        assert_eq!(within(3 * SECOND), 0, "too close for one contact");
        match (self.policy.preset, class) {
            (Preset::Default, Class::Warm | Class::Cold) => {
                assert!(within(7 * DAY) < 4, "more than 4 in 7 days");
                assert_eq!(within(10 * MINUTE), 0, "less than 10 minutes apart");
            }
            (Preset::Strict, Class::Cold) => {
                assert!(within(30 * DAY) < 2, "more than one follow-up");
                assert_eq!(within(DAY), 0, "a follow-up on the same day");
            }
            (Preset::Strict, Class::Warm) => assert!(within(DAY) < 5),
            (Preset::Strict, Class::Reply) => assert!(within(HOUR) < 30),
            _ => (),
        }
    }

    fn check_quiet(&self, person: usize, at: Millis, sent: &Candidate) {
        let is_strict = self.policy.preset == Preset::Strict;
        let is_held = sent.class == Class::Cold || sent.class == Class::Warm && is_strict;
        let passes = match sent.purpose {
            Some(Purpose::Code) => true,
            Some(Purpose::Order) => !is_strict,
            _ => false,
        };
        if is_held && !passes {
            // It may be written seconds later than planned.
            let planned = Timestamp::from_millisecond(at - 4 * SECOND).unwrap();
            let hour = planned
                .to_zoned_datetime(self.people[person].2.clone())
                .hour();
            assert!(
                (8..21).contains(&hour) || hour == 7,
                "{:?} at {hour} o'clock",
                sent.class
            );
        }
    }

    /// Checks every limit over the windows that end with this message.
    fn check_caps(&mut self, new: &Written, at: Millis) {
        if self.written.len() > 200 {
            self.written.pop_front();
        }
        let is_reply = new.class == Class::Reply;
        self.times[usize::from(!is_reply)].push(new.at);
        if new.is_new {
            self.times[2].push(new.at);
        }
        let days = u32::try_from(self.age(at).as_secs() / 86_400).unwrap();
        let (new_most, first, factor, most) = match self.policy.preset {
            Preset::Default => ([20, 50, 250], 150.0, 1.5, 2000.0),
            Preset::Strict => ([10, 20, 50], 40.0, 1.35, 1000.0),
            Preset::Sandbox => return,
        };
        let day = (first * f64::powf(factor, f64::from(days)))
            .min(most)
            .round();
        let hour = (day / 5.0).max(1.0);
        let mut most = match days {
            ..10 => new_most[0],
            10..30 => new_most[1],
            _ => new_most[2],
        };
        if self.policy.preset == Preset::Strict && days < 3 {
            most = 5;
        }
        let [replies, others, begun] = &self.times;
        assert!(holds(replies, 600, HOUR), "more than 600 replies an hour");
        assert!(
            holds(others, whole(day), DAY),
            "more than {day} messages a day"
        );
        assert!(
            holds(others, whole(hour), HOUR),
            "more than {hour} messages an hour"
        );
        assert!(
            holds(begun, most, DAY),
            "more than {most} new conversations on day {days}"
        );
    }
}

/// Returns whether the time that ends with the newest of these messages has no more than so many of them.
fn holds(times: &[Millis], most: usize, within: Millis) -> bool {
    let Some(index) = times.len().checked_sub(most + 1) else {
        return true;
    };
    times
        .last()
        .is_some_and(|last| last - times[index] >= within)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "limits are small"
)]
fn whole(limit: f64) -> usize {
    limit as usize
}
