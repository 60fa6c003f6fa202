//! A simulated number: contacts that write and are written to, groups, a clock that steps either way, restarts, and changes of
//! health.
//! What it sends is checked against the rules as they are written, not as they are computed.

use crate::model::Purpose;
use std::collections::VecDeque;

use jiff::{Timestamp, tz::TimeZone};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::safety::{
    contact::Contact,
    groups::{GroupKey, GroupTimes},
    level::Level,
    quiet::Zones,
    steps::Steps,
};

const PEOPLE: usize = 400;
/// Recipients after the people.
const GROUPS: usize = 8;
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
    is_group: bool,
    level: Level,
}

pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) state: State,
    pub(super) chance: StdRng,
    /// Real time. The clock is behind it by `behind`, which may be negative.
    pub(super) real: Millis,
    behind: Millis,
    steps: Steps,
    /// When the clock stepped first and last, in real time.
    stepped_at: Option<(Millis, Millis)>,
    linked_at: Millis,
    people: Vec<(Contact, Zones, TimeZone)>,
    /// What was answered since the number's state was written: when the messages went, and whether the answer was a first message.
    heard: Vec<(Vec<Millis>, bool)>,
    /// When each of them got messages without an answer, in real time.
    unanswered: Vec<Vec<Millis>>,
    pub(super) queue: Vec<Candidate>,
    /// Who each of them is for.
    recipients: Vec<usize>,
    /// The last messages.
    pub(super) written: VecDeque<Written>,
    /// When each reply, each other message, each new conversation and each code at night was written.
    times: [Vec<Millis>; 4],
    joined: GroupTimes,
    /// When the number last came into each group, and when it last wrote there, by its clock.
    groups: [[Option<Millis>; 2]; GROUPS],
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
            steps: Steps::default(),
            stepped_at: None,
            linked_at: NOON - i64::from(age_days) * DAY,
            people: (0..PEOPLE).map(person).collect(),
            heard: Vec::new(),
            unanswered: vec![Vec::new(); PEOPLE],
            queue: Vec::new(),
            recipients: Vec::new(),
            written: VecDeque::new(),
            times: Default::default(),
            joined: GroupTimes::default(),
            groups: Default::default(),
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
            joined: Some(&self.joined),
            level: self.level,
            level_until: Some(self.now() + HOUR),
            age: since(self.now(), self.steps.moved(self.linked_at)),
            doubt: self.steps.doubt(self.now()),
            ..Number::new(&self.policy, &self.state)
        }
    }

    /// Somebody writes to the number.
    pub(super) fn hear(&mut self, person: usize) {
        let now = self.now();
        let contact = &mut self.people[person].0;
        let is_first = contact.last_inbound_at.is_none();
        self.heard
            .push((std::mem::take(&mut contact.unanswered), is_first));
        self.unanswered[person].clear();
        contact.last_inbound_at = Some(now);
    }

    /// A message to somebody is accepted, or one to a group.
    pub(super) fn accept(&mut self, person: usize, characters: usize) {
        let now = self.now();
        let group = self.chance.random_range(0..GROUPS * 6);
        let person = if group < GROUPS {
            PEOPLE + group
        } else {
            person
        };
        let mut candidate = message(self.class(person), now);
        if let Some(group) = person.checked_sub(PEOPLE) {
            candidate.group = Some(key(group));
        } else {
            candidate.zones = self.people[person].1.clone();
        }
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
            if let Some((contact, ..)) = self.people.get(person) {
                candidate.contact.clone_from(contact);
                candidate.contact.step(&self.steps);
                candidate.class = Class::of(candidate.contact.last_inbound_at, false, now);
            }
            candidate.follows = self.recipients[..index].contains(&person);
        }
        // As it is read. It is written again with the next message.
        let is_read_otherwise = self.stepped_at.is_some() || !self.heard.is_empty();
        let stored = is_read_otherwise.then(|| self.state.clone());
        self.state.step(&self.steps);
        for (unanswered, is_first) in &self.heard {
            self.state.answered(unanswered, *is_first, now);
        }
        let decision = decide(&self.number(), &self.queue, now);
        if matches!(decision, Decision::Send { .. }) {
            self.heard.clear();
        } else if let Some(stored) = stored {
            self.state = stored;
        }
        match decision {
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
        let group = person.checked_sub(PEOPLE);
        if let Some((contact, ..)) = self.people.get_mut(person) {
            contact.step(&self.steps);
        }
        let contact = &candidate.contact;
        let is_new = candidate.class == Class::Cold && contact.is_new(now);
        let sent = Sent {
            class: candidate.class,
            at,
            quantile: self.chance.random(),
            is_new_conversation: is_new,
            is_at_night: candidate.morning(&self.policy, at).is_some(),
            group: candidate.group,
        };
        self.state.record(sent, now);
        self.check_night(person, at, &candidate);
        let late = if self.chance.random_ratio(1, 10) {
            self.chance.random_range(0..4000)
        } else {
            0
        };
        let at = at + late;
        self.state.moved(at);
        let written = Written {
            class: candidate.class,
            at: at + self.behind,
            is_new,
            is_group: group.is_some(),
            level: self.level,
        };
        self.check_gaps(&written);
        if let Some(group) = group {
            self.check_group(group, written.at);
        } else {
            let contact = &mut self.people[person].0;
            contact.unanswered.push(at);
            if contact.unanswered.len() > Contact::KEPT {
                contact.unanswered.remove(0);
            }
            contact.last_sent_at = Some(at);
            self.unanswered[person].push(written.at);
            self.check_contact(person, written.at, candidate.class);
        }
        self.check_quiet(person, at, &candidate);
        self.written.push_back(written);
        self.check_caps(&written);
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
        let json = serde_json::to_string(&self.joined).unwrap();
        self.joined = serde_json::from_str(&json).unwrap();
    }

    /// The number comes into a group.
    pub(super) fn join(&mut self) {
        let (group, now) = (self.chance.random_range(0..GROUPS), self.now());
        self.joined.note(key(group), now);
        self.groups[group][0] = Some(now + self.behind);
    }

    fn class(&self, person: usize) -> Class {
        let known = self.people.get(person);
        known.map_or(Class::Warm, |(contact, ..)| {
            Class::of(contact.last_inbound_at, false, self.now())
        })
    }

    /// The clock goes back or ahead, and stays there, at most once a day.
    pub(super) fn clock_steps(&mut self) {
        let last = self.stepped_at.map(|(_, last)| last);
        if last.is_some_and(|last| self.real - last < DAY) {
            return;
        }
        let by = self.chance.random_range(MINUTE..=HOUR);
        let by = if self.chance.random_bool(0.5) {
            by
        } else {
            -by
        };
        let mut step = Steps::default();
        step.note(self.now(), by);
        self.joined.step(&step);
        self.steps.note(self.now(), by);
        self.behind -= by;
        let (first, _) = self.stepped_at.unwrap_or((self.real, 0));
        self.stepped_at = Some((first, self.real));
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
        if new.is_group {
            let gap = since(&|last| last.class != Class::Reply);
            assert!(gap >= 10 * SECOND * times, "{gap} ms before a group");
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
        let unanswered = &self.unanswered[person];
        let before = &unanswered[..unanswered.len() - 1];
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

    fn check_group(&mut self, group: usize, at: Millis) {
        let [joined, wrote] = &mut self.groups[group];
        let since = |last: Option<Millis>| last.map_or(Millis::MAX, |last| at - last);
        assert!(
            since(*wrote) >= MINUTE,
            "{} ms after the last message to the group: {:?} {:?} {:?}",
            since(*wrote),
            self.state.groups,
            self.steps,
            self.stepped_at
        );
        if self.policy.preset == Preset::Strict {
            assert!(since(*joined) >= 12 * HOUR, "in a group for too short");
        }
        *wrote = Some(at);
    }

    /// Returns the hour of the day where somebody is. Nobody knows where the members of a group are.
    fn hour(&self, person: usize, at: Millis) -> i8 {
        let zone = self.people.get(person);
        let zone = zone.map_or(TimeZone::UTC, |(_, _, zone)| zone.clone());
        let local = Timestamp::from_millisecond(at).unwrap();
        local.to_zoned_datetime(zone).hour()
    }

    fn check_night(&mut self, person: usize, planned: Millis, sent: &Candidate) {
        let is_strict = self.policy.preset == Preset::Strict;
        let counts = sent.class == Class::Cold || sent.class == Class::Warm && is_strict;
        let is_code = sent.purpose == Some(Purpose::Code);
        if counts && is_code && !(8..21).contains(&self.hour(person, planned)) {
            self.times[3].push(planned + self.behind);
            assert!(
                holds(&self.times[3], 60, HOUR),
                "more than 60 codes an hour at night"
            );
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
            // For a day after the only step it must be day by both clocks.
            let real = self.stepped_at;
            let real = real.filter(|(first, last)| first == last && self.real - first < DAY - HOUR);
            for at in [Some(at), real.map(|_| at + self.behind)]
                .into_iter()
                .flatten()
            {
                let hour = self.hour(person, at - 4 * SECOND);
                assert!(
                    (8..21).contains(&hour) || hour == 7,
                    "{:?} at {hour} o'clock",
                    sent.class
                );
            }
        }
    }

    /// Checks every limit over the windows that end with this message.
    fn check_caps(&mut self, new: &Written) {
        if self.written.len() > 200 {
            self.written.pop_front();
        }
        let is_reply = new.class == Class::Reply;
        self.times[usize::from(!is_reply)].push(new.at);
        if new.is_new {
            self.times[2].push(new.at);
        }
        let days = u32::try_from((new.at - self.linked_at) / DAY).unwrap();
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
        let [replies, others, begun, _] = &self.times;
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

fn since(at: Millis, then: Millis) -> Duration {
    Duration::from_millis(u64::try_from(at - then).unwrap_or(0))
}

fn key(group: usize) -> GroupKey {
    GroupKey::of(&group.to_be_bytes()[2..])
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
