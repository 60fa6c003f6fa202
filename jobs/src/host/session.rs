//! Runs one session: opens its connection, handles its events, and stops it.

use std::{fmt::Display, sync::Arc, time::Duration};

use passerelle_engine::{
    clock::{Clock, Millis},
    content::Peer,
    ids::SessionId,
    keystore::{self, SealedKeyStore},
    lease::Lease,
    store::Tx,
    vault::{DataKey, Place},
    whatsapp::{
        Connection, ConnectionOptions, Late, Typing, Urgency, WhatsApp,
        event::{ConnectionEvent, ConnectionEvents, Ended},
        inbound::InboundSink as _,
    },
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    crash,
    error::{self, Fault},
    events::{self, SessionChange},
    host::receipts::{self, StatusUpdate},
    inbound::Inbox,
    model::{EndReason, Live, Qr, State, event::EventType, millis},
    outage,
    services::Services,
    state::{
        back_off::longer,
        in_flight::{InFlight, ServerVerdict},
        registry::Running,
        typing::Shown,
    },
    store,
};

/// The most messages updated in one commit; a receipt may name any number of them.
const RECEIPTS: usize = 100;

/// A session that runs here under its lease.
pub(crate) struct RunningSession {
    services: Services,
    lease: Lease,
    urgency: Urgency,
    in_flight: Arc<InFlight>,
    typing: Arc<Shown>,
    stop: CancellationToken,
    lost: CancellationToken,
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
        services.registry().begin(Running {
            lease: lease.clone(),
            connection: None,
            in_flight: Arc::clone(&in_flight),
            typing: Arc::clone(&typing),
            stop: stop.clone(),
            lost: lost.clone(),
        });
        Self {
            services,
            lease,
            urgency,
            in_flight,
            typing,
            stop,
            lost,
        }
    }

    /// Runs the session until it is stopped, ends for good, or loses its lease.
    pub(crate) async fn run(self, whatsapp: WhatsApp) {
        if let Some((connection, events)) = self.open(&whatsapp).await {
            self.services
                .registry()
                .set_connection(self.lease.session, connection.clone());
            self.follow(connection, events).await;
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
    async fn open(&self, whatsapp: &WhatsApp) -> Option<(Connection, ConnectionEvents)> {
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

    async fn try_open(
        &self,
        whatsapp: &WhatsApp,
    ) -> anyhow::Result<(Connection, ConnectionEvents)> {
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
    async fn follow(&self, connection: Connection, mut events: ConnectionEvents) {
        let closing = connection.clone();
        let stopping = async {
            self.stop.cancelled().await;
            self.close_lane().await;
            self.wait_until_settled().await;
            closing.disconnect().await;
        };
        let following = async {
            while let Some(event) = events.recv().await {
                if let Err(fault) = self.take(event).await {
                    tracing::warn!(session.id = %self.lease.session, error = %fault, "an event of the connection was not stored");
                }
            }
        };
        tokio::pin!(following);
        tokio::select! {
            () = &mut following => {}
            () = stopping => following.await,
            () = self.clear_typing(&connection) => {}
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
                self.persist(Change::Linked(me)).await?;
            }
            ConnectionEvent::Connected => {
                self.persist(Change::Connected).await?;
                self.show(State::Connected, None);
                self.services.lanes().notify_one();
            }
            ConnectionEvent::Disconnected => {
                self.show(State::Disconnected, None);
                self.persist(Change::Disconnected).await?;
            }
            ConnectionEvent::Ack { id, error } => self.acknowledged(id, error).await?,
            ConnectionEvent::Receipt { ids, kind, at } => {
                let others: Vec<String> = ids
                    .into_iter()
                    .filter(|id| !self.in_flight.report(id, ServerVerdict::Receipt(kind, at)))
                    .collect();
                self.commit_update(others, StatusUpdate::Receipt(kind, at))
                    .await?;
            }
            ConnectionEvent::Late(late) => self.keep_late(&late).await,
            ConnectionEvent::Ended(why) => self.ended(why).await?,
            _ => {}
        }
        Ok(())
    }

    /// Stores an inbound message that came as an event instead of through the inbound hook.
    async fn keep_late(&self, late: &Late) {
        let connection = self.services.registry().connection(self.lease.session);
        let Some(connection) = connection else { return };
        let Some(inbound) = connection.read(late).await else {
            return;
        };
        if let Err(error) = self.inbox().commit(vec![inbound]).await {
            tracing::warn!(session.id = %self.lease.session, error = format!("{error:#}"), "a late inbound message was not stored");
        }
    }

    fn inbox(&self) -> Inbox {
        Inbox {
            services: self.services.clone(),
            lease: self.lease.clone(),
        }
    }

    /// Shows a new state in this process. Other processes read what [`Change::apply`] stores.
    fn show(&self, state: State, qr: Option<Qr>) {
        let registry = self.services.registry();
        registry.show(self.lease.session, Live { state, qr });
    }

    async fn acknowledged(&self, wa_id: String, error: Option<u16>) -> Result<(), Fault> {
        let verdict = error.map_or(ServerVerdict::Taken, ServerVerdict::Refused);
        if self.in_flight.report(&wa_id, verdict) {
            return Ok(());
        }
        self.commit_update(
            vec![wa_id],
            error.map_or(StatusUpdate::Taken, StatusUpdate::Refused),
        )
        .await
    }

    async fn commit_update(&self, wa_ids: Vec<String>, update: StatusUpdate) -> Result<(), Fault> {
        self.in_flight.settled(&wa_ids).await;
        for some in wa_ids.chunks(RECEIPTS) {
            self.commit_with_retry(|| {
                receipts::commit(&self.services, &self.lease, some.to_vec(), update.clone())
            })
            .await?;
        }
        Ok(())
    }

    async fn ended(&self, why: Ended) -> Result<(), Fault> {
        let (reason, until, kind) = match why {
            Ended::Stopped | Ended::LeaseLost => return Ok(()),
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
        .await
    }

    /// Commits a change of the session.
    async fn persist(&self, change: Change) -> Result<(), Fault> {
        self.commit_with_retry(|| self.try_persist(change.clone()))
            .await?;
        self.services.wake_deliveries();
        self.services.wake_live();
        Ok(())
    }

    /// Commits, and retries while the database is down. If the lease is lost, the session ends.
    async fn commit_with_retry<F>(&self, commit: impl Fn() -> F) -> Result<(), Fault>
    where
        F: Future<Output = Result<(), Fault>>,
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

    async fn try_persist(&self, change: Change) -> Result<(), Fault> {
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
                    change
                        .apply(tx, &key, &lease, &clock, boot.as_deref(), now)
                        .await?;
                    crash::point("session.before_commit");
                    Ok(())
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
                    store::lanes::open(tx, lease.org, lease.session, 0).await?;
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

/// A change of a session that is stored.
#[derive(Clone)]
enum Change {
    /// The current QR, for the processes that do not run the session.
    Qr {
        code: String,
        until: Instant,
    },
    Linked(Peer),
    Connected,
    Disconnected,
    /// The lane takes no more claims. Emits no event.
    Closed,
    Ended {
        code: &'static str,
        until: Option<i64>,
        kind: EventType,
        unlinked: bool,
    },
}

impl Change {
    /// Writes the change. `boot` identifies this process, and is `None` if no other process shares the
    /// store. `in_store` is the current time by the database's clock.
    async fn apply(
        self,
        tx: &mut Tx,
        key: &DataKey,
        lease: &Lease,
        clock: &Clock,
        boot: Option<&str>,
        in_store: Millis,
    ) -> Result<(), Fault> {
        let (org, id, now) = (lease.org, lease.session, clock.now());
        let record = id.to_string();
        let change = match self {
            Self::Qr { code, until } => {
                let left = millis(until.saturating_duration_since(clock.monotonic()));
                let expires_at = in_store.saturating_add(left);
                let qr = Qr { code, expires_at };
                let sealed = key.seal_json(&Place::of(org, store::live::QR, &record), &qr)?;
                return publish(tx, lease, boot, State::Qr.as_str(), Some(sealed)).await;
            }
            Self::Linked(me) => {
                let sealed = key.seal_json(&Place::of(org, store::links::ME, &record), &me)?;
                store::links::linked(tx, org, id, sealed, now).await?;
                SessionChange::to(EventType::SessionLinked, "connecting")
            }
            Self::Closed => {
                store::lanes::open(tx, org, id, 0).await?;
                return Ok(());
            }
            Self::Connected => {
                store::lanes::open(tx, org, id, lease.epoch).await?;
                SessionChange::to(EventType::SessionConnected, "connected")
            }
            Self::Disconnected => {
                store::lanes::open(tx, org, id, 0).await?;
                SessionChange::to(EventType::SessionDisconnected, "disconnected")
            }
            Self::Ended {
                code,
                until,
                kind,
                unlinked,
            } => {
                store::lanes::open(tx, org, id, 0).await?;
                if unlinked {
                    keystore::wipe(tx, id).await?;
                    store::links::unlinked(tx, org, id, code, now).await?;
                } else {
                    store::links::ended(tx, org, id, code, until, now).await?;
                }
                SessionChange {
                    reason: Some(code),
                    until,
                    ..SessionChange::to(kind, "stopped")
                }
            }
        };
        publish(tx, lease, boot, change.state, None).await?;
        events::session(tx, key, org, id, &change, clock).await
    }
}

/// Stores the session's live state for the processes that do not run it. Does nothing without a `boot`:
/// then there are no such processes.
async fn publish(
    tx: &mut Tx,
    lease: &Lease,
    boot: Option<&str>,
    state: &str,
    qr_sealed: Option<Vec<u8>>,
) -> Result<(), Fault> {
    if let Some(boot) = boot {
        store::live::tell(tx, lease, boot, state, qr_sealed).await?;
    }
    Ok(())
}
