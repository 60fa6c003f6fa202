//! Runs one session: opens its connection, handles its events, and stops it.

mod calls;
pub(super) mod health;
mod updates;

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use passerelle_engine::{
    content::Peer,
    ids::SessionId,
    keystore::SealedKeyStore,
    lease::Lease,
    whatsapp::{
        Connection, ConnectionOptions, GroupChanges, Late, LateMessages, Typing, Urgency, WhatsApp,
        event::{ConnectionEvent, ConnectionEvents, Ended},
        inbound::InboundSink as _,
    },
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    crash,
    error::{self, Fault, if_readable},
    host::{change::Change, group_changes, number},
    inbound::Inbox,
    model::{EndReason, Live, Qr, State, event::EventType, millis},
    outage,
    safety::health::Signal,
    services::Services,
    state::{
        back_off::longer, calls::Calls, early_receipts::EarlyReceipts, health_watch::HealthWatch,
        in_flight::InFlight, registry::Running, typing::Shown,
    },
    store,
};

/// The most late messages stored in one commit.
const LATE: usize = 64;

/// A connection with its outputs.
type Opened = (Connection, ConnectionEvents, LateMessages, GroupChanges);

/// A session that runs here under its lease.
pub(crate) struct RunningSession {
    services: Services,
    lease: Lease,
    urgency: Urgency,
    in_flight: Arc<InFlight>,
    typing: Arc<Shown>,
    early: Arc<EarlyReceipts>,
    calls: Arc<Calls>,
    health: Arc<HealthWatch>,
    stop: CancellationToken,
    lost: CancellationToken,
    refused: RefusedLink,
}

/// The link to a number that another session of the organisation is linked to. It is undone.
#[derive(Default)]
struct RefusedLink {
    undo: Notify,
    is_undone: AtomicBool,
}

impl RunningSession {
    /// Registers the session as running here.
    pub(crate) fn new(
        services: Services,
        lease: Lease,
        urgency: Urgency,
        stop: CancellationToken,
    ) -> Self {
        let (in_flight, lost) = (Arc::new(InFlight::default()), CancellationToken::new());
        let typing = Arc::new(Shown::default());
        let early = Arc::new(EarlyReceipts::default());
        let calls = Arc::new(Calls::default());
        let health = Arc::new(HealthWatch::default());
        services.registry().begin(Running {
            lease: lease.clone(),
            connection: None,
            in_flight: Arc::clone(&in_flight),
            typing: Arc::clone(&typing),
            calls: Arc::clone(&calls),
            health: Arc::clone(&health),
            stop: stop.clone(),
            lost: lost.clone(),
        });
        Self {
            services,
            lease,
            urgency,
            in_flight,
            typing,
            early,
            calls,
            health,
            stop,
            lost,
            refused: RefusedLink::default(),
        }
    }

    /// Runs the session until it is stopped, ends for good, or loses its lease.
    pub(crate) async fn run(self, whatsapp: WhatsApp) {
        if let Some((connection, events, late, groups)) = self.open(&whatsapp).await {
            self.services
                .registry()
                .set_connection(self.lease.session, connection.clone());
            self.follow(connection, events, late, groups).await;
        }
        self.release_lease().await;
        self.services
            .registry()
            .end(self.lease.session, self.lease.epoch);
        self.services.wake_live();
        // The session may be wanted again at once, after a disconnect and a connect in quick succession.
        self.services.wake_hosts();
    }

    /// Opens the connection, and retries after longer and longer pauses. Returns `None` if the session is stopped or its lease lost first.
    async fn open(&self, whatsapp: &WhatsApp) -> Option<Opened> {
        let mut pause = Duration::ZERO;
        loop {
            let error = match self.try_open(whatsapp).await {
                Ok(opened) => return Some(opened),
                Err(error) => error,
            };
            if error::is_outage(&error) {
                tracing::warn!(session.id = %self.lease.session, error = format!("{error:#}"), "the database is down; a session waits to be opened");
                pause = outage::PAUSE;
            } else {
                pause = longer(pause);
                report_failure(self.lease.session, "open", pause, &format!("{error:#}"));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return None,
                () = self.lost.cancelled() => return None,
            }
        }
    }

    async fn try_open(&self, whatsapp: &WhatsApp) -> anyhow::Result<Opened> {
        let services = &self.services;
        let key = services
            .vault()
            .session_key(self.lease.org, self.lease.session)
            .await?;
        let keys = SealedKeyStore::new(
            services.store().clone(),
            self.lease.clone(),
            key,
            services.clock().clone(),
            self.lost.clone(),
            self.stop.clone(),
        );
        let options = ConnectionOptions {
            org: self.lease.org,
            label: self.lease.session,
            lost: self.lost.clone(),
            urgency: self.urgency,
        };
        whatsapp
            .open(Arc::new(keys), Arc::new(self.inbox()), options)
            .await
    }

    /// Handles the connection's events until it ends. When the session is stopped, the connection is closed
    /// once nothing is in flight any more.
    async fn follow(
        &self,
        connection: Connection,
        mut events: ConnectionEvents,
        late: LateMessages,
        groups: GroupChanges,
    ) {
        let closing = connection.clone();
        let stopping = async {
            self.stop.cancelled().await;
            self.close_lane().await;
            self.wait_until_settled().await;
            closing.disconnect().await;
        };
        let undoing = self.undo_refused_link(&connection);
        let taking = async {
            while let Some(event) = events.recv().await {
                if let Err(fault) = self.take(event).await {
                    tracing::warn!(session.id = %self.lease.session, error = %fault, "an event of the connection was not stored");
                }
            }
        };
        let keeping = self.keep_late(&connection, late);
        let of = (&self.services, &self.lease, &self.lost);
        let changing = group_changes::keep(of, &connection, groups);
        let following = async { tokio::join!(taking, keeping, changing) };
        tokio::pin!(following);
        tokio::select! {
            _ = &mut following => {}
            () = stopping => drop(following.await),
            () = self.clear_typing(&connection) => {}
            () = self.tell_ended_calls() => {}
            () = self.watch_health(&connection) => {}
            () = undoing => {}
        }
    }

    /// Unlinks the device from the phone each time that its link is refused, until the connection ends with
    /// that. Never returns.
    async fn undo_refused_link(&self, connection: &Connection) {
        loop {
            self.refused.undo.notified().await;
            // Boxed, like the storing of late messages: it is rare, and every session waits here.
            let logout = Box::pin(connection.clone().logout());
            if let Err(error) = logout.await {
                tracing::warn!(session.id = %self.lease.session, error = format!("{error:#}"), "a refused link could not be undone; it is tried again with the next connection");
                connection.reconnect().await;
            }
        }
    }

    /// Clears typing indicators that have been shown long enough. Never returns.
    async fn clear_typing(&self, connection: &Connection) {
        loop {
            for to in self.typing.wait(self.services.clock()).await {
                if let Err(error) = connection.typing(&to, Typing::Paused).await {
                    tracing::debug!(%error, "typing was not cleared; the recipient's phone clears it");
                }
            }
        }
    }

    /// Handles one event. Waits while the database is down.
    async fn take(&self, event: ConnectionEvent) -> Result<(), Fault> {
        match event {
            ConnectionEvent::Qr { code, valid_for } => {
                let clock = self.services.clock();
                let (code, until) = (code.as_str().to_owned(), clock.monotonic() + valid_for);
                let qr = Qr {
                    code: code.clone(),
                    expires_at: clock.now().saturating_add(millis(valid_for)),
                };
                self.show(State::Qr, Some(qr));
                if self.services.is_shared() {
                    self.persist(Change::Qr { code, until }).await?;
                }
            }
            ConnectionEvent::Linked { me } => {
                self.show(State::Connecting, None);
                self.link(me).await?;
            }
            ConnectionEvent::Connected => self.connected().await?,
            ConnectionEvent::Disconnected => {
                self.show(State::Disconnected, None);
                self.persist(Change::Disconnected).await?;
                Box::pin(self.signal(Signal::Disconnected)).await?;
            }
            ConnectionEvent::Ack { id, error } => self.acknowledged(id, error).await?,
            ConnectionEvent::Receipt { ids, receipt } => self.receipt(ids, receipt).await?,
            // Boxed: they are rare, and every session waits here.
            ConnectionEvent::RateLimited => Box::pin(self.signal(Signal::RateLimited)).await?,
            ConnectionEvent::Timelock(lock) => Box::pin(self.timelock_told(lock)).await?,
            ConnectionEvent::Capping(quota) => Box::pin(self.capping_told(quota)).await?,
            ConnectionEvent::Call(stanza) => Box::pin(self.take_call(&stanza)).await?,
            ConnectionEvent::Ended(why) => self.ended(why).await?,
            _ => {}
        }
        Ok(())
    }

    async fn connected(&self) -> Result<(), Fault> {
        if !self.is_number_known().await? {
            // WhatsApp takes the unlinking only from a device that is logged in.
            self.refused.is_undone.store(true, Ordering::Relaxed);
            self.refused.undo.notify_one();
            return Ok(());
        }
        self.refused.is_undone.store(false, Ordering::Relaxed);
        // A connection that comes back while the session stops must not open its lane again.
        if self.stop.is_cancelled() {
            return Ok(());
        }
        let me = self.connection().and_then(|connection| connection.me());
        if let Some(number) = me.and_then(|me| number::mac(&self.services, &me)) {
            self.in_flight.share_gate(self.services.gates().of(number));
        }
        self.persist(Change::Connected).await?;
        if self.stop.is_cancelled() {
            self.close_lane().await;
        }
        self.show(State::Connected, None);
        self.services.lanes().notify_one();
        self.health.look(self.services.clock().monotonic());
        self.show_presence().await
    }

    /// Shows the number as online, or not, as the tenant has set it. A request that sets it later finds the
    /// session connected, and asks this connection to change it.
    async fn show_presence(&self) -> Result<(), Fault> {
        let Lease { org, session, .. } = self.lease;
        let presence = self
            .commit_with_retry(async || {
                let mut conn = self.services.store().read(org).await?;
                Ok(store::sessions::presence(&mut conn, org, session).await?)
            })
            .await;
        // A value that this version does not know is taken as the one that keeps the phone ringing.
        let presence = if_readable("session", &session, presence)?.unwrap_or_default();
        if let Some(connection) = self.connection() {
            connection.set_presence(presence.into());
        }
        Ok(())
    }

    /// Records the number of a linked session, if its lane does not know it: its link was refused, its process
    /// died before it was recorded, or it was recorded by an earlier version. Returns false if the link is
    /// refused.
    async fn is_number_known(&self) -> Result<bool, Fault> {
        let (is_linked, has_number) = self
            .commit_with_retry(async || {
                let mut conn = self.services.store().read(self.lease.org).await?;
                let Lease { org, session, .. } = self.lease;
                Ok(store::lanes::knows_number(&mut conn, org, session).await?)
            })
            .await?;
        if is_linked && has_number {
            return Ok(true);
        }
        let Some(me) = self.connection().and_then(|connection| connection.me()) else {
            return Ok(true);
        };
        if !is_linked {
            return self.link(me).await;
        }
        // What was linked before stays, also two sessions of one number; they share its pace from now on.
        if let Some(number) = self.meet(&me).await? {
            self.persist(Change::Number(number)).await?;
        }
        Ok(true)
    }

    /// Records that the device was linked to this number. Returns false if another session of the organisation
    /// is linked to it.
    async fn link(&self, me: Peer) -> Result<bool, Fault> {
        let number = self.meet(&me).await?;
        let linked = self.persist(Change::Linked { me, number }).await?;
        if linked {
            Box::pin(self.linked_again()).await?;
        } else {
            tracing::info!(session.id = %self.lease.session, code = EndReason::NumberLinkedAlready.as_str(), "the session was linked to a number of another session; the link is undone");
        }
        Ok(linked)
    }

    /// Makes the row of a number, before a lane names it. It is a transaction of its own, because the row
    /// belongs to no organisation.
    async fn meet(&self, me: &Peer) -> Result<Option<[u8; 32]>, Fault> {
        let Some(mac) = number::mac(&self.services, me) else {
            return Ok(None);
        };
        let meet = || {
            self.services.store().write_system(move |tx| {
                Box::pin(
                    async move { Ok::<_, Fault>(store::system::numbers::meet(tx, &mac).await?) },
                )
            })
        };
        self.commit_with_retry(meet).await?;
        Ok(Some(mac))
    }

    /// Stores the inbound messages that did not come through the inbound hook, until the connection ends.
    /// Nothing is written to the socket before they are stored. So if this ends early, because the lease is
    /// lost or the session stops while the database is down, WhatsApp delivers them again.
    async fn keep_late(&self, connection: &Connection, mut late: LateMessages) {
        loop {
            let some = late.next(LATE).await;
            if some.is_empty() {
                return;
            }
            if !Box::pin(self.store_late(connection, &some)).await {
                return;
            }
            late.stored(some.len());
        }
    }

    /// Returns false if the messages could be stored later, but not by this run.
    async fn store_late(&self, connection: &Connection, some: &[Late]) -> bool {
        let mut batch = Vec::with_capacity(some.len());
        for one in some {
            batch.extend(connection.read(one).await);
        }
        if batch.is_empty() {
            return true;
        }
        let Err(error) = self.inbox().commit(batch).await else {
            return true;
        };
        tracing::error!(session.id = %self.lease.session, error = format!("{error:#}"), "a late inbound message was not stored");
        error
            .downcast_ref::<Fault>()
            .is_some_and(Fault::is_of_one_row)
    }

    fn connection(&self) -> Option<Connection> {
        self.services.registry().connection(self.lease.session)
    }

    fn inbox(&self) -> Inbox {
        Inbox {
            services: self.services.clone(),
            lease: self.lease.clone(),
            early: Arc::clone(&self.early),
        }
    }

    /// Shows a new state in this process. Other processes read what [`Change::apply`] stores.
    fn show(&self, state: State, qr: Option<Qr>) {
        let registry = self.services.registry();
        registry.show(self.lease.session, Live { state, qr });
    }

    /// Returns whether the link ends because we undo it, or the tenant logs out.
    fn is_unlinked_by_us(&self) -> bool {
        self.refused.is_undone.load(Ordering::Relaxed) || self.health.is_unlinking()
    }

    async fn ended(&self, why: Ended) -> Result<(), Fault> {
        let signal = self.signal_of(&why);
        let (reason, until, kind) = match why {
            Ended::Stopped | Ended::LeaseLost => return Ok(()),
            Ended::LoggedOut if self.refused.is_undone.load(Ordering::Relaxed) => {
                let reason = EndReason::NumberLinkedAlready;
                (reason, None, EventType::SessionLoggedOut)
            }
            Ended::LoggedOut => (EndReason::LoggedOut, None, EventType::SessionLoggedOut),
            Ended::AccountLocked => (EndReason::AccountLocked, None, EventType::SessionLoggedOut),
            Ended::Banned { until, .. } => (EndReason::Banned, until, EventType::SessionBanned),
            Ended::Replaced => (EndReason::Replaced, None, EventType::SessionReplaced),
            Ended::Outdated => (EndReason::Outdated, None, EventType::SessionFailed),
            Ended::QrExhausted => (EndReason::QrExhausted, None, EventType::SessionDisconnected),
            Ended::Failed(_) | _ => (EndReason::Refused, None, EventType::SessionFailed),
        };
        let code = reason.as_str();
        tracing::info!(session.id = %self.lease.session, code, "the session ended");
        let unlinked = kind == EventType::SessionLoggedOut;
        self.persist(Change::Ended {
            code,
            until,
            kind,
            unlinked,
        })
        .await?;
        match signal {
            Some(signal) => Box::pin(self.signal(signal)).await,
            None => Ok(()),
        }
    }

    /// Commits a change of the session. Returns false if it was refused, see [`Change::apply`].
    async fn persist(&self, change: Change) -> Result<bool, Fault> {
        let done = self
            .commit_with_retry(|| self.try_persist(change.clone()))
            .await?;
        self.services.wake_deliveries();
        self.services.wake_live();
        Ok(done)
    }

    /// Commits, and retries while the database is down. If the lease is lost, the session ends.
    async fn commit_with_retry<T, F>(&self, commit: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let log = |fault: &Fault| {
            tracing::warn!(session.id = %self.lease.session, error = %fault, "the database is down; an event of the connection waits");
        };
        let done = outage::wait_out(commit, || !self.lost.is_cancelled(), log).await;
        if matches!(done, Err(Fault::LeaseLost)) {
            self.lost.cancel();
        }
        done
    }

    async fn try_persist(&self, change: Change) -> Result<bool, Fault> {
        let services = &self.services;
        let key = services.vault().org_key(self.lease.org).await?;
        let (lease, clock) = (self.lease.clone(), services.clock().clone());
        let boot = self
            .services
            .is_shared()
            .then(|| Arc::clone(services.boot()));
        services
            .store()
            .write(lease.org, move |tx| {
                Box::pin(async move {
                    let now = lease.check(tx).await?;
                    let done = change
                        .apply(tx, &key, &lease, &clock, boot.as_deref(), now)
                        .await?;
                    crash::point("session.before_commit");
                    Ok(done)
                })
            })
            .await
    }

    async fn close_lane(&self) {
        if let Err(fault) = self.persist(Change::Closed).await {
            tracing::debug!(error = %fault, "the lane was not closed");
        }
    }

    /// Waits until the lane has nothing in flight. Reads this from the database, not from memory, because a
    /// claim may have been committed a moment before the lane closed.
    async fn wait_until_settled(&self) {
        let longest = self.services.settings().ack_timeout + Duration::from_secs(5);
        let settled = async {
            while self.has_in_flight().await.unwrap_or(true) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = settled => {}
            () = self.lost.cancelled() => {}
            () = tokio::time::sleep(longest) => {
                tracing::warn!(session.id = %self.lease.session, "the session stops with a message in flight");
            }
        }
    }

    async fn has_in_flight(&self) -> Result<bool, Fault> {
        let lease = self.lease.clone();
        self.services
            .store()
            .write(lease.org, move |tx| {
                Box::pin(async move {
                    Ok(store::lanes::running(tx, lease.org, lease.session)
                        .await?
                        .is_some())
                })
            })
            .await
    }

    /// Releases the lease, so that the next host need not wait until it lapses. Does nothing if the lease
    /// was lost: then lease and lane belong to another host.
    async fn release_lease(&self) {
        let lease = self.lease.clone();
        let released = self
            .services
            .store()
            .write_system(move |tx| {
                Box::pin(async move {
                    lease.check(tx).await?;
                    store::lanes::close(tx, lease.org, lease.session).await?;
                    Ok::<_, Fault>(store::system::hosts::release_lease(tx, &lease).await?)
                })
            })
            .await;
        match released {
            Ok(()) | Err(Fault::LeaseLost) => {}
            // The lease stays ours: the host finds it at a later heartbeat and runs the session again.
            Err(fault) => {
                tracing::warn!(session.id = %self.lease.session, error = %fault, "the lease was not released");
            }
        }
    }
}

/// Logs and counts that a session could not be taken or opened. It is left alone for `pause`.
pub(super) fn report_failure(
    session: SessionId,
    step: &'static str,
    pause: Duration,
    error: &dyn Display,
) {
    metrics::counter!("passerelle_session_failures_total", "step" => step).increment(1);
    tracing::error!(session.id = %session, step, ?pause, %error, "a session cannot be run; it is tried again after a pause");
}
