//! Which session connects next.

use std::num::NonZeroU32;

use super::*;

/// One connection per second, and no token at this moment.
fn state(now: Instant) -> State {
    let mut state = State::new(Connects(NonZeroU32::MIN), now);
    let _none = state.bucket.take(now);
    state.is_admitting = true;
    state
}

fn org() -> OrgId {
    OrgId::new(&Clock::system())
}

fn linked<const N: usize>(org: OrgId, urgency: Urgency) -> [Candidate; N] {
    let clock = Clock::system();
    std::array::from_fn(|_| Candidate {
        org,
        session: SessionId::new(&clock),
        urgency,
        is_linked: true,
    })
}

fn unlinked<const N: usize>(org: OrgId) -> [Candidate; N] {
    linked(org, Urgency::Watched).map(|candidate| Candidate {
        is_linked: false,
        ..candidate
    })
}

/// Lets a second pass for each waiter. Returns the order in which they may connect.
fn order_of(state: &mut State, now: Instant, all: &[Candidate]) -> Vec<SessionId> {
    let waiting = all.iter().map(|candidate| {
        let entered = state.queue(*candidate, now).unwrap();
        (candidate.session, entered)
    });
    let mut waiting: Vec<_> = waiting.collect();
    let mut order = Vec::new();
    for second in 1..=all.len() {
        state.admit(now + Duration::from_secs(1) * u32::try_from(second).unwrap());
        waiting.retain_mut(|(session, entered)| {
            let is_inside = entered.try_recv().is_ok();
            if is_inside {
                order.push(*session);
            }
            !is_inside
        });
        assert!(order.len() <= second);
    }
    order
}

#[test]
fn the_most_urgent_goes_first_and_among_equals_who_came_first() {
    let now = Instant::now();
    let (mut state, org) = (state(now), org());
    let [idle, later] = linked(org, Urgency::Idle);
    let [recent] = linked(org, Urgency::Recent);
    let [watched] = unlinked(org);
    let [waiting] = linked(org, Urgency::Waiting);
    let all = [idle, recent, waiting, watched, later];
    let order = order_of(&mut state, now, &all);
    let wanted = [waiting, watched, recent, idle, later].map(|one| one.session);
    assert_eq!(order, wanted);
    assert!(!state.is_admitting, "nobody waits any more");
}

#[test]
fn a_session_that_became_urgent_goes_first() {
    let now = Instant::now();
    let mut state = state(now);
    let [first, second] = linked(org(), Urgency::Idle);
    let mut entered = [first, second].map(|one| state.queue(one, now).unwrap());
    state.order(&[(second.session, Urgency::Waiting)]);
    state.admit(now + Duration::from_secs(1));
    assert!(entered[0].try_recv().is_err());
    assert!(entered[1].try_recv().is_ok());
}

#[test]
fn among_equals_the_organisations_take_turns() {
    let now = Instant::now();
    let mut state = state(now);
    let noisy: [_; 4] = linked(org(), Urgency::Recent);
    let quiet: [_; 2] = linked(org(), Urgency::Recent);
    let [urgent] = linked(noisy[0].org, Urgency::Waiting);
    let all: Vec<_> = noisy.into_iter().chain(quiet).chain([urgent]).collect();
    let order = order_of(&mut state, now, &all);
    let wanted = [
        urgent, quiet[0], noisy[0], quiet[1], noisy[1], noisy[2], noisy[3],
    ];
    assert_eq!(order, wanted.map(|one| one.session));
}

#[test]
fn three_of_an_organisation_show_codes_at_once_and_the_next_follows_one_that_is_done() {
    let now = Instant::now();
    let mut state = state(now);
    let [first, second, third, fourth] = unlinked(org());
    let [other] = unlinked(org());
    let [recent] = linked(first.org, Urgency::Recent);
    let all = [first, second, third, fourth, recent, other];
    let later = now + Duration::from_secs(20);
    let mut entered = all.map(|one| state.queue(one, now).unwrap());
    let mut inside = |state: &mut State, later| {
        for second in 0..10 {
            state.admit(later + Duration::from_secs(second));
        }
        entered.each_mut().map(|one| one.try_recv().is_ok())
    };
    let admitted = inside(&mut state, later);
    assert_eq!(admitted, [true, true, true, false, true, true]);
    assert!(state.is_blocked && state.is_admitting);
    // Others go in at once, and one that shows codes already may connect again.
    let [another] = linked(first.org, Urgency::Idle);
    let much_later = later + Duration::from_secs(30);
    assert!(state.queue(another, much_later).is_none());
    let later = much_later + Duration::from_secs(30);
    assert!(state.queue(second, later).is_none());
    state.release(first.org, first.session);
    let admitted = inside(&mut state, later + Duration::from_secs(1));
    assert!(admitted[3], "its turn has come");
    assert!(!state.is_admitting);
}

#[test]
fn who_stops_waiting_takes_no_token_and_keeps_its_place() {
    let now = Instant::now();
    let mut state = state(now);
    let [first, second] = linked(org(), Urgency::Idle);
    drop(state.queue(first, now).unwrap());
    let mut entered = state.queue(second, now).unwrap();
    state.admit(now + Duration::from_secs(1));
    assert!(entered.try_recv().is_ok());
    state.is_admitting = true;
    let mut entered = state.queue(second, now).unwrap();
    let mut again = state.queue(first, now).unwrap();
    state.admit(now + Duration::from_secs(2));
    assert!(again.try_recv().is_ok());
    assert!(entered.try_recv().is_err(), "it came later");
}

#[test]
fn one_place_a_session() {
    let now = Instant::now();
    let mut state = state(now);
    let [session] = linked(org(), Urgency::Idle);
    let mut before = state.queue(session, now).unwrap();
    let mut entered = state.queue(session, now).unwrap();
    state.admit(now + Duration::from_secs(1));
    assert!(before.try_recv().is_err());
    assert!(entered.try_recv().is_ok());
    assert!(state.waiting.is_empty());
}

#[tokio::test]
async fn who_waits_is_let_in_without_being_asked() {
    let thousand = Connects(NonZeroU32::new(1_000).unwrap());
    let limiter = ConnectLimiter::new(thousand, Clock::system(), TaskTracker::new());
    for candidate in linked::<20>(org(), Urgency::Idle) {
        limiter.acquire(candidate).await.unwrap();
    }
    assert!(limiter.waiting().is_empty());
}

#[tokio::test]
async fn who_waits_for_its_turn_to_show_a_code_is_let_in_when_another_is_linked() {
    let thousand = Connects(NonZeroU32::new(1_000).unwrap());
    let limiter = ConnectLimiter::new(thousand, Clock::system(), TaskTracker::new());
    let [first, second, third, fourth] = unlinked(org());
    for candidate in [first, second, third] {
        limiter.acquire(candidate).await.unwrap();
    }
    let waiting = limiter.acquire(fourth);
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    limiter.linked(first.org, first.session);
    let entered = tokio::time::timeout(Duration::from_secs(10), waiting);
    entered.await.expect("its turn comes").unwrap();
    limiter.forget(first.org, fourth.session);
}
