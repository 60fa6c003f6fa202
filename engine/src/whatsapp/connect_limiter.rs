//! Limits how fast one address opens connections, and decides which session is next.
//!
//! If a thousand numbers reconnect at once, it looks like an attack, and each login costs WhatsApp
//! work. So connections go through a token bucket: the most urgent session first, and among equals
//! the one that came first. The rate is halved when WhatsApp refuses (429, 503) or does not answer.
//! It grows by one connection per second with each minute without a refusal, up to four times the
//! initial rate.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};
use tokio_util::task::TaskTracker;

use crate::{clock::Clock, ids::SessionId};

/// How soon a session needs its connection. The most urgent is the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A person may be waiting for its QR code, or has linked it a short time ago.
    Watched,
    /// Messages wait in its lane.
    Waiting,
    /// Messages were sent to it a short time ago.
    Recent,
    /// Nobody would notice a delay.
    Idle,
}

/// Initial number of connections per second from one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connects(pub NonZeroU32);

impl Default for Connects {
    /// Five per second: a thousand sessions reconnect in little more than three minutes.
    fn default() -> Self {
        Self(const { NonZeroU32::new(5).expect("five is not zero") })
    }
}

/// The limiter of one process. Cheap to clone.
#[derive(Clone)]
pub(super) struct ConnectLimiter {
    state: Arc<Mutex<State>>,
    clock: Clock,
    tasks: TaskTracker,
}

struct State {
    bucket: Bucket,
    waiting: HashMap<SessionId, Waiter>,
    /// Number of waiters so far.
    arrivals: u64,
    /// Whether a task admits the waiters.
    is_admitting: bool,
}

struct Waiter {
    urgency: Urgency,
    /// Position among equals. A session that waits again keeps it.
    place: u64,
    /// Closed when nobody waits there. The session may wait again later.
    enter: oneshot::Sender<()>,
}

impl ConnectLimiter {
    pub(super) fn new(connects: Connects, clock: Clock, tasks: TaskTracker) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(connects, clock.monotonic()))),
            clock,
            tasks,
        }
    }

    /// Waits until this session may connect. If the caller stops waiting and calls again, the
    /// session keeps its position. Fails if another connection of the same session starts to wait.
    pub(super) async fn acquire(&self, session: SessionId, urgency: Urgency) -> anyhow::Result<()> {
        let Some(entered) = self.queue(session, urgency) else {
            return Ok(());
        };
        entered
            .await
            .context("another connection of the session waits instead")
    }

    /// Enters the queue. Returns `None` if nobody waits and there is a token.
    fn queue(&self, session: SessionId, urgency: Urgency) -> Option<oneshot::Receiver<()>> {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        let entered = state.queue(session, urgency, now)?;
        if !std::mem::replace(&mut state.is_admitting, true) {
            self.tasks.spawn(self.clone().admit_waiters());
        }
        Some(entered)
    }

    /// Admits waiters until there are none.
    async fn admit_waiters(self) {
        loop {
            let now = self.clock.monotonic();
            let Some(wait) = self.state.lock().admit(now) else {
                return;
            };
            tokio::time::sleep(wait.min(LOOK)).await;
        }
    }

    /// Removes a session that has ended from the queue.
    pub(super) fn forget(&self, session: SessionId) {
        self.state.lock().waiting.remove(&session);
    }

    /// Returns the waiting sessions.
    pub(super) fn waiting(&self) -> Vec<SessionId> {
        self.state.lock().waiting.keys().copied().collect()
    }

    /// Updates the urgency of the waiting sessions.
    pub(super) fn order(&self, urgencies: &[(SessionId, Urgency)]) {
        self.state.lock().order(urgencies);
    }

    /// Sets how many processes connect from this address. They share the rate.
    pub(super) fn share(&self, processes: u32) {
        let now = self.clock.monotonic();
        self.state.lock().bucket.share(processes, now);
    }

    /// Records that WhatsApp refused a connection because there are too many, or did not answer.
    pub(super) fn refused(&self) {
        let now = self.clock.monotonic();
        let rate = self.state.lock().bucket.refused(now);
        if let Some(rate) = rate {
            tracing::warn!(
                rate,
                "WhatsApp refuses connections; connecting at a lower rate per second"
            );
        }
    }
}

impl State {
    fn new(connects: Connects, now: Instant) -> Self {
        Self {
            bucket: Bucket::new(connects, now),
            waiting: HashMap::new(),
            arrivals: 0,
            is_admitting: false,
        }
    }

    fn queue(
        &mut self,
        session: SessionId,
        urgency: Urgency,
        now: Instant,
    ) -> Option<oneshot::Receiver<()>> {
        if !self.is_admitting && self.bucket.take(now).is_ok() {
            self.waiting.remove(&session);
            log_slot(session, urgency);
            return None;
        }
        let (enter, entered) = oneshot::channel();
        self.arrivals += 1;
        let before = self.waiting.get(&session);
        let waiter = Waiter {
            urgency: before.map_or(urgency, |before| before.urgency),
            place: before.map_or(self.arrivals, |before| before.place),
            enter,
        };
        self.waiting.insert(session, waiter);
        Some(entered)
    }

    /// Admits all waiters that may connect now. Returns how long until the next one may; `None` if
    /// nobody waits.
    fn admit(&mut self, now: Instant) -> Option<Duration> {
        while let Some(next) = self.next() {
            if let Err(wait) = self.bucket.take(now) {
                return Some(wait);
            }
            if let Some(waiter) = self.waiting.remove(&next) {
                log_slot(next, waiter.urgency);
                // If the waiter left at this moment, a token is wasted.
                let _ = waiter.enter.send(());
            }
        }
        self.is_admitting = false;
        None
    }

    fn order(&mut self, urgencies: &[(SessionId, Urgency)]) {
        for (session, urgency) in urgencies {
            if let Some(waiter) = self.waiting.get_mut(session) {
                waiter.urgency = *urgency;
            }
        }
    }

    /// Returns the next session among those whose caller still waits.
    fn next(&self) -> Option<SessionId> {
        let here = self
            .waiting
            .iter()
            .filter(|(_, waiter)| !waiter.enter.is_closed());
        here.min_by_key(|(_, waiter)| (waiter.urgency, waiter.place))
            .map(|(session, _)| *session)
    }
}

fn log_slot(session: SessionId, urgency: Urgency) {
    tracing::debug!(session.id = %session, ?urgency, "it is its turn to connect");
}

/// Maximum time until the queue is looked at again.
const LOOK: Duration = Duration::from_secs(1);
/// Refusals within this time count once: those connections were already under way.
const SAME: Duration = Duration::from_secs(1);
/// The rate grows after this time without a refusal.
const CLEAN: Duration = Duration::from_mins(1);
/// Upper limit of the rate, as a multiple of the initial rate.
const MOST: f64 = 4.0;
/// Lower limit of the rate, as a fraction of the initial rate.
const LEAST: f64 = 0.1;

/// A token bucket that holds at most the tokens of one second.
#[derive(Debug)]
struct Bucket {
    /// Lower and upper limit of the address's rate, in tokens per second.
    least: f64,
    most: f64,
    /// The address's rate, in tokens per second.
    rate: f64,
    /// Number of processes that share the address.
    sharers: f64,
    tokens: f64,
    /// Whether a token was ever requested. The time before that does not fill the bucket, because
    /// at the start all sessions are there before the first one connects.
    is_asked: bool,
    filled_at: Instant,
    /// Time of the last refusal, or of the last increase of the rate.
    clean_since: Instant,
    /// When the rate was last halved.
    halved_at: Option<Instant>,
}

impl Bucket {
    fn new(connects: Connects, now: Instant) -> Self {
        let rate = f64::from(connects.0.get());
        Self {
            least: rate * LEAST,
            most: rate * MOST,
            rate,
            sharers: 1.0,
            tokens: 0.0,
            is_asked: false,
            filled_at: now,
            clean_since: now,
            halved_at: None,
        }
    }

    /// Returns this process's rate, in tokens per second.
    fn own(&self) -> f64 {
        self.rate / self.sharers
    }

    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.filled_at);
        self.filled_at = now;
        self.tokens = (self.tokens + since.as_secs_f64() * self.own()).min(self.own().max(1.0));
        while now.saturating_duration_since(self.clean_since) >= CLEAN {
            self.clean_since += CLEAN;
            self.rate = (self.rate + 1.0).min(self.most);
        }
    }

    /// Takes a token. If there is none, returns how long until there is one.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        if !std::mem::replace(&mut self.is_asked, true) {
            self.filled_at = now;
        }
        self.fill(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.own()).max(Duration::from_millis(1)))
    }

    fn share(&mut self, processes: u32, now: Instant) {
        self.fill(now);
        self.sharers = f64::from(processes.max(1));
    }

    /// Lowers the rate. Returns the new rate, if it changed.
    fn refused(&mut self, now: Instant) -> Option<f64> {
        self.fill(now);
        self.clean_since = now;
        let same = |at| now.saturating_duration_since(at) < SAME;
        if self.halved_at.is_some_and(same) {
            return None;
        }
        self.halved_at = Some(now);
        self.rate = (self.rate / 2.0).max(self.least);
        self.tokens = self.tokens.min(self.own());
        Some(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(now: Instant) -> Bucket {
        Bucket::new(Connects::default(), now)
    }

    /// Returns how many tokens can be taken within a time, by asking whenever there is one.
    fn taken(bucket: &mut Bucket, mut now: Instant, within: Duration) -> u32 {
        let (end, mut taken) = (now + within, 0);
        while now < end {
            match bucket.take(now) {
                Ok(()) => taken += 1,
                Err(wait) => now += wait,
            }
        }
        taken
    }

    #[test]
    fn no_more_connections_than_the_rate_and_one_seconds_worth_after_a_rest() {
        let now = Instant::now();
        let mut bucket = bucket(now);
        let begun = now + Duration::from_secs(20);
        let ten = taken(&mut bucket, begun, Duration::from_secs(10));
        assert!((49..=50).contains(&ten), "{ten}");
        let rested = begun + Duration::from_secs(30);
        let one = taken(&mut bucket, rested, Duration::from_millis(100));
        assert_eq!(one, 5);
    }

    #[test]
    fn a_refusal_halves_the_rate_once_a_second_and_clean_minutes_raise_it() {
        let now = Instant::now();
        let mut bucket = bucket(now);
        assert_eq!(bucket.refused(now), Some(2.5));
        assert_eq!(bucket.refused(now + Duration::from_millis(500)), None);
        let later = now + Duration::from_secs(2);
        assert_eq!(bucket.refused(later), Some(1.25));
        // No number of refusals lowers it further.
        for n in 11..200 {
            bucket.refused(now + Duration::from_millis(200 * n));
        }
        assert!((bucket.rate - 0.5).abs() < f64::EPSILON);
        bucket.fill(now + Duration::from_secs(40 + 180));
        assert!((bucket.rate - 3.5).abs() < 1e-9, "{}", bucket.rate);
        bucket.fill(now + Duration::from_hours(2));
        assert!((bucket.rate - 20.0).abs() < f64::EPSILON, "{}", bucket.rate);
    }

    #[test]
    fn processes_at_one_address_share_its_rate() {
        let now = Instant::now();
        let mut bucket = bucket(now);
        bucket.share(5, now);
        taken(&mut bucket, now, Duration::from_secs(10));
        let ten = taken(
            &mut bucket,
            now + Duration::from_secs(10),
            Duration::from_secs(10),
        );
        assert!((10..=11).contains(&ten), "{ten}");
    }

    /// One connection per second, and no token at this moment.
    fn state(now: Instant) -> State {
        let mut state = State::new(Connects(NonZeroU32::MIN), now);
        state.is_admitting = true;
        state.bucket.is_asked = true;
        state
    }

    fn sessions<const N: usize>() -> [SessionId; N] {
        let clock = Clock::system();
        std::array::from_fn(|_| SessionId::new(&clock))
    }

    #[test]
    fn the_most_urgent_goes_first_and_among_equals_who_came_first() {
        let now = Instant::now();
        let mut state = state(now);
        let [idle, recent, waiting, watched, later] = sessions();
        let all = [
            (idle, Urgency::Idle),
            (recent, Urgency::Recent),
            (waiting, Urgency::Waiting),
            (watched, Urgency::Watched),
            (later, Urgency::Idle),
        ];
        let mut entered =
            all.map(|(session, urgency)| (session, state.queue(session, urgency, now).unwrap()));
        // In the meantime a message was accepted for the last one.
        state.order(&[(later, Urgency::Waiting)]);
        for (second, wanted) in [watched, waiting, later, recent, idle]
            .into_iter()
            .enumerate()
        {
            let then = now + Duration::from_secs(1) * u32::try_from(second + 1).unwrap();
            state.admit(then);
            let inside = entered
                .iter_mut()
                .find_map(|(session, entered)| entered.try_recv().is_ok().then_some(*session));
            assert_eq!(inside, Some(wanted));
        }
        assert!(!state.is_admitting, "nobody waits any more");
    }

    #[test]
    fn who_stops_waiting_takes_no_token_and_keeps_its_place() {
        let now = Instant::now();
        let mut state = state(now);
        let [first, second] = sessions();
        drop(state.queue(first, Urgency::Idle, now).unwrap());
        let mut entered = state.queue(second, Urgency::Idle, now).unwrap();
        state.admit(now + Duration::from_secs(1));
        assert!(entered.try_recv().is_ok());
        let mut entered = state.queue(second, Urgency::Idle, now).unwrap();
        let mut again = state.queue(first, Urgency::Idle, now).unwrap();
        state.admit(now + Duration::from_secs(2));
        assert!(again.try_recv().is_ok());
        assert!(entered.try_recv().is_err(), "it came later");
    }

    #[test]
    fn one_place_a_session() {
        let now = Instant::now();
        let mut state = state(now);
        let [session] = sessions();
        let mut before = state.queue(session, Urgency::Idle, now).unwrap();
        let mut entered = state.queue(session, Urgency::Idle, now).unwrap();
        state.admit(now + Duration::from_secs(1));
        assert!(before.try_recv().is_err());
        assert!(entered.try_recv().is_ok());
        assert!(state.waiting.is_empty());
    }

    #[tokio::test]
    async fn who_waits_is_let_in_without_being_asked() {
        let thousand = Connects(NonZeroU32::new(1_000).unwrap());
        let limiter = ConnectLimiter::new(thousand, Clock::system(), TaskTracker::new());
        for session in sessions::<20>() {
            limiter.acquire(session, Urgency::Idle).await.unwrap();
        }
        assert!(limiter.waiting().is_empty());
    }
}
