//! The door to WhatsApp: how fast one address opens connections, and whose turn it is.
//!
//! A thousand numbers that come back at once look like an attack, and each of them costs WhatsApp a
//! login. So connections pass a token bucket, the most urgent first, and among equals who came first.
//! Its rate halves when WhatsApp refuses (429, 503) or does not answer, and grows by one a second with
//! each minute in which it did not, up to four times what it began with.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};
use tokio_util::task::TaskTracker;

use crate::{clock::Clock, ids::SessionId};

/// How soon a session needs its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody may sit before its QR, or has linked it a short time ago.
    Watched,
    /// Messages wait in its lane.
    Waiting,
    /// It was written to a short time ago.
    Recent,
    /// Nobody would notice.
    Idle,
}

/// Connections that an address opens a second, at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connects(pub NonZeroU32);

impl Default for Connects {
    /// Five: a thousand sessions are back after a little more than three minutes, or sooner.
    fn default() -> Self {
        Self(const { NonZeroU32::new(5).expect("five is not none") })
    }
}

/// The door of one process. Cheap to clone.
#[derive(Clone)]
pub(super) struct ConnectLimiter {
    state: Arc<Mutex<State>>,
    clock: Clock,
    tasks: TaskTracker,
}

struct State {
    bucket: Bucket,
    waiting: HashMap<SessionId, Waiter>,
    /// How many came before.
    came: u64,
    /// Whether a task lets in who waits.
    is_kept: bool,
}

struct Waiter {
    urgency: Urgency,
    /// Its place among equals, kept while it comes again.
    place: u64,
    /// Closed once nobody waits there: it may come again.
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

    /// Returns when it is this session's turn to connect. Whoever stops waiting and comes again keeps
    /// its place. Fails when another connection of the session came to wait instead.
    pub(super) async fn pass(&self, session: SessionId, urgency: Urgency) -> anyhow::Result<()> {
        let Some(entered) = self.queue(session, urgency) else {
            return Ok(());
        };
        entered
            .await
            .context("another connection of the session waits")
    }

    /// A place in the queue; none where nobody waits and there is a token.
    fn queue(&self, session: SessionId, urgency: Urgency) -> Option<oneshot::Receiver<()>> {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        let entered = state.queue(session, urgency, now)?;
        if !std::mem::replace(&mut state.is_kept, true) {
            self.tasks.spawn(self.clone().keep());
        }
        Some(entered)
    }

    /// Lets in who waits, until nobody does.
    async fn keep(self) {
        loop {
            let now = self.clock.monotonic();
            let Some(wait) = self.state.lock().let_in(now) else {
                return;
            };
            tokio::time::sleep(wait.min(LOOK)).await;
        }
    }

    /// Forgets the place of a session that is over.
    pub(super) fn forget(&self, session: SessionId) {
        self.state.lock().waiting.remove(&session);
    }

    /// The sessions that wait.
    pub(super) fn waiting(&self) -> Vec<SessionId> {
        self.state.lock().waiting.keys().copied().collect()
    }

    /// What is known of those that wait by now.
    pub(super) fn order(&self, urgencies: &[(SessionId, Urgency)]) {
        self.state.lock().order(urgencies);
    }

    /// So many processes connect from this one's address, and share its rate.
    pub(super) fn share(&self, processes: u32) {
        let now = self.clock.monotonic();
        self.state.lock().bucket.share(processes, now);
    }

    /// WhatsApp refused a connection because there are too many, or did not answer.
    pub(super) fn refused(&self) {
        let now = self.clock.monotonic();
        let rate = self.state.lock().bucket.refused(now);
        if let Some(rate) = rate {
            tracing::warn!(
                rate,
                "WhatsApp wants fewer connections; so many a second from now on"
            );
        }
    }
}

impl State {
    fn new(connects: Connects, now: Instant) -> Self {
        Self {
            bucket: Bucket::new(connects, now),
            waiting: HashMap::new(),
            came: 0,
            is_kept: false,
        }
    }

    fn queue(
        &mut self,
        session: SessionId,
        urgency: Urgency,
        now: Instant,
    ) -> Option<oneshot::Receiver<()>> {
        if !self.is_kept && self.bucket.take(now).is_ok() {
            self.waiting.remove(&session);
            tell(session, urgency);
            return None;
        }
        let (enter, entered) = oneshot::channel();
        self.came += 1;
        let before = self.waiting.get(&session);
        let waiter = Waiter {
            urgency: before.map_or(urgency, |before| before.urgency),
            place: before.map_or(self.came, |before| before.place),
            enter,
        };
        self.waiting.insert(session, waiter);
        Some(entered)
    }

    /// Lets in whoever may come in now; how long until the next one may, none when nobody waits.
    fn let_in(&mut self, now: Instant) -> Option<Duration> {
        while let Some(next) = self.next() {
            if let Err(wait) = self.bucket.take(now) {
                return Some(wait);
            }
            if let Some(waiter) = self.waiting.remove(&next) {
                tell(next, waiter.urgency);
                // One that left this very moment wastes a token.
                let _ = waiter.enter.send(());
            }
        }
        self.is_kept = false;
        None
    }

    fn order(&mut self, urgencies: &[(SessionId, Urgency)]) {
        for (session, urgency) in urgencies {
            if let Some(waiter) = self.waiting.get_mut(session) {
                waiter.urgency = *urgency;
            }
        }
    }

    /// Whose turn it is of those who are there.
    fn next(&self) -> Option<SessionId> {
        let here = self
            .waiting
            .iter()
            .filter(|(_, waiter)| !waiter.enter.is_closed());
        here.min_by_key(|(_, waiter)| (waiter.urgency, waiter.place))
            .map(|(session, _)| *session)
    }
}

fn tell(session: SessionId, urgency: Urgency) {
    tracing::debug!(session.id = %session, ?urgency, "it is its turn to connect");
}

/// Between two looks at whether anybody still waits.
const LOOK: Duration = Duration::from_secs(1);
/// Refusals within a second of the one that counted say the same: their connections were under way.
const SAME: Duration = Duration::from_secs(1);
/// Without a refusal for so long, the rate grows.
const CLEAN: Duration = Duration::from_mins(1);
/// How many times its first rate it may reach.
const MOST: f64 = 4.0;
/// To what part of its first rate it may fall.
const LEAST: f64 = 0.1;

/// Tokens, of which a second's worth may gather.
#[derive(Debug)]
struct Bucket {
    /// Tokens a second that the address may have at least, and at most.
    least: f64,
    most: f64,
    /// Tokens a second of the address.
    rate: f64,
    /// Processes that share the address.
    sharers: f64,
    tokens: f64,
    /// Whether a token was wanted ever. What comes before is no rest: those who come back at the start are
    /// all there before the first goes in.
    is_asked: bool,
    filled_at: Instant,
    /// Since when nothing was refused, or the rate grew.
    clean_since: Instant,
    /// When the rate was halved last.
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

    /// Tokens a second of this process.
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

    /// Takes a token, or tells how long until there is one.
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

    /// The rate from now on, if it changes.
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

    /// Tokens taken within a time, asking as soon as there is one.
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
        // However fast they come.
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

    /// With one connection a second, and none at this moment.
    fn state(now: Instant) -> State {
        let mut state = State::new(Connects(NonZeroU32::MIN), now);
        state.is_kept = true;
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
        // A message was accepted for the last one meanwhile.
        state.order(&[(later, Urgency::Waiting)]);
        for (second, wanted) in [watched, waiting, later, recent, idle]
            .into_iter()
            .enumerate()
        {
            let then = now + Duration::from_secs(1) * u32::try_from(second + 1).unwrap();
            state.let_in(then);
            let inside = entered
                .iter_mut()
                .find_map(|(session, entered)| entered.try_recv().is_ok().then_some(*session));
            assert_eq!(inside, Some(wanted));
        }
        assert!(!state.is_kept, "nobody waits any more");
    }

    #[test]
    fn who_stops_waiting_takes_no_token_and_keeps_its_place() {
        let now = Instant::now();
        let mut state = state(now);
        let [first, second] = sessions();
        drop(state.queue(first, Urgency::Idle, now).unwrap());
        let mut entered = state.queue(second, Urgency::Idle, now).unwrap();
        state.let_in(now + Duration::from_secs(1));
        assert!(entered.try_recv().is_ok());
        let mut entered = state.queue(second, Urgency::Idle, now).unwrap();
        let mut again = state.queue(first, Urgency::Idle, now).unwrap();
        state.let_in(now + Duration::from_secs(2));
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
        state.let_in(now + Duration::from_secs(1));
        assert!(before.try_recv().is_err());
        assert!(entered.try_recv().is_ok());
        assert!(state.waiting.is_empty());
    }

    #[tokio::test]
    async fn who_waits_is_let_in_without_being_asked() {
        let thousand = Connects(NonZeroU32::new(1_000).unwrap());
        let limiter = ConnectLimiter::new(thousand, Clock::system(), TaskTracker::new());
        for session in sessions::<20>() {
            limiter.pass(session, Urgency::Idle).await.unwrap();
        }
        assert!(limiter.waiting().is_empty());
    }
}
