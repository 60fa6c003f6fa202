//! The honest shop, on the first two days of its number: what goes when, and what held it. The guide shows the table.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};

use super::{guide::compare, *};
use crate::{
    model::{Purpose, millis},
    safety::{
        contact::Contact,
        decide::{ALIKE_WITHIN, refuses},
        quiet::Zones,
        turn::{Before, Turn},
    },
};

/// 09:00 in Berlin, on a Tuesday in January 2026: the number has just been linked.
const LINKED: Millis = NOON - 4 * HOUR;
const ORDERS: usize = 60;
const OLD: usize = 200;
const KINDS: [&str; 4] = ["old customer", "confirmation", "parcel", "invoice"];
/// How long WhatsApp takes to acknowledge a message.
const ACKNOWLEDGED: Millis = 300;
/// The fraction of the golden ratio: its multiples spread evenly between 0 and 1.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// What the shop wants to send.
#[derive(Debug, Clone)]
struct Wish {
    kind: &'static str,
    place: usize,
    at: Millis,
    class: Class,
    purpose: Purpose,
    person: usize,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Sent(Millis),
    Refused,
    Expired,
}

struct Waiting {
    wish: usize,
    candidate: Candidate,
    held: BTreeMap<&'static str, Millis>,
}

struct Shop {
    policy: Policy,
    state: State,
    now: Millis,
    wishes: Vec<Wish>,
    people: Vec<Contact>,
    queue: Vec<Waiting>,
    first: Vec<Millis>,
    ends: Vec<Option<(End, &'static str)>>,
    quantile: f64,
}

/// Returns what the shop wants to send, in its order.
fn wishes() -> Vec<Wish> {
    let mut wishes = Vec::new();
    let old = |place: usize| Wish {
        kind: "old customer",
        place,
        at: LINKED + 5 * MINUTE + ms(place) * 3 * MINUTE,
        class: Class::Warm,
        purpose: Purpose::Order,
        person: ORDERS + place,
    };
    wishes.extend((0..OLD).map(old));
    for place in 0..ORDERS {
        let ordered = LINKED + 10 * MINUTE + ms(place) * 10 * MINUTE;
        for (kind, purpose, later) in [
            ("confirmation", Purpose::Order, 0),
            ("parcel", Purpose::Delivery, 3 * HOUR),
            ("invoice", Purpose::Billing, 6 * HOUR),
        ] {
            wishes.push(Wish {
                kind,
                place,
                at: ordered + later,
                class: Class::Cold,
                purpose,
                person: place,
            });
        }
    }
    wishes.sort_by_key(|wish| wish.at);
    wishes
}

fn ms(count: usize) -> Millis {
    i64::try_from(count).unwrap()
}

impl Shop {
    fn new() -> Self {
        let wishes = wishes();
        Self {
            policy: policy(Preset::Default),
            state: State::default(),
            now: LINKED,
            ends: vec![None; wishes.len()],
            wishes,
            people: vec![
                Contact {
                    has_consent: true,
                    ..Contact::default()
                };
                ORDERS + OLD
            ],
            queue: Vec::new(),
            first: Vec::new(),
            quantile: 0.5,
        }
    }

    fn number(&self) -> Number<'_> {
        Number {
            age: Duration::from_millis(u64::try_from(self.now - LINKED).unwrap()),
            able_since: LINKED,
            ..Number::new(&self.policy, &self.state)
        }
    }

    /// Accepts or refuses a message, as `jobs/src/outbound/forecast.rs` does.
    fn accept(&mut self, index: usize) {
        let wish = &self.wishes[index];
        let mut candidate = Candidate::new(wish.class, self.now);
        candidate.purpose = Some(wish.purpose);
        candidate.zones = Zones::of_phone("49");
        candidate.typing = self.policy.typing(80, self.state.quantile());
        let expires_at = self.now + millis(wish.purpose.life());
        candidate.expires_at = Some(expires_at);
        let waiting = Waiting {
            wish: index,
            candidate,
            held: BTreeMap::new(),
        };
        self.queue.push(waiting);
        self.look();
        let mut ahead = [0; 3];
        for waiting in &self.queue[..self.queue.len() - 1] {
            ahead[waiting.candidate.class as usize] += 1;
        }
        let number = self.number();
        let candidate = &self.queue.last().unwrap().candidate;
        let alone = earliest(&number, candidate, self.now);
        let person = self.wishes[index].person;
        let others = &self.queue[..self.queue.len() - 1];
        let same = others
            .iter()
            .filter(|waiting| self.wishes[waiting.wish].person == person);
        let same = i64::try_from(same.count()).unwrap();
        let before = Before {
            all: ahead.into(),
            same,
            same_now: same,
        };
        let at = Turn::of(&number, candidate, &before, self.now).answered;
        let is_certain = alone.why.is_none_or(Hold::is_certain);
        let is_late = is_certain && at > expires_at && at < Millis::MAX;
        if is_late || refuses(&number, candidate, self.now).is_some() {
            self.queue.pop();
            self.ends[index] = Some((End::Refused, "would_expire"));
        }
    }

    /// Shows each message that waits what has been sent to its recipient.
    fn look(&mut self) {
        let since = self.now - millis(ALIKE_WITHIN);
        self.first.retain(|at| *at > since);
        for waiting in &mut self.queue {
            let wish = &self.wishes[waiting.wish];
            waiting
                .candidate
                .contact
                .clone_from(&self.people[wish.person]);
            if wish.kind == "confirmation" {
                waiting.candidate.alike.clone_from(&self.first);
            }
        }
    }

    /// Returns the places of the messages among which a claim chooses: the first of each class that no limit of its
    /// recipient holds.
    fn heads(&self) -> Vec<usize> {
        let number = self.number();
        let mut heads = Vec::new();
        for class in [Class::Reply, Class::Warm, Class::Cold] {
            let goes = |candidate: &Candidate| {
                let when = earliest(&number, candidate, self.now);
                let is_held = when.why.is_some_and(Hold::is_of_recipient);
                candidate.class == class && !(is_held && when.from > self.now)
            };
            heads.extend(self.queue.iter().position(|one| goes(&one.candidate)));
        }
        heads.sort_unstable();
        heads
    }

    /// Sends what goes now. Returns when to look again.
    fn step(&mut self) -> Millis {
        self.expire();
        self.look();
        let heads = self.heads();
        let candidates: Vec<_> = heads
            .iter()
            .map(|at| self.queue[*at].candidate.clone())
            .collect();
        let again = match decide(&self.number(), &candidates, self.now) {
            Decision::WaitUntil { at, .. } => at,
            Decision::Refuse { .. } => self.now + MINUTE,
            Decision::Send { index, at } => {
                self.send(heads[index], at);
                return at + ACKNOWLEDGED;
            }
        };
        // A message that is held goes on by itself.
        let number = self.number();
        let held = self
            .queue
            .iter()
            .map(|one| earliest(&number, &one.candidate, self.now).from);
        let expires = self.queue.iter().filter_map(|one| one.candidate.expires_at);
        let next = held.chain(expires).filter(|at| *at > self.now).min();
        next.map_or(again, |next| next.min(again))
    }

    fn expire(&mut self) {
        let now = self.now;
        let gone = |one: &mut Waiting| one.candidate.expires_at.is_some_and(|at| at <= now);
        for gone in self.queue.extract_if(.., gone) {
            self.ends[gone.wish] = Some((End::Expired, longest(&gone.held)));
        }
    }

    fn send(&mut self, index: usize, at: Millis) {
        let gone = self.queue.remove(index);
        let wish = &self.wishes[gone.wish];
        let contact = &mut self.people[wish.person];
        let is_new = wish.class == Class::Cold && contact.is_new(self.now);
        self.quantile = (self.quantile + GOLDEN).fract();
        let sent = Sent {
            class: wish.class,
            at,
            quantile: self.quantile,
            is_new_conversation: is_new,
            is_at_night: gone.candidate.morning(&self.policy, at).is_some(),
            group: None,
        };
        self.state.record(sent, self.now);
        contact.unanswered.push(at);
        contact.last_sent_at = Some(at);
        if is_new {
            self.first.push(at);
        }
        self.ends[gone.wish] = Some((End::Sent(at), longest(&gone.held)));
    }

    /// Lets time pass, and notes what holds each message meanwhile.
    fn pass(&mut self, until: Millis) {
        let mut whys = Vec::new();
        for waiting in &self.queue {
            let when = earliest(&self.number(), &waiting.candidate, self.now);
            let why = when
                .why
                .filter(|why| !why.is_short() && when.from > self.now);
            let why: &'static str = why.map_or("its turn", Into::into);
            whys.push(why);
        }
        let passed = until - self.now;
        for (waiting, why) in self.queue.iter_mut().zip(whys) {
            *waiting.held.entry(why).or_default() += passed;
        }
        self.now = until;
    }

    fn run(mut self) -> Self {
        let mut next = 0;
        loop {
            while self
                .wishes
                .get(next)
                .is_some_and(|wish| wish.at <= self.now)
            {
                self.accept(next);
                next += 1;
            }
            let again = self.step();
            let arrives = self.wishes.get(next).map_or(Millis::MAX, |wish| wish.at);
            let until = again.min(arrives);
            if until == Millis::MAX {
                return self;
            }
            self.pass(until.max(self.now));
        }
    }
}

fn longest(held: &BTreeMap<&'static str, Millis>) -> &'static str {
    let most = held.iter().max_by_key(|(_, time)| **time);
    most.filter(|(_, time)| **time > 2 * MINUTE)
        .map_or("", |(why, _)| why)
}

/// Returns a time of the shop's day.
fn clock(at: Millis) -> String {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let at = Timestamp::from_millisecond(at)
        .unwrap()
        .to_zoned_datetime(zone);
    let day = ["day one", "day two", "day three"][usize::try_from(at.day() - 13).unwrap()];
    format!("{day} {:02}:{:02}", at.hour(), at.minute())
}

fn span(first: Millis, last: Millis) -> String {
    let (first, last) = (clock(first), clock(last));
    if first == last {
        return first;
    }
    let day = &first[..first.len() - 5];
    format!("{first} to {}", last.strip_prefix(day).unwrap_or(&last))
}

/// Neighbouring messages of one kind with the same fate.
struct Row {
    kind: &'static str,
    places: (usize, usize),
    asked: (Millis, Millis),
    fate: &'static str,
    why: &'static str,
    sent: (Millis, Millis),
}

impl Row {
    fn shown(&self) -> String {
        let (first, last) = self.places;
        let which = if first == last {
            format!("{first}")
        } else {
            format!("{first} to {last}")
        };
        let goes = match self.fate {
            "later" => span(self.sent.0, self.sent.1),
            fate => fate.to_owned(),
        };
        let why = match self.why {
            "" | "its turn" => self.why.to_owned(),
            why => format!("`{why}`"),
        };
        let asked = span(self.asked.0, self.asked.1);
        format!("| {} | {which} | {asked} | {goes} | {why} |", self.kind)
    }
}

fn rows(shop: &Shop) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for kind in KINDS {
        for (wish, end) in shop.wishes.iter().zip(&shop.ends) {
            if wish.kind != kind {
                continue;
            }
            let (end, why) = end.unwrap();
            let (fate, at) = match end {
                End::Sent(at) if at - wish.at <= 2 * MINUTE => ("within two minutes", at),
                End::Sent(at) => ("later", at),
                End::Refused => ("refused", wish.at),
                End::Expired => ("expires", wish.at),
            };
            match rows.last_mut() {
                Some(row) if (row.kind, row.fate, row.why) == (kind, fate, why) => {
                    row.places.1 = wish.place + 1;
                    row.asked.1 = wish.at;
                    row.sent.1 = row.sent.1.max(at);
                }
                _ => rows.push(Row {
                    kind,
                    places: (wish.place + 1, wish.place + 1),
                    asked: (wish.at, wish.at),
                    fate,
                    why,
                    sent: (at, at),
                }),
            }
        }
    }
    rows
}

#[test]
fn safety_the_honest_shop_of_the_guide_sends_what_it_can() {
    let shop = Shop::new().run();
    let mut times = [Vec::new(), Vec::new()];
    for (wish, end) in shop.wishes.iter().zip(&shop.ends) {
        let (end, _) = end.unwrap();
        assert_ne!(end, End::Expired, "accepted, but not sent: {wish:?}");
        if let End::Sent(at) = end {
            assert!(at <= wish.at + millis(wish.purpose.life()), "{wish:?}");
            times[usize::from(wish.kind == "confirmation")].push(at);
        }
    }
    let on_day_one = |times: &[Millis]| times.iter().filter(|at| **at < LINKED + DAY).count();
    assert_eq!(on_day_one(&times[1]), 20, "new conversations");
    assert!(on_day_one(&times[0]) + on_day_one(&times[1]) <= 150);
    let mut table =
        "| message | which | asked for | goes | held by |\n|---|---|---|---|---|\n".to_owned();
    for row in rows(&shop) {
        table.push_str(&row.shown());
        table.push('\n');
    }
    compare("story", &table);
}
