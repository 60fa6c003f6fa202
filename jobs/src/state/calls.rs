//! The calls to a session's number, from the offer to the end. They are in memory only: a call rings for a minute at
//! most, and the library has acknowledged it before it is here.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use passerelle_engine::{
    clock::Clock,
    whatsapp::{CallEnd, CallRoute},
};
use serde_json::Value;
use tokio::{sync::Notify, time::Instant};

use super::due_or_changed;

/// How long a call is known. If its end has not come by then, its end is never reported.
const KEPT: Duration = Duration::from_mins(5);
/// The most calls that are known. Beyond it one is forgotten: the oldest that does not ring, else the oldest.
const MOST: usize = 64;

/// A call that rings.
pub(crate) struct Ringing {
    /// The data of its events.
    pub(crate) data: Value,
    /// Where to reject it.
    pub(crate) route: CallRoute,
    /// Whether it may still ring.
    pub(crate) is_on: bool,
    /// When it counts as missed, if its end has not come by then. `None`: it does not.
    pub(crate) missed_at: Option<Instant>,
}

/// A call that ended, and whose end is to be told.
pub(crate) struct EndedCall {
    pub(crate) id: String,
    pub(crate) data: Value,
    pub(crate) how: CallEnd,
}

/// Why a call cannot be rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotRinging {
    Unknown,
    Over,
}

enum Phase {
    /// Its end came before its offer: the library handles stanzas side by side.
    EndedEarly(CallEnd),
    Ringing(Ringing),
    Over,
}

struct Known {
    id: String,
    since: Instant,
    phase: Phase,
}

impl Known {
    /// Returns when it counts as missed, if nothing more is heard of it.
    fn missed_at(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Ringing(ringing) => ringing.missed_at,
            _ => None,
        }
    }
}

#[derive(Default)]
struct State {
    known: VecDeque<Known>,
    /// Ends that are to be told.
    ended: Vec<EndedCall>,
}

impl State {
    fn find(&mut self, id: &str, now: Instant) -> Option<&mut Known> {
        self.known
            .retain(|call| now.saturating_duration_since(call.since) < KEPT);
        self.known.iter_mut().find(|call| call.id == id)
    }

    fn insert(&mut self, id: &str, phase: Phase, now: Instant) {
        if self.known.len() >= MOST {
            let is_still = |call: &Known| !matches!(call.phase, Phase::Ringing(_));
            let forgotten = self.known.iter().position(is_still).unwrap_or(0);
            self.known.remove(forgotten);
        }
        self.known.push_back(Known {
            id: id.to_owned(),
            since: now,
            phase,
        });
    }

    fn end(&mut self, id: &str, how: CallEnd, now: Instant) -> bool {
        let call = self.find(id, now);
        let Some(call) = call.filter(|call| matches!(call.phase, Phase::Ringing(_))) else {
            return false;
        };
        if let Phase::Ringing(ringing) = std::mem::replace(&mut call.phase, Phase::Over) {
            self.ended.push(EndedCall {
                id: id.to_owned(),
                data: ringing.data,
                how,
            });
        }
        true
    }
}

/// The calls of one session.
#[derive(Default)]
pub(crate) struct Calls {
    state: Mutex<State>,
    changed: Notify,
}

impl Calls {
    /// Returns whether the offer of this call has come before.
    pub(crate) fn has_rung(&self, id: &str, now: Instant) -> bool {
        let mut state = self.state.lock();
        let known = state.find(id, now);
        known.is_some_and(|call| !matches!(call.phase, Phase::EndedEarly(_)))
    }

    /// Adds a call whose offer was told.
    pub(crate) fn ring(&self, id: &str, ringing: Ringing, now: Instant) {
        let mut state = self.state.lock();
        let ringing = Phase::Ringing(ringing);
        match state.find(id, now) {
            Some(call) => {
                if let Phase::EndedEarly(how) = std::mem::replace(&mut call.phase, ringing) {
                    state.end(id, how, now);
                }
            }
            None => state.insert(id, ringing, now),
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Ends a call. Returns whether it was ringing. The end of a call that is not known is kept for its offer.
    pub(crate) fn end(&self, id: &str, how: CallEnd, now: Instant) -> bool {
        let mut state = self.state.lock();
        if state.find(id, now).is_none() {
            state.insert(id, Phase::EndedEarly(how), now);
            return false;
        }
        let rang = state.end(id, how, now);
        drop(state);
        self.changed.notify_one();
        rang
    }

    /// Returns where to reject a call that rings.
    pub(crate) fn ringing(&self, id: &str, now: Instant) -> Result<CallRoute, NotRinging> {
        let mut state = self.state.lock();
        match state.find(id, now).map(|call| &call.phase) {
            Some(Phase::Ringing(ringing)) if ringing.is_on => Ok(ringing.route.clone()),
            Some(Phase::Ringing(_) | Phase::Over) => Err(NotRinging::Over),
            Some(Phase::EndedEarly(_)) | None => Err(NotRinging::Unknown),
        }
    }

    /// Waits until a call has ended, or may have. Returns the ends that are to be told, possibly none.
    pub(crate) async fn ended(&self, clock: &Clock) -> Vec<EndedCall> {
        due_or_changed(self.next(), &self.changed).await;
        self.take_ended(clock.monotonic())
    }

    fn next(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.known.iter().filter_map(Known::missed_at).min()
    }

    fn take_ended(&self, now: Instant) -> Vec<EndedCall> {
        let mut state = self.state.lock();
        let missed = state
            .known
            .iter()
            .filter(|call| call.missed_at().is_some_and(|at| at <= now));
        let missed: Vec<_> = missed.map(|call| call.id.clone()).collect();
        for id in missed {
            state.end(&id, CallEnd::Missed, now);
        }
        std::mem::take(&mut state.ended)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn calls() -> (Calls, Instant) {
        (Calls::default(), Clock::system().monotonic())
    }

    fn ringing() -> Ringing {
        Ringing {
            data: json!({}),
            route: CallRoute::default(),
            is_on: true,
            missed_at: None,
        }
    }

    fn of_before(now: Instant) -> Ringing {
        Ringing {
            is_on: false,
            missed_at: Some(now + SOON),
            ..ringing()
        }
    }

    fn told(calls: &Calls, now: Instant) -> Vec<(String, CallEnd)> {
        let ended = calls.take_ended(now).into_iter();
        ended.map(|call| (call.id, call.how)).collect()
    }

    #[test]
    fn a_call_ends_once_however_often_its_end_comes() {
        let (calls, now) = calls();
        calls.ring("A", ringing(), now);
        assert!(calls.has_rung("A", now) && calls.ringing("A", now).is_ok());
        assert!(calls.end("A", CallEnd::Rejected, now));
        assert!(!calls.end("A", CallEnd::Missed, now));
        assert_eq!(told(&calls, now), [("A".to_owned(), CallEnd::Rejected)]);
        assert_eq!(told(&calls, now), []);
        assert_eq!(calls.ringing("A", now).err(), Some(NotRinging::Over));
        assert!(calls.has_rung("A", now));
        assert_eq!(calls.ringing("B", now).err(), Some(NotRinging::Unknown));
    }

    #[test]
    fn an_end_that_overtakes_its_offer_is_told_after_it() {
        let (calls, now) = calls();
        assert!(!calls.end("A", CallEnd::AcceptedElsewhere, now));
        assert!(!calls.end("A", CallEnd::Missed, now));
        assert!(!calls.has_rung("A", now));
        assert_eq!(told(&calls, now), []);
        calls.ring("A", ringing(), now);
        assert_eq!(
            told(&calls, now),
            [("A".to_owned(), CallEnd::AcceptedElsewhere)]
        );
    }

    #[test]
    fn a_call_that_came_while_the_session_was_away_is_missed_if_nothing_follows() {
        let (calls, now) = calls();
        calls.ring("A", of_before(now), now);
        calls.ring("B", of_before(now), now);
        calls.ring("C", ringing(), now);
        assert_eq!(calls.ringing("A", now).err(), Some(NotRinging::Over));
        calls.end("B", CallEnd::AcceptedElsewhere, now);
        assert_eq!(
            told(&calls, now),
            [("B".to_owned(), CallEnd::AcceptedElsewhere)]
        );
        assert_eq!(calls.next(), Some(now + SOON));
        assert_eq!(
            told(&calls, now + SOON),
            [("A".to_owned(), CallEnd::Missed)]
        );
        assert_eq!((told(&calls, now + KEPT), calls.next()), (Vec::new(), None));
    }

    #[test]
    fn calls_that_never_end_are_forgotten_and_so_are_many() {
        let (calls, now) = calls();
        calls.ring("A", ringing(), now);
        let later = now + KEPT;
        assert!(!calls.has_rung("A", later));
        assert_eq!(told(&calls, later), []);
        for n in 0..=MOST {
            calls.ring(&n.to_string(), ringing(), later);
        }
        assert!(!calls.has_rung("0", later) && calls.has_rung("1", later));
        // Ends of calls that are not known displace no call that rings.
        calls.end("1", CallEnd::Missed, later);
        for n in 0..=MOST {
            calls.end(&format!("early {n}"), CallEnd::Missed, later);
        }
        assert_eq!(calls.state.lock().known.len(), MOST);
        assert!(!calls.has_rung("1", later) && calls.has_rung("2", later));
    }
}
