//! The pace of a phone number over all the sessions that are linked to it: which of its lanes sends next.
//!
//! Lanes belong to sessions, and the gap belongs to the number. So a claim takes at most one lane of a number,
//! and none while another one has a message in flight: only when that message was written is it known when
//! the number may send again.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use passerelle_engine::{
    clock::Millis,
    content::{Peer, Phone},
    ids::SessionId,
    store::SystemTx,
};

use crate::{
    model::millis,
    safety::policy::Policy,
    services::Services,
    sessions::sealed::number_mac,
    settings::DEAD,
    store::system::{
        DueLane,
        numbers::{self, Look, SharedNumber},
    },
};

/// How long a lane waits at most until it looks again whether another lane of its number is done.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long after its gap a message in flight keeps the number's other lanes waiting. It may be an upload of
/// ten minutes, or nobody may settle it: its process died, and its session is to stay stopped.
const BUSY: Duration = Duration::from_mins(15);

/// Returns the HMAC that a linked number's row is found by. Returns
/// `None` if WhatsApp gave neither phone number nor LID.
pub(super) fn mac(services: &Services, me: &Peer) -> Option<[u8; 32]> {
    let phone = me.phone.as_ref().map(Phone::as_str);
    let name = phone.or(me.lid.as_deref())?;
    Some(number_mac(services, name))
}

/// Returns those of the due lanes that may send by `until`. The others are put off until their numbers may send.
pub(super) async fn admit(
    tx: &mut SystemTx,
    due: Vec<DueLane>,
    (now, until): (Millis, Millis),
    policy: &Policy,
) -> Result<Vec<DueLane>, sqlx::Error> {
    let sharing = due.iter().filter(|lane| lane.is_shared);
    let sharing: Vec<_> = sharing.map(|lane| lane.session).collect();
    let shared = if sharing.is_empty() {
        HashMap::new()
    } else {
        let look = Look {
            until,
            busy_since: now.saturating_sub(millis(BUSY)),
            seen_since: now.saturating_sub(millis(DEAD)),
        };
        numbers::shared(tx, &sharing, look).await?
    };
    let again = now.saturating_add(millis(policy.reply.floor().min(LOOK_AGAIN)));
    let (admitted, later) = decide(due, &shared, until, again);
    if !later.is_empty() {
        numbers::put_off(tx, &later).await?;
    }
    Ok(admitted)
}

/// Decides which of the due lanes send now, and when each of the others looks again. Of a number's lanes that
/// wait, the one that was not claimed last goes first, so that none of them waits for ever.
fn decide(
    due: Vec<DueLane>,
    shared: &HashMap<SessionId, SharedNumber>,
    until: Millis,
    again: Millis,
) -> (Vec<DueLane>, Vec<(SessionId, Millis)>) {
    let (mut ready, mut later) = (Vec::new(), Vec::new());
    for mut lane in due {
        let number = shared.get(&lane.session);
        if let Some(number) = number {
            lane.next_at = lane.next_at.max(number.next_at);
            lane.paced_until = lane.paced_until.max(number.paced_until);
            // Another lane of the number may have been claimed since the lane was read.
            lane.known.state.clone_from(&number.state);
        }
        if number.is_some_and(|number| number.is_busy) {
            later.push((lane.session, lane.next_at.max(again)));
        } else if lane.next_at > until {
            later.push((lane.session, lane.next_at));
        } else {
            ready.push(lane);
        }
    }
    let was_last = |lane: &DueLane| {
        let number = shared.get(&lane.session);
        number.is_some_and(|number| number.last_sent_by == Some(lane.session))
    };
    // A stable sort: otherwise they stay in order.
    ready.sort_by_key(was_last);
    let mut taken = HashSet::new();
    let (admitted, passed): (Vec<_>, Vec<_>) = ready.into_iter().partition(|lane| {
        let Some(number) = shared.get(&lane.session) else {
            return true;
        };
        let is_first = taken.insert(lane.number.clone());
        is_first && !(was_last(lane) && number.is_awaited)
    });
    later.extend(passed.iter().map(|lane| (lane.session, again)));
    (admitted, later)
}

#[cfg(test)]
mod tests {
    use passerelle_engine::{clock::Clock, ids::OrgId};

    use super::*;
    use crate::model::number::NumberRow;

    fn lane(next_at: Millis) -> DueLane {
        let clock = Clock::system();
        DueLane {
            org: OrgId::new(&clock),
            session: SessionId::new(&clock),
            epoch: 1,
            next_at,
            paced_until: 0,
            number: Some(vec![1]),
            is_shared: true,
            known: NumberRow::default(),
            head_at: Some(0),
            hold: None,
        }
    }

    fn number(next_at: Millis, last: Option<&DueLane>) -> SharedNumber {
        SharedNumber {
            next_at,
            paced_until: 0,
            state: None,
            last_sent_by: last.map(|lane| lane.session),
            is_busy: false,
            is_awaited: true,
        }
    }

    /// Decides at the time 100, for lanes of one number.
    fn decided(
        lanes: &[&DueLane],
        number: &SharedNumber,
    ) -> (Vec<SessionId>, Vec<(SessionId, Millis)>) {
        let shared = lanes.iter().map(|lane| (lane.session, number.clone()));
        let due = lanes.iter().map(|lane| DueLane {
            number: lane.number.clone(),
            known: lane.known.clone(),
            hold: None,
            ..**lane
        });
        let (admitted, later) = decide(due.collect(), &shared.collect(), 100, 150);
        (admitted.iter().map(|lane| lane.session).collect(), later)
    }

    #[test]
    fn of_two_lanes_of_a_number_one_sends_and_it_is_not_the_last_one() {
        let (one, other) = (lane(10), lane(20));
        let (admitted, later) = decided(&[&one, &other], &number(0, Some(&one)));
        assert_eq!(
            (admitted, later),
            (vec![other.session], vec![(one.session, 150)])
        );
        let (admitted, _) = decided(&[&one, &other], &number(0, None));
        assert_eq!(admitted, [one.session]);
    }

    #[test]
    fn a_lane_lets_another_one_go_first_that_waits_at_another_host() {
        let one = lane(10);
        let mut number = number(0, Some(&one));
        assert_eq!(
            decided(&[&one], &number),
            (vec![], vec![(one.session, 150)])
        );
        number.is_awaited = false;
        assert_eq!(decided(&[&one], &number).0, [one.session]);
    }

    #[test]
    fn a_lane_decides_with_what_its_number_has_sent_by_now() {
        let one = lane(10);
        let mut number = number(20, None);
        number.paced_until = 30;
        number.state = Some("{}".to_owned());
        let shared = HashMap::from([(one.session, number)]);
        let (admitted, _) = decide(vec![one], &shared, 100, 150);
        let [lane] = admitted.as_slice() else {
            panic!("it may send");
        };
        assert_eq!((lane.next_at, lane.paced_until), (20, 30));
        assert_eq!(lane.known.state.as_deref(), Some("{}"));
    }

    #[test]
    fn a_lane_waits_for_its_number_and_for_a_message_in_flight() {
        let one = lane(10);
        let mut number = number(700, None);
        assert_eq!(
            decided(&[&one], &number),
            (vec![], vec![(one.session, 700)])
        );
        number.next_at = 0;
        number.is_busy = true;
        assert_eq!(
            decided(&[&one], &number),
            (vec![], vec![(one.session, 150)])
        );
    }
}
