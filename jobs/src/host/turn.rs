//! Whose turn it is: of the messages that may go, which goes next, and when. What may not go yet waits, with a reason.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use passerelle_engine::{
    clock::Millis,
    ids::{MessageId, SessionId},
    store::SystemTx,
};
use rand::{RngExt as _, rngs::StdRng};
use serde_json::json;

use super::{
    candidates::{Next, alike, answers, candidate, contact, next, replied, short},
    job::SendMessage,
};
use crate::{
    model::{Class, Decided, millis},
    safety::{
        contact::Contact,
        decide::{self, Candidate, Hold},
        known::Known,
        policy::Policy,
        state::{Sent, State},
        steps::Steps,
    },
    state::policies::Policies,
    store::system::{
        self, Claim, DueLane, fingerprints,
        turns::{self, Answered, Before, Earlier, Head, Heads, Held, Met},
    },
};

/// How often one claim looks again for a message that may go after it found that others may not.
const LOOKS: usize = 32;

/// The turn of a lane: its next message, and when.
pub(super) struct Turn {
    pub(super) lane: DueLane,
    /// The message; `None` takes the lane's head.
    message: Option<MessageId>,
    /// When it may be written.
    send_at: Millis,
    /// From `send_at` to the message after it, in milliseconds, at the least.
    gap: Millis,
    /// What the number has sent with it.
    state: Option<State>,
    class: Option<Class>,
    /// How long typing is shown before it.
    typing: Duration,
    /// When it was decided.
    at: Millis,
}

impl Turn {
    /// Returns the turn of a lane's head, whoever it is for.
    fn of_head(lane: DueLane, policy: &Policy, chance: &mut StdRng, now: Millis) -> Self {
        let after_typing = now.saturating_add(millis(policy.lead()));
        Self {
            message: None,
            send_at: lane.next_at.max(after_typing),
            gap: millis(policy.reply.at(chance.random())),
            state: None,
            class: None,
            typing: policy.typing.least,
            at: now,
            lane,
        }
    }

    /// Returns the message and its time if it may be somebody's first one.
    fn first(&self) -> Option<(MessageId, Millis)> {
        let message = self.message.filter(|_| self.class == Some(Class::Cold))?;
        Some((message, self.send_at))
    }

    pub(super) fn claim(&self) -> Claim {
        let decision = Decided {
            at: Some(self.at),
            send_at: self.send_at,
            class: self.class,
            waited: self.lane.hold.clone(),
        };
        Claim {
            session: self.lane.session,
            next_at: self.send_at.saturating_add(self.gap),
            message: self.message,
            state: self.state.as_ref().map(|state| json!(state).to_string()),
            decision: Some(json!(decision).to_string()),
        }
    }

    pub(super) fn job(self, message: MessageId, now: Millis) -> SendMessage {
        SendMessage {
            org: self.lane.org,
            session: self.lane.session,
            message,
            epoch: self.lane.epoch,
            wait_ms: u64::try_from(self.send_at.saturating_sub(now)).unwrap_or(0),
            typing_ms: u64::try_from(self.typing.as_millis()).unwrap_or(0),
            gap_ms: u64::try_from(self.gap).unwrap_or(0),
        }
    }
}

/// Chooses the next message of each lane. Lanes that have to wait rest.
pub(super) async fn choose(
    tx: &mut SystemTx,
    lanes: Vec<DueLane>,
    (policies, steps): (&Policies, &Steps),
    chance: &mut StdRng,
    now: Millis,
) -> Result<Vec<Turn>, sqlx::Error> {
    let policy = |lane: &DueLane| policies.of(lane.known.policy.as_deref());
    let (mut lanes, in_order): (Vec<_>, Vec<_>) = lanes
        .into_iter()
        .partition(|lane| policy(lane).orders_by_class);
    let turn = |lane: DueLane| {
        let policy = policy(&lane);
        Turn::of_head(lane, &policy, chance, now)
    };
    let mut chooser = Chooser {
        policies,
        steps,
        now,
        turns: in_order.into_iter().map(turn).collect(),
        resting: Vec::new(),
        held: Vec::new(),
        before: Vec::new(),
        seen: HashSet::new(),
        met: Vec::new(),
        known: Vec::new(),
    };
    for look in 0..LOOKS {
        if lanes.is_empty() {
            break;
        }
        let sessions: Vec<_> = lanes.iter().map(|lane| lane.session).collect();
        let heads = turns::heads(tx, &sessions, now).await?;
        let mut answers = answers(tx, &heads).await?;
        let alike = alike(tx, &heads, steps, now).await?;
        let replied = replied(tx, &heads, &lanes, policies, now).await?;
        let mut again = Vec::new();
        for lane in lanes {
            match heads.get(&lane.session) {
                Some(heads) => {
                    let answered = answers.remove(&lane.session).unwrap_or_default();
                    again.extend(chooser.judge(lane, (heads, answered, &alike, &replied), chance));
                }
                // Its messages were held by an earlier look. The next claim has it rest.
                None if look > 0 => {}
                None => {
                    let policy = policies.of(lane.known.policy.as_deref());
                    chooser
                        .turns
                        .push(Turn::of_head(lane, &policy, chance, now));
                }
            }
        }
        lanes = again;
        if !chooser.held.is_empty() {
            turns::hold(tx, &std::mem::take(&mut chooser.held), now).await?;
        }
        if !chooser.before.is_empty() {
            turns::go_before(tx, &std::mem::take(&mut chooser.before)).await?;
        }
    }
    if !chooser.resting.is_empty() {
        system::rest(tx, &chooser.resting, now).await?;
    }
    let first = chooser.turns.iter().filter_map(Turn::first);
    let first: Vec<_> = first.collect();
    if !first.is_empty() {
        fingerprints::sent(tx, &first).await?;
    }
    if !chooser.met.is_empty() {
        turns::met(tx, &chooser.met, now).await?;
    }
    if !chooser.known.is_empty() {
        turns::forget_answered(tx, &chooser.known).await?;
    }
    Ok(chooser.turns)
}

/// What one look found of a lane: what may be next, the answers that its number's state does not know yet, and by message the
/// times of nearly equal texts and of unanswered replies.
type Looked<'l> = (
    &'l Heads,
    Vec<Answered>,
    &'l HashMap<MessageId, Vec<Millis>>,
    &'l HashMap<MessageId, Vec<Millis>>,
);

/// What is decided in one claim.
struct Chooser<'p> {
    policies: &'p Policies,
    steps: &'p Steps,
    now: Millis,
    turns: Vec<Turn>,
    resting: Vec<(SessionId, Millis, Option<&'static str>)>,
    held: Vec<Held>,
    /// What has to be looked at again before what follows it.
    before: Vec<Before>,
    /// What was looked at again.
    seen: HashSet<MessageId>,
    met: Vec<Met>,
    /// The answers that the states know now.
    known: Vec<(SessionId, Vec<Answered>)>,
}

impl Chooser<'_> {
    /// Decides what becomes of a lane. Returns it if another message of it has to be looked at.
    fn judge(
        &mut self,
        lane: DueLane,
        (heads, answered, alike, replied): Looked<'_>,
        chance: &mut StdRng,
    ) -> Option<DueLane> {
        let mut known = Known::of(&lane.known, self.steps, self.now);
        let policy = self.policies.of(lane.known.policy.as_deref());
        let planned = known.state.any.map(|last| last.at);
        let state = &mut known.state;
        state.paced_until(lane.paced_until, &policy, self.steps);
        let written = state.any.map(|last| last.at);
        for (sent_at, is_first) in answered.iter().flat_map(|answered| &answered.each) {
            known.state.answered(sent_at, *is_first, self.now);
        }
        let number = known.number(&policy);
        let candidate = |head: &Head| {
            let mut candidate = candidate(head, self.now);
            candidate.contact = contact(head, &known.state, self.steps, replied.get(&head.message));
            candidate.alike = alike.get(&head.message).cloned().unwrap_or_default();
            // The last message of the number was for this contact, and written later than planned.
            if let (Some(planned), Some(written)) = (planned, written) {
                let same = candidate.contact.unanswered.iter_mut();
                same.filter(|at| **at == planned)
                    .for_each(|at| *at = written);
            }
            candidate
        };
        let mut candidates: Vec<_> = heads.first.iter().map(candidate).collect();
        let before = self.held.len() + self.before.len();
        for (head, candidate) in heads.first.iter().zip(&mut candidates) {
            if let Some(earlier) = &head.earlier {
                candidate.follows = true;
                self.follow(head, earlier);
            }
        }
        if self.held.len() + self.before.len() > before {
            return Some(lane);
        }
        for (head, candidate) in heads.first.iter().zip(&candidates) {
            let when = decide::earliest(&number, candidate, self.now);
            let why = when.why.filter(|why| why.is_of_recipient());
            if let Some(why) = why.filter(|_| when.from > self.now) {
                self.held.push((head.message, when.from, why.into()));
            }
        }
        if self.held.len() + self.before.len() > before {
            return Some(lane);
        }
        match next(&number, &mut candidates, self.now) {
            Next::Send { index, at } => {
                let chosen = (&heads.first[index], &candidates[index]);
                self.send(lane, known.state, chosen, at, chance);
                if !answered.is_empty() {
                    let session = self.turns.last().expect("a turn was added").lane.session;
                    self.known.push((session, answered));
                }
            }
            Next::Rest { until, why } => self.wait(&lane, heads, until, why),
        }
        None
    }

    /// Keeps the order of two messages to one recipient: has the earlier one looked at again, or the later one wait for it.
    fn follow(&mut self, head: &Head, earlier: &Earlier) {
        let class = head.class.unwrap_or(Class::Warm);
        let waits = earlier.send_at > self.now;
        let is_refused = waits && earlier.hold.is_none();
        if !is_refused && (waits || earlier.class > class) && self.seen.insert(earlier.id) {
            self.before.push((earlier.id, class));
        } else if waits {
            let why = earlier.hold.as_deref().and_then(|hold| hold.parse().ok());
            let why = why.unwrap_or(Hold::Spacing);
            self.held.push((head.message, earlier.send_at, why.into()));
        }
    }

    /// Has the lane rest. A message that is scheduled for an earlier time lets it go on then.
    fn wait(&mut self, lane: &DueLane, heads: &Heads, at: Millis, why: Option<Hold>) {
        let policy = self.policies.of(lane.known.policy.as_deref());
        let at = at.saturating_add(millis(policy.lead()));
        let at = heads.later_at.map_or(at, |later| later.min(at));
        self.resting.push((lane.session, at, why.map(Into::into)));
    }

    fn send(
        &mut self,
        lane: DueLane,
        mut state: State,
        (head, candidate): (&Head, &Candidate),
        send_at: Millis,
        chance: &mut StdRng,
    ) {
        let (class, quantile) = (candidate.class, chance.random());
        let is_new = class == Class::Cold && candidate.contact.is_new(self.now);
        let policy = self.policies.of(lane.known.policy.as_deref());
        if head.is_counted {
            state.moved(send_at);
        } else {
            let sent = Sent {
                class,
                at: send_at,
                quantile,
                is_new_conversation: is_new,
                is_at_night: candidate.morning(&policy, send_at).is_some(),
                group: candidate.group,
            };
            state.record(sent, self.now);
            state.to = head.contact.map(short);
            if class != Class::Reply
                && let Some(contact) = head.contact
            {
                let mut unanswered = head.unanswered.clone();
                self.steps.move_all(&mut unanswered);
                // A warm one is marked: its answer makes no room for a first message.
                unanswered.push(if class == Class::Cold {
                    send_at
                } else {
                    -send_at
                });
                let kept = unanswered.len().saturating_sub(Contact::KEPT);
                self.met
                    .push((lane.session, contact, unanswered.split_off(kept), is_new));
            }
        }
        self.turns.push(Turn {
            message: Some(head.message),
            send_at,
            gap: millis(policy.reply.at(state.quantile())),
            typing: candidate.typing,
            at: self.now,
            state: Some(state),
            class: Some(class),
            lane,
        });
    }
}
