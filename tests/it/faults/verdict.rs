//! Compares the three records: what clients had accepted, what the phones showed, and what the receiver
//! got.

use anyhow::{Context as _, Result};
use passerelle_tests::{api::Message, dwindles, receiver::Arrival, simulator::Entry, within};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    load::Told,
    site::{CONTACT, FLOOR_MS, Site},
};
use crate::pacing::{by_number, under_floor};

/// How long a count may stand still, and how long completed work may take to be visible.
const SOON: Duration = Duration::from_mins(2);

/// Compares the records.
///
/// # Panics
/// If a promise was broken.
pub(super) async fn compare(site: &Site, told: &[Told]) -> Result<()> {
    for one in told {
        eprintln!(
            "{}: {} accepted, {} said",
            one.number,
            one.accepted.len(),
            one.said.len()
        );
    }
    shown_once_and_in_order(site, told).await?;
    gaps_are_kept(site).await?;
    let mut statuses = BTreeMap::new();
    for one in told {
        statuses.extend(known_as_sent(site, one).await?);
        stored_once(site, one).await?;
    }
    told_by_webhooks(site, told, &statuses).await
}

/// The frames of each number came in the order in which its texts were accepted, and the phone showed every text once, in that
/// order. What a phone could not read and asked for again has the place that it had then
/// (`docs/internals/assumptions.md`).
async fn shown_once_and_in_order(site: &Site, told: &[Told]) -> Result<()> {
    let wanted: usize = told.iter().map(|one| one.accepted.len()).sum();
    let shown = within(SOON, "all texts are shown", async || {
        let mut shown = site.world.simulator.ledger("shown").await?;
        shown.retain(|entry| is(&entry.to, CONTACT));
        Ok((shown.len() >= wanted).then_some(shown))
    })
    .await?;
    let asked = site.world.simulator.ledger("unreadable").await?;
    let mut frames = site.world.simulator.ledger("sent").await?;
    frames.retain(|frame| !frame.retry);
    let texts: BTreeMap<_, _> = shown
        .iter()
        .filter_map(|entry| Some((entry.id.as_str(), entry.text.as_deref()?)))
        .collect();
    for one in told {
        let accepted: Vec<_> = one.accepted.iter().map(|(_, text)| text.as_str()).collect();
        let of = |entry: &&Entry| is(&entry.from, &one.number);
        let text = |entry: &Entry| texts.get(entry.id.as_str()).copied().unwrap_or_default();
        let mut written: Vec<_> = frames.iter().filter(of).map(text).collect();
        let mut seen = BTreeSet::new();
        written.retain(|text| seen.insert(*text));
        let first_asked = first_by_id(asked.iter().filter(of));
        let place = |entry: &Entry| *first_asked.get(entry.id.as_str()).unwrap_or(&entry.n);
        let mut read: Vec<_> = shown.iter().filter(of).collect();
        let as_shown: Vec<_> = read.iter().map(|entry| text(entry)).collect();
        read.sort_by_key(|entry| place(entry));
        let read: Vec<_> = read.into_iter().map(text).collect();
        if written != accepted || as_shown != accepted {
            tell_of(&one.number, &accepted, [&shown, &asked, &frames]);
        }
        assert_eq!(written, accepted, "written by {}", one.number);
        assert_eq!(read, accepted, "shown of {}", one.number);
    }
    Ok(())
}

/// Returns the number of the first entry of each message.
fn first_by_id<'e>(entries: impl Iterator<Item = &'e Entry>) -> BTreeMap<&'e str, u64> {
    let mut first = BTreeMap::new();
    for entry in entries {
        first.entry(entry.id.as_str()).or_insert(entry.n);
    }
    first
}

/// Prints all that the ledger has of the texts around one that was shown late.
fn tell_of(number: &str, accepted: &[&str], ledgers: [&[Entry]; 3]) {
    let entries = ledgers.into_iter().flatten();
    let mut entries: Vec<_> = entries.filter(|entry| is(&entry.from, number)).collect();
    entries.sort_by_key(|entry| entry.n);
    let shown = entries.iter().filter(|entry| entry.kind == "shown");
    let shown: Vec<_> = shown
        .map(|entry| (entry.id.as_str(), entry.text.as_deref()))
        .collect();
    let late = shown
        .iter()
        .zip(accepted)
        .filter(|((_, text), wanted)| *text != Some(**wanted));
    let late: BTreeSet<_> = late.map(|((id, _), _)| *id).collect();
    for entry in entries
        .iter()
        .filter(|entry| late.contains(entry.id.as_str()))
    {
        let (n, at, kind, id) = (entry.n, entry.at_ms, &entry.kind, &entry.id);
        eprintln!("{number}: {n} at {at} {kind} {id} {:?}", entry.text);
    }
}

fn is(address: &str, number: &str) -> bool {
    address.contains(number.trim_start_matches('+'))
}

async fn gaps_are_kept(site: &Site) -> Result<()> {
    let frames: Vec<Entry> = site.world.simulator.ledger("sent").await?;
    let answers = frames.iter().filter(|frame| frame.retry).count();
    let numbers = by_number(frames);
    let under = numbers
        .values()
        .flat_map(|frames| under_floor(frames, FLOOR_MS));
    assert_eq!(under.collect::<Vec<_>>(), Vec::<String>::new());
    let repeated = site.world.simulator.ledger("repeat").await?.len();
    eprintln!("{repeated} frames were repeats, which a phone does not show");
    eprintln!("{answers} frames answered a phone that could not open a message");
    Ok(())
}

/// The API has exactly the accepted messages, as sent or later. Returns their statuses by id.
async fn known_as_sent(site: &Site, told: &Told) -> Result<BTreeMap<String, String>> {
    let query = format!("session_id={}&direction=outbound", told.session);
    let known: Vec<Message> = site.world.api.messages(&query).await?;
    let mut ids: Vec<_> = known.iter().map(|message| message.id.as_str()).collect();
    let mut accepted: Vec<_> = told.accepted.iter().map(|(id, _)| id.as_str()).collect();
    ids.sort_unstable();
    accepted.sort_unstable();
    assert_eq!(ids, accepted);
    for message in &known {
        assert!(
            ["sent", "delivered", "read"].contains(&message.status.as_str()),
            "{} was shown and is {}",
            message.id,
            message.status
        );
    }
    Ok(known
        .into_iter()
        .map(|message| (message.id, message.status))
        .collect())
}

/// Every text to the session is stored once.
async fn stored_once(site: &Site, told: &Told) -> Result<()> {
    let query = format!("session_id={}&direction=inbound", told.session);
    let said: BTreeSet<_> = told.said.iter().cloned().collect();
    within(SOON, "everything said is stored", async || {
        let stored = site.world.api.messages(&query).await?;
        let texts: BTreeSet<_> = stored.iter().map(|one| one.body().to_owned()).collect();
        assert_eq!(texts.len(), stored.len(), "a text is stored twice");
        Ok((texts == said).then_some(()))
    })
    .await
}

/// An event, however often it was delivered.
struct Event {
    kind: String,
    message: Option<String>,
    text: String,
}

/// Every status and every inbound message was reported by exactly one event. No status goes back, and no
/// event of a session is missing.
async fn told_by_webhooks(
    site: &Site,
    told: &[Told],
    statuses: &BTreeMap<String, String>,
) -> Result<()> {
    dwindles(SOON, "every webhook is delivered", async || {
        let open = site.roads.undelivered().await?;
        Ok(u64::try_from(open)?)
    })
    .await?;
    let mut sessions: BTreeMap<String, BTreeMap<i64, Event>> = BTreeMap::new();
    let mut ids: BTreeMap<(String, i64), String> = BTreeMap::new();
    for arrival in site.receiver.arrivals() {
        let Some((session, sequence)) = place(&arrival) else {
            continue;
        };
        let id = ids
            .entry((session.clone(), sequence))
            .or_insert_with(|| arrival.id.clone());
        assert_eq!(id, &arrival.id, "one sequence number has two events");
        let event = Event {
            kind: arrival.kind().to_owned(),
            message: arrival.body["data"]["message"]["id"]
                .as_str()
                .map(str::to_owned),
            text: arrival.text().to_owned(),
        };
        sessions.entry(session).or_default().insert(sequence, event);
    }
    for one in told {
        let events = sessions
            .remove(&one.session)
            .context("the session has events")?;
        let places: Vec<_> = events.keys().copied().collect();
        let last = i64::try_from(places.len())?;
        assert!(
            places.iter().copied().eq(1..=last),
            "{} misses an event: {places:?}",
            one.number
        );
        of_session(one, &events, statuses)?;
    }
    Ok(())
}

fn place(arrival: &Arrival) -> Option<(String, i64)> {
    let session = arrival.body["session_id"].as_str()?;
    Some((session.to_owned(), arrival.body["sequence"].as_i64()?))
}

fn of_session(
    told: &Told,
    events: &BTreeMap<i64, Event>,
    statuses: &BTreeMap<String, String>,
) -> Result<()> {
    const ORDER: [&str; 5] = ["unknown", "sent", "delivered", "read", "played"];
    let (mut said, mut again) = (Vec::new(), Vec::new());
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unread = BTreeSet::new();
    for event in events.values() {
        let Some(message) = event.message.as_deref() else {
            continue;
        };
        let status = event.kind.trim_start_matches("message.");
        if status == "undecryptable" {
            assert!(unread.insert(message), "{message} was reported twice");
            continue;
        }
        if status == "received" {
            let told = if unread.remove(message) {
                &mut again
            } else {
                &mut said
            };
            told.push(event.text.clone());
            continue;
        }
        let rank = ORDER.iter().position(|one| *one == status);
        let rank = rank.with_context(|| format!("{message} was reported as {status}"))?;
        if let Some(before) = last.insert(message, rank) {
            assert!(
                before < rank,
                "{message} was {} and then {status}",
                ORDER[before]
            );
        }
    }
    for (id, text) in &told.accepted {
        let rank = last.get(id.as_str()).copied();
        let rank = rank.with_context(|| format!("no event reports {text:?}"))?;
        assert_eq!(statuses[id], ORDER[rank], "the status of {text:?}");
    }
    assert_eq!(unread, BTreeSet::new(), "not reported for {}", told.number);
    // A message that a phone was asked to send again may be out of order (`docs/internals/assumptions.md`).
    if !again.is_empty() {
        eprintln!("{} was said once more: {again:?}", told.number);
    }
    let mut in_order = told.said.clone();
    in_order.retain(|text| !again.contains(text));
    assert_eq!(said, in_order, "reported for {}", told.number);
    assert_eq!(said.len() + again.len(), told.said.len());
    Ok(())
}
