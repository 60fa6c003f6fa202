//! What a claim reads about the messages that may be next, and what the decision makes of it.

use std::{collections::HashMap, hash::Hasher as _, time::Duration};

use passerelle_engine::{
    clock::Millis,
    ids::{ContactId, MessageId, SessionId},
    store::SystemTx,
};
use siphasher::sip::SipHasher24;

use crate::{
    model::{Class, millis},
    safety::{
        contact::Contact,
        decide::{self, Candidate, Decision, Hold, Number},
        groups::GroupKey,
        likeness::Fingerprint,
        quiet::Zones,
        state::State,
        steps::Steps,
    },
    state::policies::Policies,
    store::system::{
        DueLane,
        fingerprints::{self, Pair},
        turns::{self, Answered, Head, Heads},
    },
};

/// How soon a lane is looked at again whose next message cannot go any more.
const LOOK_AGAIN: Millis = 60_000;

/// Returns the answers that the states of those lanes' numbers do not know yet, where they matter: to messages that are no
/// replies.
pub(super) async fn answers(
    tx: &mut SystemTx,
    heads: &HashMap<SessionId, Heads>,
) -> Result<HashMap<SessionId, Vec<Answered>>, sqlx::Error> {
    let counts = |heads: &Heads| {
        heads
            .first
            .iter()
            .any(|head| head.class != Some(Class::Reply))
    };
    let asked = heads.iter().filter(|(_, heads)| counts(heads));
    let asked: Vec<_> = asked.map(|(session, _)| *session).collect();
    if asked.is_empty() {
        return Ok(HashMap::new());
    }
    turns::answered(tx, &asked).await
}

/// Returns when nearly the same text as that of each first message went to others: one time for each of them, oldest first.
pub(super) async fn alike(
    tx: &mut SystemTx,
    heads: &HashMap<SessionId, Heads>,
    steps: &Steps,
    now: Millis,
) -> Result<HashMap<MessageId, Vec<Millis>>, sqlx::Error> {
    let heads = heads.values().flat_map(|heads| &heads.first);
    let first = heads.filter(|head| head.class == Some(Class::Cold) && !head.is_counted);
    let first: Vec<_> = first.map(|head| head.message).collect();
    if first.is_empty() {
        return Ok(HashMap::new());
    }
    let ahead = steps.doubt(now).max(0);
    let since = now.saturating_sub(millis(decide::ALIKE_WITHIN).saturating_add(ahead));
    let beside = fingerprints::beside(tx, &first, since).await?;
    let near = |pairs: Vec<Pair>| {
        let read = |bytes: &[u8]| Fingerprint::from_bytes(bytes);
        let near = pairs.into_iter().filter(|pair| {
            let both = read(&pair.own).zip(read(&pair.other));
            both.is_some_and(|(own, other)| own.is_near(&other))
        });
        let last: HashMap<_, _> = near
            .map(|pair| (pair.contact, steps.moved(pair.at)))
            .collect();
        let mut times: Vec<_> = last.into_values().collect();
        times.sort_unstable();
        times
    };
    let each = beside.into_iter();
    Ok(each
        .map(|(message, pairs)| (message, near(pairs)))
        .collect())
}

/// Returns what the number and the recipient of a message have said to each other. `replied` are the times of the replies that
/// the recipient has not answered, if they count.
pub(super) fn contact(
    head: &Head,
    state: &State,
    steps: &Steps,
    replied: Option<&Vec<Millis>>,
) -> Contact {
    let mut unanswered: Vec<_> = head.unanswered.iter().map(|at| at.abs()).collect();
    unanswered.extend(replied.into_iter().flatten());
    unanswered.sort_unstable();
    let mut contact = Contact {
        last_inbound_at: head.last_inbound_at,
        unanswered,
        // A message without consent is not accepted.
        has_consent: true,
        last_sent_at: None,
    };
    contact.step(steps);
    let last = head.contact.map(short).and_then(|to| state.last_to(to));
    contact.last_sent_at = last.filter(|_| !head.is_counted);
    contact
}

/// Returns a contact as the state of its number names it.
pub(super) fn short(contact: ContactId) -> u32 {
    let mut hasher = SipHasher24::new();
    hasher.write(contact.to_string().as_bytes());
    // Its lower half is enough to tell the last recipient from the next one.
    u32::try_from(hasher.finish() & u64::from(u32::MAX)).unwrap_or_default()
}

/// Returns when replies went that the recipient of a reply has not answered, where the policy counts them.
pub(super) async fn replied(
    tx: &mut SystemTx,
    heads: &HashMap<SessionId, Heads>,
    lanes: &[DueLane],
    policies: &Policies,
    now: Millis,
) -> Result<HashMap<MessageId, Vec<Millis>>, sqlx::Error> {
    let mut asked = Vec::new();
    let mut within = Duration::ZERO;
    for lane in lanes {
        let policy = policies.of(lane.known.policy.as_deref());
        let (Some(streak), Some(heads)) = (policy.unanswered.reply, heads.get(&lane.session))
        else {
            continue;
        };
        let replies = heads.first.iter();
        let replies = replies.filter(|head| head.class == Some(Class::Reply));
        asked.extend(replies.map(|head| head.message));
        within = within.max(streak.within);
    }
    if asked.is_empty() {
        return Ok(HashMap::new());
    }
    turns::replied(tx, &asked, now.saturating_sub(millis(within))).await
}

/// What a lane does next.
pub(super) enum Next {
    /// It sends this message.
    Send {
        /// Its place in the list.
        index: usize,
        /// When it is written.
        at: Millis,
    },
    /// It rests.
    Rest {
        until: Millis,
        /// What holds the message that goes next.
        why: Option<Hold>,
    },
}

/// Decides what a lane does next. What may be refused was refused when it was accepted. One that would expire by now lets the
/// others pass: it expires in its time, unless its limits change.
pub(super) fn next(number: &Number<'_>, candidates: &mut [Candidate], now: Millis) -> Next {
    loop {
        let decision = decide::decide(number, candidates, now);
        match decide::early(&decision, number, candidates, now).unwrap_or(decision) {
            Decision::Send { index, at } => return Next::Send { index, at },
            Decision::Refuse { index, .. } => candidates[index].follows = true,
            Decision::WaitUntil { index: None, .. } => {
                let each = candidates.iter();
                let each = each.map(|candidate| decide::earliest(number, candidate, now));
                let first = each.min_by_key(|when| when.from);
                let from = first.map_or(now, |when| when.from);
                return Next::Rest {
                    until: from.max(now.saturating_add(LOOK_AGAIN)),
                    why: first.and_then(|when| when.why),
                };
            }
            Decision::WaitUntil { at, why, .. } => return Next::Rest { until: at, why },
        }
    }
}

/// Returns what is decided upon of a message. Its class may have changed since it was accepted.
pub(super) fn candidate(head: &Head, now: Millis) -> Candidate {
    let class = match head.class {
        Some(Class::Reply) => Class::of(head.last_inbound_at, true, now),
        class => class.unwrap_or(Class::Warm),
    };
    Candidate {
        purpose: head
            .purpose
            .as_deref()
            .and_then(|purpose| purpose.parse().ok()),
        // What counts already does not wait for itself.
        group: head
            .group_mac
            .as_deref()
            .filter(|_| !head.is_counted)
            .map(GroupKey::of),
        zones: Zones::of_phone(head.calling_code.as_deref().unwrap_or_default()),
        send_at: head.wanted_at,
        expires_at: head.expires_at,
        typing: Duration::from_millis(u64::try_from(head.typing_ms).unwrap_or(0)),
        priority: head.priority.to_store(),
        is_trial: head.is_trial,
        is_counted: head.is_counted,
        ..Candidate::new(class, head.accepted_at)
    }
}
