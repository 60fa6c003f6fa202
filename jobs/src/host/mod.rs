//! A host: the process that runs sessions. It takes the leases of sessions that should run, puts
//! to rest those that should not, and keeps its heartbeat.
//!
//! | page | what it holds |
//! |---|---|
//! | [`hosted`] | one session at work |
//! | [`lane`] | the lanes as a queue, and sending one message |
//! | [`flight`], [`outcome`], [`settle`], [`receipts`] | WhatsApp's word on messages, and what it changes |
//! | [`stray`] | lanes whose message in flight nobody flies |
//! | [`registry`] | which sessions run here, live |
//! | `nowhere` | the lanes alone, to measure them (sandbox builds) |

mod flight;
mod hosted;
pub(crate) mod lane;
#[cfg(feature = "sandbox")]
pub mod nowhere;
mod outcome;
mod receipts;
mod registry;
mod settle;
mod stray;

use std::{collections::HashSet, sync::Arc, time::Duration};

use passerelle_engine::{
    ids::{MessageId, OrgId, SessionId},
    lease::Lease,
    whatsapp::WhatsApp,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use lane::SendMessage;
pub(crate) use registry::Registry;
pub(crate) use settle::Gathering;
pub(crate) use stray::InHand;

use self::hosted::Hosted;
use crate::{crash, error::Fault, pacing::millis, services::Services, store};

/// Between two looks at which sessions should run.
const LOOK: Duration = Duration::from_secs(1);
/// Between two heartbeats.
const BEAT: Duration = Duration::from_secs(5);
/// A host not seen for so long is dead: its sessions may be taken.
const DEAD: Duration = Duration::from_secs(15);

/// The loop that gives sessions a home.
pub(crate) struct Host {
    services: Services,
    whatsapp: WhatsApp,
    boot: String,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Host {
    pub(crate) fn new(
        services: Services,
        whatsapp: WhatsApp,
        boot: String,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            services,
            whatsapp,
            boot,
            tasks,
            stop,
        }
    }

    /// Runs until stopped, then puts every session to rest.
    pub(crate) async fn run(self) {
        let mut beaten: Option<Instant> = None;
        let mut stray = HashSet::new();
        // What this host held when it died is its own to take back at once; with each heartbeat, what
        // it could not give back.
        let mut booting = true;
        while !self.stop.is_cancelled() {
            match self.look(&mut beaten, &mut stray, booting).await {
                Ok(()) => booting = false,
                Err(fault) => tracing::warn!(error = %fault, "the host waits for the store"),
            }
            tokio::select! {
                () = self.services.0.sessions.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                () = self.stop.cancelled() => {}
            }
        }
        self.rest().await;
    }

    async fn look(
        &self,
        beaten: &mut Option<Instant>,
        stray: &mut HashSet<MessageId>,
        booting: bool,
    ) -> Result<(), Fault> {
        let now = self.services.0.clock.monotonic();
        let beats = beaten.is_none_or(|at| now.saturating_duration_since(at) >= BEAT);
        if beats {
            self.beat().await?;
            *stray = stray::resolve(&self.services, stray).await?;
            *beaten = Some(now);
        }
        self.put_to_rest().await?;
        self.take_leases(booting || beats).await
    }

    async fn beat(&self) -> Result<(), Fault> {
        let (host, boot) = (
            Arc::clone(&self.services.0.settings.host),
            self.boot.clone(),
        );
        let beat =
            self.services.0.store.write(move |tx| {
                Box::pin(async move { store::system::beat(tx, &host, &boot).await })
            });
        Ok(beat.await?)
    }

    /// Takes the sessions that should run and that nobody runs; with `own`, also those that this host
    /// has the leases of and does not run.
    async fn take_leases(&self, own: bool) -> Result<(), Fault> {
        let shared = &self.services.0;
        let free = {
            let mut conn = shared.store.read().await?;
            let now = passerelle_engine::store::now(shared.store.dialect(), &mut conn).await?;
            let own = if own { &*shared.settings.host } else { "" };
            store::system::wanting_a_host(&mut conn, own, now.saturating_sub(millis(DEAD))).await?
        };
        for (org, session, epoch) in free {
            if self.stop.is_cancelled() {
                break;
            }
            if shared.registry.runs(session) {
                continue;
            }
            if let Some(lease) = self.take_lease(org, session, epoch).await? {
                self.host(lease);
            }
        }
        Ok(())
    }

    /// Takes one lease, and resolves what its former owner left in flight in the same transaction.
    async fn take_lease(
        &self,
        org: OrgId,
        session: SessionId,
        epoch: i64,
    ) -> Result<Option<Lease>, Fault> {
        let shared = self.services.0.clone();
        let key = shared.vault.org_key(org).await?;
        let gap = shared.settings.pace.gap(&mut self.services.chance());
        let (host, clock) = (Arc::clone(&shared.settings.host), shared.clock.clone());
        let taken = shared
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let Some(lease) =
                        store::system::take_lease(tx, &host, org, session, epoch).await?
                    else {
                        return Ok(None);
                    };
                    outcome::resolve(tx, &key, &clock, &lease, gap).await?;
                    crash::point("takeover.before_commit");
                    Ok::<_, Fault>(Some(lease))
                })
            })
            .await?;
        crash::point("takeover.after_commit");
        Ok(taken)
    }

    fn host(&self, lease: Lease) {
        let hosted = Hosted::new(self.services.clone(), lease, self.stop.child_token());
        self.tasks.spawn(hosted.run(self.whatsapp.clone()));
    }

    /// Stops the sessions that run here and should not.
    async fn put_to_rest(&self) -> Result<(), Fault> {
        let running = self.services.0.registry.all();
        if running.is_empty() {
            return Ok(());
        }
        let wanted = {
            let mut conn = self.services.0.store.read().await?;
            store::system::still_wanted(&mut conn, &self.services.0.settings.host).await?
        };
        let wanted: std::collections::HashMap<_, _> = wanted.into_iter().collect();
        for session in running {
            if wanted.get(&session.lease.session) != Some(&session.lease.epoch) {
                session.stop.cancel();
            }
        }
        Ok(())
    }

    /// Waits until every session has put itself to rest: their stop tokens are children of ours.
    async fn rest(&self) {
        for session in self.services.0.registry.all() {
            self.services
                .0
                .registry
                .stopped(session.lease.session, Duration::from_secs(25))
                .await;
        }
    }
}
